# PAGI::Spec::Www, "Application Produced No Response", "Application Left a Response Incomplete"
# (contract 02 section 9, 01 section 1.1, 09 section 4)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(settle test_loop wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

package My::Text {
    use overload '""' => sub { $_[0]{text}->() }, bool => sub { 1 }, fallback => 1;
    sub new { my ($class, $text) = @_; return bless { text => $text }, $class }
}

my $START = { type => 'http.response.start', status => 200 };

# What an application does, by path; each runs with ($scope, $receive, $send).
my %acts = (
    '/die'        => async sub { die "boom\n" },
    '/die-at'     => async sub { die 'boom' },
    '/die-sync'   => sub { die "boom\n" },
    '/die-object' => async sub { die bless({ code => 7 }, 'My::Error') },
    '/die-hash'   => async sub { die { code => 7 } },
    '/die-text'   => async sub {
        die My::Text->new(sub { "boom\n" });
    },
    '/die-dead' => async sub {
        die My::Text->new(sub { die "not now\n" });
    },
    '/die-wide'  => async sub { die "wide \x{263A}\n" },
    '/die-long'  => async sub { die 'x' x 100_000, "\n" },
    '/fail'      => sub { return Future->fail("boom\n", mine => 1, 2) },
    '/cancelled' => sub { my $future = Future->new; $future->cancel; return $future },
    '/later'     => async sub { await test_loop()->delay_future(after => 0.01); die "boom\n" },
    '/nothing'   => async sub { return },
    '/false'     => sub { return Future->done(0) },
);
my %reasons;

my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my $path = $scope->{path};
    $reasons{$path} = [];
    $scope->{'pagi.connection'}->on_disconnect(sub { push @{ $reasons{$path} }, $_[0] });
    $scope->{'pagi.connection'}->on_complete(sub { push @{ $reasons{$path} }, 'complete' });
    my $act = $acts{$path} or return reply($send, 'fine');
    return $act->(@_);
};

# The backstop: 500, the connection closes, one warning, server_error; others are not touched.
sub backstop {
    my ($t, $path, $warning) = @_;
    my $client   = $t->client;
    my $other    = $t->client;
    my $response = $client->begin(GET => $path)->read_response;
    is $response->status, 500, 'status';
    is $response->reason, 'Internal Server Error', 'phrase' if $t->on->protocol eq 'h1';
    is $response->body, $t->on->says('Internal Server Error'), 'body';
    is $response->own_names, [qw(content-type content-length date server)], 'headers';
    is $response->header('content-type'), 'text/plain', 'type';
    ok $client->ends, 'the connection closes, where that is its only request';
    wait_until { @{ $reasons{$path} } } 'the request to end';
    is $reasons{$path}, ['server_error'], 'disconnected with server_error, not completed';
    my @warnings = $t->take_warnings;
    is scalar @warnings, 1, 'one warning';
    like $warnings[0], $warning, 'its text' if $warning;
    is $other->get('/fine')->body, 'fine', 'an open connection goes on';
    is $t->get('/fine')->body, 'fine', 'a new one as well';
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $error = $on->blames('PAGI application error') . ':';

        subtest 'dies before the start: 500' => sub { backstop($t, '/die', qr/$error boom\n+\z/) };

        subtest 'dies with a place: the place is in the warning, once' => sub {
            backstop($t, '/die-at', qr/$error boom at \S+ line \d+\.\n+\z/);
        };

        subtest 'dies synchronously: 500' => sub {
            backstop($t, '/die-sync', qr/$error boom\n+\z/);
        };

        subtest 'dies with an object: 500' => sub {
            backstop($t, '/die-object', qr/$error My::Error=HASH\(0x[0-9a-f]+\)/);
        };

        subtest 'dies with an object that stringifies: one newline' =>
            sub { backstop($t, '/die-text', qr/$error boom\n\z/) };

        subtest 'dies with an object that cannot: 500' => sub {
            backstop($t, '/die-dead', qr/$error My::Text=HASH\(0x[0-9a-f]+\)\n\z/);
        };

        subtest 'dies with a hash: 500' => sub {
            backstop($t, '/die-hash', qr/$error HASH\(0x[0-9a-f]+\)/);
        };

        subtest 'dies with wide characters: 500' =>
            sub { backstop($t, '/die-wide', qr/$error wide/) };

        subtest 'dies with a long text: 500' =>
            sub { backstop($t, '/die-long', qr/$error x{1000}/) };

        subtest 'a failed Future: 500' => sub { backstop($t, '/fail', qr/$error boom\n+\z/) };

        subtest 'a cancelled Future: 500' => sub { backstop($t, '/cancelled') };

        subtest 'dies later: 500' => sub { backstop($t, '/later', qr/$error boom\n+\z/) };

        my $none = qr/${\$on->blames('PAGI application returned without starting a response')}\n\z/;
        subtest 'returns without a response: 500' => sub { backstop($t, '/nothing', $none) };

        subtest 'the value of the Future is ignored' => sub { backstop($t, '/false', $none) };
    }
    on => $on, app => $app;
};

for_each_transport {
    my ($on) = @_;
    my %results = (
        'undef' => undef, 'a string' => 'x', 'a number' => 42, 'a hash' => {}, 'a list' => [],
        'an object that is no Future' => bless({}, 'My::Thing'),
    );
    my ($result, $respond);
    my $not_future = http_app {
        my ($scope, $receive, $send) = @_;
        reply($send, 'fine') if $respond;
        return $result;
    };
    with_server {
        my ($t) = @_;
        for my $kind (sort keys %results) {
            subtest "the result is $kind, not a Future: 500" => sub {
                ($result, $respond) = ($results{$kind}, 0);
                is $t->get('/')->status, 500, 'status';
                my @warnings = $t->take_warnings;
                is scalar @warnings, 1, 'one warning';
                like $warnings[0], qr/${\$on->blames('PAGI application error')}: \S/,
                    'application error';
                my $what = ref $result ? 'got ' . ref $result : "at the application's return";
                like $warnings[0],
                    qr/Expected a blessed object reference to await,? \Q$what\E\n\z/, 'text';
            };
        }

        subtest 'not a Future after a whole response: delivered, then the close' => sub {
            ($result, $respond) = (undef, 1);
            my $client = $t->client->begin(GET => '/');
            is $client->read_response->body, 'fine', 'delivered';
            ok $client->ends, 'the connection closes, where that is its only request';
            my @warnings = $t->wait_warning(qr/Expected a blessed object reference to await/);
            like $warnings[0], qr/\APAGI application error/, 'application error';
        };
    }
    on => $on, app => $not_future;
};

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $text   = 'PAGI application error (after response started)';
    my $after  = qr/${\$on->blames($text)}: boom\n+\z/;
    with_server {
        my ($t) = @_;

        subtest 'dies after the start: the response is cut, visibly' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('part', more => 1);
            $call->fail("boom\n");
            my $response = $client->read_response;
            is $response->status, 200, 'the status that was sent';
            is $response->body, 'part', 'the part that was sent';
            ok $response->is_truncated, 'no terminator';
            is $client->buffer, '', 'and nothing else';
            is $call->connection->disconnect_reason, 'server_error', 'reason';
            like [$t->take_warnings], [$after], 'warned once';
        };

        subtest 'dies after the start, before a body: the head, no terminator' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start(status => 201);
            $call->fail("boom\n");
            my $response = $client->read_response;
            is $response->status, 201, 'the head is flushed';
            is $response->body, '', 'no body';
            ok $response->is_truncated, 'no terminator';
            like [$t->wait_warning(qr/boom/)], [$after], 'warned once';
        };

        subtest 'returns in the middle of a response: cut, visibly (H23)' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $ended  = '';
            $call->connection->on_complete(sub { $ended   .= 'complete' });
            $call->connection->on_disconnect(sub { $ended .= $_[0] });
            $call->start;
            $call->body('part', more => 1);
            $call->finish;
            my $response = $client->read_response;
            is $response->body, 'part', 'the part that was sent';
            ok $response->is_truncated, 'no terminator';
            is $ended, 'server_error', 'an abnormal end, never a completion';
            is scalar(my @warned = $t->take_warnings), 1, 'warned once';
        };

        subtest 'returns after the start alone: cut, visibly (H23)' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->finish;
            my $response = $client->read_response;
            ok !defined $response || $response->is_truncated, 'no whole response';
            wait_until { $client->is_eof } 'the close' if $on->protocol eq 'h1';
            is $call->connection->disconnect_reason, 'server_error', 'reason';
            is scalar(my @warned = $t->take_warnings), 1, 'warned once';
        };

        subtest 'dies after a whole response: delivered, warned' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->start;
            $call->body('all');
            is $client->read_response->body, 'all', 'delivered';
            $call->fail("boom\n");
            $t->wait_warning(qr/boom/);
            my $next = $t->client->begin(GET => '/');   # held: its end would be that of the request
            is $next->is_eof, 0, 'the server goes on';
            $puppet->next_call->reply('ok');
        };

        for my $how (qw(returns dies)) {
            subtest "$how without a response after the client left" => sub {
                my $client = $t->client->begin(GET => '/');
                my $call   = $puppet->next_call;
                $client->close;
                wait_until { !$call->connection->is_connected } 'the disconnect';
                $call->finish         if $how eq 'returns';
                $call->fail("boom\n") if $how eq 'dies';
                is $call->connection->disconnect_reason, 'client_closed', 'the reason stays';
                my @warnings = $t->take_warnings;
                is \@warnings, [], 'returning is no error' if $how eq 'returns';
            };
        }

        subtest 'after all this the server serves as before' => sub {
            my $client = $t->client->begin(GET => '/');
            $puppet->next_call->reply('fine');
            is $client->read_response->body, 'fine', 'served';
        };
    }
    on => $on, app => $puppet->app;
};

# Requests behind one another on one connection are HTTP/1's.
for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        subtest 'a cut response is the last of its connection' => sub {
            my $client = $t->client->begin(GET => '/')->begin(GET => '/');
            my $call   = $puppet->next_call;
            my $before = $puppet->count;
            $call->start;
            $call->body('part', more => 1);
            $call->finish;
            my $response = $client->read_response;
            is $response->raw_body, "4\r\npart\r\n", 'no terminator';
            ok $response->is_truncated, 'then the close';
            is $puppet->count, $before, 'the pipelined request behind it is not served';
            is scalar(my @warned = $t->take_warnings), 1, 'warned once';
        };
    }
    on => $on, app => $puppet->app;
}
protocol => 'h1';

done_testing;
