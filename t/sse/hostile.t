# Clients and applications that mean no good
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of holds settle turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $ACCEPT = "Host: x\r\nAccept: text/event-stream\r\n";
my $GET    = "GET / HTTP/1.1\r\n$ACCEPT\r\n";

{

    package Strange::Text;
    use overload '""' => sub { $_[0]{code}->() }, fallback => 1;

    package Strange::Scalar;
    sub TIESCALAR { return bless { code => $_[1] } }
    sub FETCH     { return $_[0]{code}->() }
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->subscribe('/');
            my $call   = $puppet->next_call;
            $call->send(type => 'sse.start');
            $client->read_head;
            return ($client, $call);
        };

        subtest 'fields that would forge events' => sub {
            my ($client, $call) = $open->();
            for my $end ("\n", "\r", "\r\n", "\n\n") {
                for my $field (qw(event id retry)) {
                    ok failure_of($call->send(
                        type => 'sse.send', data => 'x', $field => "1${end}data: forged"
                        )),
                        "$field is refused";
                }
            }
            my $data = "a\r\n\r\nevent: forged\rid: 1\n\ndata: b";
            $call->send(type => 'sse.send', data       => $data);
            $call->send(type => 'sse.comment', comment => "x\n\ndata: forged");
            $call->finish;
            is $client->read_response->body,
                "data: a\ndata: \ndata: event: forged\ndata: id: 1\ndata: \ndata: data: b\n\n"
                . ":x\n:\n:data: forged\n\n", 'text stays text';
        };

        subtest 'events whose fields run code' => sub {
            my ($client, $call) = $open->();
            my $text = bless { code => sub { 'spoken' } }, 'Strange::Text';
            is failure_of($call->send(type => 'sse.send', data => $text)), undef, 'an overload';
            tie my $tied, 'Strange::Scalar', sub { 'tied' };
            is failure_of($call->send(type => 'sse.send', data => $tied)), undef, 'a tie';
            my $deadly = bless { code => sub { die "no text\n" } }, 'Strange::Text';
            like failure_of($call->send(type => 'sse.send', data => $deadly)), qr/no text/,
                'one that dies';
            my $closing = bless { code => sub { $call->send(type => 'sse.close'); 'late' } },
                'Strange::Text';
            is failure_of($call->send(type => 'sse.send', data => $closing)),
                "cannot send 'sse.send' after sse.close\n", 'one that closes the stream';
            is $client->read_response->body, "data: spoken\n\ndata: tied\n\n",
                'what was sent';
            $call->finish;
        };

        subtest 'sends after everything is over' => sub {
            my ($client, $call) = $open->();
            $call->finish;
            $client->read_response;
            is failure_of($call->send(type => $_)), undef, "$_ is silent"
                for qw(sse.send sse.close sse.start x);
            is $call->event->{type}, 'sse.disconnect', 'receive says so';
        };

        subtest 'intervals that mean harm' => sub {
            my ($client, $call) = $open->();
            for my $interval (1e-300, 1e300, -1, '0 but true') {
                $call->send(type => 'sse.keepalive', interval => $interval);
            }
            for my $interval (9**9**9, -(9**9**9), -sin 9**9**9) {
                my $error = failure_of($call->send(type => 'sse.keepalive', interval => $interval));
                is $error, "sse.keepalive 'interval' must be a number\n", "$interval";
            }
            $call->send(type => 'sse.keepalive', interval => 1e-300, comment => 'often');
            $client->read_data(qr/often\n\n/);
            turn(0.02) for 1 .. 5;
            my $count = () = $client->partial->body =~ /often/g;
            cmp_ok $count, '<', 200, 'an interval near nothing is not taken at its word';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
};

# Over HTTP/1 what comes behind the request is left unread.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->write($GET);
            my $call   = $puppet->next_call;
            $call->send(type => 'sse.start');
            $client->read_until(qr/\r\n\r\n/);
            return ($client, $call);
        };

        subtest 'a client that sends and sends' => sub {
            my ($client, $call) = $open->();
            $client->write($GET x 3000);
            wait_until { !$client->unsent } 'all of it to be read';
            $call->send(type => 'sse.send', data => 'x');
            is $client->read_until(qr/\n\n\r\n/), "9\r\ndata: x\n\n\r\n", 'its stream goes on';
            my $count = $puppet->count;
            $call->finish;
            is $client->read_until_eof, "0\r\n\r\n", 'and ends';
            is $puppet->count, $count, 'nothing of it is a request';
        };

        subtest 'a client that leaves behind unread input is noticed' => sub {
            my ($client, $call) = $open->();
            $call->event;
            $client->write_all($GET x 3000);
            $client->close;
            is $call->event->{type}, 'sse.disconnect', 'soon';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
