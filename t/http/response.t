# PAGI::Spec::Www, "Response Start", "Response Body", "Server-Supplied Headers and Behaviors"
# (contract 02 sections 6 and 7): what the wire looks like
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $DATE   = qr/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/;
my $SERVER = qr{Server: PAGI::Server/[0-9._]+};

# An application that sends these events and returns.
my @events;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    $send->($_) for @events;
    return Future->done;
};

sub start { return { type => 'http.response.start', status => 200, @_ } }
sub body  { my $body = shift; return { type => 'http.response.body', body => $body, @_ } }

# The response to these events.
sub response_to {
    my ($t, $request, @send) = @_;
    @events = @send;
    my $client   = $t->client;
    my $response = $client->request(@$request);
    $client->close;
    return $response;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $get = [GET => '/'];

        subtest 'headers of the application as given, date and server behind them' => sub {
            my @given    = (['Content-Type', 'text/plain'], ['X-b', 1], ['x-A', '']);
            my $response = response_to($t, $get, start(headers => \@given), body('hello'));
            is $response->own_names, [qw(content-type x-b x-a date server)], 'names, in order';
            is $response->header($_->[0]), $_->[1], $_->[0] for @given;
            like $response->header('date'), qr/\A$DATE\z/, 'date';
            like $response->header('server'), qr{\APAGI::Server/[0-9._]+\z}, 'server';
            is $response->body, 'hello', 'body';
        };

        subtest 'fields about the transfer are the server\'s' => sub {
            my @given    = (['Transfer-Encoding', 'gzip'], ['transfer-encoding', 'chunked']);
            my $response = response_to($t, $get, start(headers => \@given), body('x'));
            is [$response->body, $response->own_names], ['x', ['date', 'server']], 'dropped (H18)';
        };

        subtest 'empty pieces write nothing' => sub {
            my $response = response_to(
                $t, $get, start(),
                body('', more => 1), body('a', more => 1), body('', more => 1), body('')
            );
            is $response->chunks, ['a'], 'one chunk and the end';
        };

        subtest 'an empty body' => sub {
            my $response = response_to($t, $get, start(), body(''));
            is [$response->body, $response->is_truncated], ['', 0], 'without a length';
            $response = response_to($t, $get, start(headers => [['content-length', 0]]), body(''));
            is [$response->body, $response->is_truncated], ['', 0], 'with content-length 0';
            is response_to($t, $get, start(), { type => 'http.response.body' })->body, '',
                'a body event without a body';
        };

        subtest 'defaults: status 200, no headers' => sub {
            my $response =
                response_to($t, $get, { type => 'http.response.start' }, body('hello'));
            is $response->status, 200, 'status';
            is $response->body, 'hello', 'body';
            is $response->own_names, [qw(date server)], 'headers';
        };

        subtest 'bodies are binary exact' => sub {
            my $all = join '', map { chr } 0 .. 255;
            is response_to($t, $get, start(), body($all))->body, $all, 'all byte values';
            my $large = $all x 4096;
            is response_to($t, $get, start(), body($large))->body, $large, '1 MiB';
            is response_to(
                $t, $get, start(headers => [['content-length', length $large]]),
                body($large)
            )->body, $large, '1 MiB with content-length';
        };

        subtest 'a body is what its characters are, whatever their inner form' => sub {
            my $upgraded = "caf\xE9";
            utf8::upgrade($upgraded);
            is response_to($t, $get, start(), body($upgraded))->body, "caf\xE9", 'upgraded string';
            is response_to($t, $get, start(), body(42))->body, '42', 'a number';
        };

        subtest 'headers are what their characters are' => sub {
            my $upgraded = "caf\xE9";
            utf8::upgrade($upgraded);
            my $response = response_to(
                $t, $get,
                start(headers => [['x-a', $upgraded], ['x-b', 42], ['x-c', "a\tb"]]), body('')
            );
            is $response->header('x-a'), "caf\xE9", 'upgraded string';
            is $response->header('x-b'), '42', 'a number';
            is $response->header('x-c'), "a\tb", 'TAB inside a value';
        };

        subtest 'set-cookie lines stay separate and in order' => sub {
            my $response = response_to(
                $t, $get,
                start(headers => [['set-cookie', 'a=1'], ['x', 'y'], ['Set-Cookie', 'b=2']]),
                body('')
            );
            is $response->all('set-cookie'), ['a=1', 'b=2'], 'two lines';
        };

        subtest 'date and server only when the application gave none (H17)' => sub {
            for my $name ('Date', 'date') {
                my $old      = 'Thu, 01 Jan 1970 00:00:00 GMT';
                my $response = response_to($t, $get, start(headers => [[$name, $old]]), body(''));
                is $response->all('date'), [$old], "$name of the application";
            }
            my $response = response_to($t, $get, start(headers => [['SERVER', 'mine']]), body(''));
            is $response->all('server'), ['mine'], 'SERVER of the application';
        };

        subtest 'the date is now' => sub {
            my $date = response_to($t, $get, start(), body(''))->header('date');
            my @ok   = map { imf_fixdate(time + $_) } -3 .. 1;
            ok scalar(grep { $_ eq $date } @ok), "$date is within three seconds";
        };
    }
    on => $on, app => $app;
};

# Lines, phrases, chunks and versions are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $get = [GET => '/'];

        subtest 'layout: application headers as given, date, Server' => sub {
            my $response = response_to(
                $t, $get,
                start(
                    headers => [
                        ['Content-Type', 'text/plain'], ['X-b', 1], ['content-LENGTH', 5],
                        ['x-A', '']
                    ]
                ),
                body('hello')
            );
            like $response->raw, qr{
                \A HTTP/1\.1\ 200\ OK \r\n
                Content-Type:\ text/plain \r\n
                X-b:\ 1 \r\n
                content-LENGTH:\ 5 \r\n
                x-A:\ ?\r\n
                date:\ $DATE \r\n
                $SERVER \r\n
                \r\n
                hello \z
            }x, 'bytes';
        };

        subtest 'layout: without content-length the body is chunked' => sub {
            my $response = response_to(
                $t, $get,
                start(headers => [['X-A', 1]]),
                body('x' x 26, more => 1),
                body('y')
            );
            like $response->raw, qr{
                \A HTTP/1\.1\ 200\ OK \r\n
                X-A:\ 1 \r\n
                date:\ $DATE \r\n
                $SERVER \r\n
                Transfer-Encoding:\ chunked \r\n
                \r\n
                1a\r\nx{26}\r\n 1\r\ny\r\n 0\r\n\r\n \z
            }x, 'bytes: lower-case hex sizes, one chunk per event, one end';
        };

        subtest 'layout: HTTP/1.0 without content-length is delimited by the close' => sub {
            my $response = response_to(
                $t, [GET => '/', version => '1.0'],
                start(headers => [['X-A', 1]]),
                body('one', more => 1),
                body('two')
            );
            like $response->raw, qr{
                \A HTTP/1\.0\ 200\ OK \r\n
                X-A:\ 1 \r\n
                date:\ $DATE \r\n
                connection:\ close \r\n
                $SERVER \r\n
                \r\n
                onetwo \z
            }x, 'bytes';
        };

        subtest 'transfer-encoding of the application is dropped (H18)' => sub {
            my $response = response_to(
                $t, $get,
                start(headers => [['Transfer-Encoding', 'gzip'], ['transfer-encoding', 'chunked']]),
                body('x')
            );
            is $response->all('transfer-encoding'), ['chunked'], 'only that of the server';
            is $response->body, 'x', 'framed once';

            $response = response_to(
                $t, $get,
                start(headers => [['transfer-encoding', 'chunked'], ['content-length', 1]]),
                body('x')
            );
            is $response->all('transfer-encoding'), [], 'none with a content-length';
            is $response->body, 'x', 'as is';
        };

        my %phrases = (
            200 => 'OK', 201                => 'Created', 206   => 'Partial Content',
            301 => 'Moved Permanently', 303 => 'See Other', 307 => 'Temporary Redirect',
            400 => 'Bad Request', 404       => 'Not Found', 409 => 'Conflict',
            410 => 'Gone', 412 => 'Precondition Failed', 415    => 'Unsupported Media Type',
            429 => 'Too Many Requests', 451 => 'Unavailable For Legal Reasons',
            501 => 'Not Implemented', 504   => 'Gateway Timeout',
            511 => 'Network Authentication Required',
            299 => 'Unknown', 499 => 'Unknown', 599 => 'Unknown',
        );
        subtest 'reason phrases: IANA, or Unknown (H31)' => sub {
            for my $status (sort keys %phrases) {
                my $response = response_to($t, $get, start(status => $status), body(''));
                is $response->status, $status, "$status";
                is $response->reason, $phrases{$status}, "$status $phrases{$status}";
            }
        };
    }
    on => $on, app => $app;
}
protocol => 'h1';

sub imf_fixdate {
    my @t = gmtime $_[0];
    return sprintf '%s, %02d %s %04d %02d:%02d:%02d GMT', (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]],
        $t[3], (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]], $t[5] + 1900,
        @t[2, 1, 0];
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'the head is held back until the first body bytes' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            holds { $client->buffer eq '' } 'nothing on the wire after the start';
            $call->body('x', more => 1);
            is [$client->read_head->status, $client->read_data(1)], [200, 'x'], 'head and body';
            ok !$client->is_done, 'not the end';
            $call->body('');
            $call->finish;
            is $client->read_response->is_truncated, 0, 'the end';
        };

        subtest 'each piece is on the wire before the next is sent' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            for my $n (1 .. 5) {
                $call->body("piece $n", more => 1);
                is $client->read_data(7), "piece $n", "piece $n";
            }
            $call->body('end');
            $call->finish;
            is $client->read_response->chunks, [map({ "piece $_" } 1 .. 5), 'end'],
                'each by itself';
        };

        subtest 'the end is on the wire before the application returns' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('all');
            is $client->read_response->body, 'all', 'complete response';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;
