package PAGI::Server::Runner::Daemon;
use strict;
use warnings;

use Errno ();
use File::Spec;
use PAGI::Server::LogFile;
use POSIX ();

our $VERSION = '0.003000';

use constant UMASK => 0022;

# The command in front waits at the other end of this pipe.
my $in_front;

sub detach {
    my ($class) = @_;

    pipe my $word, $in_front or die "Cannot create a pipe: $!";
    _leave_parent($word);
    defined POSIX::setsid() or die "Cannot create new session: $!";
    _leave_parent();    # the leader of a session could get a terminal again
    chdir '/' or die "Cannot chdir to /: $!";
    umask UMASK;
    return $$;
}

sub settle {
    my ($class) = @_;

    my $pipe = $in_front // return;
    undef $in_front;
    _redirect_to_null();
    syswrite $pipe, 'settled';
    close $pipe;
    return;
}

sub write_pid {
    my ($class, $file, @owner) = @_;

    my $path = File::Spec->rel2abs($file);
    my $fh   = _open_anew($path) or die "Cannot write PID file $file: $!\n";
    PAGI::Server::LogFile->give($fh, $path, @owner) if @owner;
    print {$fh} "$$\n" and close $fh or die "Cannot write PID file $file: $!\n";
    return $path;
}

# Where somebody else's file cannot be changed it can perhaps be replaced.
sub _open_anew {
    my ($path) = @_;

    my $fh;
    return $fh if open $fh, '>', $path;
    return $fh if $!{EACCES} && unlink($path) && open $fh, '>', $path;
    return;
}

sub remove_pid {
    my ($class, $path) = @_;

    open my $fh, '<', $path or return 0;
    my $pid = readline $fh;
    return 0 unless defined $pid && $pid =~ /\A\Q$$\E\s*\z/;
    return unlink($path) || truncate $path, 0;
}

sub drop_privileges {
    my ($class, $user, $group) = @_;

    die "Must run as root to use --user/--group\n" if $> != 0;
    my ($uid, $gid) = $class->ids($user, $group);
    $class->_become_group($gid, $user, $group);
    $class->_become_user($uid, $user) if defined $uid;
    return $class;
}

sub ids {
    my ($class, $user, $group) = @_;

    my ($uid, $gid);
    if (defined $user) {
        ($uid, $gid) = (getpwnam $user)[2, 3];
        die "Unknown user: $user\n" unless defined $uid;
    }
    if (defined $group) {
        $gid = getgrnam $group;
        die "Unknown group: $group\n" unless defined $gid;
    }
    return ($uid, $gid);
}

# What initgroups(3) does: root's supplementary groups go, the user's own come
sub _become_group {
    my ($class, $gid, $user, $group) = @_;

    my %wanted = map { $_ => 1 } $gid, defined $user ? _groups_of($user) : ();
    local $! = 0;
    $) = join ' ', $gid, keys %wanted;    # sets them all
    POSIX::setgid($gid);
    my %have = map  { $_ => 1 } split ' ', "$( $)";
    my @left = grep { !$wanted{$_} } keys %have;
    die 'Cannot change to group ' . ($group // $gid) . ": $!\n" if @left || !$have{$gid};
}

sub _groups_of {
    my ($user) = @_;

    my @gids;
    while (my ($name, undef, $gid, $members) = getgrent) {
        push @gids, $gid if grep { $_ eq $user } split ' ', $members;
    }
    endgrent;
    return @gids;
}

sub _become_user {
    my ($class, $uid, $user) = @_;

    local $! = 0;
    POSIX::setuid($uid);
    die "Cannot change to user $user: $!\n" if $< != $uid || $> != $uid;
}

sub _leave_parent {
    my ($word) = @_;

    my $pid = fork // die "Cannot fork: $!";
    return if $pid == 0;
    $_->flush for *STDOUT{IO}, *STDERR{IO};
    return POSIX::_exit(0) if !$word;
    close $in_front;
    my $count;
    do { $count = sysread $word, my $said, 1 } while !defined $count && $!{EINTR};
    POSIX::_exit($count ? 0 : 1);
}

sub _redirect_to_null {
    my $null = File::Spec->devnull;
    open STDIN, '<', $null  or die "Cannot redirect STDIN: $!";
    open STDOUT, '>', $null or die "Cannot redirect STDOUT: $!";
    open STDERR, '>', $null or die "Cannot redirect STDERR: $!";
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Daemon - a process in the background, its pid file and its privileges

=head1 SYNOPSIS

    PAGI::Server::Runner::Daemon->detach;
    my $path = PAGI::Server::Runner::Daemon->write_pid('/run/pagi.pid');
    PAGI::Server::Runner::Daemon->drop_privileges('www-data');
    PAGI::Server::Runner::Daemon->settle;
    ...
    PAGI::Server::Runner::Daemon->remove_pid($path);

=head1 DESCRIPTION

What L<PAGI::Server::Runner> does to its process before the server runs. All of it must happen
before the server listens, because a process with threads must not fork.

=head1 METHODS

All are class methods.

=head2 detach

    my $pid = PAGI::Server::Runner::Daemon->detach;

Goes on in a grandchild of the calling process, in a session without a terminal, in the directory
C</> and with umask 022. The calling process never returns: it waits for L</settle> and exits with
status 0 then, or with 1 where the grandchild ends before (C<END> blocks do not run in it). Relative
paths mean something else afterwards.

Dies with C<Cannot create a pipe: ERROR>, C<Cannot fork: ERROR>, C<Cannot create new session: ERROR>
or C<Cannot chdir to /: ERROR>.

=head2 settle

    PAGI::Server::Runner::Daemon->settle;

Lets the command go that was L<detached|/detach> from, and turns the three standard handles to
F</dev/null>: until then what fails is said where the command was given. Each process that was forked
meanwhile has to do it for itself; the first one lets the command go. Does nothing in a process
that was not detached.

Dies with C<Cannot redirect STDIN: ERROR>, C<Cannot redirect STDOUT: ERROR> or
C<Cannot redirect STDERR: ERROR>.

=head2 write_pid

    my $path = PAGI::Server::Runner::Daemon->write_pid($file, $uid, $gid);

Writes the number of this process and a newline, over what was there, and returns the absolute path
for L</remove_pid>. The file is given to the user and the group, if they are given (-1: as it is). Dies with C<Cannot write PID file FILE: ERROR> and a newline.

=head2 remove_pid

    my $bool = PAGI::Server::Runner::Daemon->remove_pid($path);

Removes the file if it names this very process, and says whether it did. Where the directory does not
allow that the file is left empty. Neither a forked worker
nor a predecessor removes the file of the process that serves.

=head2 ids

    my ($uid, $gid) = PAGI::Server::Runner::Daemon->ids($user, $group);

The numbers of a user and a group; the group's default is the user's, and what is not given has
none. Dies with C<Unknown user: USER> or C<Unknown group: GROUP>.

=head2 drop_privileges

    PAGI::Server::Runner::Daemon->drop_privileges($user, $group);

Becomes the user, the group or both, given by name; either may be C<undef>. Without a group it is
the user's primary one. The supplementary groups of the caller are dropped; those that the group
database gives the user remain. There is no way back.

Dies with C<Must run as root to use --user/--group>, C<Unknown user: USER>, C<Unknown group: GROUP>,
C<Cannot change to user USER: ERROR> or C<Cannot change to group GROUP: ERROR> and a newline.

=head1 SEE ALSO

L<PAGI::Server::Runner>

=cut
