# Future's debugging tells of Futures that were lost before they were ready: none of the server's is
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

BEGIN { $ENV{PERL_FUTURE_DEBUG} = 1 }

use Test2::V0;
use Test::PAGI::Loop qw(settle);
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket);

my $puppet = Test::PAGI::Puppet->new;

# Warnings of the server's fail the test.
with_server {
    my ($t)     = @_;
    my $ws      = Test::PAGI::WebSocket->open($t);
    my $call    = accept_socket($puppet->next_call);
    my $waiting = $call->receive;
    $ws->accepted->text('one');
    is settle($waiting)->{text}, 'one', 'an event that was waited for';
    $ws->text('two');
    is $call->event->{text}, 'two', 'and one that was not';
    $ws->send_close(1000);
    is $call->event->{code}, 1000, 'the end';
    $call->finish;
}
app => $puppet->app;

done_testing;
