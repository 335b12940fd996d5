package PAGI::Server::Notify;
use strict;
use warnings;

use Scalar::Util qw(weaken);
use Socket       qw(PF_UNIX SOCK_DGRAM pack_sockaddr_un);
use Time::HiRes  ();

our $VERSION = '0.003000';

# Tells the service manager, if there is one (sd_notify).
sub send {
    my ($class, @lines) = @_;

    my $path = $ENV{NOTIFY_SOCKET} // return 0;
    $path =~ m{\A[/\@]} or return 0;
    $path =~ s/\A\@/\0/;
    socket my $socket, PF_UNIX, SOCK_DGRAM, 0 or return 0;
    return CORE::send($socket, join("\n", @lines) . "\n", 0, pack_sockaddr_un($path)) ? 1 : 0;
}

sub ready {
    my ($class, %args) = @_;

    return $class->send('READY=1', $args{main} ? "MAINPID=$args{main}" : ());
}

sub stopping { return $_[0]->send('STOPPING=1') }

sub reloading {
    my ($class) = @_;

    my $now = int 1e6 * Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    return $class->send('RELOADING=1', "MONOTONIC_USEC=$now");
}

# Tells it from the loop, twice as often as it asks for, that the loop turns. Returns a function
# that ends it.
sub watchdog {
    my ($class, $loop) = @_;

    my $every = ($ENV{WATCHDOG_USEC} // '') =~ /\A([0-9]+)\z/ ? $1 / 2e6 : 0;
    return sub { }
        if !$every || !defined $ENV{NOTIFY_SOCKET} || ($ENV{WATCHDOG_PID} // $$) ne $$;
    weaken $loop;
    my ($timer, $again);
    $again = sub {
        $class->send('WATCHDOG=1');
        $timer = $loop->watch_time(after => $every, code => $again) if $loop;
    };
    $again->();
    return sub {
        $loop->unwatch_time($timer) if $loop && $timer;
        undef $again;
    };
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Notify - tells the service manager how the server is

=head1 DESCRIPTION

Speaks the protocol of sd_notify(3) where C<NOTIFY_SOCKET> is set: a unit of C<Type=notify> counts as
started once the server listens, or once all workers are ready, and C<WatchdogSec> is obeyed by the
event loop of the single process or of the master. After a hot restart the new master becomes the
main process, for which the unit needs C<NotifyAccess=all>.

=head1 CLASS METHODS

=head2 send

    my $bool = PAGI::Server::Notify->send('STATUS=busy');

Sends lines. False without a service manager.

=head2 ready

    PAGI::Server::Notify->ready(main => $$);

The server serves; C<main> is the process to look after.

=head2 stopping

It is about to end.

=head2 reloading

It is about to replace its workers; C<ready> tells when that is done.

=head2 watchdog

    my $end = PAGI::Server::Notify->watchdog($loop);

Sends C<WATCHDOG=1> twice as often as the service manager wants it. Returns a function that ends it.

=cut
