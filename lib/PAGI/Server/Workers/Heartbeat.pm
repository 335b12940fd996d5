package PAGI::Server::Workers::Heartbeat;
use strict;
use warnings;

use Scalar::Util qw(weaken);
use Time::HiRes  ();

our $VERSION = '0.003000';

# How long a blocked worker has to say where it is, seconds
use constant LAST_WORDS => 0.2;

sub new {
    my ($class, $workers) = @_;

    my $self = bless { workers => $workers }, $class;
    weaken $self->{workers};
    return $self;
}

sub watch {
    my ($self) = @_;

    my $limit = $self->{limit} = $self->{workers}{server}{heartbeat_timeout} or return;
    $self->{looked} = _now();
    $self->_arm;
}

sub stop {
    my ($self) = @_;

    my $timer = delete $self->{timer} or return;
    $self->{workers}{loop}->unwatch_time($timer);
}

sub _arm {
    my ($self) = @_;

    weaken(my $weak = $self);
    $self->{timer} = $self->{workers}{loop}->watch_time(
        after => $self->{limit} / 4,
        code  => sub { $weak->_look if $weak },
    );
}

# Where the master itself has slept, as long as its machine did, nobody is to blame: they get
# another round.
sub _look {
    my ($self) = @_;

    my ($limit, $now) = ($self->{limit}, _now());
    my $was_away = $now - $self->{looked} > $limit / 2;
    $self->{looked} = $now;
    for my $worker ($self->{workers}->active) {
        $worker->{seen} = $now if $was_away;
        $self->_end($worker)   if $now - $worker->{seen} > $self->_patience($worker);
    }
    $self->_arm;
}

# A start may block the worker's loop; how long it may take has an option of its own.
sub _patience {
    my ($self, $worker) = @_;

    return $self->{limit} if $worker->{ready};
    my $start = $self->{workers}{server}{lifespan_startup_timeout};
    return $start ? $start + $self->{limit} : 9**9**9;
}

sub _end {
    my ($self, $worker) = @_;

    return if $worker->{is_blocked}++;
    my ($pid, $num) = @{$worker}{qw(pid num)};
    $self->{workers}->log(warn =>
            "Worker $pid (worker $num) heartbeat timeout after $self->{limit}s, sending SIGKILL");
    kill ABRT => $pid;    # it tells where it is
    weaken(my $workers = $self->{workers});
    $workers->{loop}->watch_time(
        after => LAST_WORDS,
        code  => sub { kill KILL => $pid if $workers && $workers->{workers}{$pid} },
    );
}

sub _now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers::Heartbeat - finds workers that are blocked

=head1 DESCRIPTION

Each worker tells its master five times in C<heartbeat_timeout> that its loop turns. One that does
not is asked where it is, by ABRT, and killed.

=head1 METHODS

=head2 new

    my $heartbeat = PAGI::Server::Workers::Heartbeat->new($workers);

=head2 watch

Begins.

=head2 stop

Ends.

=cut
