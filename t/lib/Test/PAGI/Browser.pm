package Test::PAGI::Browser;

# Chromium, headless, on a page of the server under test. The page does the work and reports with
# requests of its own, so that nothing but HTTP is between it and the test:
#
#     Test::PAGI::Browser->need;
#     my $browser = Test::PAGI::Browser->open('http://127.0.0.1:' . $t->port . '/');
#     wait_until { $report } 'the page', 30;
#     $browser->close;
#
# It has a profile of its own, looks for nobody in the network, and is ended with all its processes.

use strict;
use warnings;

use Carp        qw(croak);
use File::Temp  qw(tempdir);
use POSIX       ();
use Test2::API  qw(context);
use Time::HiRes qw(sleep time);

my @NAMES = qw(chromium chromium-browser google-chrome);

my @FLAGS = qw(
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-dev-shm-usage --mute-audio
);

# Ends the test file, well, where there is no browser.
sub need {
    my ($class) = @_;
    return if _program();
    my $ctx = context();
    $ctx->plan(0, SKIP => 'Chromium is not installed (Debian: chromium)');
    $ctx->release;
    exit 0;
}

# Opens a page; %more: arguments => [further flags].
sub open {
    my ($class, $url, %more) = @_;
    my $program = _program() // croak 'Chromium is not installed';
    my $home    = tempdir(CLEANUP => 1);
    my $pid     = fork // croak "fork: $!";
    if (!$pid) {
        POSIX::setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        CORE::open STDOUT, '>', "$home/out";
        CORE::open STDERR, '>&', \*STDOUT;
        exec {$program} $program, @FLAGS, "--user-data-dir=$home/profile",
            @{ $more{arguments} // [] }, $url
            or POSIX::_exit(127);
    }
    return bless { pid => $pid, home => $home, owner => $$ }, $class;
}

# What it said, for a test that fails.
sub output {
    my ($self) = @_;
    CORE::open my $in, '<', "$self->{home}/out" or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Ends it and all its processes.
sub close {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill KILL => -$pid;
    my $end = time + 5;
    while (waitpid($pid, POSIX::WNOHANG()) == 0 && time < $end) { sleep 0.01 }
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    $self->close if $self->{owner} == $$;
    return;
}

sub _program {
    for my $name (@NAMES) {
        for my $path (split /:/, $ENV{PATH} // '') {
            return "$path/$name" if -x "$path/$name";
        }
    }
    return;
}

1;
