# PAGI::Spec::Www, "send events" of the http scope: order and recovery
# (contract 02 section 6, 10-known-gaps A02 H21 H22 H30 H33 H37)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(failure_of holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
my $puppet  = Test::PAGI::Puppet->new;

# A request in the hands of the application, and its client.
sub open_request {
    my ($t) = @_;
    my $client = $t->client->begin(GET => '/');
    return ($puppet->next_call, $client);
}

sub is_done {
    my ($future, $name) = @_;
    is failure_of($future), undef, $name;
    return;
}

# After anything that went wrong: a correct response is still possible.
sub recovers {
    my ($call, $client) = @_;
    is $call->connection->response_started, 0, 'the response has not started';
    is_done($call->start(status => 201), 'a correct start');
    is_done($call->body('fine'), 'a correct body');
    $call->finish;
    my $response = $client->read_response;
    is $response->status, 201, 'its status';
    is $response->body, 'fine', 'its body, and nothing else';
    $client->close;
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'sends take effect at call time, in order, awaited or not' => sub {
            my ($call, $client) = open_request($t);
            $call->start;
            $call->body($_, more => 1) for 'a' .. 'j';
            $call->body('end');
            $call->finish;
            is $client->read_response->body, 'abcdefghijend', 'in order';
        };

        subtest 'a send that does not park is done at once' => sub {
            my ($call, $client) = open_request($t);
            is_done($call->start, 'start');
            is_done($call->body('x', more => 1), 'body');
            is_done($call->body(''), 'last body');
            $call->finish;
            is $client->read_response->body, 'x', 'served';
        };

        subtest 'a second start is ignored' => sub {
            my ($call, $client) = open_request($t);
            $call->start(status => 201, headers => [['x-a', 'first']]);
            is_done($call->start(status => 500, headers => [['x-a', 'second']]), 'done');
            $call->body('x');
            $call->finish;
            my $response = $client->read_response;
            is $response->status, 201, 'the first stands';
            is $response->all('x-a'), ['first'], 'with its headers';
        };

        subtest 'a body before the start is ignored' => sub {
            my ($call, $client) = open_request($t);
            is_done($call->body('lost', more => 1), 'done');
            is_done($call->body('lost'), 'also the last one');
            recovers($call, $client);
        };

        subtest 'after completion sends are no-ops' => sub {
            my ($call, $client) = open_request($t);
            $call->start;
            $call->body('all');
            is_done($call->body('more', more => 1), 'body');
            is_done($call->body('more'), 'last body');
            is_done($call->start(status => 500), 'start');
            $call->finish;
            is_done($call->body('late'), 'body after the application returned');
            is $client->read_response->body, 'all', 'the response is what it was';
            my $second = $client->begin(GET => '/') && $puppet->next_call;
            is_done($call->start(status => 500), 'during the next request: start');
            is_done($call->body('stolen'), 'during the next request: body');
            is_done($call->send(type => 'nonsense'), 'during the next request: anything');
            is $second->connection->response_started, 0, 'the next request is not touched';
            $second->reply('mine');
            is $client->read_response->body, 'mine', 'and gets its own response (H30)';
        };

        my @unknown = (
            ['an unknown type', { type => 'http.response.nonsense' }],
            ['an event of websocket', { type => 'websocket.send', text => 'x' }],
            ['an event of lifespan', { type => 'lifespan.startup.complete' }],
            ['the empty type', { type => '' }],
            ['a type in another case', { type => 'HTTP.response.start' }],
        );
        for my $case (@unknown) {
            my ($rule, $event) = @$case;
            subtest "$rule fails" => sub {
                my ($call, $client) = open_request($t);
                is failure_of($call->send(%$event)),
                    "Unrecognized event type '$event->{type}' for http protocol\n", 'text';
                recovers($call, $client);
            };
        }

        subtest 'a missing or undefined type fails' => sub {
            my ($call, $client) = open_request($t);
            my $text = qr/\AUnrecognized event type '.*' for http protocol\n\z/;
            like failure_of($call->send(status => 200)), $text, 'missing';
            like failure_of($call->send(type   => undef)), $text, 'undef';
            recovers($call, $client);
        };

        subtest 'what is not an event fails, and never dies at call time' => sub {
            my ($call, $client) = open_request($t);
            for my $junk ([], [undef], ['text'], [[]], [sub { }], [\'x'], [42]) {
                my $future;
                ok lives { $future = $call->{send}->(@$junk) }, 'lives' or diag $@;
                like failure_of($future), qr/\S/, 'a failed Future';
            }
            $t->take_warnings;
            recovers($call, $client);
        };

        subtest 'keys that no one knows are ignored' => sub {
            my ($call, $client) = open_request($t);
            is_done($call->start(nonsense => [1]), 'start');
            is_done($call->body('x', whatever => undef), 'body');
            $call->finish;
            is $client->read_response->body, 'x', 'served';
        };

        subtest 'unknown types fail in the middle of a response too' => sub {
            my ($call, $client) = open_request($t);
            $call->start;
            $call->body('a', more => 1);
            is failure_of($call->send(type => 'x')),
                "Unrecognized event type 'x' for http protocol\n";
            $call->body('b');
            $call->finish;
            is $client->read_response->body, 'ab', 'the response goes on';
        };
    }
    on => $on, app => $puppet->app;
};

my $TYPES = qr/\Ahttp\.response\.start 'headers' must be an array reference/;
my @WRONG = (
    ['headers is a hash', { headers => { a => 1 } }, $TYPES],
    ['headers is a string', { headers => 'x' }, $TYPES],
    ['headers is code', { headers => sub { } }, $TYPES],
    ['a header is not a pair: 1', { headers => [['x']] }, qr/header/],
    ['a header is not a pair: 3', { headers => [['x', 'y', 'z']] }, qr/header/],
    ['a header is a string', { headers => ['x'] }, qr/header/],
    ['a header is a hash', { headers => [{ x => 1 }] }, qr/header/],
    ['a header is undef', { headers => [undef] }, qr/header/],
    ['flat pairs as in PSGI', { headers => ['x', 'y'] }, qr/header/],
    map({ ["status $_", { status => $_ }, qr/'status' must be an integer/] } 'abc', '2.5', '',
        '20x'),
    ['status is a reference', { status => [] }, qr/'status' must be an integer/],
    ['status -1', { status => -1 }, qr/status/],
    map({ ["status $_ (H37)", { status => $_ }, qr/\S/] } 0, 99, 100, 101, 103, 199, 1000),
);

my $NAME    = qr/\AInvalid header name: contains CR, LF, or null byte\n\z/;
my $CONTROL = qr/\AInvalid header name: contains control characters\n\z/;
my $VALUE   = qr/\AInvalid header value: contains CR, LF, or null byte\n\z/;
my @UNSAFE  = (
    ['CR in a name', ["x\ra", 'v'], $NAME],
    ['LF in a name', ["x\na", 'v'], $NAME],
    ['NUL in a name', ["x\0a", 'v'], $NAME],
    ['LF ending a name', ["x\n", 'v'], $NAME],
    ['TAB in a name', ["x\ta", 'v'], $CONTROL],
    ['ESC in a name', ["x\ea", 'v'], $CONTROL],
    ['DEL in a name', ["x\x7Fa", 'v'], $CONTROL],
    ['CR in a value', ['x', "a\rb"], $VALUE],
    ['LF in a value', ['x', "a\nb"], $VALUE],
    ['NUL in a value', ['x', "a\0b"], $VALUE],
    ['LF ending a value', ['x', "a\n"], $VALUE],
    ['a split response', ['x', "a\r\n\r\nHTTP/1.1 200"], $VALUE],
    ['a blank in a name (H32)', ['x y', 'v'], qr/\AInvalid header name/],
    ['a colon in a name (H32)', ['x:', 'v'], qr/\AInvalid header name/],
    ['a quote in a name (H32)', ['x"', 'v'], qr/\AInvalid header name/],
    ['a high byte in a name', ["x\xE9", 'v'], qr/\AInvalid header name/],
    ['an empty name', ['', 'v'], qr/\AInvalid header name/],
    ['a wide character in a name', ["x\x{100}", 'v'], qr/\S/],
    ['a wide character in a value', ['x', "a\x{100}"], qr/\S/],
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        for my $case (@WRONG) {
            my ($rule, $event, $text) = @$case;
            subtest "$rule: the start fails, a correct one works (A02)" => sub {
                my ($call, $client) = open_request($t);
                like failure_of($call->start(%$event)), $text, 'text';
                recovers($call, $client);
            };
        }

        for my $case (@UNSAFE) {
            my ($rule, $header, $text) = @$case;
            subtest "$rule: the start fails, a correct one works (H21)" => sub {
                my ($call, $client) = open_request($t);
                my $headers = [['x-good', 1], $header];
                like failure_of($call->start(headers => $headers)), $text, 'text';
                recovers($call, $client);
            };
        }

        subtest 'after a refused start the 500 backstop still works' => sub {
            my ($call, $client) = open_request($t);
            $call->start(headers => [['x', "a\nb"]]);
            $call->body('lost');
            $call->finish;
            is $client->read_response->status, 500, 'status';
            like [$t->take_warnings], [qr/without starting a response/], 'warned';
        };

        subtest 'a wide character fails that body alone (H33)' => sub {
            my ($call, $client) = open_request($t);
            $call->start;
            $call->body('a', more => 1);
            like failure_of($call->body("wide \x{263A}", more => 1)), qr/\S/, 'failed';
            like failure_of($call->body("wide \x{263A}")), qr/\S/, 'the last one as well';
            is $call->connection->response_complete, 0, 'and does not complete the response';
            $call->body('b');
            $call->finish;
            is $client->read_response->body, 'ab', 'the response goes on';
        };

        subtest 'a wide character in the first body loses nothing' => sub {
            my ($call, $client) = open_request($t);
            $call->start(status => 201);
            like failure_of($call->body("\x{263A}")), qr/\S/, 'failed';
            $call->body('b');
            $call->finish;
            my $response = $client->read_response;
            is $response->status, 201, 'head';
            is $response->body, 'b', 'body';
        };

        subtest 'undef counts as the empty string' => sub {
            my ($call, $client) = open_request($t);
            is_done($call->start(headers => [['x-a', undef], ['x-b', 1]]), 'header value');
            is_done($call->body(undef), 'body');
            $call->finish;
            $t->take_warnings;
            my $response = $client->read_response;
            is $response->header('x-a'), '', 'an empty value';
            is $response->header('x-b'), '1', 'the next header is intact';
            is $response->body, '', 'an empty body';
        };

        subtest 'the event is read at call time: later changes do not matter' => sub {
            my ($call, $client) = open_request($t);
            my $body    = 'before';
            my @headers = (['x-a', 'before']);
            $call->start(headers => \@headers);
            $headers[0][1] = 'after';
            push @headers, ['x-b', 1];
            $call->body($body);
            substr $body, 0, 6, 'after!';
            $call->finish;
            my $response = $client->read_response;
            is $response->header('x-a'), 'before', 'header';
            is $response->header('x-b'), undef, 'no header added';
            is $response->body, 'before', 'body';
        };
    }
    on => $on, app => $puppet->app;
};

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'fewer bytes than content-length: the connection closes (H22)' => sub {
            my ($call, $client) = open_request($t);
            $call->start(headers => [['content-length', 10]]);
            $call->body('abc');
            $call->finish;
            my $response = $client->read_response;
            is $response->body, 'abc', 'what was sent';
            ok $response->is_truncated, 'then the connection closes, not reused';
            $t->take_warnings;
        };

        subtest 'more bytes than content-length: the rest is dropped with a warning (H22)' => sub {
            my ($call, $client) = open_request($t);
            $call->start(headers => [['content-length', 3]]);
            $call->body('abc', more => 1);
            $call->body('def', more => 1);
            $call->body('ghi');
            $call->finish;
            my $response = $client->read_response;
            is $response->body, 'abc', 'the promised length';
            ok scalar(my @warned = $t->take_warnings), 'warned';
            my $after = $client->is_eof ? '' : $client->buffer;
            is $after, '', 'no stray byte behind it';
        };

        subtest 'one body above content-length is cut' => sub {
            my ($call, $client) = open_request($t);
            $call->start(headers => [['content-length', 3]]);
            $call->body('abcdef');
            $call->finish;
            is $client->read_response->body, 'abc', 'the promised length';
            $t->wait_warning(qr/\S/);
            holds { $client->buffer eq '' } 'no stray byte behind it';
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;
