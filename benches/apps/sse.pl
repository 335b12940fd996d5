use strict;
use warnings;
use Future;
use Future::AsyncAwait;
use IO::Async::Loop;
use Time::HiRes qw(time);

# Events for all subscribers of a path: /s/flood without a pause, /s/paced ten in a second, /s/idle
# none. The data begin with the time in microseconds.
my $loop = IO::Async::Loop->new;
my %sends;
my %publisher;

async sub publish {
    my ($path, $pause) = @_;
    while (%{ $sends{$path} }) {
        if ($pause) { await $loop->delay_future(after => $pause) }
        else        { await $loop->later }
        my $now   = sprintf '%.0f', 1e6 * time;
        my %event = (type => 'sse.send', data => "$now " . 'x' x (199 - length $now));
        my @waiting;
        for my $send (values %{ $sends{$path} }) {
            my $sent = $send->(\%event);
            push @waiting, $sent if !$sent->is_ready;
        }
        await Future->wait_all(@waiting) if @waiting;
    }
}

async sub {
    my ($scope, $receive, $send) = @_;
    die "no lifespan\n" if $scope->{type} eq 'lifespan';
    if ($scope->{type} eq 'http') {
        await $send->({ type => 'http.response.start' });
        await $send->({ type => 'http.response.body', body => 'Hello, World!' });
        return;
    }
    my $path = $scope->{path};
    await $receive->();
    await $send->({ type => 'sse.start' });
    $sends{$path}{$send} = $send;
    if ($path ne '/s/idle' && (!$publisher{$path} || $publisher{$path}->is_ready)) {
        $publisher{$path} = publish($path, $path eq '/s/paced' ? 0.1 : 0);
    }
    await $receive->();
    delete $sends{$path}{$send};
    return;
};
