#!/usr/bin/env perl
use strict;
use warnings;

# The app-only ceiling: what an application costs when no server is around it. The coderef is
# called in a loop with a scope made beforehand and a $send that returns one shared done Future.
#
#   perl benches/ceiling.pl [--seconds 2] [APP.pl ...]       default: hello.pl and stream10.pl

use File::Basename qw(basename dirname);
use File::Spec;
use Future;
use Getopt::Long qw(GetOptions);
use Time::HiRes  qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

use constant BATCH => 1_000;    # calls between two looks at the clock

exit main();

sub main {
    GetOptions('seconds=f' => \(my $seconds = 2)) or return usage();
    my $apps  = File::Spec->rel2abs(dirname(__FILE__)) . '/apps';
    my @files = @ARGV ? @ARGV : ("$apps/hello.pl", "$apps/stream10.pl");
    print measure($_, load_app($_), $seconds) for @files;
    return 0;
}

sub usage {
    print STDERR "usage: ceiling.pl [--seconds N] [APP.pl ...]\n";
    return 2;
}

sub load_app {
    my ($file) = @_;
    my $app = do(File::Spec->rel2abs($file));
    die "$file: ", $@ || $! || 'no coderef', "\n" unless ref $app eq 'CODE';
    return $app;
}

sub measure {
    my ($file, $app, $seconds) = @_;
    my $scope   = scope();
    my $done    = Future->done;
    my $receive = sub { return $done };
    my $send    = sub { return $done };
    $app->($scope, $receive, $send)->get for 1 .. BATCH;    # warm, and dies if the app fails

    my $calls = 0;
    my $from  = clock_gettime(CLOCK_MONOTONIC);
    my $cpu   = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
    my $wall;
    do {
        $app->($scope, $receive, $send) for 1 .. BATCH;
        $calls += BATCH;
        $wall = clock_gettime(CLOCK_MONOTONIC) - $from;
    } while $wall < $seconds;
    $cpu = clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $cpu;

    return sprintf "%s: %d calls, %.0f calls/s, %.3f us CPU per call\n", basename($file), $calls,
        $calls / $wall, 1e6 * $cpu / $calls;
}

sub scope {
    return {
        type         => 'http',
        pagi         => { version => '0.3', spec_version => '0.3' },
        http_version => '1.1',
        method       => 'GET',
        scheme       => 'http',
        path         => '/',
        raw_path     => '/',
        query_string => '',
        root_path    => '',
        headers      => [['host', '127.0.0.1:5000']],
        client       => ['127.0.0.1', 40000],
        server       => ['127.0.0.1', 5000],
        state        => {},
        extensions   => {},
    };
}
