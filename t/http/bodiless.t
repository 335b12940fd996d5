# PAGI::Spec::Www, "HEAD Requests"; 204 and 304 (contract 02 section 7, H19)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my @events;
my (@completed, @ready);
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my $path = $scope->{path};
    $scope->{'pagi.connection'}->on_complete(sub { push @completed, $path });
    @ready = map { $send->($_)->is_done ? 1 : 0 } @events;
    return Future->done;
};

sub start { return { type => 'http.response.start', status => 200, @_ } }
sub body  { my $body = shift; return { type => 'http.response.body', body => $body, @_ } }

# The response to these events, and proof that not one byte follows it: the next response on the
# same connection is in place.
sub response_to {
    my ($t, $method, @send) = @_;
    @events    = @send;
    @completed = ();
    my $client = $t->client;
    $client->begin($method => '/first')->begin(HEAD => '/second');
    my $response = $client->read_response;
    my $second   = $client->read_response;
    is $response->body, '', 'no body on the wire';
    is $second->status, $response->status, 'the next response follows directly';
    wait_until { @completed == 2 } 'both requests to complete';
    is [sort @completed], ['/first', '/second'], 'both requests completed';
    is \@ready, [(1) x @send], 'every send was done at once';
    $client->close;
    return $response;
}

my @LENGTH = (headers => [['Content-Length', 5]]);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        subtest 'HEAD: content-length passes, the body does not' => sub {
            my $response = response_to($t, HEAD => start(@LENGTH), body('hello'));
            is $response->status, 200, 'status';
            is $response->all('content-length'), [5], 'as given';
            is $response->all('transfer-encoding'), [], 'not chunked';
        };

        subtest 'HEAD: without content-length there is no framing header' => sub {
            my $response = response_to($t, HEAD => start(), body('one', more => 1), body('two'));
            is [map { lc } @{ $response->names }], ['date', 'server'], 'headers';
        };

        subtest 'HEAD: the same headers as GET' => sub {
            my @send = (start(headers => [['X-A', 1], ['Content-Length', 5]]), body('hello'));
            my $head = response_to($t, HEAD => @send);
            my $get  = $t->get('/');
            is $head->names, $get->names, 'names in order';
            is $get->body, 'hello', 'GET has the body';
        };

        subtest 'HEAD: a short body under a content-length is no mismatch' => sub {
            response_to($t, HEAD => start(@LENGTH), body(''));
        };

        for my $status (204, 304) {
            subtest "$status: no body, no transfer-encoding" => sub {
                my $response = response_to($t, GET => start(status => $status), body(''));
                is $response->status, $status, 'status';
                is $response->all('transfer-encoding'), [], 'not chunked';
            };

            subtest "$status: body bytes of the application are swallowed" => sub {
                my $response = response_to(
                    $t, GET => start(status => $status), body('x', more => 1),
                    body('y')
                );
                is $response->all('transfer-encoding'), [], 'not chunked';
            };
        }

        # Unlike 204, a 205 says by its length that nothing follows.
        for my $case (['alone'], ['a length', @LENGTH], ['trailers', trailers => 1]) {
            my ($name, @start) = @$case;
            subtest "205, with $name: no content, content-length 0 (RFC 9110 15.3.6)" => sub {
                my @trailers = { type => 'http.response.trailers', headers => [['x', 'y']] };
                my @send     = (start(status => 205, @start), body('hello'));
                my $response = response_to($t, GET => @send, $name eq 'trailers' ? @trailers : ());
                is $response->status, 205, 'status';
                is $response->all('content-length'), [0], 'the length';
                is $response->all('transfer-encoding'), [], 'not chunked';
            };
        }

        subtest '204: no content-length (RFC 9110 8.6)' => sub {
            my @headers  = (headers => [['content-length', 0], ['x-a', 1]]);
            my $response = response_to($t, GET => start(status => 204, @headers), body(''));
            is $response->all('content-length'), [], 'dropped';
            is $response->all('x-a'), [1], 'others stay';
        };
    }
    on => $on, app => $app;

};

# A version that only HTTP/1 has.
for_each_transport {
    my ($on) = @_;

    subtest 'HEAD over HTTP/1.0' => sub {
        with_server {
            my ($t) = @_;
            @events = (start(), body('hello'));
            my $response = $t->request(HEAD => '/', version => '1.0');
            is $response->version, '1.0', 'version';
            is $response->raw_body, '', 'no body';
            is $response->all('transfer-encoding'), [], 'not chunked';
        }
        on => $on, app => $app;
    };
}
protocol => 'h1';

done_testing;
