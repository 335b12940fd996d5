# Resident memory of connections that wait for their next request, whatever the last one was
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Process;

use constant {
    WARM_UP     => 40,
    CONNECTIONS => 300,
    MOST_KIB    => 12,    # for each
};

my $PROGRAM = <<'PERL';
    use strict; use warnings; use PAGI::Server; use Test::PAGI::App;
    $| = 1;
    my $answer = 'a' x 15_000;
    my $app    = http_app {
        my ($scope, $receive, $send) = @_;
        return read_body($receive)->then(sub { reply($send, $answer) });
    };
    my $server = PAGI::Server->new(app => $app, port => 0, access_log => undef, quiet => 1);
    my $loop   = IO::Async::Loop->new;
    $loop->add($server);
    $server->listen->get;
    print 'PORT ', $server->port, "\n";
    $loop->run;
PERL

my %REQUESTS = (
    'a large head'          => [GET  => '/', headers => [map { ["x-$_", 'x' x 2000] } 1 .. 3]],
    'a large body'          => [POST => '/', body    => 'x' x 15_000],
    'a body in many chunks' => [POST => '/', chunked => [('x' x 100) x 200]],
);

sub resident_kib {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/status" or return;
    my ($kib) = map { /^VmRSS:\s+(\d+)/ } <$fh>;
    return $kib;
}

skip_all 'no /proc here' if !resident_kib($$);

for my $what (sort keys %REQUESTS) {
    subtest "after $what and a large answer" => sub {
        my $process = Test::PAGI::Process->start(code => $PROGRAM);
        my $port    = $process->wait_for(out => qr/^PORT (\d+)/m);
        my $hold    = sub {
            my @held = map { Test::PAGI::Client->connect_tcp(port => $port) } 1 .. $_[0];
            is scalar(grep { $_->request(@{ $REQUESTS{$what} })->status != 200 } @held), 0,
                'answered';
            return @held;
        };
        my @warm   = $hold->(WARM_UP);
        my $before = resident_kib($process->pid);
        my @held   = $hold->(CONNECTIONS);
        my $each   = (resident_kib($process->pid) - $before) / CONNECTIONS;
        cmp_ok $each, '<=', MOST_KIB, 'KiB for each connection';
        note "$each KiB";
        $process->signal('KILL')->wait_exit;
    };
}

done_testing;
