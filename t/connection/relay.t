# PAGI::Server::Connection over a stream that only Perl can read: peers that do not read, handles
# with bytes that no poll tells of.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Future::AsyncAwait;
use IO::Async::OS;
use IO::Async::Stream;
use IO::Socket::UNIX;
use PAGI::Server::Connection;
use Test::PAGI::Client ();
use Test::PAGI::Loop   qw(holds open_fds test_loop turn wait_until);
use Test::PAGI::Puppet;
use Time::HiRes qw(time);

# Reads from its socket all there is, as TLS does a record, and gives it out piece by piece.
package Decrypting {
    our @ISA = ('IO::Socket::UNIX');
    my %bytes;

    sub pending { return length($bytes{ fileno shift } // '') }

    sub take {
        my ($self, undef, $most) = @_;
        my $buffer = \($bytes{ fileno $self } //= '');
        if (!length $$buffer) {
            my $got = sysread $self, $$buffer, 65536;
            return $got unless $got;
        }
        $_[1] = substr $$buffer, 0, $most, '';
        return length $_[1];
    }
}

sub written {
    my ($handle) = ($_[1], $_[2]);
    my $sent = syswrite $handle, $_[2], $_[3];
    substr $_[2], 0, $sent, '' if $sent;
    return $sent;
}

sub relayed {
    my ($app, %args)    = @_;
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = IO::Async::Stream->new(
        handle  => bless($served, 'Decrypting'),
        on_read => sub { 0 },
        reader  => sub { $_[1]->take($_[2], $_[3]) },
        writer  => \&written,
    );
    test_loop()->add($stream);
    my $connection = PAGI::Server::Connection->new(stream => $stream, app => $app, %args);
    $connection->start;
    return ($stream, Test::PAGI::Client->new($peer), $connection);
}

# More than the kernel holds for the sockets in between
async sub flood {
    my ($scope, $receive, $send) = @_;
    my $piece = pack 'A1000000', 'x';
    await $send->({
        type => 'http.response.start', status => 413, headers => [['connection', 'close']],
    });
    await $send->({ type => 'http.response.body', body => $piece });
}

subtest 'what was decrypted already is read, though the socket has no more' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my ($stream, $client, $connection) = relayed($puppet->app);
    my $body = 'b' x 50_000;
    $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n$body");
    my ($call, $got) = ($puppet->next_call, '');
    while (1) {
        my $event = $call->event;
        $got .= $event->{body};
        last unless $event->{more};
    }
    is length $got, 50_000, 'all of the body';
    $call->reply('ok');
    is $client->read_response->body, 'ok', 'answered';
    $client->close;
    wait_until { $connection->{closed} } 'its end';
};

subtest 'a peer that does not read holds the stream no longer than a connection' => sub {
    my ($stream, $client, $connection) = relayed(\&flood, timeout => 0.2);
    $client->stop_reading->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until { $connection->{closed} } 'the connection to be given up';
    wait_until { !$stream->loop } 'the stream to be closed';
    pass 'it is closed';
    $client->close;
};

subtest 'a client that leaves while nobody reads its body is noticed' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my $body   = 'b' x 5_000_000;           # more than is kept for it anywhere
    my ($stream, $client, $connection) = relayed($puppet->app);
    $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n$body");
    my $call   = $puppet->next_call;
    my $before = -1;
    wait_until {
        my $same = $before == $client->unsent;
        $before = $client->unsent;
        turn(0.05);
        $same
    }
    'it to be full';
    cmp_ok $client->unsent, '>', 1_000_000, 'most of the body has to wait';
    ok $call->connection->is_connected, 'a client that waits is connected';
    holds { $call->connection->is_connected } 'and stays so', 1.2;
    $client->close;
    wait_until { !$call->connection->is_connected } 'the application to be told';
    is $call->connection->disconnect_reason, 'client_closed', 'the reason';
    $call->finish;
    wait_until { $connection->{closed} } 'its end';
};

subtest 'nothing stays open for those who keep the stream' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    for my $closes (qw(client stream)) {
        my $fds = open_fds();
        my ($stream, $client, $connection) = relayed($puppet->app);
        turn(0.01) for 1 .. 3;
        $closes eq 'client' ? $client->close : $stream->close_now;
        wait_until { $connection->{closed} && !$stream->loop } 'the end';
        undef $connection;
        $client->close if $closes eq 'stream';
        wait_until { open_fds() <= $fds } 'the descriptors to be closed';
        pass "the $closes closes";
    }
};

subtest 'a peer that goes on sending to a closed connection costs no turns of the loop' => sub {
    my ($stream, $client, $connection) = relayed(\&flood, timeout => 2);
    my $socket = $client->stop_reading->{fh};
    $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    my $piece = 'z' x 65536;
    wait_until { syswrite $socket, $piece; $connection->{closed} } 'the connection to end', 20;
    syswrite $socket, $piece for 1 .. 20;
    turn(0.01) for 1 .. 20;
    my ($turns, $end) = (0, time + 0.5);
    while (time < $end) { turn(0.05); $turns++ }
    cmp_ok $turns, '<', 200, 'the loop sleeps';
    $client->close;
};

done_testing;
