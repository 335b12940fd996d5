package Bench::Process;
use strict;
use warnings;

# A server under test: started on a port of its own, awaited, and ended, by its pid, at the latest
# when the object goes.

use Bench::Probe  qw(accepts free_port page);
use Bench::Procfs qw(started_at tree);
use POSIX         ();
use Time::HiRes   qw(sleep time);

use constant {
    TRIES      => 3,       # a port that was free may be taken a moment later
    READY_TIME => 30,      # seconds until a server must answer
    STOP_TIME  => 15,      # seconds to end after SIGTERM, before SIGKILL
    TICK       => 0.02,    # seconds between two looks
};

# start(name => NAME, command => sub { my $port = shift; return @words }, log => FILE,
#       body => what a GET must return, cwd => DIR
#       [, env => {}, ready_time => SECONDS, stop_time => SECONDS, page => sub { GETs it }])
# Dies with the end of the server's log when it does not come up.
sub start {
    my ($class, %args) = @_;
    my %default = (ready_time => READY_TIME, stop_time => STOP_TIME, env => {}, page => \&page);
    my $self    = bless { %default, %args, owner => $$ }, $class;
    for my $try (1 .. TRIES) {
        $self->_spawn(free_port());
        return $self if $self->_await_ready;
        last unless $self->_tail =~ /in use/i;
    }
    die "$self->{name} did not start: ", $self->_tail, "\n";
}

sub port { $_[0]{port} }

sub cpu_seconds { Bench::Procfs::cpu_seconds($_[0]{pid}) }

# KiB, one figure for each process of the tree.
sub resident_kib {
    my ($self) = @_;
    return map { Bench::Procfs::resident_kib($_) } tree($self->{pid});
}

# SIGTERM, and SIGKILL to what is left of the tree when that does not help. Returns the wait
# status of the server (0 for a clean exit).
sub stop {
    my ($self) = @_;
    return $self->{status} if defined $self->{status};
    my %family = map { $_ => started_at($_) } tree($self->{pid});
    kill TERM => $self->{pid};
    $self->_until($self->{stop_time}, sub { $self->_ended && !_alive(\%family) });
    kill KILL => _alive(\%family);
    $self->_until($self->{stop_time}, sub { $self->_ended });
    return $self->{status} //= -1;
}

sub DESTROY {
    my ($self) = @_;
    return unless $self->{owner} == $$ && $self->{pid};
    local ($?, $@);
    $self->stop;
}

sub _spawn {
    my ($self, $port) = @_;
    my @command = $self->{command}->($port);
    @{$self}{qw(port status)} = ($port, undef);
    defined($self->{pid} = fork) or die "cannot fork: $!\n";
    $self->_become(@command) if !$self->{pid};
}

sub _become {
    my ($self, @command) = @_;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
    eval {
        chdir $self->{cwd}             or die "$self->{cwd}: $!";
        open STDIN, '<', '/dev/null'   or die "/dev/null: $!";
        open STDOUT, '>', $self->{log} or die "$self->{log}: $!";
        open STDERR, '>&', \*STDOUT    or die "stderr: $!";
        @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} };
        no warnings 'exec';
        exec { $command[0] } @command or die "cannot run $command[0]: $!";
    };
    print STDERR $@;
    POSIX::_exit(127);
}

sub _await_ready {
    my ($self) = @_;
    my $up = $self->_until($self->{ready_time}, sub { $self->_ended || accepts($self->{port}) });
    return 0 if !$up || $self->_ended;
    my $body = eval { $self->{page}->($self->{port}, $self->{ready_time}) };
    return 1 if defined $body && $body eq $self->{body};
    $self->{complaint} = $@ || "unexpected body '$body'";
    $self->stop;
    return 0;
}

sub _until {
    my ($self, $seconds, $condition) = @_;
    my $deadline = time + $seconds;
    until ($condition->()) {
        return 0 if time > $deadline;
        sleep TICK;
    }
    return 1;
}

sub _ended {
    my ($self) = @_;
    return 1 if defined $self->{status};
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
    $self->{status} = $?;
    return 1;
}

sub _alive {
    my ($family) = @_;
    return grep { (started_at($_) // '') eq ($family->{$_} // 'never') } keys %$family;
}

sub _tail {
    my ($self) = @_;
    open my $log, '<', $self->{log} or return "$self->{log}: $!";
    my @lines = <$log>;
    my $tail  = join '', @lines > 8 ? @lines[-8 .. -1] : @lines;
    $tail =~ s/\s+\z//;
    return join ' ', grep { length } $self->{complaint} // '', $tail || 'nothing in its log';
}

1;
