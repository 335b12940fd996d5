# Files off the loop's thread (contract 01 section 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Future;
use IO::Async::Loop;
use PAGI::Server::AsyncFile;
use Future::AsyncAwait;
use POSIX qw(mkfifo);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(failure_of settle test_loop wait_until);
use Test::PAGI::Process;
use Test::PAGI::Server;

my $CLASS = 'PAGI::Server::AsyncFile';
my $dir   = tempdir(CLEANUP => 1);

sub put {
    my ($name, $bytes) = @_;
    open my $fh, '>:raw', "$dir/$name" or die $!;
    print {$fh} $bytes;
    close $fh or die $!;
    return "$dir/$name";
}

my $bytes = join '', map { pack 'N', $_ * 2_654_435_761 % 2**32 } 1 .. 50_000;
my $file  = put(file => $bytes);

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die $!;
    local $/;
    return scalar <$fh>;
}

sub ask {
    my ($method, @arguments) = @_;
    return settle($CLASS->$method(test_loop(), @arguments), $method);
}

# The text with which a call fails
sub refused {
    my ($method, @arguments) = @_;
    my $future = $CLASS->$method(test_loop(), @arguments);
    wait_until { $future->is_ready } $method;
    return failure_of($future) =~ s/ at \S+ line \d+\.\n\z//r;    # await adds the place
}

sub children {
    open my $fh, '<', "/proc/$$/task/$$/children" or return undef;
    return [split ' ', <$fh> // ''];
}

# A call whose worker has been stopped before it could answer
sub hold {
    settle($CLASS->cleanup, 'cleanup');
    wait_until { !@{ children() } } 'the workers to end';
    my $future = $CLASS->read_file(test_loop(), $file);
    my ($pid) = @{ children() };
    kill STOP => $pid;
    return { pid => $pid, future => $future };
}

# Whatever goes wrong, no worker stays behind.
END { kill KILL => @{ children() // [] } }

# First: once a loop has children of its own, IO::Async reaps all there are, this one, too.
subtest 'the end of a program' => sub {
    my $program = <<'PERL';
        use strict; use warnings; use IO::Async::Loop; use PAGI::Server::AsyncFile;
        my $loop = IO::Async::Loop->new;
        print PAGI::Server::AsyncFile->file_size($loop, $^X)->get > 0, "\n";
PERL
    my $process = Test::PAGI::Process->start(code => $program);
    is $process->wait_exit, 0, 'exit status with a worker about';
    is $process->stdout, "1\n", 'and its output, once';
    is $process->stderr, '', 'nothing on STDERR';
};

subtest 'read_file' => sub {
    ok ask(read_file => $file) eq $bytes, 'all of it, as bytes';
    is ask(read_file => put(empty => '')), '', 'nothing of an empty one';
    my $future = $CLASS->read_file(test_loop(), $file);
    isa_ok $future, 'Future';
    ok $future->get eq $bytes, 'get turns the loop';
};

subtest 'size and existence' => sub {
    is ask(file_size   => $file), 200_000, 'size';
    is ask(file_exists => $file), 1, 'there';
    is ask(file_exists => "$dir/no"), 0, 'not there';
    is ask(file_exists => $dir), 1, 'a directory is';
    is refused(file_size => "$dir/no"), "File not found: $dir/no", 'the size of nothing';
};

subtest 'errors' => sub {
    is refused(read_file         => "$dir/no"), "File not found: $dir/no", 'not there';
    is refused(read_file         => "$file/no"), "File not found: $file/no", 'below a file';
    is refused(read_file         => "a\0b"), "File not found: a\0b", 'no name at all';
    is refused(read_file         => $dir), "Cannot read file: $dir", 'a directory';
    is refused(read_file_chunked => "$dir/no", sub { }), "File not found: $dir/no", 'in chunks';
    is refused(read_file_chunked => $file, sub { }, chunk_size => 0),
        "chunk_size must be a positive number\n", 'chunks of nothing';
    like refused(write_file => "$dir/no/file", 'x'),
        qr{\ACannot open \Q$dir\E/no/file for writing: No such file or directory\z}, 'writing';
    like refused(append_file => $dir, 'x'),
        qr{\ACannot open \Q$dir\E for appending: Is a directory\z}, 'appending';
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    is refused($_ => undef), 'No path of a file was given', "no path: $_"
        for qw(read_file file_size file_exists write_file append_file);
    is refused(read_file_chunked => undef, sub { }), 'No path of a file was given', 'in chunks';
    is \@warnings, [], 'no warnings';
    is refused(write_file => "$dir/wide", "\x{263a}"), "Wide character in data for $dir/wide",
        'text that is not encoded';
    ok !-e "$dir/wide", 'which makes no file';
};

subtest 'without permission' => sub {
    skip_all 'root may read everything' if !$>;
    my $hidden = put(hidden => 'x');
    chmod 0, $hidden;
    is refused(read_file => $hidden), "Cannot read file: $hidden", 'reading';
    like refused(write_file => $hidden, 'x'), qr/Permission denied\z/, 'writing';
};

subtest 'in chunks' => sub {
    my @cases = (
        [[], [65_536, 65_536, 65_536, 3392]],
        [[chunk_size => 150_000], [150_000, 50_000]],
        [[chunk_size => 200_000], [200_000]],
        [[offset     => 199_990], [10]],
        [[offset     => 100, length     => 20], [20]],
        [[offset     => 199_990, length => 999], [10]],
        [[offset     => 200_000], []],
        [[offset     => 300_000, length => 1], []],
        [[offset     => -5, length      => 3], [3]],
        [[length     => 0], []],
        [[length     => -1], []],
        [[chunk_size => 7, offset => 1, length => 15], [7, 7, 1]],
    );
    for my $case (@cases) {
        my ($options, $expected) = @$case;
        my @pieces;
        my $count = ask(read_file_chunked => $file, sub { push @pieces, $_[0]; return }, @$options);
        my %option = @$options;
        my $start  = ($option{offset} // 0) > 0 ? $option{offset} : 0;
        my $total  = 0;
        $total += $_ for @$expected;
        is [map { length } @pieces], $expected, "sizes with @$options";
        is $count, $total, 'their sum';
        ok join('', @pieces) eq ($total ? substr $bytes, $start, $total : ''), 'their bytes';
    }
};

subtest 'a callback that takes its time is waited for' => sub {
    my (@pieces, $taken);
    my $future = $CLASS->read_file_chunked(
        test_loop(), $file,
        sub { push @pieces, $_[0]; return $taken = Future->new }, chunk_size => 100_000
    );
    wait_until { @pieces == 1 } 'the first piece';
    settle($CLASS->file_size(test_loop(), $file)) for 1 .. 3;
    is scalar @pieces, 1, 'no second one meanwhile';
    $taken->done;
    wait_until { @pieces == 2 } 'the second piece';
    ok !$future->is_ready, 'not over yet';
    $taken->done;
    is settle($future), 200_000, 'now it is';
};

subtest 'a callback that fails ends it' => sub {
    my $count = 0;
    is refused(read_file_chunked => $file, sub { $count++; Future->fail("enough\n") }),
        "enough\n", 'with a Future';
    is refused(read_file_chunked => $file, sub { $count++; die "no\n" }), "no\n", 'with die';
    is $count, 2, 'after one piece each';
};

subtest 'a file that changes meanwhile' => sub {
    my $changing = put(changing => $bytes);
    my $count    = ask(
        read_file_chunked => $changing,
        sub { truncate $changing, 70_000 or die $!; return }
    );
    is $count, 70_000, 'a shorter one ends early';
    my $error = refused(
        read_file_chunked => $changing,
        sub { rename put(other => $bytes), $changing or die $!; return }
    );
    is $error, "Cannot read file: $changing: it has been replaced", 'another one fails';
};

subtest 'writing' => sub {
    is ask(write_file  => "$dir/new", "one\n"), 4, 'a new one';
    is ask(append_file => "$dir/new", "two\r\n"), 5, 'appended';
    is slurp("$dir/new"), "one\ntwo\r\n", 'is there';
    is ask(write_file => "$dir/new", ''), 0, 'emptied';
    is -s "$dir/new", 0, 'is empty';
    my $upgraded = "\xE9\0";
    utf8::upgrade($upgraded);
    is ask(append_file => "$dir/made", $upgraded), 2, 'bytes, however perl keeps them';
    is slurp("$dir/made"), "\xE9\0", 'are those';
    is ask(write_file => "$dir/big", $bytes x 10), 2_000_000, 'a large one';
    ok ask(read_file  => "$dir/big") eq $bytes x 10, 'comes back';
};

subtest 'calls overlap' => sub {
    skip_all 'the system does not tell the workers' unless defined children();
    my $held = hold();
    is ask(file_size => $file), 200_000, 'one waits, another is answered';
    is ask(file_size => $file), 200_000, 'and a third';
    ok !$held->{future}->is_ready, 'it still waits';
    kill CONT => $held->{pid};
    ok settle($held->{future}) eq $bytes, 'and is answered in the end';
};

subtest 'more calls than workers' => sub {
    my @futures =
        map { $CLASS->append_file(test_loop(), "$dir/many", sprintf "%03d\n", $_) } 1 .. 200;
    settle(Future->needs_all(@futures), '200 appends');
    my @lines = split /\n/, slurp("$dir/many");
    is [sort @lines], [map { sprintf '%03d', $_ } 1 .. 200], 'each line once, whole';
    my $children = children();
    ok !defined $children || @$children <= 4, 'at most four workers';
};

subtest 'a call that is given up' => sub {
    my $held = hold();
    $held->{future}->cancel;
    is ask(file_size => $file), 200_000, 'leaves the others their answers';
    kill CONT => $held->{pid};
    is ask(file_size => "$dir/big"), 2_000_000, 'also afterwards' for 1 .. 5;
};

subtest 'a worker that is killed' => sub {
    my $held = hold();
    kill KILL => $held->{pid};
    wait_until { $held->{future}->is_ready } 'the end of its call';
    is failure_of($held->{future}), "Cannot work on $file: the worker has ended", 'fails its call';
    is ask(file_size => $file), 200_000, 'and no other';
};

subtest 'cleanup' => sub {
    my $last = $CLASS->read_file(test_loop(), $file);
    settle($CLASS->cleanup(test_loop()), 'cleanup');
    ok $last->is_ready && $last->get eq $bytes, 'after what was under way';
    wait_until { !@{ children() // [] } } 'the workers to end';
    pass 'no worker is left';
    settle($CLASS->cleanup, 'cleanup of nothing');
    is ask(file_size => $file), 200_000, 'and there are new ones when wanted';
    settle($CLASS->cleanup, 'cleanup of all');
    wait_until { !@{ children() // [] } } 'the workers to end';
    pass 'no worker is left';
};

async sub answer {
    my ($scope, $send) = @_;
    my $content = await $CLASS->read_file(IO::Async::Loop->new, $dir . $scope->{path});
    return await reply($send, length $content);
}

subtest 'in a handler' => sub {
    with_server {
        my ($t) = @_;
        my @clients = map { $t->client } 1 .. 8;
        $_->write($_->request_bytes(GET => '/file')) for @clients;
        is [map { $_->read_response->body } @clients], [(200_000) x 8], 'eight at a time';
        like $t->get('/no')->status, 500, 'one that is not there';
        like join('', $t->take_warnings), qr{File not found: \Q$dir\E/no at }, 'is told of';
    }
    app => http_app {
        my ($scope, $receive, $send) = @_;
        return answer($scope, $send);
    };
    settle($CLASS->cleanup, 'cleanup');
};

done_testing;
