package Test::PAGI::Lifespan;

# What the tests of the lifespan protocol have in common.

use strict;
use warnings;

use Exporter qw(import);
use Future::AsyncAwait;
use IO::Socket::INET;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Server;

our @EXPORT = qw(lifespan_app serve_lifespan listen_result free_port can_connect);

# An application that answers 'served' and leaves lifespan scopes to the coderef.
sub lifespan_app {
    my ($lifespan) = @_;
    return sub {
        my ($scope, $receive, $send) = @_;
        return $lifespan->($scope, $receive, $send) if $scope->{type} eq 'lifespan';
        return reply($send, 'served');
    };
}

# The whole protocol as a good application keeps it; returns the events.
async sub serve_lifespan {
    my ($receive, $send) = @_;
    my @events = await $receive->();
    await $send->({ type => 'lifespan.startup.complete' });
    push @events, await $receive->();
    await $send->({ type => 'lifespan.shutdown.complete' });
    return @events;
}

# What became of a listen that is to fail: { failure, warnings, running }.
sub listen_result {
    my (%options) = @_;
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, $_[0] };
    my $t         = Test::PAGI::Server->new(%options);
    my $listening = $t->build->listen;
    wait_until { $listening->is_ready } 'listen to end';
    my $running = $t->server->is_running;
    my $failure = $listening->failure;
    $t->stop;
    return { failure => $failure, warnings => \@warnings, running => $running };
}

# A port nobody listens on (now).
sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1)
        or die "cannot listen: $!";
    return $socket->sockport;
}

sub can_connect {
    my ($port) = @_;
    return !!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
}

1;
