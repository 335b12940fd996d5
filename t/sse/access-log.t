# The line of an event stream in the access log: at its end, with why it ended (%R).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    open my $log, '>', \my $lines or die $!;
    my $line_of = sub {
        my ($t, $end) = @_;
        $lines = '';
        seek $log, 0, 0;
        my $client = $t->client->subscribe('/events');
        my $call   = $puppet->next_call;
        $call->event;
        $call->send(type => 'sse.start');
        $client->read_head;
        is $lines, '', 'no line before the end';
        $end->($client, $call);
        $call->finish;
        wait_until { $lines =~ /\n/ } 'the line';
        $t->take_warnings;
        return $lines;
    };

    with_server {
        my ($t)     = @_;
        my $leaves  = sub { $_[0]->close; $_[1]->event };
        my $is_idle = sub { $_[1]->event };
        is $line_of->($t, sub { }), "/events 200 -\n", 'the application returns';
        is $line_of->($t, $leaves), "/events 200 client_closed\n", 'the client leaves';
        is $line_of->($t, $is_idle), "/events 200 idle_timeout\n", 'it is idle';
    }
    on                    => $on,
        app               => $puppet->app,
        access_log        => $log,
        access_log_format => '%U %s %R',
        sse_idle_timeout  => 0.5;
};

done_testing;
