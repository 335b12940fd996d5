# What the operator sees of WebSockets: access log, validation, subprotocols nobody asked for
# (contract 03 sections 7 and 9, 09 section 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Loop qw(failure_of wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket);

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);

    # A handshake of HTTP/2 is a CONNECT, answered 200 (RFC 8441 5).
    my ($method, $accepted) = $on->protocol eq 'h1' ? ('GET', 101) : ('CONNECT', 200);

    my $file = File::Temp->new;
    open my $log, '>', $file->filename or die $!;
    my $line = sub {
        my @lines;
        wait_until {
            open my $in, '<', $file->filename or die $!;
            @lines = <$in>;
        }
        'a line of the log';
        truncate $file->filename, 0;
        seek $log, 0, 0;
        is scalar(@lines), 1, 'one line';
        return $lines[0];
    };

    with_server {
        my ($t) = @_;

        subtest 'the access log' => sub {
            $ws   = Test::PAGI::WebSocket->open($t, path => '/ws');
            $call = accept_socket($puppet->next_call);
            $call->send(type => 'websocket.send', text => 'hello');
            $ws->message;
            ok !-s $file->filename, 'nothing before the application returns';
            $call->finish;
            is $line->(), "$method /ws $accepted 0\n", "then status $accepted, no bytes";

            my %denial = (
                403 => sub { $call->send(type => 'websocket.close') },
                401 => sub {
                    $call->send(type => 'websocket.http.response.start', status => 401);
                    $call->send(type => 'websocket.http.response.body', body    => 'no');
                },
                500 => sub { },
            );
            for my $status (sort keys %denial) {
                my $client = Test::PAGI::WebSocket->open($t, path => '/ws')->client;
                $call = $puppet->next_call;
                $denial{$status}->();
                $call->finish;
                is $client->read_response->status, $status, "status $status";
                is $line->(), "$method /ws $status 0\n", 'is logged';
            }
            $t->take_warnings;

            my $old = Test::PAGI::WebSocket->open($t, fields => { 'Sec-WebSocket-Version' => 1 });
            $old->client->read_response;
            like $line->(), qr{\A$method / 426 }, 'and so is a handshake that failed';
        };
    }
    on => $on, app => $puppet->app, access_log => $log, access_log_format => '%m %U %s %B';

    with_server {
        my ($t) = @_;

        subtest 'validate_events' => sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = $puppet->next_call;
            $call->event;
            my $refused = sub {
                my ($event, $text) = @_;
                like failure_of($call->send(%$event)), qr/\A\Q$text\E at /, $text;
            };
            $refused->(
                { type => 'websocket.accept', headers => {} },
                q{websocket.accept 'headers' must be an array reference}
            );
            $refused->(
                { type => 'websocket.http.response.start' },
                q{websocket.http.response.start requires 'status' field}
            );
            $call->send(type => 'websocket.accept');
            $refused->(
                { type => 'websocket.send' },
                'websocket.send requires exactly one of bytes/text (got 0)'
            );
            $refused->(
                { type => 'websocket.send', text => 'a', bytes => 'b' },
                'websocket.send requires exactly one of bytes/text (got 2)'
            );
            $refused->(
                { type => 'websocket.close', code => 'x' },
                q{websocket.close 'code' must be an integer}
            );
            $refused->(
                { type => 'websocket.keepalive' },
                q{websocket.keepalive requires 'interval' field}
            );
            $refused->(
                { type => 'websocket.keepalive', interval => 'x' },
                q{websocket.keepalive 'interval' must be a number}
            );
            $ws->accepted->send_close(1000);
            $call->event;
            is failure_of($call->send(type => 'websocket.send')), undef, 'not after the end';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, validate_events => 1;

    with_server {
        my ($t) = @_;

        subtest 'a subprotocol that was not offered' => sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = accept_socket($puppet->next_call, subprotocol => 'mine');
            $ws->accepted;
            like [$t->wait_warning(qr/offered/)],
                [qr/\AWebSocket subprotocol 'mine' was not offered by the client$/m],
                'is warned of';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, quiet => 0, log_level => 'warn';

    with_server {
        my ($t) = @_;

        subtest 'a key without a value is none' => sub {
            $ws   = Test::PAGI::WebSocket->open($t);
            $call = accept_socket($puppet->next_call);
            $ws->accepted;
            $call->send(type => 'websocket.send', text => 'x', bytes => undef);
            is $ws->message, 'x', 'where the other is given';
            like failure_of($call->send(type => 'websocket.send', text => undef)),
                qr{\Awebsocket\.send requires exactly one of bytes/text \(got 0\) at }, 'refused';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app, validate_events => 1;
};

done_testing;
