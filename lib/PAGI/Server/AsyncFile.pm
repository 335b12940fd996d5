package PAGI::Server::AsyncFile;
use strict;
use warnings;

use Errno qw(ENOENT ENOTDIR);
use Fcntl qw(O_APPEND O_CREAT O_NONBLOCK O_RDONLY O_TRUNC O_WRONLY);
use Future;
use Future::AsyncAwait;
use IO::Async::Function;
use Scalar::Util qw(blessed refaddr weaken);

our $VERSION = '0.003000';

my $CHUNK        = 65_536;
my $MOST_WORKERS = 4;
my $IDLE_SECONDS = 30;

# What a worker does; each returns its result, or dies with the text of the failure and "\n".
my %OPERATION = (
    read     => \&_read,
    describe => \&_describe,
    piece    => \&_piece,
    write    => \&_write,
    size     => sub { (_stat($_[0]))[7] },
    exists   => sub { -e $_[0] ? 1 : 0 },
);

sub read_file {
    my ($class, $loop, $path) = @_;

    return _ask($loop, read => $path);
}

async sub read_file_chunked {
    my ($class, $loop, $path, $cb, %options) = @_;

    my $chunk = $options{chunk_size} // $CHUNK;
    die "chunk_size must be a positive number\n" unless $chunk =~ /\A[1-9][0-9]*\z/;
    my ($size, $identity) = await _ask($loop, describe => $path);
    my ($at, $end)        = _clip($size, @options{qw(offset length)});
    my $start = $at;
    while ($at < $end) {
        my $wanted = $end - $at < $chunk ? $end - $at : $chunk;
        my $piece  = await _ask($loop, piece => $path, $identity, $at, $wanted);
        last if !length $piece;    # it has become shorter
        $at += length $piece;
        my $taken = $cb->($piece);
        await $taken if blessed $taken && $taken->isa('Future');
    }
    return $at - $start;
}

# The first byte and the one after the last, within the file.
sub _clip {
    my ($size, $offset, $length) = @_;

    my $start = ($offset // 0) > 0 ? $offset : 0;
    my $left  = $size - $start;
    my $end   = defined $length && $length < $left ? $start + $length : $size;
    return ($start, $end);
}

sub write_file {
    my ($class, $loop, $path, $data) = @_;

    return _put($loop, writing => $path, $data);
}

sub append_file {
    my ($class, $loop, $path, $data) = @_;

    return _put($loop, appending => $path, $data);
}

sub _put {
    my ($loop, $how, $path, $data) = @_;

    my $bytes = $data // '';
    return $loop->new_future->fail("Wide character in data for $path")
        unless utf8::downgrade($bytes, 1);
    return _ask($loop, write => $path, $how, $bytes);
}

sub file_size {
    my ($class, $loop, $path) = @_;

    return _ask($loop, size => $path);
}

sub file_exists {
    my ($class, $loop, $path) = @_;

    return _ask($loop, exists => $path);
}

# ---- the workers ----

# A pool for each loop. A forked process has none of its own yet, whatever loop it has.
my %POOLS;

sub _pool {
    my ($loop) = @_;

    my $pool = $POOLS{ _key($loop) };
    return $pool if $pool && $pool->{function} && ($pool->{function}->loop // 0) == $loop;
    my $function = IO::Async::Function->new(
        code         => \&_work,
        init_code    => \&_outlive_signals,
        min_workers  => 0,
        max_workers  => $MOST_WORKERS,
        idle_timeout => $IDLE_SECONDS,
    );
    $loop->add($function);
    delete @POOLS{ grep { !$POOLS{$_}{function} } keys %POOLS };
    $pool = $POOLS{ _key($loop) } = { function => $function, calls => {} };
    weaken($pool->{function});    # it is the loop's
    return $pool;
}

sub _key { return "$$ " . refaddr $_[0] }

# What is under way goes on when its caller loses interest: a worker has one answer at a time.
sub _ask {
    my ($loop, @question) = @_;

    return $loop->new_future->fail('No path of a file was given') unless defined $question[1];
    my $pool  = _pool($loop);
    my $calls = $pool->{calls};
    my $call  = $pool->{function}->call(args => \@question)->then(
        sub {
            my ($error, @result) = @_;
            return defined $error ? Future->fail($error) : Future->done(@result);
        },
        sub { Future->fail("Cannot work on $question[1]: the worker has ended") },
    )->retain;
    $calls->{ refaddr $call } = $call;
    $call->on_ready(sub { delete $calls->{ refaddr $_[0] } });
    return $call->without_cancel;
}

async sub cleanup {
    my ($class, $loop) = @_;

    for my $key (grep { /\A$$ / } keys %POOLS) {
        next if $loop && $key ne _key($loop);
        my $pool     = delete $POOLS{$key};
        my $function = $pool->{function} or next;
        await Future->wait_all(map { $_->without_cancel } values %{ $pool->{calls} });
        $function->loop->remove($function) if $function->loop;
    }
    return;
}

# ---- in a worker ----

# A signal to the whole group is the server's affair; its end is a worker's, by the end of the pipe.
sub _outlive_signals {
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP USR1 USR2);
}

# Undef and the result, or the text of a failure.
sub _work {
    my ($name, @arguments) = @_;

    my $operation = $OPERATION{$name} or return "Unknown operation: $name";
    my @result    = eval { $operation->(@arguments) };
    my $error     = $@ or return (undef, @result);
    chomp $error;
    return $error;
}

sub _stat {
    my ($path) = @_;

    no warnings 'syscalls';    # of a path with a NUL
    my @stat = stat $path;
    return @stat if @stat;
    die $! == ENOENT || $! == ENOTDIR ? "File not found: $path\n" : "Cannot read file: $path\n";
}

# A regular file, so that no worker waits for somebody to write into a pipe; not even where one takes
# its name now.
sub _open {
    my ($path) = @_;

    my @stat = _stat($path);
    die "Cannot read file: $path\n" if !-f _ || !-r _;
    sysopen my $fh, $path, O_RDONLY | O_NONBLOCK or die "Cannot open $path: $!\n";
    return ($fh, @stat);
}

# Distinguishes a file from the one that has taken its name
sub _identity { return "$_[0]:$_[1]" }

sub _describe {
    my ($path) = @_;

    my ($fh, @stat) = _open($path);
    return ($stat[7], _identity(@stat));
}

sub _read {
    my ($path) = @_;

    my ($fh) = _open($path);
    return _take($fh, $path);
}

sub _piece {
    my ($path, $identity, $offset, $wanted) = @_;

    my ($fh) = _open($path);
    die "Cannot read file: $path: it has been replaced\n" if _identity(stat $fh) ne $identity;
    sysseek $fh, $offset, 0 or die "Cannot seek: $!\n";
    return _take($fh, $path, $wanted);
}

# So many bytes, or all there are
sub _take {
    my ($fh, $path, $wanted) = @_;

    my $bytes = '';
    while (!defined $wanted || length $bytes < $wanted) {
        my $most = defined $wanted ? $wanted - length $bytes : 16 * $CHUNK;
        my $got  = sysread $fh, $bytes, $most, length $bytes;
        die "Failed to read file $path: $!\n" unless defined $got;
        last if !$got;
    }
    return $bytes;
}

sub _write {
    my ($path, $how, $bytes) = @_;

    my $mode = O_WRONLY | O_CREAT | O_NONBLOCK | ($how eq 'appending' ? O_APPEND : O_TRUNC);
    sysopen my $fh, $path, $mode or die "Cannot open $path for $how: $!\n";
    my $written = 0;
    while ($written < length $bytes) {
        $written += syswrite($fh, $bytes, length($bytes) - $written, $written)
            // die "Failed to write file $path: $!\n";
    }
    close $fh or die "Failed to write file $path: $!\n";
    return $written;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::AsyncFile - files, without a handler waiting for the disk

=head1 SYNOPSIS

    use IO::Async::Loop;
    use PAGI::Server::AsyncFile;

    my $loop    = IO::Async::Loop->new;
    my $content = await PAGI::Server::AsyncFile->read_file($loop, '/etc/motd');
    await PAGI::Server::AsyncFile->append_file($loop, '/tmp/visits', "one more\n");

    # A part of a file to a client, as fast as it takes it
    await PAGI::Server::AsyncFile->read_file_chunked(
        $loop, '/srv/film.mp4',
        sub {
            my ($chunk) = @_;
            return $send->({ type => 'http.response.body', body => $chunk, more => 1 });
        },
        offset => 1_000_000,
        length => 500_000,
    );

=head1 DESCRIPTION

Reading a file blocks, and with it all of a process that has an event loop: for microseconds as a
rule, for seconds on a busy disk or a network. Here workers do it: processes, one to four for a
loop, forked when there is work for them and ended by themselves after 30 idle seconds. Calls overlap; those
that find four under way wait for their turn.

It needs no server, only an L<IO::Async::Loop>. For the file that I<is> the response there is
something better, which does not bring it into Perl at all: C<file> and C<fh> of
C<http.response.body>, see L<PAGI::Server/EVENTS>.

Workers hold no connection and no other descriptor of the server. They ignore the signals that a
server heeds, so that a shutdown does not break what is under way, and end with their parent.

=head1 CLASS METHODS

Each takes the loop first and returns a L<Future> of it. A C<$path> is one of bytes, as with
C<open>. What is under way goes on if its Future is cancelled; only its result is dropped.

=head2 read_file

    my $content = await PAGI::Server::AsyncFile->read_file($loop, $path);

The bytes of a file.

=head2 read_file_chunked

    my $bytes = await PAGI::Server::AsyncFile->read_file_chunked($loop, $path, $cb, %options);

Calls C<$cb> with one piece after the other; the result is how many bytes that were. If C<$cb>
returns a Future, the next piece is read when that is done, and its failure is that of the whole. If
it dies, so does the whole fail. Options:

=over 4

=item chunk_size

Bytes, default 65536: the size of a piece, save the last. Anything but a natural number fails with
C<chunk_size must be a positive number>.

=item offset

Bytes, default 0: where to begin.

=item length

Bytes, default C<undef>, which means up to the end. What offset and length take in beyond the file is
left out; if nothing remains, C<$cb> is not called.

=back

The size is that at the beginning. A file that becomes shorter ends early; one whose name comes to
stand for another file fails.

=head2 write_file

    my $bytes = await PAGI::Server::AsyncFile->write_file($loop, $path, $data);

Replaces the content of a file, or makes one; the result is the number of bytes. C<$data> is bytes:
text must be encoded.

=head2 append_file

    my $bytes = await PAGI::Server::AsyncFile->append_file($loop, $path, $data);

The same at the end of a file. What several append at a time does not mix, on a local disk.

=head2 file_size

    my $bytes = await PAGI::Server::AsyncFile->file_size($loop, $path);

=head2 file_exists

    my $there = await PAGI::Server::AsyncFile->file_exists($loop, $path);

1 or 0. A directory exists, too.

=head2 cleanup

    await PAGI::Server::AsyncFile->cleanup($loop);

Ends the workers of a loop, or without one those of all, once they have done what is under way.
A program that ends need not do this.

=head1 ERRORS

A Future fails with one of these; C<await> and C<get> add the place, as with any C<die>.

    No path of a file was given
    File not found: PATH
    Cannot read file: PATH                   no permission, or not a regular file
    Cannot read file: PATH: it has been replaced
    Cannot open PATH: ERROR
    Cannot open PATH for writing: ERROR
    Cannot open PATH for appending: ERROR
    Cannot seek: ERROR
    Failed to read file PATH: ERROR
    Failed to write file PATH: ERROR
    Wide character in data for PATH
    Cannot work on PATH: the worker has ended

=head1 SEE ALSO

L<PAGI::Server>, L<IO::Async::Function>

=cut
