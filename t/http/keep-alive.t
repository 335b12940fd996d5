# One connection, several requests (contract 02 section 7; RFC 9112 9.3)
# HTTP/1 alone: Connection, versions, and requests behind one another on one connection.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

# Answers with its path; /chunked without a content-length, /closing with connection: close,
# /read... after it read the body.
my @paths;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my $path = $scope->{path};
    push @paths, $path;
    return chunked($send, $path)                                        if $path eq '/chunked';
    return reply($send, $path, headers => [['Connection', 'close']])    if $path eq '/closing';
    return reply($send, $path, headers => [['connection', 'x, CLOSE']]) if $path eq '/closing-list';
    return read_body($receive)->then(sub { reply($send, $path) })       if $path =~ /read/;
    return reply($send, $path);
};

sub chunked {
    my ($send, $body) = @_;
    $send->({ type => 'http.response.start', status => 200 });
    return $send->({ type => 'http.response.body', body => $body });
}

sub stays_open {
    my ($client) = @_;
    is $client->get('/again')->body, '/again', 'the next request is served';
    $client->close;
    return;
}

sub closes {
    my ($client) = @_;
    is $client->read_until_eof, '', 'the connection closes';
    is $client->error, undef, 'without a reset';
    $client->close;
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'HTTP/1.1 keeps the connection, and says nothing about it' => sub {
            my $client   = $t->client;
            my $response = $client->get('/a');
            is $response->all('connection'), [], 'no Connection header';
            is $client->get("/$_")->body, "/$_", "request $_" for 1 .. 50;
            is $client->get('/chunked')->body, '/chunked', 'after a chunked response too';
            stays_open($client);
        };

        for my $value ('close', 'Close', 'keep-alive, close', 'foo,close') {
            subtest "HTTP/1.1 with Connection: $value closes" => sub {
                my $client = $t->client;
                is $client->get('/a', headers => [[Connection => $value]])->body, '/a', 'served';
                closes($client);
            };
        }

        subtest 'HTTP/1.1 with close in a second Connection line closes' => sub {
            my $client = $t->client;
            $client->get('/a', headers => [[Connection => 'x'], [Connection => 'close']]);
            closes($client);
        };

        subtest 'HTTP/1.1 with a Connection token that merely contains close stays' => sub {
            my $client = $t->client;
            $client->get('/a', headers => [[Connection => 'disclose']]);
            stays_open($client);
        };

        subtest 'HTTP/1.0 closes' => sub {
            my $client   = $t->client;
            my $response = $client->get('/a', version => '1.0');
            is $response->body, '/a', 'served';
            closes($client);
        };

        subtest 'HTTP/1.0 keep-alive with content-length stays' => sub {
            my $client = $t->client;
            my @how    = (version => '1.0', headers => [[Connection => 'Keep-Alive']]);
            for my $n (1 .. 3) {
                my $response = $client->get("/$n", @how);
                is $response->body, "/$n", "request $n";
                is $response->all('connection'), ['keep-alive'], 'the server agrees';
            }
            $client->close;
        };

        subtest 'HTTP/1.0 keep-alive without content-length closes (H20)' => sub {
            my $client   = $t->client;
            my @how      = (version => '1.0', headers => [[Connection => 'keep-alive']]);
            my $response = $client->get('/chunked', @how);
            is $response->framing, 'close', 'delimited by the close';
            is $response->body, '/chunked', 'served';
            is $response->all('connection'), ['close'], 'the server says so';
            closes($client);
        };

        for my $path ('/closing', '/closing-list') {
            subtest "connection: close of the application is honoured (H18): $path" => sub {
                my $client = $t->client;
                is $client->get($path)->body, $path, 'served';
                closes($client);
            };
        }

        subtest 'pipelined requests are answered in order' => sub {
            my $client = $t->client;
            my @all    = map { "/p$_" } 1 .. 60;
            @paths = ();
            $client->write(join '', map { $client->request_bytes(GET => $_) } @all);
            is [map { $client->read_response->body } @all], \@all, 'answers';
            is \@paths, \@all, 'calls';
            stays_open($client);
        };

        subtest 'pipelined requests with bodies' => sub {
            my $client = $t->client;
            $client->write(
                join '',
                map { $client->request_bytes(POST => "/read$_", body => 'x' x $_) } 1 .. 9
            );
            is [map { $client->read_response->body } 1 .. 9], [map { "/read$_" } 1 .. 9], 'answers';
            stays_open($client);
        };

        subtest 'nothing behind a closing request is served' => sub {
            my $client = $t->client;
            @paths = ();
            $client->write(
                      $client->request_bytes(GET => '/last', headers => [[Connection => 'close']])
                    . $client->request_bytes(GET => '/ignored'));
            is $client->read_response->body, '/last', 'served';
            is $client->read_until_eof, '', 'the connection closes';
            is \@paths, ['/last'], 'one call';
        };

        subtest 'requests received before a FIN are served (H26)' => sub {
            for my $count (1, 5) {
                my $client = $t->client;
                my @all    = map { "/$_" } 1 .. $count;
                $client->write(join '', map { $client->request_bytes(GET => $_) } @all)->half_close;
                my @answers = map { $client->read_response } @all;
                is [map { $_ && $_->body } @answers], \@all, "$count in one write";
                closes($client);
            }
            my $lost = 0;
            for my $n (1 .. 50) {
                my $client = $t->client;
                $client->write($client->request_bytes(GET => '/one'))->half_close;
                $lost++ if !$client->read_response;
            }
            is $lost, 0, 'fifty times';
        };

        subtest 'a FIN between requests closes quietly' => sub {
            my $client = $t->client;
            $client->get('/a');
            $client->half_close;
            closes($client);
        };
    }
    on => $on, app => $app;
}
protocol => 'h1';

my $EVIL = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        # The application answers without reading; the body must never become a request.
        my %unread = (
            'content-length' => sub { $_[0]->request_bytes(POST => '/post', body => $EVIL) },
            'chunked' => sub { $_[0]->request_bytes(POST => '/post', chunked => [$EVIL, $EVIL]) },
        );
        for my $kind (sort keys %unread) {
            subtest "an unread $kind body is not a request (H16)" => sub {
                my $client = $t->client;
                @paths = ();
                $client->write($unread{$kind}->($client) . $client->request_bytes(GET => '/next'));
                is $client->read_response->body, '/post', 'first answer';
                my $next = $client->read_response;
                ok !defined $next || $next->body eq '/next', 'then the next answer, or the close';
                is [grep { $_ eq '/evil' } @paths], [], 'the body was not run';
                $client->close;
            };

            subtest "an unread $kind body that comes after the response (H16)" => sub {
                my $client = $t->client;
                @paths = ();
                my ($head, $body) = split /(?<=\r\n\r\n)/, $unread{$kind}->($client), 2;
                is $client->write($head)->read_response->body, '/post', 'first answer';
                $client->write($body . $client->request_bytes(GET => '/next'));
                my $next = $client->read_response;
                ok !defined $next || $next->body eq '/next', 'then the next answer, or the close';
                is [grep { $_ eq '/evil' } @paths], [], 'the body was not run';
                $client->close;
            };
        }

        subtest 'a large unread body does not hold the server' => sub {
            my $client = $t->client;
            $client->write($client->request_bytes(POST => '/post', body => 'x' x 9_000_000));
            is $client->read_response->body, '/post', 'answered';
            is $t->get('/other')->body, '/other', 'others are served';
            $client->close;
        };
    }
    on => $on, app => $app;

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'pipelined requests run one at a time' => sub {
            my $client = $t->client;
            $client->write(join '', map { $client->request_bytes(GET => "/$_") } 1 .. 3);
            for my $n (1 .. 3) {
                my $call = $puppet->next_call;
                is $call->scope->{path}, "/$n", "request $n";
                holds { $puppet->count == $n } 'the next is not started', 0.1;
                $call->start;
                $call->body('a', more => 1);
                holds { $puppet->count == $n } 'not while the response is written either', 0.1;
                $call->body('b');
                $call->finish;
                is $client->read_response->body, 'ab', "answer $n";
            }
        };

        subtest 'a closing response does not cut a large body' => sub {
            my $client = $t->client;
            $client->write(
                $client->request_bytes(GET => '/', headers => [[Connection => 'close']]));
            my $call = $puppet->next_call;
            my $body = join '', map { pack 'N', $_ } 1 .. 500_000;
            $call->reply($body);
            my $response = $client->read_response;
            ok $response->body eq $body, 'all 2 MB';
            is $client->read_until_eof, '', 'then the close';
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
