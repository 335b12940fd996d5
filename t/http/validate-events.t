# validate_events over a live server (contract 01 section 8, 02 section 6, 09 section 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::EventValidator;
use Test2::V0;
use Test::PAGI::Loop qw(failure_of wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $puppet = Test::PAGI::Puppet->new;

# Events that are wrong, and what the validator says to them.
my @WRONG = (
    [{ type => 'http.response.start' }, qr/requires 'status' field/],
    [{ type => 'http.response.start', status => 'OK' }, qr/'status' must be an integer/],
    [
        { type => 'http.response.start', status => 200, headers => {} },
        qr/'headers' must be an array reference/
    ],
    [
        { type => 'http.response.body', body => 'x', file => '/dev/null' },
        qr/exactly one of body\/file\/fh \(got 2\)/
    ],
    [{ type => 'http.response.body', file => '/x', offset => -1 }, qr/'offset' must be an integer/],
    [
        { type => 'http.response.body', file => '/x', length => 'a' },
        qr/'length' must be an integer/
    ],
    [
        { type => 'http.response.trailers', headers => 'x' },
        qr/'headers' must be an array reference/
    ],
);

# What fails with or without the validator
my @NO_EVENTS = ('text', undef, [], { type => 'no.such.event' }, {});

sub open_call {
    my ($t) = @_;
    my $client = $t->client->begin(GET => '/');
    return ($puppet->next_call, $client);
}

for_each_transport {
    my ($on) = @_;
    for my $validate (1, 0) {
        with_server {
            my ($t) = @_;

            subtest "after a disconnect nothing fails, with validate_events $validate" => sub {
                my ($call, $client) = open_call($t);
                $client->close;
                wait_until { !$call->connection->is_connected } 'the disconnect';
                for my $event ((map { $_->[0] } @WRONG), @NO_EVENTS) {
                    is failure_of($call->{send}->($event)), undef, 'a silent no-op';
                }
                $call->finish;
            };

            subtest 'nor after the application has returned' => sub {
                my ($call, $client) = open_call($t);
                $call->reply('hello');
                is $client->read_response->body, 'hello', 'answered';
                for my $event ((map { $_->[0] } @WRONG), @NO_EVENTS) {
                    is failure_of($call->{send}->($event)), undef, 'a silent no-op';
                }
                is $client->buffer, '', 'nothing written';
            };
        }
        on => $on, app => $puppet->app, validate_events => $validate;
    }

    with_server {
        my ($t) = @_;

        subtest 'before, each is refused and the next one works' => sub {
            my ($call, $client) = open_call($t);
            for my $case (@WRONG) {
                my ($event, $text) = @$case;
                like failure_of($call->{send}->($event)), qr/\A\Q$event->{type}\E .*?$text/,
                    $event->{type};
            }
            is $call->connection->response_started, 0, 'nothing has started';
            $call->reply('hello');
            is $client->read_response->body, 'hello', 'answered';
        };

        subtest 'more fields than there are do not fail' => sub {
            my ($call, $client) = open_call($t);
            is failure_of($call->start(nonsense => 1)), undef, 'start';
            is failure_of($call->body('hello', nonsense => [])), undef, 'body';
            $call->finish;
            is $client->read_response->body, 'hello', 'answered';
        };
    }
    on => $on, app => $puppet->app, validate_events => 1;
};

subtest 'a key without a value is as good as none' => sub {
    my %sent = (
        'text and bytes' => [{ text => 'x', bytes   => 'y' }, '(got 2)'],
        'neither'        => [{ text => undef, bytes => undef }, '(got 0)'],
        'bytes'          => [{ text => undef, bytes => 'y' }, undef],
    );
    for my $name (sort keys %sent) {
        my ($event, $error) = @{ $sent{$name} };
        my $died = dies {
            PAGI::Server::EventValidator::validate_websocket_send(
                { type => 'websocket.send', %$event });
        };
        defined $error ? like $died, qr/bytes\/text \Q$error/, $name : is $died, undef, $name;
    }
};

done_testing;
