use strict;
use warnings;

use Future::AsyncAwait;
use IO::Async::Loop;
use POSIX qw(strftime);

# The time, once a second, to every browser that asks. The id of an event is its number: a browser
# that was cut off tells the last one that it has, and is told how many it missed.
# Served by: pagi-server examples/sse-clock/app.pl

my $loop = IO::Async::Loop->new;

my $page = <<'HTML';
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A clock</title>
<style>
body { font: 1.2rem/1.5 sans-serif; text-align: center; margin-top: 15vh; color: #223 }
#time { font-size: 5rem; font-variant-numeric: tabular-nums }
#state { color: #789 }
</style>
<div id="time">--:--:--</div>
<div id="state">connecting</div>
<script>
const set = (id, text) => document.getElementById(id).textContent = text;
const source = new EventSource('/time');
source.onopen = () => set('state', 'connected');
source.onerror = () => set('state', 'cut off; the browser tries again by itself');
source.addEventListener('tick', e => set('time', e.data));
source.addEventListener('missed', e => set('state', `${e.data} seconds were missed`));
</script>
</html>
HTML

async sub clock {
    my ($scope, $receive, $send) = @_;

    await $receive->();    # the request, which has no body
    my ($last) = map { $_->[1] } grep { $_->[0] eq 'last-event-id' } @{ $scope->{headers} };
    my $gone = $receive->();

    await $send->({ type => 'sse.start' });
    await $send->({ type => 'sse.keepalive', interval => 15 });
    my $now = time;
    if (($last // '') =~ /\A\d{1,15}\z/ && $last < $now) {
        await $send->({ type => 'sse.send', event => 'missed', data => $now - $last });
    }
    while (!$gone->is_ready) {
        $now = time;
        await $send->({
            type  => 'sse.send',
            event => 'tick',
            id    => $now,
            data  => strftime('%H:%M:%S', localtime $now),
            retry => 2000,
        });
        await Future->wait_any($gone->without_cancel, $loop->delay_future(after => 1));
    }
    return;
}

async sub page {
    my ($scope, $receive, $send) = @_;

    my $is_there = $scope->{path} eq '/';
    await $send->({
        type    => 'http.response.start',
        status  => $is_there ? 200 : 404,
        headers => [['content-type', $is_there ? 'text/html; charset=utf-8' : 'text/plain']],
    });
    await $send->({ type => 'http.response.body', body => $is_there ? $page : "Try /\n" });
    return;
}

async sub none {
    my ($scope, $receive, $send) = @_;

    await $send->({ type => 'sse.http.response.start', status => 404 });
    await $send->({ type => 'sse.http.response.body', body    => "Try /time\n" });
    return;
}

async sub {
    my ($scope, $receive, $send) = @_;

    die "no lifespan here\n" if $scope->{type} eq 'lifespan';
    my $act = $scope->{type} ne 'sse' ? \&page : $scope->{path} eq '/time' ? \&clock : \&none;
    return await $act->($scope, $receive, $send);
};
