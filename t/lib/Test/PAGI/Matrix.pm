package Test::PAGI::Matrix;

# The same test over every transport: what the specification says must not depend on the wire.
#
#     for_each_transport {
#         my ($on) = @_;
#         with_server { my ($t) = @_; ... } on => $on, app => $app;
#     };                                 # or: } protocol => 'h1';
#
# Tests that speak raw HTTP/1 bytes say protocol => 'h1' and still run over every carrier of it.
# PAGI_TEST_TRANSPORT=name runs one transport only.

use strict;
use warnings;

use Exporter  qw(import);
use Test2::V0 ();
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::NeedsTLS ();

our @EXPORT = qw(for_each_transport);

# A transport is a row: how the server is configured for it and how a client connects. One that
# needs what is not installed everywhere says so with is_there.
# To come, each one row: h1+unix, h2c, h2+tls, and a bare Connection over a socketpair
# (whose connect() makes the pair and hands the other end to PAGI::Server::Connection).
my @TRANSPORTS = (
    {
        name     => 'h1',
        protocol => 'h1',
        carrier  => 'tcp',
        options  => {},
        connect  => \&_connect_tcp,
    },
    {
        name     => 'h1+tls',
        protocol => 'h1',
        carrier  => 'tls',
        options  => sub { return (ssl => Test::PAGI::Certificates->shared) },
        connect  => \&_connect_tls,
        is_there => \&Test::PAGI::NeedsTLS::is_there,
    },
);

sub for_each_transport (&;@) {
    my ($block, %only) = @_;
    my $wanted = $ENV{PAGI_TEST_TRANSPORT};
    for my $on (map { bless {%$_}, __PACKAGE__ } @TRANSPORTS) {
        next if defined $wanted && $on->name ne $wanted;
        next if grep { $on->{$_} ne $only{$_} } keys %only;
        next if $on->{is_there} && !$on->{is_there}->();
        Test2::V0::subtest('over ' . $on->name, sub { $block->($on) });
    }
    return;
}

# The transport of tests that do not ask for one.
sub default { return bless { %{ $TRANSPORTS[0] } }, __PACKAGE__ }

sub name      { return $_[0]{name} }
sub protocol  { return $_[0]{protocol} }
sub carrier   { return $_[0]{carrier} }
sub is_secure { return $_[0]{carrier} eq 'tls' }

sub server_options {
    my ($self) = @_;
    return ref $self->{options} eq 'CODE' ? $self->{options}->() : %{ $self->{options} };
}

# A client connected to a running Test::PAGI::Server.
sub connect {
    my ($self, $t, %options) = @_;
    return $self->{connect}->($t, %options);
}

sub _connect_tcp {
    my ($t, %options) = @_;
    return Test::PAGI::Client->connect_tcp(port => $t->port, %options);
}

sub _connect_tls {
    my ($t, %options) = @_;
    require Test::PAGI::Client::TLS;
    return Test::PAGI::Client::TLS->connect_tcp(port => $t->port, %options);
}

1;
