# Clients that others have written: curl, nghttp, h2load, Python's h2 with wsproto
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp ();
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(test_loop wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;
use Test::PAGI::Sockets qw(sockets_app);
use Test::PAGI::Tree    qw(root);

my $app = http_app {
    my ($scope, $receive, $send) = @_;
    return _echo($scope, $receive, $send);
};

async sub _echo {
    my ($scope, $receive, $send) = @_;
    my ($body) = await read_body($receive);
    await reply($send, "$scope->{http_version} $scope->{method} $body");
}

sub is_there {
    my ($program) = @_;
    return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

# What a program says while this loop serves it, how it ends, and what it complains of. The loop
# awaits all of its children: no other way of doing so goes with it.
sub run {
    my (@command) = @_;
    my ($status, $out, $complaint);
    test_loop()->run_child(
        command   => ['timeout', '-k', '2', '60', @command],
        on_finish => sub { (undef, $status, $out, $complaint) = @_ },
    );
    wait_until { defined $status } "the end of $command[0]", 60;
    return ($out, $status, $complaint);
}

sub said { return (run(@_))[0] }

# Installed by script/setup.
my $LIBRARY = root() . '/.work/python';

sub has_python_h2 { return -d "$LIBRARY/h2" && -d "$LIBRARY/wsproto" }

for_each_transport {
    my ($on) = @_;
    my $scheme = $on->is_secure ? 'https' : 'http';
    &with_server(
        sub {
            my ($t)  = @_;
            my $url  = "$scheme://127.0.0.1:" . $t->port . '/';
            my @curl = (qw(curl -s -k), $on->is_secure ? '--http2' : '--http2-prior-knowledge');

            subtest 'curl' => sub {
                skip_all('it is not installed') if !is_there('curl');
                is said(@curl, $url), '2 GET ', 'GET';
                my $file = File::Temp->new;
                print {$file} my $data = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;
                $file->flush;
                ok said(@curl, '--data-binary', "\@$file", $url) eq "2 POST $data", 'a large POST';
                is said(qw(curl -s -k --http1.1), $url), '1.1 GET ', 'HTTP/1.1 on the same port';
            };
            subtest 'nghttp' => sub {
                skip_all('it is not installed') if !is_there('nghttp');
                is said('nghttp', '-y', $url), '2 GET ', 'GET';
            };
            subtest 'h2load' => sub {
                skip_all('it is not installed') if !is_there('h2load');
                my $said = said(qw(h2load -n 5000 -c 10 -m 100), $url);
                like $said, qr/ 5000 succeeded, 0 failed, 0 errored, 0 timeout/, 'no request fails';
            };
            subtest q{Python's h2 and wsproto} => sub {
                my $missing = 'script/setup has not installed them';
                die "$missing\n"   if $ENV{CI} && !has_python_h2();
                skip_all($missing) if !has_python_h2();
                local $ENV{PYTHONPATH} = $LIBRARY;
                my $script = root() . '/t/lib/clients/with_h2.py';
                my ($out, $status, $complaint) = run('python3', $script, $scheme, $t->port);
                is $status, 0, 'the client ends well' or diag $complaint;
                for my $line (split /\n/, $out) {
                    my ($ok, $what) = $line =~ /\A(not )?ok (.*)/;
                    ok !$ok, $what;
                }
            };
        },
        on                => $on,
        app               => sockets_app($app),
        max_ws_frame_size => 1_000_000,
    );
}
protocol => 'h2';

done_testing;
