package PAGI::Server::Runner::Reload;
use strict;
use warnings;

use Cwd            qw(getcwd);
use File::Basename qw(dirname);
use File::Spec;
use POSIX       qw(WNOHANG);
use Time::HiRes qw(sleep time);

use PAGI::Server::Workers::Restart;

our $VERSION = '0.003000';

# How often the files are looked at, seconds
use constant LOOK => 0.5;

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
# status that the last one has exited with.
sub run {
    my ($self) = @_;

    my $last;
    local @SIG{qw(TERM INT)} = (sub { $last = $_[0] }) x 2;
    local $SIG{HUP} = sub { $self->{seen} = {} };             # as if all had changed
    my $pid = $self->_spawn;
    while (!$last) {
        sleep LOOK;
        $pid = $self->_ended if $pid && waitpid($pid, WNOHANG) == $pid;
        next                 if $last || !(my $changed = $self->_changed);
        warn "Reloading: $changed has changed\n" unless $self->{quiet};
        $self->_stop($pid, 'TERM') if $pid;
        $pid = $self->_spawn;
    }
    my $status = $pid ? $self->_stop($pid, $last) : 0;
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
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
    return $pid if $pid;
    $ENV{PAGI_RELOADER_PID} = $parent;
    PAGI::Server::Workers::Restart->become_anew;
}

sub _ended {
    my ($self) = @_;

    warn 'The server has ended ('
        . ($? & 127 ? 'signal ' . ($? & 127) : 'status ' . ($? >> 8))
        . "), waiting for a change\n";
    return;
}

sub _stop {
    my ($self, $pid, $signal) = @_;

    kill $signal => $pid;
    while (waitpid($pid, 0) != $pid) {
        return 0 if $!{ECHILD};
    }
    return $?;
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

Until TERM or INT, which the child gets, too. HUP is like a change. Returns the status that the child has exited with.
Warns

    Reloading: FILE has changed
    The server has ended (status N), waiting for a change

=cut
