package PAGI::Server::LogFile;
use strict;
use warnings;

use IO::Handle;
use Scalar::Util qw(weaken);

our $VERSION = '0.003000';

# Handle and path of what is open here
my @FILES;

sub open {
    my ($class, $path) = @_;

    my $handle = _open($path);
    $handle->autoflush(1);
    push @FILES, { handle => $handle, path => $path };
    weaken $FILES[-1]{handle};
    return $handle;
}

sub is_used {
    @FILES = grep { $_->{handle} } @FILES;
    return scalar @FILES;
}

# For those who give up root's rights later. What was somebody else's stays so, as do devices.
sub chown {
    my ($class, $uid, $gid) = @_;

    $class->give(@{$_}{qw(handle path)}, $uid, $gid) for grep { $_->{handle} } @FILES;
}

# Only what is at that very path and nowhere else: who may write the directory could have put a link
# there, to a file that is not to be his.
sub give {
    my ($class, $handle, $path, $uid, $gid) = @_;

    my @opened = stat $handle or return;
    my @there  = lstat $path  or return;
    my $is_it  = -f _ && "@opened[0, 1]" eq "@there[0, 1]";
    CORE::chown $uid, $gid, $handle if $is_it && $there[3] == 1 && $there[4] == 0;
    return;
}

# The same handles go on with new files of the same names: what was there has been moved away.
sub reopen {
    my ($class, $log) = @_;

    for my $file (grep { $_->{handle} } @FILES) {
        my $fresh = eval { _open($file->{path}) };
        if (!$fresh || !CORE::open $file->{handle}, '>>&', $fresh) {
            my $error = $@ || "$!\n";
            chomp $error;
            $log->(error => "Cannot reopen $file->{path}, the old file stays: $error");
            next;
        }
        $file->{handle}->autoflush(1);
    }
}

sub _open {
    my ($path) = @_;

    CORE::open my $handle, '>>', $path or die "$!\n";
    return $handle;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::LogFile - log files that can be opened again

=head1 SYNOPSIS

    my $handle = PAGI::Server::LogFile->open('/var/log/app/access.log');
    PAGI::Server::LogFile->reopen(sub { my ($level, $line) = @_; warn "$line\n" });

=head1 DESCRIPTION

Whoever rotates logs moves a file away and sends USR1. The handles stay the same and go on in a new
file of the old name.

=head1 CLASS METHODS

=head2 open

    my $handle = PAGI::Server::LogFile->open($path);

Opens a file to append to. The path should be absolute if the process changes its directory. Dies
with the system's text.

=head2 is_used

How many such handles there are in this process.

=head2 chown

    PAGI::Server::LogFile->chown($uid, $gid);

Gives those files that are root's to somebody, as L</give> does.

=head2 give

    PAGI::Server::LogFile->give($handle, $path, $uid, $gid);

Gives an open file to somebody if it is a regular one of root's, is what stands at that path, not behind
a symbolic link, and has no other name.

=head2 reopen

    PAGI::Server::LogFile->reopen($log);

Opens all of them again. Where that is not possible the old file stays, and C<$log> is called with
C<error> and

    Cannot reopen PATH, the old file stays: ERROR

=cut
