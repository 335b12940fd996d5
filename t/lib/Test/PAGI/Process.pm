package Test::PAGI::Process;

# Another process: a server that is to receive signals, exit with a status or run under another
# loop. Its output is collected here while the loop of the test turns.

use strict;
use warnings;

use Carp qw(croak);
use File::Spec;
use IO::Handle;
use POSIX            qw(WNOHANG);
use Scalar::Util     qw(weaken);
use Test::PAGI::Loop qw(test_loop wait_until);

# start(code => 'perl source', args => [...], env => {...}) or start(command => [...]).
# The code runs with this test's @INC.
sub start {
    my ($class, %args) = @_;
    my @command = $args{command} ? @{ $args{command} } : perl_command('-e', $args{code});
    my $self    = bless { out => '', err => '', open => 0 }, $class;
    pipe my $out_r, my $out_w or croak "pipe: $!";
    pipe my $err_r, my $err_w or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    _become([@command, @{ $args{args} // [] }], $out_w, $err_w, $args{env} // {}) if !$pid;
    $self->{pid} = $pid;
    $self->_watch(out => $out_r);
    $self->_watch(err => $err_r);
    return $self;
}

# This perl with this test's @INC.
sub perl_command {
    my (@rest) = @_;
    return ($^X, map({ '-I' . File::Spec->rel2abs($_) } grep { !ref } @INC), @rest);
}

sub pid    { return $_[0]{pid} }
sub stdout { return $_[0]{out} }
sub stderr { return $_[0]{err} }

# The first capture of a pattern in 'out' or 'err', waited for.
sub wait_for {
    my ($self, $stream, $pattern, $timeout) = @_;
    my @match;
    my $ok = eval {
        wait_until {
            @match = $self->{$stream} =~ $pattern;
            return @match || !$self->{open};
        }
        "$pattern on $stream", $timeout;
    };
    croak(($@ || "process ended before $pattern\n") . "out: $self->{out}\nerr: $self->{err}")
        if !$ok || !@match;
    return $match[0];
}

sub signal {
    my ($self, $name) = @_;
    kill $name, $self->{pid};
    return $self;
}

# Waits for the end and returns the wait status ($?: 0 is a clean exit).
sub wait_exit {
    my ($self, $timeout) = @_;
    wait_until { $self->has_ended && !$self->{open} } 'the process to end', $timeout;
    return $self->{status};
}

sub has_ended {
    my ($self) = @_;
    return 1 if defined $self->{status};
    return 0 if waitpid($self->{pid}, WNOHANG) != $self->{pid};
    $self->{status} = $?;
    return 1;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    return if !$self->{pid} || $self->has_ended;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

sub _become {
    my ($command, $out, $err, $env) = @_;
    alarm 0;
    open STDIN, '<', File::Spec->devnull;
    open STDOUT, '>&', $out;
    open STDERR, '>&', $err;
    for my $name (keys %$env) {
        defined $env->{$name} ? ($ENV{$name} = $env->{$name}) : delete $ENV{$name};
    }
    no warnings 'exec';
    exec { $command->[0] } @$command;
    POSIX::_exit(127);
}

sub _watch {
    my ($self, $stream, $fh) = @_;
    $fh->blocking(0);
    $self->{open}++;
    weaken(my $weak = $self);
    test_loop()->watch_io(handle => $fh, on_read_ready => sub { _read($weak, $stream, $fh) });
    return;
}

sub _read {
    my ($self, $stream, $fh) = @_;
    my $got = sysread $fh, my $bytes, 65_536;
    $self->{$stream} .= $bytes if $self && $got;
    return                     if $got || (!defined $got && $!{EAGAIN});
    test_loop()->unwatch_io(handle => $fh, on_read_ready => 1);
    $self->{open}-- if $self;
    return;
}

1;
