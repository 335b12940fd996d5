package Test::PAGI::Server;

# A PAGI::Server for the length of a block, in this process and on this loop:
#
#     with_server {
#         my ($t) = @_;
#         my $response = $t->get('/');
#         is $response->status, 200;
#     } app => $app, timeout => 5;
#
# Options are those of PAGI::Server->new, and
#     on      => a transport of Test::PAGI::Matrix (default: its first)
#     without => [names of options to leave out, where these defaults would set them]
#
# Warnings are collected. What the block does not take with $t->take_warnings fails the test:
# a server that answers rightly and warns about it is not right.

use strict;
use warnings;

use Exporter         qw(import);
use Scalar::Util     qw(weaken);
use Test2::API       qw(context);
use Test::PAGI::Loop qw(test_loop wait_until settle);

our @EXPORT = qw(with_server);

# Loopback, a port from the system, no log, and no long waits when a test goes wrong.
my %DEFAULTS = (
    host             => '127.0.0.1',
    port             => 0,
    quiet            => 1,
    access_log       => undef,
    shutdown_timeout => 3,
);

sub with_server (&@) {
    my ($block, %options) = @_;
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, $_[0] };
    my $self = __PACKAGE__->new(%options);
    $self->{warnings} = \@warnings;
    my $ok    = eval { $self->start; $block->($self); 1 };
    my $error = $@;
    my $ended = eval { $self->stop; 1 };
    my $said  = join '', map { "  warned: $_" } @warnings;
    die $error . $said if !$ok;
    die $@ . $said     if !$ended;
    $self->_check_warnings;
    return;
}

sub new {
    my ($class, %options) = @_;
    my $on = delete $options{on}
        // do { require Test::PAGI::Matrix; Test::PAGI::Matrix::default() };
    my $without = delete $options{without} // [];
    my %all     = (_defaults($on), $on->server_options, %options);
    delete @all{@$without};
    return bless { on => $on, options => \%all, clients => [], warnings => [] }, $class;
}

sub _defaults {
    my ($on) = @_;
    my %defaults = %DEFAULTS;
    delete @defaults{ $on->without };
    return %defaults;
}

# Constructs the server and adds it to the loop, not listening yet.
sub build {
    my ($self) = @_;
    $self->{server} //= do {
        require PAGI::Server;
        my $server = PAGI::Server->new(%{ $self->{options} });
        test_loop()->add($server);
        $server;
    };
    return $self->{server};
}

sub start {
    my ($self) = @_;
    settle($self->build->listen, 'listen');
    return $self;
}

# Closes the clients of this test, shuts down and takes the server off the loop.
sub stop {
    my ($self) = @_;
    my $server = delete $self->{server} or return;
    $_->close for grep { defined } @{ $self->{clients} };
    settle($server->shutdown, 'shutdown');
    test_loop()->remove($server) if $server->loop;
    return;
}

sub server { return $_[0]{server} }
sub port   { return $_[0]{server}->port }
sub on     { return $_[0]{on} }

# A new connected client. It closes when the test lets go of it, at the latest with the block.
sub client {
    my ($self, %options) = @_;
    my $client = $self->{on}->connect($self, %options);
    @{ $self->{clients} } = grep { defined } @{ $self->{clients} };
    push @{ $self->{clients} }, $client;
    weaken($_) for @{ $self->{clients} };
    return $client;
}

# One request on a connection of its own, closed afterwards.
sub request {
    my ($self, @request) = @_;
    my $client   = $self->{on}->connect($self);
    my $response = $client->request(@request);
    $client->close;
    return $response;
}

sub get {
    my ($self, $target, %opt) = @_;
    return $self->request(GET => $target, %opt);
}

# Raw bytes on a connection of its own; what comes back until the server closes it.
sub exchange {
    my ($self, $bytes) = @_;
    my $client = $self->{on}->connect($self);
    my $answer = $client->write($bytes)->read_until_eof;
    $client->close;
    return $answer;
}

sub warnings { return @{ $_[0]{warnings} } }

# The warnings so far, forgotten here.
sub take_warnings {
    my ($self) = @_;
    return splice @{ $self->{warnings} };
}

# Turns the loop until a warning matches, and takes all there are.
sub wait_warning {
    my ($self, $pattern) = @_;
    wait_until {
        grep { $_ =~ $pattern } @{ $self->{warnings} }
    }
    "a warning matching $pattern";
    return $self->take_warnings;
}

sub _check_warnings {
    my ($self) = @_;
    my @left   = $self->take_warnings or return;
    my $ctx    = context(level => 1);
    $ctx->fail('no unexpected warnings', @left);
    $ctx->release;
    return;
}

1;
