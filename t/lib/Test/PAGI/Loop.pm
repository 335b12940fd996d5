package Test::PAGI::Loop;

# The one event loop of a test: everything (server, client, application) is driven from here,
# by turning IO::Async's loop until something is true. Nothing in the tests sleeps.

use strict;
use warnings;

use Carp     qw(croak);
use Exporter qw(import);
use IO::Async::Loop;
use Test2::API  qw(context);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(
    DEADLINE test_loop turn wait_until holds settle failure_of resident_kb stays_flat open_fds
);

# How long a condition may take before it counts as not coming. Generous: CI machines stall.
use constant DEADLINE => $ENV{PAGI_TEST_DEADLINE} || 10;

# A server that blocks the loop cannot be caught by a deadline; the kernel ends the test then.
alarm($ENV{PAGI_TEST_WATCHDOG} // 300);

sub test_loop { return IO::Async::Loop->new }

# One round of the loop, waiting at most $seconds for something to happen.
sub turn {
    my ($seconds) = @_;
    test_loop()->loop_once($seconds // 0.005);
    return;
}

# Turns the loop until the block is true; dies (failing the subtest) when the deadline passes.
sub wait_until (&$;$) {
    my ($condition, $what, $timeout) = @_;
    my $end = time + ($timeout // DEADLINE);
    while (1) {
        my $value = $condition->();
        return $value                       if $value;
        croak "timed out waiting for $what" if time > $end;
        turn(0.02);
    }
}

# A test: the block stays true while the loop turns for $window seconds. For what must NOT happen.
sub holds (&$;$) {
    my ($condition, $name, $window) = @_;
    my $ctx = context();
    my $end = time + ($window // 0.25);
    my $ok;
    while ($ok = $condition->()) {
        last if time > $end;
        turn(0.02);
    }
    $ok ? $ctx->pass($name) : $ctx->fail($name);
    $ctx->release;
    return $ok;
}

# Turns the loop until the Future is ready and returns its result (or dies with its failure).
sub settle {
    my ($future, $what, $timeout) = @_;
    wait_until { $future->is_ready } $what // 'a future', $timeout;
    return $future->get;
}

# The message of a failed Future, undef of a done one. It must be ready: sends are refused, or
# done, at once.
sub failure_of {
    my ($future) = @_;
    croak 'this is not a Future' unless ref $future && eval { $future->isa('Future') };
    croak 'the Future is still pending'   if !$future->is_ready;
    croak 'the Future has been cancelled' if $future->is_cancelled;
    return scalar $future->failure;
}

# Resident set in KiB, or undef where /proc does not tell.
sub resident_kb {
    open my $fh, '<', '/proc/self/status' or return undef;
    my ($kb) = map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>;
    return $kb;
}

# A test: the block leaves no memory behind, but for $most KiB. A leak grows each time; an allocator,
# or a machine on which more was under way at once than before, does not.
sub stays_flat (&$$) {
    my ($run, $most, $name) = @_;
    my $ctx = context();
    my @grown;
    while (@grown < 4 && !grep { $_ < $most } @grown) {
        my $before = resident_kb() // 0;
        $run->();
        push @grown, (resident_kb() // 0) - $before;
    }
    my $is_flat = $grown[-1] < $most;
    $is_flat
        ? $ctx->pass($name)
        : $ctx->fail($name, "grew by @grown KiB, each time by $most or more");
    $ctx->release;
    return $is_flat;
}

# How many descriptors this process has open, or undef where /proc does not tell.
sub open_fds {
    opendir my $dir, '/proc/self/fd' or return undef;
    return scalar grep { !/^\./ } readdir $dir;
}

1;
