# What others wrote for IO::Async and Future::IO, at work inside handlers, on each kind of loop
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Process;

# A server whose handlers ask a second server on the same loop, by several roads.
my $PROGRAM = <<'PERL';
    use strict; use warnings; use Future; use Future::AsyncAwait; use IO::Async::Loop;
    use IO::Async::Timer::Countdown; use Scalar::Util qw(weaken);
    use Test::PAGI::App; use Test::PAGI::Loop qw(settle test_loop); use Test::PAGI::Server;
    my $has_http = eval { require Net::Async::HTTP; 1 };
    my $has_io   = eval { require Future::IO; require Future::IO::Impl::IOAsync; 1 };
    my $behind   = Test::PAGI::Server->new(app => http_app {
        my ($scope, $receive, $send) = @_;
        return reply($send, "behind $scope->{path}");
    })->start;
    my $port = $behind->port;
    my $agent = $has_http ? Net::Async::HTTP->new(max_connections_per_host => 4) : undef;
    test_loop()->add($agent) if $agent;
    my %road = (
        '/stream' => async sub {
            my $got = Future->new;
            my $stream = await IO::Async::Loop->new->connect(
                host => '127.0.0.1', service => $port, socktype => 'stream', handle => do {
                    require IO::Async::Stream;
                    my $all = '';
                    IO::Async::Stream->new(on_read => sub {
                        my ($self, $buffer, $eof) = @_;
                        $all .= $$buffer; $$buffer = '';
                        $got->done($all) if $eof && !$got->is_ready;
                        return 0;
                    });
                });
            IO::Async::Loop->new->add($stream);
            $stream->write("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            my $all = await $got;
            return $all =~ s/\A.*\r\n\r\n//sr;
        },
        '/timer' => async sub {
            my $rung = Future->new;
            my $timer = IO::Async::Timer::Countdown->new(
                delay => 0.01, remove_on_expire => 1, on_expire => sub { $rung->done('rung') });
            IO::Async::Loop->new->add($timer->start);
            return await $rung;
        },
        '/process' => async sub {
            my $out = await IO::Async::Loop->new->run_process(
                command => [$^X, '-e', 'print 6 * 7'], capture => ['stdout']);
            return $out;
        },
        '/http' => async sub {
            my $answer = await $agent->GET("http://127.0.0.1:$port/http");
            return $answer->content;
        },
        '/future-io' => async sub {
            await Future::IO->sleep(0.01);
            pipe my $reader, my $writer or die $!;
            await Future::IO->syswrite($writer, 'through a pipe');
            return await Future::IO->sysread($reader, 100);
        },
    );
    delete $road{'/http'}      if !$has_http;
    delete $road{'/future-io'} if !$has_io;
    my $front = Test::PAGI::Server->new(app => http_app {
        my ($scope, $receive, $send) = @_;
        return $road{ $scope->{path} }->()->then(sub { reply($send, $_[0]) });
    })->start;
    print ref test_loop(), "\n";
    my @paths   = (sort keys %road) x 3;
    my @clients = map { $front->client } @paths;
    $clients[$_]->write($clients[$_]->request_bytes(GET => $paths[$_])) for 0 .. $#paths;
    for my $i (0 .. $#paths) {
        my $body = $clients[$i]->read_response->body;
        print "$paths[$i]: $body\n" if $i < keys %road;
    }
    $behind->stop;
    my $timer = $front->get('/timer');
    print 'alone: ', $timer->body, "\n";
    $front->stop;
    print "END\n";
PERL

my %EXPECTED = (
    'Net::Async::HTTP' => '/http: behind /http',
    'Future::IO'       => '/future-io: through a pipe',
);

for my $loop (qw(Poll Select Epoll Glib Mojo EV)) {
    subtest $loop => sub {
        skip_all("IO::Async::Loop::$loop is not installed")
            if !eval "require IO::Async::Loop::$loop; 1";
        my $process = Test::PAGI::Process->start(
            code => $PROGRAM,
            env  => { IO_ASYNC_LOOP => $loop }
        );
        is $process->wait_exit, 0, 'exit status' or diag $process->stderr;
        my $out = $process->stdout;
        like $out, qr/\AIO::Async::Loop::$loop$/m, 'the loop';
        like $out, qr{^/stream: behind /stream$}m, 'a connection of one\'s own';
        like $out, qr{^/timer: rung$}m, 'a timer';
        like $out, qr{^/process: 42$}m, 'a process';
        like $out, qr{^alone: rung\nEND\n\z}m, 'one server without the other';
        for my $module (sort keys %EXPECTED) {
            my $line = $EXPECTED{$module};
            next if !eval "require $module; 1" and diag "$module is not installed: not tried";
            like $out, qr/^\Q$line\E$/m, $module;
        }
        is $process->stderr, '', 'nothing on STDERR';
    };
}

done_testing;
