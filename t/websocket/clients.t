# Other people's clients: the Python libraries websockets and wsproto. script/setup installs them
# below .work/python.
# HTTP/1 alone: these libraries speak no other.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Matrix;
use Test::PAGI::Process;
use Test::PAGI::Server;
use Test::PAGI::Sockets qw(sockets_app);
use Test::PAGI::Tree    qw(root);

my $LIBRARY = root() . '/.work/python';

sub has_library {
    my ($name) = @_;
    return -d "$LIBRARY/$name"
        && !system "PYTHONPATH=$LIBRARY python3 -c 'import $name' 2>/dev/null";
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $name (qw(websockets wsproto)) {
            subtest $name => sub {
                skip_all "the Python library $name is not there" unless has_library($name);
                local $ENV{PYTHONPATH} = $LIBRARY;
                my $script = root() . "/t/lib/clients/with_$name.py";
                my $client = Test::PAGI::Process->start(command => ['python3', $script, $t->port]);
                my $status = $client->wait_exit(60);
                is $status, 0, 'the client ends well' or diag $client->stderr;
                for my $line (split /\n/, $client->stdout) {
                    my ($ok, $what) = $line =~ /\A(not )?ok (.*)/;
                    ok !$ok, $what;
                }
            };
        }
    }
    on => $on, app => sockets_app(sub { die "not for clients\n" }), max_ws_frame_size => 1_000_000;
}
protocol => 'h1', carrier => 'tcp', accepts => 1;

done_testing;
