# PAGI::Server::Connection over every kind of stream, in a loop before or after its start.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Future::AsyncAwait;
use IO::Async::OS;
use IO::Async::Stream;
use IO::Socket::INET;
use IO::Socket::UNIX;
use PAGI::Server::Connection;
use PAGI::Server::Protocol::HTTP1;
use File::Temp         qw(tempdir);
use Scalar::Util       qw(weaken);
use Test::PAGI::Client ();
use Test::PAGI::Loop   qw(holds open_fds test_loop turn wait_until);

my $seen;

# Not in the application: Future::AsyncAwait loses folded constants when it resumes.
my $PIECE = 'x' x 100_000;

async sub app {
    my ($scope, $receive, $send) = @_;
    $seen = $scope;
    my $body = '';
    while (1) {
        my $event = await $receive->();
        $body .= $event->{body} // '';
        last unless $event->{more};
    }
    my $answer = "$scope->{path} $body";
    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-length', length $answer]],
    });
    await $send->({ type => 'http.response.body', body => $answer });
}

sub connection_on {
    my ($stream, %args) = @_;
    return PAGI::Server::Connection->new(
        stream   => $stream,
        app      => \&app,
        protocol => PAGI::Server::Protocol::HTTP1->new,
        %args,
    );
}

# What a pair of connected handles is made from
my %PAIR = (
    'a socket pair' => sub { IO::Async::OS->socketpair('unix', 'stream') },
    'a TCP socket'  => sub {
        my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $@;
        my $client   = IO::Socket::INET->new(
            PeerAddr => '127.0.0.1',
            PeerPort => $listener->sockport,
        ) or die $@;
        return (scalar $listener->accept, $client);
    },
    'a Unix socket' => sub {
        my $path     = tempdir(CLEANUP => 1) . '/socket';
        my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!";
        my $client   = IO::Socket::UNIX->new(Peer  => $path)              or die "$path: $!";
        unlink $path;
        return (scalar $listener->accept, $client);
    },
    'a reader of its own' => sub {
        my ($served, $client) = IO::Async::OS->socketpair('unix', 'stream');
        return (
            $served, $client,
            reader => sub { $_[1]->sysread($_[2], $_[3]) },
            writer => sub {
                my $sent = $_[1]->syswrite($_[2], $_[3]);
                substr $_[2], 0, $sent, '' if $sent;
                return $sent;
            },
        );
    },
);

sub stream_on {
    my ($served, %options) = @_;
    return IO::Async::Stream->new(handle => $served, on_read => sub { 0 }, %options);
}

# The core's own descriptors come with the first connection.
{
    my ($served, $peer) = $PAIR{'a socket pair'}->();
    my $stream = stream_on($served);
    test_loop()->add($stream);
    connection_on($stream)->start;
    Test::PAGI::Client->new($peer)->get('/');
    undef $seen;
}

for my $kind (sort keys %PAIR) {
    for my $added (qw(before after)) {
        subtest "$kind, in the loop $added the start" => sub {
            my $fds = open_fds();
            {
                my ($served, $peer, %options) = $PAIR{$kind}->();
                my $stream = stream_on($served, %options);
                my $client = Test::PAGI::Client->new($peer);
                test_loop()->add($stream) if $added eq 'before';
                my $connection = connection_on($stream);
                $connection->start;
                weaken($connection);
                test_loop()->add($stream) if $added eq 'after';
                is $client->request(POST => '/one', body => 'a')->body, '/one a', 'a request';
                is $client->request(POST => '/two', body => 'b' x 200_000)->body,
                    '/two ' . 'b' x 200_000, 'a large one on the same connection';
                $client->half_close;
                is $client->read_until_eof, '', 'it is closed after its client';
                wait_until { !defined $connection } 'the object to go';
                ok !$stream->loop, 'the stream is out of the loop';
            }
            undef $seen;
            wait_until { open_fds() <= $fds } 'the descriptors to be closed';
        };
    }
}

subtest 'two pipes' => sub {
    my ($read, $into)  = IO::Async::OS->pipepair;
    my ($from, $write) = IO::Async::OS->pipepair;
    my $stream = IO::Async::Stream->new(
        read_handle  => $read,
        write_handle => $write,
        on_read      => sub { 0 },
    );
    test_loop()->add($stream);
    connection_on($stream)->start;
    syswrite $into, "GET /pipe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    my $client = Test::PAGI::Client->new($from);
    like $client->read_until_eof, qr{\AHTTP/1.1 200 OK\r\n.*\r\n\r\n/pipe \z}s, 'answered, closed';
};

subtest 'bytes that the stream has read already are served first' => sub {
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = stream_on($served);
    test_loop()->add($stream);
    my $client = Test::PAGI::Client->new($peer);
    $client->write("POST /early HTTP/1.1\r\nHost: x\r\nContent-Le");
    turn(0.02) for 1 .. 3;
    connection_on($stream)->start;
    $client->write("ngth: 2\r\n\r\nok");
    is $client->read_response->body, '/early ok', 'the whole request';
    $client->close;
};

subtest 'bytes that the stream has yet to write leave first' => sub {
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = stream_on($served);
    test_loop()->add($stream);
    $stream->write('x' x 1_000_000);
    my $client = Test::PAGI::Client->new($peer);
    connection_on($stream)->start;
    $client->write("GET /then HTTP/1.1\r\nHost: x\r\n\r\n");
    like $client->read_bytes(1_000_000), qr/\Ax+\z/, 'what was written before';
    is $client->read_response->body, '/then ', 'the response follows';
    $client->close;
};

subtest 'the addresses in the scope' => sub {
    my %want = (
        'a socket pair' => [['127.0.0.1', 0], ['127.0.0.1', 5000]],
        'a TCP socket'  => sub { [['127.0.0.1', $_[1]->sockport], ['127.0.0.1', $_[0]->sockport]] },
        'a reader of its own' => [['127.0.0.1', 0], ['127.0.0.1', 5000]],
    );
    for my $kind (sort keys %want) {
        my ($served, $peer, %options) = $PAIR{$kind}->();
        my $want   = ref $want{$kind} eq 'CODE' ? $want{$kind}->($served, $peer) : $want{$kind};
        my $stream = stream_on($served, %options);
        test_loop()->add($stream);
        connection_on($stream)->start;
        my $client = Test::PAGI::Client->new($peer);
        $client->get('/');
        is [@{$seen}{qw(client server)}], $want, $kind;
        $client->close;
    }
};

subtest 'transport_type unix: no client, the server is the path' => sub {
    my ($served, $peer) = $PAIR{'a Unix socket'}->();
    my $stream = stream_on($served);
    test_loop()->add($stream);
    connection_on($stream, transport_type => 'unix', transport_path => '/run/x.sock')->start;
    my $client = Test::PAGI::Client->new($peer);
    $client->get('/');
    ok !exists $seen->{client}, 'no client';
    is $seen->{server}, ['/run/x.sock', undef], 'server';
    $client->close;
};

subtest 'a stream that is not read by its loop until it is added serves nothing' => sub {
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = stream_on($served);
    my $client = Test::PAGI::Client->new($peer);
    undef $seen;
    connection_on($stream)->start;
    $client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    holds { !$seen } 'the application is not called', 0.1;
    test_loop()->add($stream);
    is $client->read_response->status, 200, 'it is served then';
    $client->close;
};

subtest 'the relay holds back where its peer does not read' => sub {
    my ($served, $peer, %options) = $PAIR{'a reader of its own'}->();
    my $stream = stream_on($served, %options);
    test_loop()->add($stream);
    my $client = Test::PAGI::Client->new($peer)->stop_reading;
    my $sent   = 0;
    connection_on(
        $stream,
        app => async sub {
            my ($scope, $receive, $send) = @_;
            await $send->({ type => 'http.response.start', status => 200 });
            while ($sent < 50_000_000) {
                await $send->({ type => 'http.response.body', body => $PIECE, more => 1 });
                $sent += 100_000;
            }
        },
    )->start;
    $client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until { $sent > 0 } 'the application to send';
    my $before = -1;
    wait_until { my $same = $sent == $before; $before = $sent; turn(0.05); $same } 'it to wait';
    cmp_ok $sent, '<', 5_000_000, 'what is on its way is bounded';
    $client->close;
};

done_testing;
