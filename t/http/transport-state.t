# PAGI::Spec::Extensions / Www, "pagi.transport" (contract 01 section 7, 02 section 12)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use PAGI::Server::TransportState;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Time::HiRes qw(time);

# A state over a number the test sets; $fire is what the server calls when it drained.
sub over_number {
    my ($amount) = @_;
    my $armed    = [];
    my $state    = PAGI::Server::TransportState->new(
        measure   => sub { $$amount },
        high      => 100,
        low       => 20,
        arm_drain => sub { push @$armed, $_[0] },
    );
    return ($state, $armed);
}

subtest 'everything is optional' => sub {
    my $state = PAGI::Server::TransportState->new;
    is $state->buffered_amount, 0, 'buffered_amount';
    is $state->high_water_mark, undef, 'high_water_mark';
    is $state->low_water_mark, undef, 'low_water_mark';
    my $called = 0;
    ok lives {
        $state->on_high_water(sub { $called++ });
        $state->on_drain(sub { $called++ })
    };
    is $called, 0, 'no callback';
};

subtest 'an undefined measure is 0' => sub {
    is(PAGI::Server::TransportState->new(measure => sub { undef })->buffered_amount, 0, 'amount');
};

subtest 'all three are live reads' => sub {
    my ($amount, $high, $low) = (5, 100, 20);
    my $state = PAGI::Server::TransportState->new(
        measure => sub { $amount }, high => sub { $high },
        low     => sub { $low }
    );
    is [map { $state->$_ } qw(buffered_amount high_water_mark low_water_mark)], [5, 100, 20];
    ($amount, $high, $low) = (6, 200, 30);
    is [map { $state->$_ } qw(buffered_amount high_water_mark low_water_mark)], [6, 200, 30];
};

subtest 'callbacks are registered on the state and it returns itself' => sub {
    my ($state) = over_number(\my $amount);
    ref_is $state->on_high_water(sub { }), $state, 'on_high_water';
    ref_is $state->on_drain(sub { }), $state, 'on_drain';
};

subtest 'edge-triggered: once above, once below, and again' => sub {
    my ($state, $armed) = over_number(\(my $amount = 0));
    my @order;
    $state->on_high_water(sub { push @order, 'high1' . @_ });
    $state->on_high_water(sub { push @order, 'high2' . @_ });
    $state->on_drain(sub { push @order, 'drain1' . @_ });
    $state->on_drain(sub { push @order, 'drain2' . @_ });
    $state->_check_watermarks;
    is \@order, [], 'nothing below the mark';

    for my $round (1, 2) {
        @order  = ();
        $amount = 100;
        $state->_check_watermarks;
        is \@order, [qw(high10 high20)], "round $round: at the mark, in order, no arguments";
        $amount = 500;
        $state->_check_watermarks;
        is \@order, [qw(high10 high20)], "round $round: not again while above";
        is scalar @$armed, $round, "round $round: the drain is armed once";
        $amount = 10;
        $armed->[-1]->();
        is \@order, [qw(high10 high20 drain10 drain20)], "round $round: drained, in order";
    }
};

subtest 'on_high_water fires at once when already above' => sub {
    my ($state) = over_number(\(my $amount = 150));
    my $fired = 0;
    $state->on_high_water(sub { $fired++ });
    is $fired, 1, 'fired';
};

subtest 'a late on_high_water between the marks waits for the next rise' => sub {
    my ($state, $armed) = over_number(\(my $amount = 150));
    my @order;
    $state->on_high_water(sub { push @order, 'first' });
    $amount = 50;
    $state->on_high_water(sub { push @order, 'late' });
    is \@order, ['first'], 'not at once';
    $amount = 10;
    $armed->[-1]->();
    $amount = 100;
    $state->_check_watermarks;
    is \@order, [qw(first first late)], 'then in order';
};

subtest 'on_drain fires only after a later drain' => sub {
    my ($state) = over_number(\(my $amount = 0));
    my $fired = 0;
    $state->on_drain(sub { $fired++ });
    is $fired, 0, 'not because it is below now';
    $state->_check_watermarks;
    is $fired, 0, 'nor by a check below';
};

subtest 'on_drain is not lost where it is full again before anybody looks' => sub {
    my ($state, $armed) = over_number(\(my $amount = 0));
    my $drains = 0;
    $state->on_drain(sub { $drains++ });
    $amount = 100;
    $state->_check_watermarks;
    $amount = 50;
    $armed->[0]->();
    is [$drains, scalar @$armed], [0, 2], 'not yet, and armed anew';
    $amount = 10;
    $armed->[1]->();
    is [$drains, scalar @$armed], [1, 2], 'drained';
};

subtest 'with a low mark of 0 it is drained when nothing is left' => sub {
    my ($amount, $drains) = (100, 0);
    my $state = PAGI::Server::TransportState->new(measure => sub { $amount }, high => 1, low => 0);
    $state->on_drain(sub { $drains++ });
    $amount = 0;
    $state->_check_watermarks;
    is $drains, 1, 'drained';
};

subtest 'a callback that dies is warned about; the others run' => sub {
    my ($state, $armed) = over_number(\(my $amount = 0));
    my $ran = 0;
    for my $method (qw(on_high_water on_drain)) {
        $state->$method(sub { die "oops\n" });
        $state->$method(sub { $ran++ });
    }
    my $warnings = warnings { $amount = 100; $state->_check_watermarks };
    like $warnings, [qr/\Atransport callback error: oops\n/], 'high';
    $warnings = warnings { $amount = 0; $armed->[-1]->() };
    like $warnings, [qr/\Atransport callback error: oops\n/], 'drain';
    is $ran, 2, 'the others ran';
};

subtest 'a callback that dies of what cannot be said is no other' => sub {
    my ($state, $armed) = over_number(\(my $amount = 0));
    my $ran = 0;
    $state->on_high_water(sub { die bless [], 'Unsayable' });
    $state->on_high_water(sub { $ran++ });
    my $warnings = warnings { $amount = 100; $state->_check_watermarks };
    like $warnings, [qr/\Atransport callback error: Unsayable=ARRAY\(/], 'warned of';
    is [$ran, scalar @$armed], [1, 1], 'the others run, and the drain is armed';
};

my $PIECE = 'x' x 65_536;

# A client that does not read, and the request it made.
sub stuck_request {
    my ($t, $puppet) = @_;
    my $client = $t->client(rcvbuf => 4096)->begin(GET => '/')->stop_reading;
    my $call   = $puppet->next_call;
    $call->start;
    return ($call, $client);
}

# Sends pieces until a send parks for good, the kernel's buffers or the client's windows being full;
# returns its Future and the number of pieces sent.
sub fill {
    my ($call) = @_;
    my ($future, $pieces) = (undef, 0);
    do {
        $future = $call->body($PIECE, more => 1);
        $pieces++;
        my $patience = time + 0.6;    # the kernel takes more of it now and then
        wait_until { $future->is_ready || time > $patience } 'the send, or patience';
    } while $future->is_ready && $pieces < 1000;
    return ($future, $pieces);
}

async sub send_many {
    my ($send, $count, $may_end) = @_;
    await $send->({ type => 'http.response.start', status => 200, headers => [] });
    my $body = 'x' x ($count + 0);
    for my $n (1 .. $count) {
        await $send->({ type => 'http.response.body', body => $body, more => 1 });
    }
    $may_end->{sent} = 1;
    await $may_end;
    await $send->({ type => 'http.response.body', body => '' });
}

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $serve  = sub {
        my ($block, %options) = @_;
        &with_server($block, on => $on, app => $puppet->app, %options);
    };

    subtest 'live: the marks are the options of the server' => sub {
        for my $case (
            [{}, 65_536, 16_384],
            [{ write_high_watermark => 1000, write_low_watermark => 10 }, 1000, 10]
            )
        {
            my ($options, $high, $low) = @$case;
            $serve->(
                sub {
                    my ($t)    = @_;
                    my $client = $t->client->begin(GET => '/');
                    my $call   = $puppet->next_call;
                    is $call->transport->high_water_mark, $high, 'high';
                    is $call->transport->low_water_mark, $low, 'low';
                    is $call->transport->buffered_amount, 0, 'nothing buffered';
                    $call->reply('ok');
                },
                %$options
            );
        }
    };

    subtest 'live: a client that does not read parks send; it resumes when drained' => sub {
        $serve->(sub {
            my ($t) = @_;
            my ($call, $client)   = stuck_request($t, $puppet);
            my ($parked, $pieces) = fill($call);
            ok !$parked->is_ready, "parked after $pieces pieces";
            # It parked above the high mark; the kernel may have taken some since.
            cmp_ok $call->transport->buffered_amount, '>=', 16_384, 'not below the low mark';
            cmp_ok $call->transport->buffered_amount, '<=', 65_536 * 4, 'and not far above it';
            holds { !$parked->is_ready } 'it stays parked while the client does not read';
            $client->start_reading;
            settle($parked, 'the parked send');
            cmp_ok $call->transport->buffered_amount, '<', 65_536 + 16_384, 'drained';
            $call->body('end');
            $call->finish;
            my $body = $client->read_response->body;
            is length $body, $pieces * 65_536 + 3, 'every byte arrived';
            like $body, qr/\Ax+end\z/, 'in order';
        });
    };

    subtest 'live: on_high_water and on_drain take turns' => sub {
        $serve->(sub {
            my ($t) = @_;
            my ($call, $client) = stuck_request($t, $puppet);
            my $order = '';
            $call->transport->on_high_water(sub { $order .= 'h' . @_ });
            $call->transport->on_drain(sub { $order      .= 'd' . @_ });
            my ($parked, $pieces) = fill($call);
            like $order, qr/\A(?:h0d0)*h0\z/, 'up and down, without arguments, and up at last';
            my ($at_once, $transport) = (0, $call->transport);
            my $before  = $transport->buffered_amount;    # the kernel may take some of it meanwhile
            my $is_high = $transport->on_high_water(sub { $at_once++ })->buffered_amount >= 65_536;
            is $at_once, 1, 'a late on_high_water fires at once above the mark' if $is_high;
            is $at_once, 0, 'and does not below it'                             if $before < 65_536;
            holds { $order =~ /h0\z/ } 'no drain while nothing moves';
            $client->start_reading;
            settle($parked, 'the parked send');
            wait_until { $call->transport->buffered_amount == 0 } 'all to be written';
            wait_until { $order =~ /d0\z/ } 'the drain';
            like $order, qr/\A(?:h0d0)+\z/, 'as many drains as highs';
            $call->body('end');
            $call->finish;
            is length $client->read_response->body, $pieces * 65_536 + 3, 'every byte arrived';
        });
    };

    subtest 'live: who awaits each send as well hears of every drain' => sub {
        my ($is_paused, $may_end, $rounds) = (0, Future->new, 0);
        my $app = http_app {
            my ($scope, $receive, $send) = @_;
            my $transport = $scope->{'pagi.transport'};
            $transport->on_high_water(sub { $is_paused = 1; $rounds++ });
            $transport->on_drain(sub { $is_paused      = 0 });
            return send_many($send, 1000, $may_end);
        };
        $serve->(
            sub {
                my ($t) = @_;
                my $client = $t->client->begin(GET => '/');
                wait_until { $may_end->{sent} } 'all to be sent';
                wait_until { !$is_paused } 'the last drain';
                ok $rounds, "was high $rounds times";
                $may_end->done;
                is length $client->read_response->body, 1_000_000, 'every byte arrived';
            },
            app                  => $app,
            write_high_watermark => 2500,
            write_low_watermark  => 1000
        );
    };

    subtest 'live: a send that begins to wait in on_drain waits for the next drain' => sub {
        $serve->(sub {
            my ($t) = @_;
            my ($call, $client) = stuck_request($t, $puppet);
            my ($drains, @left) = 0;
            $call->transport->on_drain(sub {
                return if $drains++;
                $call->body('x' x 300_000, more => 1);
                my $second = $call->body('x' x 300_000, more => 1);
                $second->on_ready(sub { push @left, $call->transport->buffered_amount });
            });
            my ($parked) = fill($call);
            $client->start_reading;
            settle($parked, 'the parked send');
            wait_until { @left } 'the send of the callback';
            cmp_ok $left[0], '<', 600_000, 'not released before something has left';
            $call->body('end');
            $call->finish;
            ok length $client->read_response->body, 'the response ends';
        });
    };

    subtest 'live: a disconnect releases a parked send, and never drains' => sub {
        $serve->(sub {
            my ($t) = @_;
            my ($call, $client) = stuck_request($t, $puppet);
            my @order;
            my ($parked) = fill($call);
            $call->transport->on_drain(sub { push @order, 'drain' });
            $parked->on_ready(sub { push @order, 'send' });
            $call->connection->on_disconnect(sub { push @order, 'disconnect' });
            $client->reset;
            wait_until { $parked->is_ready } 'the parked send';
            is failure_of($parked), undef, 'it is done, not failed';
            wait_until { !$call->connection->is_connected } 'the disconnect';
            is \@order, ['send', 'disconnect'], 'sends are released first; no drain';
            $call->finish;
        });
    };

    subtest 'live: a loop of sends while is_connected ends with the connection' => sub {
        my ($sends, $parked, $ended, @told) = (0, 0, 0);
        my $app = http_app {
            my ($scope, $receive, $send) = @_;
            my $connection = $scope->{'pagi.connection'};
            $connection->on_disconnect(sub { push @told, "callback $_[0]" });
            $connection->disconnect_future->on_done(sub { push @told, "future $_[0]" });
            return (
                async sub {
                    await $send->({ type => 'http.response.start' });
                    while ($connection->is_connected && $sends < 10_000) {
                        my $sent =
                            $send->({ type => 'http.response.body', body => $PIECE, more => 1 });
                        $sends++;
                        $parked = !$sent->is_ready;
                        await $sent;
                    }
                    $ended = 1;
                }
            )->();
        };
        with_server {
            my ($t) = @_;
            my $client = $t->client(rcvbuf => 4096)->begin(GET => '/')->stop_reading;
            my ($before, $looks) = (0, 0);
            wait_until {
                ($before, $looks) = ($sends, $parked && $before == $sends ? $looks + 1 : 0);
                $looks > 10;
            }
            'a send that stays parked';
            $client->reset;
            wait_until { $ended } 'the application to return';
            cmp_ok $sends, '<', $before + 10, 'the resumed send sees the disconnect';
            wait_until { @told } 'the callbacks, though the application has returned by then';
            like "@told", qr/\Afuture (client_closed|write_error) callback \1\z/, 'told once each';
        }
        on => $on, app => $app;
    };

    subtest 'live: one stuck client does not stop another' => sub {
        $serve->(sub {
            my ($t) = @_;
            my ($call, $client) = stuck_request($t, $puppet);
            my ($parked) = fill($call);
            for my $n (1 .. 5) {
                my $other = $t->client->begin(GET => '/');
                $puppet->next_call->reply("other $n");
                is $other->read_response->body, "other $n", "client $n";
            }
            ok !$parked->is_ready, 'the stuck one is still parked';
            $client->reset;
            wait_until { $parked->is_ready } 'the parked send';
            $call->finish;
        });
    };

    subtest 'live: the objects of a request can be collected after it' => sub {
        my %weak;
        my $app = http_app {
            my ($scope, $receive, $send) = @_;
            weaken($weak{$_} = $scope->{$_}) for qw(pagi.transport pagi.connection);
            weaken($weak{scope} = $scope);
            $scope->{'pagi.connection'}->on_complete(sub { $scope });
            $scope->{'pagi.connection'}->on_disconnect(sub { $scope });
            return reply($send, 'ok');
        };
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            is $client->get('/')->body, 'ok', 'served';
            wait_until {
                !grep { defined } values %weak
            }
            'the objects to be collected';
            pass "$_ is gone" for sort keys %weak;
        }
        on => $on, app => $app;
    };
};

package Unsayable;
use overload '""' => sub { die "no string\n" }, bool => sub { 1 };

package main;

done_testing;
