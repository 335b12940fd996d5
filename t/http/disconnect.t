# PAGI::Spec::Www, "Disconnect - receive event", "sending after disconnect",
# "State Transition Order" (contract 02 section 9)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(failure_of settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $GONE = { type => 'http.disconnect' };

for_each_transport {
    my ($on)   = @_;
    my %leave  = $on->ways_to_leave;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        for my $how (sort keys %leave) {
            subtest "the client $how while the application works" => sub {
                my $client = $t->client->begin(GET => '/');
                my $call   = $puppet->next_call;
                $call->event;
                my $pending = $call->receive;
                my $reason;
                $call->connection->on_disconnect(sub { $reason = $_[0] });
                $leave{$how}->($client);
                is settle($pending), $GONE, 'the waiting receive gets http.disconnect';
                is $call->event, $GONE, 'and every later one';
                is $call->event, $GONE, 'every time';
                is $reason, 'client_closed', 'reason';
                is $call->connection->is_connected, 0, 'not connected';
                is failure_of($call->start), undef, 'start is a no-op';
                is failure_of($call->body('x')), undef, 'body too';
                is failure_of($call->send(type => 'nonsense')), undef, 'even an unknown type';
                $call->finish;
            };

            subtest "the client $how in the middle of its body" => sub {
                my $client = $t->client->begin(POST => '/', length => 10, more => 1)->body('abc');
                my $call   = $puppet->next_call;
                is $call->event->{body}, 'abc', 'the part that came';
                $leave{$how}->($client);
                is $call->event, $GONE, 'then http.disconnect, not an end of the body';
                is $call->connection->disconnect_reason, 'client_closed', 'reason';
                $call->finish;
            };

            subtest "the client $how in the middle of the response" => sub {
                my $client = $t->client->begin(GET => '/');
                my $call   = $puppet->next_call;
                $call->start;
                $call->body('part', more => 1);
                $client->read_data(qr/part/);
                $leave{$how}->($client);
                wait_until { !$call->connection->is_connected } 'the disconnect';
                is $call->connection->disconnect_reason, 'client_closed', 'reason';
                is failure_of($call->body('x' x 100_000, more => 1)), undef, 'sends are no-ops'
                    for 1 .. 3;
                is failure_of($call->body("\x{263A}")), undef, 'whatever they carry';
                is $call->event, $GONE, 'receive gives http.disconnect';
                $call->finish;
            };
        }

        subtest 'the state changes in the order of the specification' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $state  = $call->connection;
            my @order;
            my $note = sub {
                push @order, join ' ', shift, $state->is_connected, $state->disconnect_reason;
            };
            $call->event;
            my $pending = $call->receive->on_done(sub { $note->('receive') });
            $state->on_disconnect(sub { $note->("first $_[0]") });
            $state->disconnect_future->on_done(sub { $note->("future $_[0]") });
            $state->on_disconnect(sub { $note->("second $_[0]") });
            $client->close;
            settle($pending);
            is \@order, [
                'future client_closed 0 client_closed',
                'first client_closed 0 client_closed',
                'second client_closed 0 client_closed',
                'receive 0 client_closed',
                ],
                'flag and reason, future, callbacks, then http.disconnect';
            $call->finish;
        };

        subtest 'sends inside the disconnect wake-up are no-ops (H36)' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('part', more => 1);
            my @failures;
            my $try = sub {
                push @failures, map { failure_of($_) } $call->body('late', more => 1);
            };
            $call->connection->on_disconnect($try);
            $call->connection->disconnect_future->on_done($try);
            $call->event;
            my $pending = $call->receive->on_done($try);
            $client->read_data(qr/part/);
            $client->half_close;
            settle($pending);
            is \@failures, [undef, undef, undef], 'all done';
            $call->finish;
            $client->read_until_eof;
            is $client->partial->body, 'part', 'nothing reached the wire';
        };

        subtest 'a reader that stops is told of the end' => sub {
            my $client = $t->client->begin(POST => '/', length => 6, more => 1)->body('one');
            my $call   = $puppet->next_call;
            is $call->event->{body}, 'one', 'the first piece';
            $client->body('two')->half_close;
            wait_until { !$call->connection->is_connected } 'the application to be told';
            is $call->connection->disconnect_reason, 'client_closed', 'reason';
            $call->finish;
            $client->close;
        };

        subtest 'a response that was too short ends its request' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            is $call->event->{type}, 'http.request', 'the request';
            my $pending = $call->receive;
            $call->start(headers => [['content-length', 10]]);
            $call->body('abc');
            ok $client->read_response->is_truncated, 'it is broken off';
            is settle($pending), $GONE, 'a waiting receive gets http.disconnect';
            is $call->event, $GONE, 'and every later one';
            is $call->connection->disconnect_reason, 'server_error', 'reason';
            $call->finish;
            like [$t->take_warnings], [qr/incomplete response/], 'and it is warned of';
        };

        subtest 'a send that waits for a client which leaves' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->event;
            $call->start;
            my $first  = $call->body('x' x 8_000_000, more => 1);
            my $second = $call->body('the end');
            ok !$second->is_ready, 'the last send waits, too';
            $client->reset;
            wait_until { $first->is_ready && $second->is_ready } 'the sends';
            is failure_of($_), undef, 'done once the client is gone' for $first, $second;
            is $call->connection->disconnect_reason, undef, 'what was answered is complete';
            $call->finish;
        };

        subtest 'a disconnect ends nothing else' => sub {
            my @clients = map { $t->client } 0 .. 2;
            $clients[$_]->begin(GET => "/$_") for 0 .. 2;
            my %by_path =
                map { my $call = $puppet->next_call; ($call->scope->{path} => $call) } 0 .. 2;
            $clients[1]->close;
            wait_until { !$by_path{'/1'}->connection->is_connected } 'the disconnect';
            for my $n (0, 2) {
                my $call = $by_path{"/$n"};
                is $call->connection->is_connected, 1, "client $n is still connected";
                $call->reply("for $n");
                is $clients[$n]->read_response->body, "for $n", 'and served';
            }
            $by_path{'/1'}->finish;
        };

        subtest 'a client that leaves after its response disturbs nobody' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my @ended;
            $call->connection->on_disconnect(sub { push @ended, $_[0] });
            $call->connection->on_complete(sub { push @ended, 'complete' });
            $call->reply('all');
            is $client->read_response->body, 'all', 'served';
            $client->reset;
            wait_until { $t->server->connection_count == 0 } 'the connection to go';
            is \@ended, ['complete'], 'completed, not disconnected';
        };

        subtest 'the count of connections goes back to zero' => sub {
            wait_until { $t->server->connection_count == 0 } 'connection_count 0';
            my @clients = map { $t->client } 1 .. 5;
            wait_until { $t->server->connection_count == 5 } 'connection_count 5';
            $_->close for @clients;
            wait_until { $t->server->connection_count == 0 } 'connection_count 0 again';
            pass 'counted';
        };
    }
    on => $on, app => $puppet->app;
};

for_each_transport {
    my ($on) = @_;

    subtest 'shutdown: idle connections close, requests in flight finish' => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)      = @_;
            my $idle     = $t->client;
            my $busy     = $t->client->begin(GET => '/');
            my $call     = $puppet->next_call;
            my $shutdown = $t->server->shutdown;
            is $idle->read_until_eof, '', 'the idle connection closes silently';
            ok !$shutdown->is_ready, 'the shutdown waits for the request';
            $call->reply('finished');
            is $busy->read_response->body, 'finished', 'the request is answered';
            is $busy->read_until_eof, '', 'then its connection closes (P10)';
            settle($shutdown, 'the shutdown');
        }
        on => $on, app => $puppet->app;
    };

    subtest 'shutdown_timeout: what still runs is closed with server_shutdown' => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)    = @_;
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->event;
            my $pending  = $call->receive;
            my $shutdown = $t->server->shutdown;
            is settle($pending), $GONE, 'http.disconnect';
            is $call->connection->disconnect_reason, 'server_shutdown', 'reason (P11)';
            settle($shutdown, 'the shutdown');
            is $client->read_response, undef, 'without a response';
            is $client->read_until_eof, '', 'the connection closes';
            like [$t->take_warnings],
                [qr/\AShutdown timeout: force-closing 1 active connections\n/],
                'warned';
            $call->finish;
        }
        on => $on, app => $puppet->app, shutdown_timeout => 0.5, quiet => 0, log_level => 'warn';
    };
};

# More than the server reads ahead (64 KiB), and less than sockets hold beside that: nobody receives
# while it is written.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'a large body that came before the end of input is read, and answered' => sub {
            my $body   = 'b' x 150_000;
            my $client = $t->client->write(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n$body");
            $client->half_close;
            my ($call, $got) = ($puppet->next_call, 0);
            while (my $event = $call->event) {
                last if $event->{type} ne 'http.request';
                $got += length $event->{body};
                last unless $event->{more};
            }
            is $got, 150_000, 'all of the body';
            $call->reply('thanks');
            is $client->read_response->body, 'thanks', 'the response';
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
