# PAGI::Spec::Www, "Connection State" (contract 01 section 6): pagi.connection
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use PAGI::Server::ConnectionState;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(failure_of holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

sub new_state { return PAGI::Server::ConnectionState->new(@_) }

subtest 'a new state' => sub {
    my $state = new_state();
    is $state->is_connected, 1, 'is_connected';
    is $state->disconnect_reason, undef, 'disconnect_reason';
    is $state->response_started, 0, 'response_started';
    is $state->response_complete, 0, 'response_complete: 0, never undef (A01)';
    ok !$state->disconnect_future->is_ready, 'disconnect_future is pending';
};

subtest 'disconnect_future is the same object each time' => sub {
    my $state = new_state();
    ref_is $state->disconnect_future, $state->disconnect_future, 'same';
    isa_ok $state->disconnect_future, 'Future';
};

subtest 'disconnect_future after it was cancelled' => sub {
    my ($state, $event) = (new_state(), Future->new);
    my $race = Future->wait_any($state->disconnect_future, $event);
    $event->done('an event');
    is [$race->get], ['an event'], 'the race is lost';
    my $fresh = $state->disconnect_future;
    ok !$fresh->is_ready, 'a fresh one is pending';
    ref_is $state->disconnect_future, $fresh, 'the same at each call';
    $state->_mark_disconnected('client_closed');
    is [$fresh->get], ['client_closed'], 'and is done with the reason';
    my $ended = new_state();
    $ended->disconnect_future->cancel;
    $ended->_mark_disconnected('write_error');
    is [$ended->disconnect_future->get], ['write_error'], 'after the end as well';
};

subtest 'disconnected: flag, reason, future, callbacks in order' => sub {
    my $state = new_state();
    my @order;
    my $note = sub { push @order, "$_[0]:" . $state->is_connected . $state->disconnect_reason };
    $state->on_disconnect(sub { $note->("a($_[0])") });
    $state->disconnect_future->on_done(sub { $note->("future($_[0])") });
    $state->on_disconnect(sub { $note->("b($_[0])") });
    $state->on_complete(sub { $note->('complete') });
    $state->_mark_disconnected('client_closed');
    is \@order,
        [
        'future(client_closed):0client_closed', 'a(client_closed):0client_closed',
        'b(client_closed):0client_closed'
        ],
        'order';
    is $state->is_connected, 0, 'is_connected';
    is $state->disconnect_reason, 'client_closed', 'disconnect_reason';
};

subtest 'after a disconnect: callbacks run at once, the future is done' => sub {
    my $state = new_state();
    $state->_mark_disconnected('write_error');
    my @got;
    $state->on_disconnect(sub { push @got, @_ });
    $state->on_complete(sub { push @got, 'complete' });
    is \@got, ['write_error'], 'on_disconnect at once, on_complete never';
    is [$state->disconnect_future->get], ['write_error'], 'disconnect_future';
};

subtest 'completed: on_complete in order, without arguments' => sub {
    my $state  = new_state();
    my $future = $state->disconnect_future;
    my @order;
    $state->on_complete(sub { push @order, 'a' . @_ });
    $state->on_disconnect(sub { push @order, 'disconnect' });
    $state->on_complete(sub { push @order, 'b' . @_ });
    $state->_mark_complete;
    is \@order, ['a0', 'b0'], 'order';
    is $state->is_connected, 0, 'is_connected';
    is $state->disconnect_reason, undef, 'no reason';
    ok !$future->is_ready, 'disconnect_future stays pending';
};

subtest 'after completion: on_complete runs at once, on_disconnect never' => sub {
    my $state = new_state();
    $state->_mark_complete;
    my @got;
    $state->on_complete(sub { push @got, 'complete' });
    $state->on_disconnect(sub { push @got, 'disconnect' });
    is \@got, ['complete'], 'called';
};

subtest 'the first end wins, both ways' => sub {
    my ($gone, $done) = (new_state(), new_state());
    my @got;
    for my $state ($gone, $done) {
        $state->on_disconnect(sub { push @got, "disconnect $_[0]" });
        $state->on_complete(sub { push @got, 'complete' });
    }
    $gone->_mark_disconnected('first');
    $gone->_mark_disconnected('second');
    $gone->_mark_complete;
    $done->_mark_complete;
    $done->_mark_complete;
    $done->_mark_disconnected('late');
    is \@got, ['disconnect first', 'complete'], 'each callback once';
    is $gone->disconnect_reason, 'first', 'the reason stays';
    is $done->disconnect_reason, undef, 'no reason';
    is [$gone->is_connected, $done->is_connected], [0, 0], 'never connected again';
};

subtest 'an undefined reason is "unknown"' => sub {
    my $state = new_state();
    $state->_mark_disconnected(undef);
    is $state->disconnect_reason, 'unknown', 'reason';
};

subtest 'a callback that dies is warned about; the others run' => sub {
    my %ends = (
        on_disconnect => sub { $_[0]->_mark_disconnected('x') },
        on_complete   => sub { $_[0]->_mark_complete },
    );
    for my $method (sort keys %ends) {
        my $state = new_state();
        my $ran   = 0;
        $state->$method(sub { die "oops\n" });
        $state->$method(sub { $ran++ });
        my $warnings = warnings { $ends{$method}->($state) };
        is $ran, 1, "$method: the second ran";
        like $warnings, [qr/\A$method callback error: oops\n/], "$method: warned";

        $warnings = warnings {
            $state->$method(sub { die "late\n" })
        };
        like $warnings, [qr/\A$method callback error: late\n/], "$method: warned when run at once";
    }
};

subtest 'a callback of disconnect_future that dies: those of the state run' => sub {
    my ($state, @ran) = (new_state());
    $state->disconnect_future->on_ready(sub { die "oops\n" });
    $state->on_disconnect(sub { push @ran, @_ });
    my $warnings = warnings { $state->_mark_disconnected('client_closed') };
    is \@ran, ['client_closed'], 'ran';
    is $warnings, ["disconnect_future callback error: oops\n"], 'warned';
};

subtest 'callbacks are dropped at the end' => sub {
    my $state = new_state();
    my $weak;
    {
        my $held = {};
        weaken($weak = $held);
        $state->on_disconnect(sub { $held->{a} });
        $state->on_complete(sub { $held->{b} });
    }
    ok defined $weak, 'kept while waiting';
    $state->_mark_complete;
    is $weak, undef, 'collected';
};

subtest 'response_started is one way' => sub {
    my $state = new_state();
    $state->_mark_response_started;
    is $state->response_started, 1, 'set';
    $state->_mark_disconnected('x');
    is $state->response_started, 1, 'stays';
};

subtest 'the connection is held weakly' => sub {
    my $connection = bless {}, 'My::Connection';
    weaken(my $weak = $connection);
    my $state = new_state(connection => $connection);
    undef $connection;
    is $weak, undef, 'collected';
};

my $REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'live: through a response' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $state  = $call->connection;
            my $future = $state->disconnect_future;
            my @ended;
            $state->on_complete(sub { push @ended, 'complete' . @_ });
            $state->on_disconnect(sub { push @ended, "disconnect $_[0]" });
            is [map { $state->$_ } qw(is_connected response_started response_complete)],
                [1, 0, 0], 'before the start';
            $call->start;
            is [map { $state->$_ } qw(is_connected response_started response_complete)],
                [1, 1, 0], 'started';
            $call->body('x', more => 1);
            is $state->response_complete, 0, 'not complete while more is promised';
            $call->body('y');
            is $state->response_complete, 1, 'complete with the last body';
            $call->finish;
            is $client->read_response->body, 'xy', 'delivered';
            wait_until { @ended } 'the completion';
            is \@ended, ['complete0'], 'on_complete, not on_disconnect';
            is $state->is_connected, 0, 'the request is over';
            is $state->disconnect_reason, undef, 'without a reason';
            is $state->response_complete, 1, 'still complete';
            ok !$future->is_ready, 'disconnect_future stays pending';
        };

        subtest 'live: the application dies' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my @ended;
            $call->connection->on_complete(sub { push @ended, 'complete' });
            $call->connection->on_disconnect(sub { push @ended, $_[0] });
            my $future = $call->connection->disconnect_future;
            $call->fail("boom\n");
            is $client->read_response->status, 500, 'the backstop';
            is \@ended, ['server_error'], 'on_disconnect, not on_complete';
            is [$future->get], ['server_error'], 'disconnect_future';
            is $call->connection->response_started, 1, 'the backstop counts as a start';
            $t->take_warnings;
        };

        subtest 'live: a future raced and cancelled does no harm' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $reason;
            $call->connection->on_disconnect(sub { $reason = $_[0] });
            $call->connection->disconnect_future->cancel;
            $client->close;
            wait_until { defined $reason } 'the disconnect';
            is $reason, 'client_closed', 'callbacks still run';
            $call->finish;
        };

        subtest 'live: one race after the other' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $race;
            for my $round (1, 2) {
                my $event = Future->new;
                $race = Future->wait_any($call->connection->disconnect_future, $event);
                $event->done("event $round");
                is $race->get, "event $round", "round $round";
            }
            $race = Future->wait_any($call->connection->disconnect_future, Future->new);
            $client->close;
            is settle($race, 'the disconnect'), 'client_closed', 'the last one is won';
            $call->finish;
        };

        subtest 'live: a callback that dies is warned about' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->connection->on_complete(sub { die "oops\n" });
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'served';
            like [$t->wait_warning(qr/oops/)], [qr/\Aon_complete callback error: oops\n/], 'warned';
            is $client->begin(GET => '/')->is_eof, 0, 'the connection goes on';
            $puppet->next_call->reply('again');
            is $client->read_response->body, 'again', 'served again';
        };

        subtest 'live: one state per request on a kept connection' => sub {
            my $client = $t->client->begin(GET => '/');
            my $first  = $puppet->next_call;
            $first->reply('one');
            is $client->read_response->body, 'one', 'first';
            $client->begin(GET => '/');
            my $second = $puppet->next_call;
            ref_is_not $first->connection, $second->connection, 'two objects';
            is $second->connection->response_started, 0, 'nothing carried over';
            is $second->connection->is_connected, 1, 'connected';
            $client->close;
            wait_until { !$second->connection->is_connected } 'the disconnect of the second';
            is $first->connection->disconnect_reason, undef, 'the first stays completed';
            $second->finish;
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;
