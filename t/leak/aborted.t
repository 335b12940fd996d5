# Memory, objects and descriptors after requests that were cut short
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(open_fds stays_flat test_loop turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Server;

my $ROUNDS = $ENV{PAGI_TEST_LEAK_ABORTS} || 400;

# Not written as a constant expression inside an async sub: Future::AsyncAwait 0.63 on perl 5.36
# turns those into undef when the sub resumes.
my $PIECE = 'x' x 50_000;

my @weak;
my $running  = 0;
my $runaways = 0;    # applications that went on sending to a client that had gone

# Does a bit of everything by path, and ends only when the client is gone.
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my @held = ($scope, @$scope{qw(pagi.connection pagi.transport)}, $receive, $send);
    push @weak, @held;
    weaken($_) for @weak[-5 .. -1];
    $running++;
    return act(@_)->on_ready(sub { $running-- });
};

async sub act {
    my ($scope, $receive, $send) = @_;
    my $path = $scope->{path};
    $scope->{'pagi.connection'}->on_disconnect(sub { $scope->{gone} = 1 });
    if ($path eq '/waits') {
        await $scope->{'pagi.connection'}->disconnect_future;
    }
    elsif ($path eq '/streams') {
        await $send->({ type => 'http.response.start' });
        my $sends = 0;
        while ($scope->{'pagi.connection'}->is_connected) {
            last if ++$sends > 2000 && ++$runaways;
            await $send->({ type => 'http.response.body', body => $PIECE, more => 1 });
        }
    }
    elsif ($path eq '/dies') {
        await read_body($receive);
        die "gone\n";
    }
    else {
        await read_body($receive);
    }
    return;
}

my $begin = sub {
    my @request = @_;
    return sub { $_[0]->begin(@request) }
};
my $upload = sub {
    my ($path, @length) = @_;
    return sub { $_[0]->begin(POST => $path, more => 1, @length)->body('x' x 5000) };
};
my @LENGTH = (length => 1_000_000);
my %ABORTS = (
    'while the application waits'        => $begin->(GET => '/waits'),
    'in the middle of its body'          => $upload->('/reads', @LENGTH),
    'in a body of unknown length'        => $upload->('/reads'),
    'under a streamed response'          => $begin->(GET => '/streams'),
    'and the application dies'           => $upload->('/dies', @LENGTH),
    'in the middle of its head (HTTP/1)' => sub { $_[0]->write("GET /waits HTTP/1.1\r\nHos") },
);

for_each_transport {
    my ($on) = @_;
    my $rounds = $on->protocol eq 'h1' ? $ROUNDS : $ROUNDS / 2;    # its client is slow
    for my $when (sort keys %ABORTS) {
        my $is_request = $when !~ /its head/;
        next if !$is_request && $on->protocol ne 'h1';

        for my $how (qw(close reset)) {
            subtest "clients that leave ($how) $when" => sub {
                @weak     = ();
                $runaways = 0;
                with_server {
                    my ($t) = @_;
                    my $abort = sub {
                        for my $batch (1 .. $_[0] / 20) {
                            my @clients = map { $t->client(rcvbuf => 4096) } 1 .. 20;
                            $ABORTS{$when}->($_->stop_reading) for @clients;
                            wait_until { $running == 20 } 'the requests to run' if $is_request;
                            $_->$how for @clients;
                            wait_until { $running == 0 } 'the applications to return';
                            wait_until { !$t->server->connection_count } 'the connections to go';
                        }
                        $t->take_warnings if $when =~ /dies/;
                    };
                    $abort->($rounds / 2);
                    is $runaways, 0, 'no application is left running without its client';
                    my $fds = open_fds();
                    stays_flat { $abort->($rounds) } 2500, 'resident set';
                    wait_until {
                        !grep { defined } @weak
                    }
                    'every object to be collected';
                    cmp_ok scalar @weak, '>=', $is_request ? $rounds : 0, 'they were watched';
                    wait_until { open_fds() <= $fds } 'the descriptors to be closed'
                        if defined $fds;
                }
                on => $on, app => $app;
            };
        }
    }
};

done_testing;
