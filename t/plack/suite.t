# Plack's suite for PSGI servers, through a bridge: what others expect of an HTTP server
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;

BEGIN {
    if (!eval { require Plack::Test::Suite; require LWP::UserAgent; 1 }) {
        die "Plack or LWP cannot be loaded, and script/setup installs them: $@" if $ENV{CI};
        skip_all 'Plack (libplack-perl) and LWP (libwww-perl) are not installed';
    }
}

use HTTP::Request::Common qw(GET POST);
use Plack::LWPish;
use Test::PAGI::Process;

# Of Plack 1.0050's 36 cases the bridge can express all. A case of a newer Plack that it cannot
# (PSGI's psgix.io or psgix.hijack: a PAGI application has no socket) is named here, with the
# reason.
my %CANNOT = ();

# The suite's applications, and some of our own, checked by Lint as the suite wants it. The suite
# calls main::ok when a body has been closed.
my $PROGRAM = <<'PERL';
    use strict; use warnings; use PAGI::Server; use Plack::Test::Suite; use Test::PAGI::PSGI;
    $| = 1;
    sub ok { print "CLOSED\n" }
    my $suite = Plack::Test::Suite->test_app_handler;
    my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 250_000;
    my %own = (
        '/large/array'  => sub { [200, [], [$large]] },
        '/large/handle' => sub { open my $fh, '<', \$large; [200, [], $fh] },
        '/large/writer' => sub {
            sub {
                my $writer = $_[0]->([200, ['Content-Length' => length $large]]);
                $writer->write($_) for $large =~ /.{1,60000}/gs;
                $writer->close;
            }
        },
        '/later' => sub {
            sub {
                my $respond = shift;
                IO::Async::Loop->new->watch_time(after => 0.05, code => sub {
                    $respond->([202, [], ['later']]);
                });
            }
        },
        '/input' => sub {
            my $env = shift;
            my ($read, $sum) = (0, 0);
            while ($env->{'psgi.input'}->read(my $piece, 8192)) {
                $read += length $piece;
                $sum = ($sum + unpack '%32C*', $piece) % 2 ** 32;
            }
            [200, [], ["$read $sum"]];
        },
    );
    my $app = Plack::Middleware::Lint->wrap(sub {
        ($own{ $_[0]{PATH_INFO} } || $suite)->($_[0]);
    });
    my $server = PAGI::Server->new(
        app => psgi_app($app), host => '127.0.0.1', port => 0, access_log => undef, quiet => 1
    );
    my $loop = IO::Async::Loop->new;
    $loop->add($server);
    $server->listen->get;
    $loop->watch_signal(TERM => sub { $server->shutdown->on_done(sub { $loop->stop })->retain });
    print 'PORT ', $server->port, "\n";
    $loop->run;
    print "END\n";
PERL

# The suite's own client, and the client of most Perl programs; both keep connections.
my %CLIENTS = (
    'Plack::LWPish'  => sub { Plack::LWPish->new(no_proxy => ['127.0.0.1'], timeout => 20) },
    'LWP::UserAgent' => sub {
        LWP::UserAgent->new(keep_alive => 1, no_proxy => ['127.0.0.1'], timeout => 20);
    },
);

local $ENV{PLACK_TEST_SCRIPT_NAME} = '';
my $large = join '', map { sprintf "%07d\n", $_ } 1 .. 250_000;

my %OWN = (
    'a large array'  => sub { ok $_[0]->(GET '/large/array')->content eq $large },
    'a large handle' => sub { ok $_[0]->(GET '/large/handle')->content eq $large },
    'a large stream' => sub {
        my $response = $_[0]->(GET '/large/writer');
        ok $response->content eq $large;
        is $response->header('Content-Length'), length $large;
    },
    'a response that comes later' => sub {
        my $response = $_[0]->(GET '/later');
        is [$response->code, $response->content], [202, 'later'];
    },
    'a large body, read in pieces' => sub {
        my $response = $_[0]->(POST '/input', Content => $large);
        is $response->content, length($large) . ' ' . unpack('%32C*', $large) % 2**32;
    },
);

for my $name (sort keys %CLIENTS) {
    subtest $name => sub {
        my $process = Test::PAGI::Process->start(code => $PROGRAM);
        my $port    = $process->wait_for(out => qr/^PORT (\d+)/m);
        my $agent   = $CLIENTS{$name}->();
        my $ask     = sub {
            my ($request, @case) = @_;
            my $uri = $request->uri->abs('http://127.0.0.1/');
            $uri->port($port);
            $request->uri($uri);
            $request->header('X-Plack-Test' => @case) if @case;
            return $agent->request($request);
        };
        for my $i (0 .. $#Plack::Test::Suite::TEST) {
            my ($title, $client) = @{ $Plack::Test::Suite::TEST[$i] };
            subtest $title => sub {
                skip_all $CANNOT{$title} if $CANNOT{$title};
                $client->(sub { $ask->($_[0], $i) });
            };
        }
        subtest $_ => sub { $OWN{$_}->($ask) }
            for sort keys %OWN;

        $process->signal('TERM');
        is $process->wait_exit, 0, 'the server ends well';
        like $process->stdout, qr/^CLOSED\n.*END\n\z/ms, 'the body that has a close was closed';
        my @said = split /\n/, $process->stderr;
        is scalar(@said), 1, 'one warning' or diag $process->stderr;
        like $said[0], qr/Throwing an exception from app handler/, 'about the case that dies';
    };
}

cmp_ok scalar(@Plack::Test::Suite::TEST), '>=', 36, 'all cases of the suite were there';

done_testing;
