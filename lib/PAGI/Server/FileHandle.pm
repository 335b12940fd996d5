package PAGI::Server::FileHandle;
use strict;
use warnings;

use Future;
use Future::AsyncAwait;
use Scalar::Util qw(openhandle);

our $VERSION = '0.003000';

my $PIECE = 65_536;

# Takes a body event with an `fh`; returns the Future of its $send. The core streams a plain file
# itself, from a copy of its descriptor; any other handle is read here, piece by piece.
sub send {
    my ($send, $event) = @_;

    my $fh = _glob($event->{fh});
    my ($descriptor, $offset) = _plain_file($fh, $event->{offset} || 0);
    return _stream($send, %$event, fh => $fh) unless $descriptor;
    return $send->({ %$event, fh => $descriptor, offset => $offset });
}

# Of whatever Perl takes for a filehandle, but for names of one
sub _glob {
    my ($fh) = @_;

    local $@;
    return eval { \*{$fh} } // die "Cannot read fh: not a filehandle\n";
}

# The descriptor behind a regular file that is read without layers, as an object that the compiled
# half knows, and the offset at which to start; nothing for any other handle.
sub _plain_file {
    my ($fh, $offset) = @_;

    return if tied *$fh;
    my $fd = fileno $fh;
    die "Cannot read fh: the handle is closed\n" unless defined $fd;
    die "Cannot read fh: not a filehandle\n"     unless openhandle $fh;    # a directory's
    return if $fd < 0 || !-f $fh || grep { !/\A(?:unix|perlio|stdio)\z/ } PerlIO::get_layers($fh);
    my $start = $offset > 0 ? $offset : tell $fh;
    return $start < 0 ? () : (bless(\$fd, __PACKAGE__), $start);
}

# Nothing is sent before the first piece is there, so that a handle that cannot be read leaves the
# way open for another body.
async sub _stream {
    my ($send, %event) = @_;

    my ($fh, $offset, $left) = @event{qw(fh offset length)};
    !$offset || seek $fh, $offset, 0 or die "Cannot seek: $!\n";
    my $piece = _read($fh, $left);
    while (length $piece) {
        $left -= length $piece if defined $left;
        my $next = _read($fh, $left);
        my $more = length $next ? 1 : 0;
        await $send->({ type => $event{type}, body => $piece, more => $more });
        return if !$more;
        $piece = $next;
    }
    await $send->({ type => $event{type}, body => '', more => 0 });
    return;
}

sub _read {
    my ($fh, $left) = @_;

    my $wanted = defined $left && $left < $PIECE ? $left : $PIECE;
    return '' if $wanted <= 0;
    no warnings 'io';    # of one that is open for writing; the error says it
    my $piece = '';
    my $got   = read $fh, $piece, $wanted;
    die "Failed to read fh: $!\n" unless defined $got;
    return $piece;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::FileHandle - bodies that come from a filehandle

=head1 DESCRIPTION

What L<PAGI::Server> does with the C<fh> of an C<http.response.body> event. A regular file that is
read without layers goes to the core, which sends it without reading it into this process, from
C<offset>, or from the handle's position where that is 0. Any other handle (a pipe, one in memory, a
tied one, one with layers) is read here in pieces of 65,536 bytes; each waits for the one before.
The handle is never closed.

=head1 FUNCTIONS

=head2 send

    my $future = PAGI::Server::FileHandle::send($send, $event);

Sends the body; the Future fails where C<fh> is none (C<Cannot read fh: not a filehandle>) or closed
(C<Cannot read fh: the handle is closed>), or a seek or read on it does (C<Cannot seek: ERROR>,
C<Failed to read fh: ERROR>).

=cut
