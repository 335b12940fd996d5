package PAGI::Server::Connection::Relay;
use strict;
use warnings;

use IO::Async::OS;
use IO::Poll ();
use IO::Async::Stream;
use IO::Async::Timer::Countdown;
use Scalar::Util qw(weaken);
use Socket       qw(SHUT_WR);

our $VERSION = '0.003000';

# How often a client is looked at of whom nothing is read, seconds
use constant LOOK => 0.5;

# What its leaving looks like; not everybody has POLLRDHUP.
my $GONE = IO::Poll::POLLHUP | IO::Poll::POLLERR | ($^O eq 'linux' ? 0x2000 : 0);

# Whether only Perl can read and write the stream: its bytes are not those on a socket (TLS, a
# tied handle, a reader of its own), or it is no socket, or two.
sub is_needed_for {
    my ($class, $stream) = @_;

    my ($in, $out) = ($stream->read_handle, $stream->write_handle);
    return 1 if !$in || !$out || fileno $in != fileno $out;
    return 1 if tied *$in || $in->isa('IO::Socket::SSL');
    return 1 if grep { ref $stream->{$_} } qw(reader writer);
    return !-S $in;
}

sub new {
    my ($class, $stream) = @_;

    my ($ours, $theirs) = IO::Async::OS->socketpair('unix', 'stream')
        or die "Cannot make a pair of sockets: $!\n";
    weaken(my $outer = $stream);
    my $inner = IO::Async::Stream->new(
        handle        => $ours,
        on_read       => sub { _forward($_[0], $outer, $_[1]) },
        on_read_eof   => sub { _end_of_input($_[0]); $outer->close_when_empty if $outer },
        on_read_error => sub { $outer->close_now                              if $outer },
        # The core closed its end; what it sent is still read. The rest would be tried for ever.
        on_write_error    => sub { $_[0]->want_writeready_for_write(0) },
        close_on_read_eof => 0,
    );
    return bless { outer => $stream, inner => $inner, socket => $theirs }, $class;
}

sub socket { $_[0]{socket} }

# The core has its end: bytes may flow.
sub start {
    my ($self) = @_;

    my ($outer, $inner) = @{$self}{qw(outer inner)};
    delete $self->{socket};
    weaken(my $weak = $inner);
    my $look = IO::Async::Timer::Countdown->new(
        delay     => LOOK,
        on_expire => sub { _look($_[0], $weak) },
    );
    $outer->add_child($look);
    $outer->configure(
        close_on_read_eof => 0,
        on_read           => sub { _forward_and_look($look, $weak, @_) },
        on_read_eof       => sub { _end_of_input($_[0]); _shut($weak) },
        on_read_error     => sub { $weak->close_now if $weak },
        on_write_error    => sub { $_[0]->close_now },
    );
    $outer->add_child($inner);
    $outer->push_on_read(sub { _forward_and_look($look, $weak, @_); return });
    return $self;
}

# The core has closed its end: what it sent is written, then the stream closes by itself. For a peer
# that takes nothing of it for $patience seconds, at once.
sub finish {
    my ($self, $patience) = @_;

    my ($outer, $inner) = @{$self}{qw(outer inner)};
    return $self->drop       unless $outer->write_handle;
    $outer->close_when_empty unless $inner->read_handle;
    weaken(my $weak = $outer);
    my $moved = \$self->{inner}{pagi_moved};
    $outer->add_child(
        IO::Async::Timer::Countdown->new(
            delay     => $patience,
            on_expire => sub {
                my ($timer) = @_;
                return $weak->close_now unless $$moved;
                $$moved = 0;
                $timer->start;
            },
        )->start
    ) if $outer->write_handle;
}

# Nothing is copied any more.
sub drop { $_[0]{inner}->close_now }

# One piece at a time: the next is read when this one is written, so nothing piles up.
sub _forward {
    my ($from, $to, $buffer) = @_;

    return 0 unless length $$buffer && $to && $to->write_handle;
    my $bytes = $$buffer;
    $$buffer = '';
    $from->want_readready_for_read(0);
    weaken(my $source = $from);
    $to->write(
        $bytes,
        on_write => sub { $source->{pagi_moved} = 1 if $source },
        on_flush => sub { _read_on($source)         if $source && $source->read_handle },
    );
    return 0;
}

sub _forward_and_look {
    my ($timer, $inner, $outer, $buffer) = @_;

    _forward($outer, $inner, $buffer);
    $timer->start unless $timer->is_running;
    return 0;
}

# What the handle has decrypted already makes its socket no more readable.
sub _read_on {
    my ($source) = @_;

    $source->want_readready_for_read(1);
    my $handle = $source->read_handle;
    $source->on_read_ready if $handle->can('pending') && $handle->pending;
}

# A stream at its end stays readable: its loop would spin.
sub _end_of_input {
    my ($from) = @_;

    $from->want_readready_for_read(0) if $from->read_handle;
}

# The core reads no more, because nobody receives what it has. That its client has left it cannot see,
# and neither can the stream, which reads no more either: its descriptor can.
sub _look {
    my ($timer, $inner) = @_;

    my $outer = $timer->parent;
    return if !$outer || !$outer->read_handle || $outer->want_readready_for_read;
    return $timer->start if delete $outer->{pagi_moved} || !_has_left($outer->read_handle);
    _shut($inner);
}

sub _has_left {
    my ($handle) = @_;

    my @asked = (fileno $handle, $GONE);
    return $asked[0] >= 0 && IO::Poll::_poll(0, @asked) > 0 && $asked[1] & $GONE;
}

sub _shut {
    my ($inner) = @_;

    my $handle = $inner && $inner->write_handle or return;
    shutdown $handle, SHUT_WR;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Connection::Relay - between a stream that only Perl can read and the core's socket

=head1 DESCRIPTION

Copies between an L<IO::Async::Stream> and one end of a socket pair, whose other end the core
serves; see L<PAGI::Server::Connection/What it takes over>. Nothing here is meant for applications.

=head1 METHODS

=head2 is_needed_for

    my $is = PAGI::Server::Connection::Relay->is_needed_for($stream);

Whether the core cannot read and write the stream's descriptor itself.

=head2 new

    my $relay = PAGI::Server::Connection::Relay->new($stream);

Makes the pair. Dies with C<Cannot make a pair of sockets: ERROR>.

=head2 socket

The core's end, until C<start>.

=head2 start

Begins to copy.

=head2 finish

    $relay->finish($patience);

The core is through: what it sent is still written, then the stream closes by itself; it is closed
at once where its peer takes nothing for C<$patience> seconds.

=head2 drop

Ends the copying and leaves the stream alone.

=cut
