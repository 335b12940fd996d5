# A handler may turn the loop (Future->get): the loop within still hears of all news
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(test_loop);
use Test::PAGI::Server;

my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my ($body, $event) = ('');
    do { $event = $receive->()->get; $body .= $event->{body} // '' } while $event->{more};
    return reply($send, $body);
};

with_server {
    my ($t) = @_;
    for my $round (1 .. 30) {
        my @clients = map { $t->client } 1 .. 4;
        for my $n (0 .. 3) {
            my $client = $clients[$n];
            $client->write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");

            # From the loop, which by then is turned from inside the handlers.
            test_loop()
                ->watch_time(after => 0.002 * (4 - $n), code => sub { $client->write('def') });
        }
        my @bodies = map { $_->read_response->body } @clients;
        is \@bodies, [('abcdef') x 4], "round $round" or last;
        $_->close for @clients;
    }
}
app => $app;

done_testing;
