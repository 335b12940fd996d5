# PAGI::Spec::Lifespan, "Lifespan State" (contract 07 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::Lifespan;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

# Fills the state at startup; requests answer with what they find and do something to it.
sub state_app {
    my ($fill, $use) = @_;
    return sub {
        my ($scope, $receive, $send) = @_;
        if ($scope->{type} eq 'lifespan') {
            $fill->($scope->{state});
            return serve_lifespan($receive, $send);
        }
        return reply($send, $use->($scope->{state}));
    };
}

for_each_transport {
    my ($on) = @_;

    subtest 'requests see what the startup stored' => sub {
        my $shared = { hits => 0 };
        with_server {
            my ($t) = @_;
            is $t->get('/')->body, 'pool 1', 'first';
            is $t->get('/')->body, 'pool 2', 'references are shared';
        }
        on => $on, app => state_app(
            sub { @{ $_[0] }{qw(name shared)} = ('pool', $shared) },
            sub { "$_[0]{name} " . ++$_[0]{shared}{hits} },
        );
    };

    subtest 'top-level keys are private to a request' => sub {
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            is $client->get('/')->body, '11 count', "request $_" for 1 .. 3;
            is $t->get('/')->body, '11 count', 'on another connection';
        }
        on => $on, app => state_app(
            sub { $_[0]{count} = 10 },
            sub {
                my ($state) = @_;
                $state->{count}++;
                my $answer = "$state->{count} @{[sort keys %$state]}";
                $state->{mine} = 1;
                return $answer;
            },
        );
    };

    subtest 'what lifespan stores later is copied from then on' => sub {
        my $lifespan_state;
        with_server {
            my ($t) = @_;
            is $t->get('/')->body, 'none', 'before';
            $lifespan_state->{late} = 'now';
            is $t->get('/')->body, 'now', 'after';
            delete $lifespan_state->{late};
            is $t->get('/')->body, 'none', 'and removed again';
        }
        on => $on, app => state_app(sub { $lifespan_state = $_[0] }, sub { $_[0]{late} // 'none' });
    };

    subtest 'an empty state: every request has an empty hash of its own' => sub {
        my @states;
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            is $client->get('/')->body, 'x', 'served' for 1 .. 2;
        }
        on => $on, app => state_app(
            sub { },
            sub {
                push @states, $_[0];
                is $_[0], {}, 'empty';
                $_[0]{mine} = 1;
                return 'x';
            }
        );
        ref_is_not $states[0], $states[1], 'two hashes';
    };

    for my $mode (qw(auto off)) {
        subtest "lifespan_mode $mode without support: the state is an empty hash" => sub {
            with_server { is $_[0]->get('/')->body, 'HASH 0', 'served' } on => $on, app => sub {
                my ($scope, $receive, $send) = @_;
                die "no\n" if $scope->{type} ne 'http';
                return reply($send, ref($scope->{state}) . ' ' . keys %{ $scope->{state} });
            }, lifespan_mode => $mode;
        };
    }

    subtest 'what was stored before declining is kept' => sub {
        with_server { is $_[0]->get('/')->body, 'kept', 'served' } on => $on, app => sub {
            my ($scope, $receive, $send) = @_;
            if ($scope->{type} eq 'lifespan') {
                $scope->{state}{name} = 'kept';
                die "no lifespan\n";
            }
            return reply($send, $scope->{state}{name} // 'lost');
        };
    };
};

done_testing;
