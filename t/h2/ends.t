# contract 05 sections 1, 6, 7 and 10: how connections begin, how they and their streams end
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Client;
use Test::PAGI::Client::H2;
use Test::PAGI::Loop qw(test_loop settle turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my ($h2c) = Test::PAGI::Matrix::transport('h2c');
my $PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

subtest 'which protocol it is' => sub {
    &with_server(
        sub {
            my ($t) = @_;
            my $raw = sub { Test::PAGI::Client->connect_tcp(port => $t->port) };
            like $raw->()->write("GET / HTTP/1.0\r\n\r\n")->read_until_eof, qr{\AHTTP/1\.0 200},
                'a request shorter than the preface';
            is $raw->()->get('/')->body, 'hello', 'HTTP/1.1';
            my $client = $raw->();
            $client->drip("PRO / HTTP/1.1\r\nHost: h\r\n\r\n");
            is $client->read_response->status, 200, 'a method that begins like the preface';
            my $slow = $raw->();
            $slow->drip($PREFACE);
            my $h2 = Test::PAGI::Client::H2->new($slow, silent => 1);
            $h2->frame(SETTINGS => 0, pack 'nN', 1, 0);
            is $h2->get('/')->body, 'hello', 'the preface byte by byte';
            $client = $raw->()->write('PRI * HT')->half_close;
            is $client->read_until_eof, '', 'half of it, and the end';
            my $response = $raw->()->get(
                '/',
                headers => [
                    ['Connection', 'Upgrade, HTTP2-Settings'],
                    ['Upgrade', 'h2c'], ['HTTP2-Settings', 'AAMAAABkAAQAAP__']
                ]
            );
            is $response->status, 200, 'Upgrade: h2c is ignored';
        },
        on  => $h2c,
        app => hello()
    );
    &with_server(
        sub {
            my ($t) = @_;
            my $client = Test::PAGI::Client->connect_tcp(port => $t->port)->write("PRI * H");
            like $client->read_until_eof, qr{\A(?:HTTP/1\.1 408.*)?\z}s, 'no more of it: an end';
            my $silent = Test::PAGI::Client->connect_tcp(port => $t->port);
            is $silent->read_until_eof, '', 'nothing at all';
        },
        on      => $h2c,
        app     => hello(),
        timeout => 0.2
    );
    is(PAGI::Server->has_http2, 1, 'has_http2');
};

subtest 'keys and banner' => sub {
    my @flags  = qw(http2 http2_enabled h2c_enabled);
    my $server = sub { PAGI::Server->new(app => hello(), quiet => 1, @_) };
    my $plain  = $server->();
    is [@{$plain}{@flags}], [0, 0, 0], 'off';
    ok !exists $plain->{http2_protocol}, 'no protocol';
    my $on = $server->(http2 => 1, h2_max_frame_size => 20_000);
    is [@{$on}{@flags}], [1, 1, 1], 'on';
    is $on->{http2_protocol}{max_frame_size}, 20_000, 'settings under their short names';
    test_loop()->add($_) for $plain, $on;
    like(PAGI::Server::Banner->line($plain), qr/, http2: available, /, 'the banner, off');
    like(PAGI::Server::Banner->line($on), qr/, http2: on \(h2c\), /, 'the banner, on');
    test_loop()->remove($_) for $plain, $on;
    like dies { $server->(h2_rst_rate_limit => { burst => 'x' }) }, qr/Invalid burst 'x'/,
        'a bad limit';
    like dies { $server->(h2_max_frame_size => 100) }, qr/h2_max_frame_size/, 'a bad size';
};

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my @log;
    &with_server(
        sub {
            my ($t) = @_;
            my $h2 = $t->client;

            subtest 'a stream that its client resets' => sub {
                my ($reset, $other) = map { $h2->open(GET => "/$_") } 1, 2;
                my ($call, $rest)   = map { $puppet->next_call } 1, 2;
                $call->event;
                my $more = $call->receive;
                $call->start;
                my $connection = $call->connection;
                my $told;
                $connection->on_disconnect(sub { $told = $_[0] });
                $h2->reset_stream($reset);
                is settle($more, 'an event'), { type => 'http.disconnect' }, 'http.disconnect';
                is [$connection->is_connected, $connection->disconnect_reason],
                    [0, 'client_closed'], 'reason';
                wait_until { defined $told } 'on_disconnect';
                ok $call->body('x')->is_done, 'sends are silent';
                $call->finish;
                ok $rest->connection->is_connected, 'the other one goes on';
                $rest->reply('there');
                is $h2->response($other)->body, 'there', 'and is answered';
                ok !$rest->connection->disconnect_reason, 'it is complete';
            };

            subtest 'a connection that its client closes' => sub {
                my $gone = $t->client;
                $gone->open(GET => '/') for 1 .. 3;
                my @calls = map { $puppet->next_call } 1 .. 3;
                $_->event for @calls;
                my @ends = map { $_->receive } @calls;
                $gone->close;
                is settle($_, 'an end'), { type => 'http.disconnect' }, 'told' for @ends;
                is $_->connection->disconnect_reason, 'client_closed', 'why'   for @calls;
                $_->finish                                                     for @calls;
            };

            subtest 'a connection that breaks the rules' => sub {
                my $bad = $t->client;
                $bad->open(GET => '/');
                my $call = $puppet->next_call;
                $bad->frame(DATA => 0, 'x');
                wait_until { !$call->connection->is_connected } 'the end';
                is $call->connection->disconnect_reason, 'protocol_error', 'the reason';
                $call->finish;
            };

            subtest 'a shutdown before the client has said anything' => sub {
                skip_all('it is not known what it speaks') if !$on->is_secure;
                shut_early($on);
            };

            subtest 'one line in the log for each' => sub {
                wait_until { @log >= 6 } 'the lines';
                like $log[0], qr{HTTP/2}, 'its version';
            };
        },
        on                => $on,
        app               => $puppet->app,
        access_log_format => '%r %s %H',
        access_log        => log_to(\@log)
    );
}
protocol => 'h2';

sub shut_early {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)  = @_;
            my $h2   = $t->client(silent => 1);
            my $done = $t->server->shutdown;
            turn(0.05);
            $h2->write($PREFACE)->frame(SETTINGS => 0, pack 'nN', 1, 0);
            my $id   = $h2->open(GET => '/');
            my $call = $puppet->next_call;
            is $h2->wait_frame('GOAWAY')->{last}, 2**31 - 1, 'GOAWAY, as for others';
            $call->reply('served');
            is $h2->response($id)->body, 'served', 'what came is answered';
            $h2->wait_for('the end', sub { $h2->is_eof });
            settle($done, 'the shutdown');
        },
        on               => $on,
        app              => $puppet->app,
        shutdown_timeout => 20
    );
    return;
}

sub log_to {
    my ($lines) = @_;
    tie *LOG, 'Lines', $lines;
    return \*LOG;
}

subtest 'request bodies that do not come, and limits on them' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)  = @_;
            my $h2   = $t->client;
            my $id   = $h2->open(POST => '/', more => 1);
            my $call = $puppet->next_call;
            my $got  = $call->receive;
            is $h2->response($id)->status, 408, 'answered 408';
            is settle($got, 'an end'), { type => 'http.disconnect' },
                'the application learns of it';
            is $call->connection->disconnect_reason, 'client_timeout', 'and why';
            $call->finish;
            $id   = $h2->open(POST => '/', more => 1);
            $call = $puppet->next_call;
            $h2->frame(DATA => $id, 'x' x 200);
            is [map { ($_->status, $_->body) } $h2->response($id)], [413, 'Payload Too Large'],
                'too long';
            wait_until { !$call->connection->is_connected } 'the end';
            is $call->connection->disconnect_reason, 'body_too_large', 'and why';
            $call->finish;
        },
        on            => $h2c,
        app           => $puppet->app,
        timeout       => 0.3,
        max_body_size => 100
    );
};

subtest 'idle is a connection without a stream' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)  = @_;
            my $h2   = $t->client;
            my $id   = $h2->open(GET => '/');
            my $call = $puppet->next_call;
            turn(0.05) for 1 .. 12;
            $call->reply('late');
            is $h2->response($id)->body, 'late', 'a stream that takes longer';
            is $h2->wait_frame('GOAWAY')->{code}, 'NO_ERROR', 'then GOAWAY';
            $h2->wait_for('the end', sub { $h2->is_eof });
        },
        on      => $h2c,
        app     => $puppet->app,
        timeout => 0.3
    );
};

subtest 'request_timeout is for each stream' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)   = @_;
            my $h2    = $t->client;
            my $stuck = $h2->open(GET => '/stuck');
            my $call  = $puppet->next_call;
            is $h2->wait_frame(RST_STREAM => $stuck)->{code}, 'CANCEL', 'reset';
            wait_until { !$call->connection->is_connected } 'the end';
            is $call->connection->disconnect_reason, 'client_timeout', 'the reason';
            $call->finish;
            my $id = $h2->open(GET => '/');
            $puppet->next_call->reply('fine');
            is $h2->response($id)->body, 'fine', 'the connection lives';
        },
        on              => $h2c,
        app             => $puppet->app,
        request_timeout => 0.3
    );
};

subtest 'shutdown' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)  = @_;
            my $h2   = $t->client;
            my $idle = $t->client;
            $idle->wait_frame('SETTINGS');
            my $id       = $h2->open(GET => '/');
            my $call     = $puppet->next_call;
            my $shutdown = $t->server->shutdown;
            is $h2->wait_frame('GOAWAY')->{code}, 'NO_ERROR', 'GOAWAY';
            $idle->wait_for('the end of an idle one', sub { $idle->is_eof });
            ok !$shutdown->is_ready, 'it waits for the stream';
            $call->reply('last');
            is $h2->response($id)->body, 'last', 'which finishes';
            $h2->wait_for('the end', sub { $h2->is_eof });
            settle($shutdown, 'the shutdown');
            ok !$call->connection->disconnect_reason, 'complete';
        },
        on  => $h2c,
        app => $puppet->app
    );
    &with_server(
        sub {
            my ($t)      = @_;
            my $h2       = $t->client;
            my $id       = $h2->open(GET => '/');
            my $call     = $puppet->next_call;
            my $shutdown = $t->server->shutdown;
            $h2->wait_for('the end', sub { $h2->is_eof });
            wait_until { !$call->connection->is_connected } 'the end';
            is $call->connection->disconnect_reason, 'server_shutdown', 'time is up';
            $call->finish;
            settle($shutdown, 'the shutdown');
        },
        on               => $h2c,
        app              => $puppet->app,
        shutdown_timeout => 0.3
    );
};

subtest 'a connection by itself' => sub {
    require PAGI::Server::Connection;
    my $puppet = Test::PAGI::Puppet->new;
    for my $args ([alpn_protocol => 'h2'], [h2c_enabled => 1]) {
        socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die $!;
        my $stream = IO::Async::Stream->new(handle => $ours, on_read => sub { 0 });
        my $connection =
            PAGI::Server::Connection->new(stream => $stream, app => $puppet->app, @$args)->start;
        IO::Async::Loop->new->add($stream);
        my $h2 = Test::PAGI::Client::H2->new(Test::PAGI::Client->new($theirs));
        my $id = $h2->open(GET => '/');
        $puppet->next_call->reply('alone');
        is $h2->response($id)->body, 'alone', "@$args";
        $h2->close;
        wait_until { $connection->{closed} } 'its end';
    }
};

done_testing;

package Lines;
sub TIEHANDLE { return bless { lines => $_[1] }, $_[0] }
sub PRINT     { my $self = shift; push @{ $self->{lines} }, split /\n/, join '', @_; return 1 }
sub FILENO    { return undef }
sub BINMODE   { return 1 }
sub CLOSE     { return 1 }
