package PAGI::Server::Runner::Reload;
use strict;
use warnings;

use Fcntl          qw(F_SETFD FD_CLOEXEC);
use File::Basename qw(dirname);
use File::Spec;
use IO::Async::Handle;
use POSIX       qw(WNOHANG);
use Time::HiRes qw(sleep);

use PAGI::Server::Workers::Deaths;
use PAGI::Server::Workers::Restart;

our $VERSION = '0.003000';

# How often the files are looked at, seconds
use constant LOOK => 0.5;

# Where a child is told the descriptor that is at its end when this process is
use constant LIFE => 'PAGI_RELOADER_FD';

# Signals that are for the server
my @FOR_CHILD = qw(USR1 USR2 TTIN TTOU);

# What an application is made of, and where it is not looked for
my $SOURCE = qr/\.(?:p[lm]|psgi|ya?ml|json|conf|tt2?|ep|tx|html?)\z/;
my $SKIP   = qr/\A(?:\..*|blib|local|node_modules|_build|target)\z/;

# A limit on what is looked at, for those who start in /
use constant MOST_FILES => 5000;

sub new {
    my ($class, %args) = @_;

    return bless { roots => [], quiet => 0, %args }, $class;
}

# Runs the program in a child, and again after each change; once a signal has come, returns the
# status that the last one has exited with. A terminal sends INT to the child, too, for which a second
# one would not be a polite request any more.
sub run {
    my ($self) = @_;

    my $last;
    my $pass_on = sub { kill $_[0] => $self->{pid} if $self->{pid} };
    local @SIG{qw(TERM INT)} = (sub { $last++ ? $pass_on->(@_) : () }) x 2;
    local @SIG{@FOR_CHILD}   = ($pass_on) x @FOR_CHILD;
    local $SIG{HUP}          = sub { $self->{seen} = {} };                   # as if all had changed
    pipe my $life, $self->{death} or die "Cannot create a pipe: $!\n";
    $self->{life} = $life;
    $self->_spawn;

    my $status = 0;
    while (!$last) {
        sleep LOOK;
        $self->_look_after;
        next if $last || !(my $changed = $self->_changed);
        warn "Reloading: $changed has changed\n" unless $self->{quiet};
        $status = $self->_stop;
        $self->_spawn if !$last;
    }
    $status = $self->_stop if $self->{pid};
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# The child's side: the server ends with the process that looks after it, however that has ended.
sub live_with {
    my ($class, $server) = @_;

    my $fd = delete $ENV{ +LIFE } // '';
    $fd =~ /\A[0-9]+\z/ && open my $life, '<&=', $fd or return;
    fcntl $life, F_SETFD, FD_CLOEXEC;
    $server->add_child(IO::Async::Handle->new(
        read_handle   => $life,
        on_read_ready => sub { $_[0]->want_readready(0); kill TERM => $$ },
    ));
    return;
}

# The directories where the parts of an application are.
sub roots_of {
    my ($class, $spec, @libs) = @_;

    my @roots = (@libs, -d 'lib' ? 'lib' : ());
    push @roots, dirname($spec) if defined $spec && -f $spec;
    my %seen;
    return grep { !$seen{$_}++ } map { File::Spec->rel2abs($_) } @roots;
}

sub _spawn {
    my ($self) = @_;

    $self->{seen} = $self->_look;
    my $parent = $$;
    my $pid    = fork // die "Cannot fork: $!\n";
    return $self->{pid} = $pid if $pid;
    @SIG{qw(TERM INT)}      = ('DEFAULT') x 2;
    $ENV{PAGI_RELOADER_PID} = $parent;
    $ENV{ +LIFE }           = fileno $self->{life};
    fcntl $self->{life}, F_SETFD, 0;
    PAGI::Server::Workers::Restart->become_anew;
}

sub _look_after {
    my ($self) = @_;

    my $pid = $self->{pid} // return;
    return if waitpid($pid, WNOHANG) != $pid;
    delete $self->{pid};
    warn 'The server has ended ('
        . PAGI::Server::Workers::Deaths->how($?)
        . "), waiting for a change\n";
}

# What the child has ended with
sub _stop {
    my ($self) = @_;

    my $pid = $self->{pid} // return 0;
    kill TERM => $pid;
    my $ended;
    do { $ended = waitpid $pid, 0 } while $ended != $pid && !$!{ECHILD};
    delete $self->{pid};
    return $ended == $pid ? $? : 0;
}

# The name of a file that has changed, come or gone
sub _changed {
    my ($self) = @_;

    my ($before, $now) = ($self->{seen}, $self->_look);
    my %all = (%$before, %$now);
    my ($name) = grep { ($before->{$_} // '') ne ($now->{$_} // '') } sort keys %all;
    return defined $name ? File::Spec->abs2rel($name) : undef;
}

sub _look {
    my ($self) = @_;

    my (%files, @directories);
    @directories = @{ $self->{roots} };
    while (defined(my $directory = shift @directories)) {
        last if keys %files > MOST_FILES;
        opendir my $dh, $directory or next;
        for my $name (sort readdir $dh) {
            my $path = "$directory/$name";
            my @stat = stat $path or next;
            if    (-d _)             { push @directories, $path if $name !~ $SKIP && !-l $path }
            elsif ($name =~ $SOURCE) { $files{$path} = "@stat[1, 7, 9]" }
        }
    }
    return \%files;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Reload - runs a server anew when its sources change

=head1 DESCRIPTION

What C<--reload> does, for development. This process opens the listening sockets and runs the same
command in a child, which finds them in C<PAGI_REUSE>. When a source file changes, comes or goes,
the child is asked to end and another one is started: clients wait, and none is refused. A child that
ends by itself is started again after the next change.

Looked at, twice in a second, are files with the endings C<.pl>, C<.pm>, C<.psgi>, and those of
templates and configuration, in the directory of the application's file, in those of B<-I> and in
F<lib>, but not in hidden ones, F<blib>, F<local>, F<node_modules>, F<_build> and F<target>.

=head1 METHODS

=head2 new

    my $reload = PAGI::Server::Runner::Reload->new(roots => \@directories, quiet => 0);

=head2 roots_of

    my @directories = PAGI::Server::Runner::Reload->roots_of($app_spec, @libs);

=head2 run

    my $status = $reload->run;

Until TERM or INT, upon which the child gets TERM; a second one is passed on. So are USR1, USR2, TTIN
and TTOU. HUP is like a change. Returns the status that the child has exited with. Warns

    Reloading: FILE has changed
    The server has ended (status N), waiting for a change

Dies with C<Cannot create a pipe: ERROR> or C<Cannot fork: ERROR> and a newline.

=head2 live_with

    PAGI::Server::Runner::Reload->live_with($server);

In the child: the server stops when the process that started it is gone. It finds that out by a pipe,
whose descriptor is in C<PAGI_RELOADER_FD>.

=cut
