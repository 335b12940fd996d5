package PAGI::Server::Protocol::HTTP2;
use strict;
use warnings;

use Carp qw(croak);

use PAGI::Server::Core;
use PAGI::Server::Options;
use PAGI::Server::Protocol::HTTP2::Session;

our $VERSION = '0.003000';

# Settings and the options of a server that they are: the names differ by a prefix, but for one.
my %OPTION =
    map { s/\Ah2_(?!rst_)//r => $_ } grep { /\Ah2_/ } PAGI::Server::Options->names;

sub available { 1 }

sub new {
    my ($class, %settings) = @_;

    my ($unknown) = grep { !exists $OPTION{$_} } sort keys %settings;
    croak "Unknown setting '$unknown' for PAGI::Server::Protocol::HTTP2" if defined $unknown;
    my $self = bless {}, $class;
    for my $name (sort keys %OPTION) {
        my $value = $settings{$name};
        $value = PAGI::Server::Options->default_of($OPTION{$name})
            if !defined $value
            && !(exists $settings{$name} && PAGI::Server::Options->may_be_none($OPTION{$name}));
        $self->{$name} = PAGI::Server::Options->check($OPTION{$name} => $value);
    }
    return $self;
}

sub of {
    my ($class, $options) = @_;

    return $class->new(map { $_ => $options->{ $OPTION{$_} } } keys %OPTION);
}

sub options {
    my ($self) = @_;

    return map { $OPTION{$_} => $self->{$_} } sort keys %OPTION;
}

sub create_session {
    my ($self, %callbacks) = @_;

    my $settings = PAGI::Server::Options->settings({ $self->options });
    return PAGI::Server::Protocol::HTTP2::Session->_new($settings, %callbacks);
}

sub detect_preface {
    my ($class, $bytes) = @_;

    my $preface = PAGI::Server::Core::codec_preface();
    return defined $bytes && substr($bytes, 0, length $preface) eq $preface ? 1 : 0;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Protocol::HTTP2 - how HTTP/2 is spoken, and whether a client does

=head1 SYNOPSIS

    use strict;
    use warnings;

    use PAGI::Server::Protocol::HTTP2;

    my $bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";    # what a client has sent so far
    my $h2    = PAGI::Server::Protocol::HTTP2->new(max_concurrent_streams => 50);

    print 'Streams at once: ', $h2->{max_concurrent_streams}, "\n";
    print "That is HTTP/2\n" if PAGI::Server::Protocol::HTTP2->detect_preface($bytes);

    # A server, or one connection, that speaks it like that:
    #   PAGI::Server->new(app => $app, http2 => 1, $h2->options);
    #   PAGI::Server::Connection->new(stream => $stream, app => $app,
    #       h2c_enabled => 1, h2_protocol => $h2);

=head1 DESCRIPTION

The settings with which L<PAGI::Server> speaks HTTP/2, by the names that RFC 9113 gives them, and the
bytes with which a client begins to speak it. For programs that accept connections themselves and
hand them to L<PAGI::Server::Connection>, and for those that want to know how a server is set up: a
L<PAGI::Server> with C<http2> has one of these as C<< $server->{http2_protocol} >>, else there is no
such key.

The protocol itself is the business of the compiled half, which drives a connection from its bytes to
the application. What has bytes and no connection, and wants no PAGI, makes a session and feeds it by
hand: L</create_session>.

=head1 CONSTRUCTORS

=head2 new

    my $h2 = PAGI::Server::Protocol::HTTP2->new(%settings);

Croaks for a name that is none of these, and dies as L<PAGI::Server/new> does for a value that cannot
be meant; the message names the option. An undefined value is the default. Each setting is a key of
the object, to be read.

    Unknown setting 'X' for PAGI::Server::Protocol::HTTP2

=over 4

=item max_concurrent_streams

A number, default 100. Option C<h2_max_concurrent_streams>.

=item initial_window_size

Bytes, default 65535. Option C<h2_initial_window_size>.

=item max_frame_size

Bytes, default 16384. Option C<h2_max_frame_size>.

=item enable_push

A boolean, default 0, of no effect. Option C<h2_enable_push>.

=item enable_connect_protocol

A boolean, default 1. Option C<h2_enable_connect_protocol>.

=item max_header_list_size

Bytes, default 65536. Option C<h2_max_header_list_size>.

=item h2_rst_rate_limit

A hash reference, default C<< { burst => 1000, rate => 33 } >>, or C<undef> for no limit. The option
of the same name.

=back

What they mean is told with the options, in L<PAGI::Server/HTTP/2>.

=head2 of

    my $h2 = PAGI::Server::Protocol::HTTP2->of(\%options);

The settings that a hash has under the names of the options, such as that of a L<PAGI::Server>.

=head1 CLASS METHODS

=head2 available

1: HTTP/2 needs nothing else to be installed.

=head2 detect_preface

    my $bool = PAGI::Server::Protocol::HTTP2->detect_preface($bytes);

1 where the bytes begin with the 24 of HTTP/2's client preface (RFC 9113 3.4), else 0; fewer bytes are
never it. An object can be asked as well.

=head1 METHODS

=head2 options

    my %options = $h2->options;

The settings under the names of the options of L<PAGI::Server> and L<PAGI::Server::Connection>.

=head2 create_session

    my $session = $h2->create_session(on_request => sub { ... });

A server's side of one connection with these settings, fed with bytes by hand: a
L<PAGI::Server::Protocol::HTTP2::Session>, whose manual tells of C<on_request>, C<on_body> and
C<on_close>. All of them can be left out.

=head1 SEE ALSO

L<PAGI::Server/HTTP/2 CONNECTIONS>, L<PAGI::Server::Connection>,
L<PAGI::Server::Protocol::HTTP2::Session>

=cut
