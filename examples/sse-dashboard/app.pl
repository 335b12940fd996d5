use strict;
use warnings;

use Future;
use Future::AsyncAwait;
use IO::Async::Loop;
use JSON::PP;

# Figures of this machine, twice a second, to every open page: one publisher, many subscribers. A
# subscriber that reads too slowly misses figures instead of getting old ones, and holds nobody up.
# Served by: pagi-server examples/sse-dashboard/app.pl

use constant PAUSE => 0.5;

my $loop = IO::Async::Loop->new;
my $json = JSON::PP->new->canonical;
my %subscriber;    # number => [$send, $transport]
my ($number, $events, $skipped) = (0, 0, 0);
my $publisher;

my $page = do {
    local $/;
    open my $in, '<:raw', __FILE__ =~ s/app\.pl\z/page.html/r or die "page.html: $!\n";
    readline $in;
};

# ---- figures ----

sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or return '';
    local $/;
    return readline($in) // '';
}

my @before = (0, 0);

sub busy {
    my @ticks = (slurp('/proc/stat') =~ /^cpu +(.*)/m ? split ' ', $1 : (0) x 8)[0 .. 7];
    my $all   = 0;
    $all += $_ for @ticks;
    my $idle = $ticks[3] + $ticks[4];
    my ($span, $rest) = ($all - $before[0], $idle - $before[1]);
    @before = ($all, $idle);
    return $span > 0 ? sprintf '%.0f', 100 * (1 - $rest / $span) : 0;
}

sub figures {
    my ($load) = slurp('/proc/loadavg')     =~ /^([\d.]+)/;
    my ($kib)  = slurp('/proc/self/status') =~ /^VmRSS:\s+(\d+)/m;
    return $json->encode({
        busy        => 0 + busy(),
        load        => 0 + ($load // 0),
        memory      => sprintf('%.1f', ($kib // 0) / 1024),
        subscribers => scalar keys %subscriber,
        events      => $events,
        skipped     => $skipped,
    });
}

# ---- one publisher ----

async sub publish {
    while (%subscriber) {
        my %event = (type => 'sse.send', event => 'figures', data => figures());
        for my $one (values %subscriber) {
            my ($send, $transport) = @$one;
            if ($transport->buffered_amount >= $transport->low_water_mark) {
                $skipped++;
                next;
            }
            $events++;
            $send->(\%event)->retain;    # not awaited: one does not wait for another
        }
        await $loop->delay_future(after => PAUSE);
    }
    return;
}

async sub subscribe {
    my ($scope, $receive, $send) = @_;

    await $receive->();
    await $send->({ type => 'sse.start' });
    await $send->({ type => 'sse.keepalive', interval => 15 });
    my $me = ++$number;
    $subscriber{$me} = [$send, $scope->{'pagi.transport'}];
    $publisher = publish() if !$publisher || $publisher->is_ready;
    await $receive->();    # until it is gone
    delete $subscriber{$me};
    return;
}

async sub plain {
    my ($prefix, $send, $status, $type, $body) = @_;

    my @headers = (['content-type', $type]);
    await $send->({ type => "${prefix}response.start", status => $status, headers => \@headers });
    await $send->({ type => "${prefix}response.body", body    => $body });
    return;
}

async sub {
    my ($scope, $receive, $send) = @_;

    die "no lifespan here\n" if $scope->{type} eq 'lifespan';
    my $is_sse = $scope->{type} eq 'sse';
    return await subscribe($scope, $receive, $send) if $is_sse && $scope->{path} eq '/figures';
    return await plain('http.', $send, 200, 'text/html; charset=utf-8', $page)
        if !$is_sse && $scope->{path} eq '/';
    return await plain($is_sse ? 'sse.http.' : 'http.', $send, 404, 'text/plain', "Try /\n");
};
