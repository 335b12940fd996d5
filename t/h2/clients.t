# Clients that others have written: curl, nghttp, h2load, Python's h2
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

# What a program says while this loop serves it.
sub said {
    my (@command) = @_;
    my ($out, $status) = ('');
    test_loop()->run_child(
        command   => ['timeout', '-k', '2', '60', @command],
        on_finish => sub { ($status, $out) = @_[1, 2] },
    );
    wait_until { defined $status } "the end of $command[0]", 60;
    return $out;
}

sub has_python_h2 { is_there('python3') && !system 'python3 -c "import h2" 2>/dev/null' }

my $PYTHON = <<'END';
import socket, sys, h2.connection, h2.events
c = h2.connection.H2Connection()
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
c.initiate_connection()
for i in (1, 3, 5):
    c.send_headers(i, [(':method', 'POST'), (':scheme', 'http'), (':path', '/'),
                       (':authority', 'x')])
    c.send_data(i, b'n%d' % i, end_stream=True)
s.sendall(c.data_to_send())
got, open_ = {}, {1, 3, 5}
while open_:
    for e in c.receive_data(s.recv(65536)):
        if isinstance(e, h2.events.DataReceived):
            got[e.stream_id] = got.get(e.stream_id, b'') + e.data
            c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        if isinstance(e, h2.events.StreamEnded):
            open_.discard(e.stream_id)
    s.sendall(c.data_to_send())
print(' '.join(got[i].decode() for i in (1, 3, 5)))
END

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
            subtest q{Python's h2} => sub {
                skip_all('it is not installed') if $on->is_secure || !has_python_h2();
                my $said = said('python3', '-c', $PYTHON, $t->port);
                is $said, "2 POST n1 2 POST n3 2 POST n5\n", 'three at once';
            };
        },
        on  => $on,
        app => $app
    );
}
protocol => 'h2';

done_testing;
