# PAGI::Spec::Www, "Request Body - receive event" of SSE (contract 04 section 3)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $ACCEPT = "Host: x\r\nAccept: text/event-stream\r\n";

sub request {
    my ($body, $more) = @_;
    return { type => 'sse.request', body => $body, more => $more };
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->subscribe('/', @_);
            return ($client, $puppet->next_call);
        };
        my $end = sub {
            my ($client, $call) = @_;
            $call->send(type => 'sse.start');
            $call->finish;
            is $client->read_response->status, 200, 'answered';
        };

        subtest 'no body' => sub {
            my ($client, $call) = $open->();
            is $call->event, request('', 0), 'one empty event';
            my $later = $call->receive;
            holds { !$later->is_ready } 'then nothing', 0.1;
            $end->($client, $call);
        };

        subtest 'a body of known length' => sub {
            my ($client, $call) = $open->(method => 'POST', length => 6, more => 1);
            $client->body('abc');
            is $call->event, request('abc', 1), 'as it comes';
            $client->end_body('def');
            is $call->event, request('def', 0), 'the last piece says so';
            $end->($client, $call);
        };

        subtest 'a body of unknown length (E07)' => sub {
            my ($client, $call) = $open->(method => 'POST', more => 1);
            $client->body('abc');
            is $call->event, request('abc', 1), 'a chunk';
            $client->end_body('def');
            my ($body, $event) = ('');
            do { $event = $call->event; $body .= $event->{body} } while $event->{more};
            is $body, 'def', 'the rest';
            $end->($client, $call);
        };

        subtest 'large bodies come in pieces of 64 KiB at the most' => sub {
            my $sent = join '', map { chr(97 + $_ % 26) x 1000 } 1 .. 300;
            my ($client, $call) = $open->(method => 'POST', body => $sent);
            my ($body, $most, $event) = ('', 0);
            do {
                $event = $call->event;
                $body .= $event->{body};
                $most = length $event->{body} if length $event->{body} > $most;
            } while $event->{more};
            is $body eq $sent, 1, 'all of it';
            cmp_ok $most, '<=', 65_536, 'pieces';
            $end->($client, $call);
        };

        subtest 'events may go out while the body comes in' => sub {
            my ($client, $call) = $open->(method => 'POST', length => 4, more => 1);
            $client->body('ab');
            is $call->event, request('ab', 1), 'half';
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'half');
            is $client->read_data(qr/\n\n/), "data: half\n\n", 'an event';
            $client->end_body('cd');
            is $call->event, request('cd', 0), 'the other half';
            $call->finish;
            ok $client->ends, 'the end';
        };

        subtest 'a body beyond max_body_size before the start' => sub {
            my ($client, $call) = $open->(method => 'POST', more => 1);
            my $event = $call->receive;
            $client->end_body('x' x 400_001);
            my $seen = settle($event);
            $seen = $call->event while $seen->{type} eq 'sse.request';
            is $seen, { type => 'sse.disconnect', reason => 'body_too_large' }, 'disconnect';
            is $client->read_response->status, 413, '413';
            $call->finish;
        };

        subtest 'a body that nobody reads holds nothing up' => sub {
            my ($client, $call) = $open->(method => 'POST', body => scalar('x' x 300_000));
            $call->send(type => 'sse.start');
            $call->send(type => 'sse.send', data => 'x');
            is $client->read_data(qr/\n\n/), "data: x\n\n", 'an event';
            $call->finish;
            ok $client->ends, 'the whole stream';
        };
    }
    on => $on, app => $puppet->app, max_body_size => 400_000;
};

# Invitations and chunks are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->write($_[0]);
            return ($client, $puppet->next_call);
        };
        my $end = sub {
            my ($client, $call) = @_;
            $call->send(type => 'sse.start');
            $call->finish;
            is $client->read_response->status, 200, 'answered';
        };

        subtest '100-continue is sent when the application asks for the body' => sub {
            my ($client, $call) = $open->(
                "POST / HTTP/1.1\r\n${ACCEPT}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
            holds { $client->buffer eq '' } 'not before', 0.1;
            my $event = $call->receive;
            $client->read_until(qr{\AHTTP/1.1 100 Continue\r\n\r\n});
            $client->write('abc');
            is settle($event), request('abc', 0), 'the body';
            $end->($client, $call);
        };

        subtest 'a broken chunk after the start' => sub {
            my ($client, $call) =
                $open->("POST / HTTP/1.1\r\n${ACCEPT}Transfer-Encoding: chunked\r\n\r\n");
            $call->send(type => 'sse.start');
            $client->read_until(qr/\r\n\r\n/);
            my $event = $call->receive;
            $client->write("zz\r\n");
            is settle($event), { type => 'sse.disconnect', reason => 'protocol_error' },
                'disconnect';
            is $client->read_until_eof, '', 'the stream is broken off';
            $call->finish;
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
