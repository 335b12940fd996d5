# Expect: 100-continue (contract 02 section 5, H14; RFC 9110 10.1.1)
# HTTP/1 alone: over HTTP/2 nobody is invited.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
my $HEAD     = "POST / HTTP/%s\r\nHost: x\r\nContent-Length: 3\r\nExpect: %s\r\n\r\n";

sub head {
    my (%args) = @_;
    return sprintf $HEAD, $args{version} // '1.1', $args{expect} // '100-continue';
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'the invitation comes when the application asks for the body, once' => sub {
            my $client = $t->client->write(head(expect => '100-Continue'));
            my $call   = $puppet->next_call;
            holds { $client->buffer eq '' } 'nothing before the first receive';
            my $event = $call->receive;
            is $client->read_until(qr/\r\n\r\n/), $CONTINUE, 'the invitation';
            $client->write('abc');
            wait_until { $event->is_ready } 'the body';
            is $event->get, { type => 'http.request', body => 'abc', more => 0 }, 'the body';
            $call->receive;
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'and then only the response';
            is $client->buffer, '', 'nothing else';
        };

        subtest 'an application that does not ask sends no invitation, and the connection ends' =>
            sub {
            my $client = $t->client->write(head());
            my $call   = $puppet->next_call;
            $call->reply('no');
            my $response = $client->read_response;
            is [$response->status, $response->header('connection')], [200, 'close'], 'the answer';
            is $client->read_until_eof, '', 'closed';
            };

        subtest 'no invitation where the body is there already' => sub {
            my $client = $t->client->write(head() . 'abc');
            my $call   = $puppet->next_call;
            is $call->event->{body}, 'abc', 'the body';
            $call->reply('ok');
            is $client->read_response->status, 200, 'the response is the first thing sent';
        };

        for my $case (['HTTP/1.0', version => '1.0'], ['another expectation', expect => 'tea']) {
            my ($what, @args) = @$case;
            subtest "no invitation to $what" => sub {
                my $client = $t->client->write(head(@args));
                my $call   = $puppet->next_call;
                my $event  = $call->receive;
                holds { $client->buffer eq '' } 'nothing is sent';
                $client->write('abc');
                wait_until { $event->is_ready } 'the body';
                $call->reply('ok');
                is $client->read_response->status, 200, 'served';
            };
        }
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
