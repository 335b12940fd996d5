# PAGI::Server::Connection: its arguments, its server, and its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use IO::Async::OS;
use IO::Async::Stream;
use IO::Socket::INET;
use PAGI::Server;
use PAGI::Server::Connection;
use PAGI::Server::Protocol::HTTP1;
use Scalar::Util       qw(refaddr weaken);
use Socket             qw(AF_INET SOCK_STREAM SOL_SOCKET SO_LINGER);
use Test::PAGI::Client ();
use Test::PAGI::Loop   qw(holds open_fds settle test_loop turn wait_until);
use Test::PAGI::Matrix qw(serve_connection);
use Test::PAGI::Puppet;
use Test::PAGI::Server;

# A server as other people write one: what the manual asks for, and nothing else.
package Duck {

    sub new  { return bless { connections => {}, shutting_down => 0, log => [], done => 0 }, shift }
    sub loop { return Test::PAGI::Loop::test_loop() }
    sub _log { my ($self, @line) = @_; push @{ $self->{log} }, \@line; return }
    sub _on_request_complete { $_[0]{done}++; return }
}

my $REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

sub pair {
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream = IO::Async::Stream->new(handle => $served, on_read => sub { 0 });
    test_loop()->add($stream);
    return ($stream, Test::PAGI::Client->new($peer));
}

sub connection {
    my (%args) = @_;
    return PAGI::Server::Connection->new(
        app      => sub { },
        protocol => PAGI::Server::Protocol::HTTP1->new,
        %args,
    );
}

subtest 'arguments' => sub {
    my ($stream, $client) = pair();
    is connection(stream => $stream)->{validate_events}, 0, 'validate_events is off';
    my %refused = (
        "needs the argument 'stream'"              => {},
        "needs the argument 'app'"                 => { stream => $stream, app => undef },
        q{'stream' must be an IO::Async::Stream}   => { stream => 'x' },
        q{'h2_protocol' must be a}                 => { stream => $stream, h2_protocol => 'h2' },
        q{Unknown argument 'no_such' for}          => { stream => $stream, no_such     => 1 },
        q{Invalid value '-1' for option 'timeout'} => { stream => $stream, timeout     => -1 },
        q{Invalid transport_type 'udp'} => { stream => $stream, transport_type => 'udp' },
    );
    for my $text (sort keys %refused) {
        like dies { connection(%{ $refused{$text} }) }, qr/\Q$text\E/, $text;
    }
    my $connection = connection(stream => $stream, timeout => undef);
    is $connection->{timeout}, 60, 'undef is the default';
    is $connection->{max_body_size}, undef, 'bodies are unlimited by default';
    is [@{$connection}{qw(closed is_h2)}], [0, 0], 'keys of a fresh one';
    $connection->start;
    like dies { $connection->start }, qr/start was called before/, 'it starts once';
    $client->close;
    wait_until { $connection->{closed} } 'its end';
};

{

    package My::App;
    use overload '&{}' => sub {
        my ($self) = @_;
        return sub { $self->{app}->(@_) }
    }, fallback => 1;
}

subtest 'an application that is an object' => sub {
    my ($stream, $client) = pair();
    my $puppet = Test::PAGI::Puppet->new;
    connection(stream => $stream, app => bless { app => $puppet->app }, 'My::App')->start;
    $client->write($REQUEST);
    $puppet->next_call->reply('ok');
    is $client->read_response->body, 'ok', 'served';
};

subtest 'limits of the codec and options of its own' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my ($stream, $client) = pair();
    my $codec = PAGI::Server::Protocol::HTTP1->new(
        max_header_size       => 200,
        max_request_line_size => 50,
        max_header_count      => 3,
    );
    my %want = (
        414 => 'GET /' . ('x' x 60) . " HTTP/1.1\r\nHost: x\r\n\r\n",
        431 => "GET / HTTP/1.1\r\nHost: x\r\nA: " . ('x' x 300) . "\r\n\r\n",
        413 => "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n",
    );
    for my $status (sort keys %want) {
        my ($own, $peer) = pair();
        connection(
            stream => $own, app => $puppet->app, protocol => $codec, max_body_size => 10,
        )->start;
        is $peer->write($want{$status})->read_response->status, $status, $status;
        $peer->close;
    }
    is $puppet->count, 0, 'the application is not called';
};

subtest 'the access log, by a format or by a compiled one' => sub {
    my %by = (
        access_log_format     => '%m %U %s',
        _access_log_formatter => PAGI::Server->_compile_access_log_format('%s %U'),
    );
    for my $argument (sort keys %by) {
        my $puppet = Test::PAGI::Puppet->new;
        my ($stream, $client) = pair();
        open my $log, '>', \my $lines or die $!;
        connection(
            stream => $stream, app => $puppet->app, access_log => $log, $argument => $by{$argument},
        )->start;
        $client->write($REQUEST);
        $puppet->next_call->reply('ok');
        $client->read_response;
        is $lines, $argument =~ /\A_/ ? "200 /\n" : "GET / 200\n", $argument;
        $client->close;
    }
    my ($stream) = pair();
    like dies {
        connection(stream => $stream, _access_log_formatter => sub { })
    },
        qr/must come from PAGI::Server->_compile_access_log_format at \S+lifecycle\.t line/,
        'no other';
    $stream->close_now;
};

subtest 'a server that is not ours' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my $duck   = Duck->new;
    my ($stream, $client) = pair();
    my %state      = (a => 1);
    my $connection = connection(
        stream     => $stream, app => $puppet->app, server => $duck, state => \%state,
        extensions => { fullflush => {} },
    );
    $connection->start;
    is [keys %{ $duck->{connections} }], [refaddr $connection], 'it is among the connections';
    $client->write($REQUEST);
    my $call = $puppet->next_call;
    is $call->scope->{state},      { a         => 1 }, 'state';
    is $call->scope->{extensions}, { fullflush => {} }, 'extensions';
    $call->scope->{state}{b} = 2;
    is \%state, { a => 1 }, 'of which each scope has its copy';
    $call->start;
    ok lives { settle($call->send(type => 'http.fullflush')) }, 'the extension works';
    $call->body('ok');
    $call->finish;
    is $client->read_response->body, 'ok', 'a response';
    is $duck->{done}, 1, '_on_request_complete';
    $client->close;
    wait_until { !keys %{ $duck->{connections} } } 'it to go';
    ok $connection->{closed}, 'it is closed';
};

subtest 'log lines go to the server' => sub {
    my $duck   = Duck->new;
    my $puppet = Test::PAGI::Puppet->new;
    my ($stream, $client) = pair();
    connection(stream => $stream, app => $puppet->app, server => $duck, request_timeout => 0.05)
        ->start;
    $client->write($REQUEST);
    my $call = $puppet->next_call;
    wait_until { @{ $duck->{log} } } 'a line';
    is $duck->{log}, [[warn => 'Request stall timeout (0.05s) - closing connection']], 'the line';
    $call->finish;
    $client->close;
};

subtest 'somebody closes the stream' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my ($stream, $client) = pair();
    my $connection = connection(stream => $stream, app => $puppet->app);
    $connection->start;
    $client->write($REQUEST);
    my $call = $puppet->next_call;
    $call->event;
    $stream->close_now;
    is $call->event, { type => 'http.disconnect' }, 'the application learns of it';
    is $client->read_until_eof, '', 'the client sees the end';
    $call->finish;
    wait_until { $connection->{closed} } 'its end';
    ok !test_loop()->notifiers || !(grep { refaddr $_ == refaddr $stream } test_loop()->notifiers),
        'nothing is left in the loop';
};

subtest 'the object lives while its connection does, and no longer' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    my ($stream, $client) = pair();
    my $connection = connection(stream => $stream, app => $puppet->app);
    $connection->start;
    weaken($connection);
    ok $connection, 'nobody but itself holds it';
    my $reply = $client->write($REQUEST);
    $puppet->next_call->reply('ok');
    is $client->read_response->body, 'ok', 'it serves';
    $client->close;
    wait_until { !$connection } 'it to go';
    pass 'it is gone';
};

subtest 'a stream that is in no loop after all lets go when it is closed' => sub {
    my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
    my $stream     = IO::Async::Stream->new(handle => $served, on_read => sub { 0 });
    my $connection = connection(stream => $stream)->start;
    weaken(my $weak = $connection);
    my @watched = test_loop()->notifiers;
    undef $connection;
    $stream->close_now;
    undef $stream;
    wait_until { !defined $weak } 'the connection to be collected';
    is scalar(test_loop()->notifiers), scalar @watched, 'nothing stays in the loop';
};

subtest 'a stream that cannot be served' => sub {
    my %refused = (
        'the stream is closed' => sub { undef },
        'the socket listens'   =>
            sub { IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) },
        'the socket is not connected' => sub { socket my $new, AF_INET, SOCK_STREAM, 0; $new },
        'not a stream socket'         => sub {
            my $one = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die $@;
            $one->connect($one->sockname);
            return $one;
        },
    );
    for my $text (sort keys %refused) {
        my $duck   = Duck->new;
        my $handle = $refused{$text}->();
        my $stream =
            IO::Async::Stream->new($handle ? (handle => $handle) : (), on_read => sub { 0 });
        my $connection = connection(stream => $stream, app => sub { }, server => $duck);
        my $fds        = open_fds();
        is dies { $connection->start }, "Cannot serve the connection: $text\n", $text;
        is $duck->{connections}, {}, 'it is not among the connections';
        ok $connection->{closed}, 'it is closed';
        ok $connection->stop->is_ready, 'and stopped';
        wait_until { open_fds() <= $fds } 'its descriptors to be closed';
        weaken($connection);
        ok !$connection, 'nothing holds it';
    }
};

subtest 'a socket whose peer has reset it is served to its end' => sub {
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen   => 1) or die $@;
    my $client   = IO::Socket::INET->new(PeerAddr  => '127.0.0.1', PeerPort => $listener->sockport);
    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    my $served = $listener->accept;
    close $client;
    my $stream = IO::Async::Stream->new(handle => $served, on_read => sub { 0 });
    test_loop()->add($stream);
    my $connection = connection(stream => $stream);
    ok lives { $connection->start }, 'start lives';
    wait_until { $connection->{closed} } 'its end';
};

subtest 'stop does not wait for ever for a stream that is not served yet' => sub {
    my ($stream, $client) = pair();
    $client->stop_reading;
    $stream->write('x' x 5_000_000);
    my $connection = connection(stream => $stream, shutdown_timeout => 0.1);
    $connection->start;
    my $stopped = $connection->stop;
    ok !$stopped->is_ready, 'it waits for what is to be written';
    settle($stopped, 'the stop');
    ok $connection->{closed} && !$stream->loop, 'and gives up';
    $client->close;
};

subtest 'who gives up waiting for the end does not prevent it' => sub {
    my ($stream, $client) = pair();
    my $puppet     = Test::PAGI::Puppet->new;
    my $connection = connection(stream => $stream, app => $puppet->app)->start;
    $client->write($REQUEST);
    my $call = $puppet->next_call;
    $connection->stop->cancel;
    my $again = $connection->stop;
    holds { !$again->is_ready } 'it is still waited for';
    $call->reply('ok');
    is $client->read_response->body, 'ok', 'served';
    settle($again, 'the end');
    is $connection->{closed}, 1, 'it is over';
};

subtest 'the shutdown of its server: what runs is finished, nothing else is begun' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        my ($stream, $client) = pair();
        my ($idle, $other)    = pair();
        $_->remove_from_parent for $stream, $idle;
        for my $own ($stream, $idle) {
            $t->server->add_child($own);
            connection(stream => $own, app => $puppet->app, server => $t->server)->start;
        }
        is $t->server->connection_count, 2, 'both are counted';
        $client->write($REQUEST);
        my $call     = $puppet->next_call;
        my $shutdown = $t->server->shutdown;
        is $other->read_until_eof, '', 'the idle one is closed';
        ok !$shutdown->is_ready, 'the shutdown waits for the other';
        $call->reply('done');
        is $client->read_response->body, 'done', 'which is finished';
        settle($shutdown, 'the shutdown');
        is $t->server->connection_count, 0, 'none is left';
    }
    app => $puppet->app;
};

done_testing;
