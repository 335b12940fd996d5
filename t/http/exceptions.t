# What an application throws, and what waits when it does
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(settle);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;

package FalseError {
    use overload bool => sub { 0 }, '""' => sub { 'false error' }, fallback => 1;
}

package DyingError {
    use overload bool => sub { die "in bool\n" }, '""' => sub { 'dying error' }
}

package main;

my %thrown = map { $_ => bless {}, $_ } qw(FalseError DyingError);

for_each_transport {
    my ($on) = @_;

    for my $class (sort keys %thrown) {
        with_server {
            my ($t) = @_;
            is $t->get('/')->status, 500, "$class: answered";
            is $t->get('/')->status, 500, "$class: and again";
            like [$t->take_warnings], [(qr/\APAGI application error(?: \(.*\))?: \w+ error/) x 2],
                'warned';
        }
        on => $on, app => http_app { die $thrown{$class} };
    }

    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        subtest 'a receive that waits is resolved when the application dies' => sub {
            my $client = $t->client->begin(GET => '/');
            my $call   = $puppet->next_call;
            $call->event;
            my $waiting = $call->receive;
            $call->fail("oops\n");
            is settle($waiting), { type => 'http.disconnect' }, 'http.disconnect';
            is $client->read_response->status, 500, 'answered';
            like [$t->take_warnings], [qr/\APAGI application error(?: \(.*\))?: oops/], 'warned';
        };

        subtest 'objects of one request are not seen by the next' => sub {
            my $client = $t->client;
            for my $round (1 .. 3) {
                $client->begin(GET => '/');
                my $call = $puppet->next_call;
                my @now  = map { ref $call->scope->{"pagi.$_"} } qw(connection transport);
                is \@now, [map { "PAGI::Server::$_" } qw(ConnectionState TransportState)],
                    "round $round: the classes";
                is [sort grep { /mine/ } keys %{ $call->scope }], [], "round $round: the keys";
                bless $call->scope->{"pagi.$_"}, 'Mine' for qw(connection transport);
                $call->scope->{mine} = 1;
                $call->reply('ok');
                undef $call;
                is $client->read_response->body, 'ok', "round $round";
            }
        };

        subtest 'half a head that came during a long request is no slow head' => sub {
            skip_all('HTTP/1 only') if $on->protocol ne 'h1';
            my $client = $t->client->write("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HT");
            my $call   = $puppet->next_call;
            my $until  = time + 2;
            Test::PAGI::Loop::wait_until { time >= $until } 'twice the timeout';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'served';
            $client->write("TP/1.1\r\nHost: x\r\n\r\n");
            $puppet->next_call->reply('two');
            is $client->read_response->body, 'two', 'and the next as well';
        };
    }
    on => $on, app => $puppet->app, timeout => 0.7;
};

done_testing;

package Mine;
