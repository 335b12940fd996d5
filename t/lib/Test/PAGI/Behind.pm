package Test::PAGI::Behind;

# What must hold behind a proxy, whichever it is, told once:
#
#     behind_proxy('nginx');
#
# Each request has a number of its own, in its path, which the answer has in x-id and in its body:
# an answer to somebody else's request is seen.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Exporter    qw(import);
use File::Temp  qw(tempdir);
use Future;
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(open_fds resident_kb test_loop turn wait_until);
use Test::PAGI::Proxy;
use Test::PAGI::Server;

our @EXPORT = qw(behind_proxy);

use constant {
    LARGE       => 16 * 1024 * 1024,    # of bodies, and more than the buffers of all on the way
    MOST        => 20_000_000,          # max_body_size
    PATIENCE    => 30,                  # seconds for a large body on a busy machine
    CLIENTS     => 24,
    LEAK_ROUNDS => 3,
    LEAK_KIB    => 3000,
};

my $dir   = tempdir(CLEANUP => 1);
my $piece = join '', map { chr } 0 .. 255;
$piece x= 256;    # 64 KiB
my $large  = $piece x (LARGE / length $piece);
my $digest = md5_hex($large);
my $number = 0;

# --- the application ---

my %count;
my %asked;        # calls by path
my %port;         # of the proxy's connections to the server

sub _app {
    %count = (begun => 0, ended => 0, sent => 0, cut => 0);
    return http_app {
        my ($scope, $receive, $send) = @_;
        my (undef, $action, $id) = split m{/}, $scope->{path};
        my $code = __PACKAGE__->can("_do_$action") // \&_do_id;
        $count{begun}++;
        $asked{ $scope->{path} }++;
        $port{ $scope->{client}[1] }++;
        return $code->($scope, $receive, $send, $id // 0)->on_ready(sub { $count{ended}++ });
    };
}

sub _running { return $count{begun} - $count{ended} }

# A short answer, some of them later than those asked for after them
async sub _do_id {
    my ($scope, $receive, $send, $id) = @_;
    my ($body) = await read_body($receive);
    await test_loop()->delay_future(after => $id % 5 / 500) if $id % 3 == 0;
    await reply($send, "$id:" . md5_hex($body), headers => [['x-id', $id]]);
    return;
}

async sub _do_chunked {
    my ($scope, $receive, $send, $id) = @_;
    await $send->({ type => 'http.response.start', headers => [['x-id', $id]] });
    for my $part ($id, ':', md5_hex('')) {
        await $send->({ type => 'http.response.body', body => $part, more => 1 });
    }
    await $send->({ type => 'http.response.body', body => '' });
    return;
}

async sub _bodiless {
    my ($send, $status, $id) = @_;
    my @headers = (['x-id', $id], $status == 304 ? ['etag', '"x"'] : ());
    await $send->({ type => 'http.response.start', status => $status, headers => \@headers });
    await $send->({ type => 'http.response.body', body    => '' });
    return;
}

sub _do_204 { return _bodiless($_[2], 204, $_[3]) }
sub _do_304 { return _bodiless($_[2], 304, $_[3]) }

sub _do_length {
    my ($scope, $receive, $send, $id) = @_;
    return _stream($send, [['content-length', LARGE]]);
}

sub _do_stream { return _stream($_[2], []) }

async sub _stream {
    my ($send, $headers) = @_;
    $count{sent} = 0;
    await $send->({ type => 'http.response.start', headers => $headers });
    while ($count{sent} < LARGE) {
        await $send->({ type => 'http.response.body', body => $piece, more => 1 });
        $count{sent} += length $piece;
    }
    await $send->({ type => 'http.response.body', body => '' });
    return;
}

async sub _do_file {
    my ($scope, $receive, $send) = @_;
    await $send->({ type => 'http.response.start', headers => [['content-length', LARGE]] });
    await $send->({ type => 'http.response.body', file     => "$dir/large" });
    return;
}

async sub _do_endless {
    my ($scope, $receive, $send) = @_;
    await $send->({ type => 'http.response.start' });
    while ($scope->{'pagi.connection'}->is_connected) {
        await $send->({ type => 'http.response.body', body => $piece, more => 1 });
    }
    $count{cut}++;
    return;
}

async sub _do_waits {
    my ($scope, $receive, $send) = @_;
    await $scope->{'pagi.connection'}->disconnect_future;
    $count{cut}++;
    return;
}

# Reads with pauses, so that the whole way back to the client fills.
async sub _do_slowly {
    my ($scope, $receive, $send, $id) = @_;
    my ($md5, $events) = (Digest::MD5->new, 0);
    while (1) {
        my $event = await $receive->();
        last if $event->{type} ne 'http.request';
        $md5->add($event->{body});
        await test_loop()->delay_future(after => 0.002) if ++$events % 16 == 0;
        last                                            if !$event->{more};
    }
    await reply($send, "$id:" . $md5->hexdigest, headers => [['x-id', $id]]);
    return;
}

async sub _do_dies {
    await Future->done;
    die "as the test wants it\n";
}

# --- all of it ---

sub behind_proxy {
    my ($name) = @_;
    Test::PAGI::Proxy->need($name);
    _write_large();
    with_server {
        my ($t) = @_;
        subtest 'the server by itself' => sub { is $t->get('/id/1')->status, 200, 'serves' };
        my $fds   = open_fds();
        my $proxy = Test::PAGI::Proxy->$name($t->port);
        for my $front (qw(stored direct)) {
            my $self = bless { t => $t, proxy => $proxy, front => $front }, __PACKAGE__;
            subtest "$front: $_->[0]" => $_->[1], $self for _subtests();
        }
        _ends_well($t, $proxy, $fds);
    }
    app => _app(), max_body_size => MOST;
    done_testing;
    return;
}

sub _write_large {
    open my $fh, '>:raw', "$dir/large" or die $!;
    print {$fh} $large;
    close $fh or die $!;
    return;
}

sub _subtests {
    return (
        ['many at once, each its own answer' => \&_many_at_once],
        ['large uploads'                     => \&_large_uploads],
        ['large responses'                   => \&_large_responses],
        ['clients that read slowly'          => \&_slow_readers],
        ['clients that send slowly'          => \&_slow_senders],
        ['clients that leave'                => \&_leavers],
        ['errors'                            => \&_errors],
        ['nothing is left behind'            => \&_leaks],
    );
}

sub _ends_well {
    my ($t, $proxy, $fds) = @_;
    is $proxy->stop, 0, 'the proxy ends well';
    is [$proxy->complaints], [], 'and its logs have nothing to say about the server';
    wait_until { $t->server->connection_count == 0 } 'the connections to end';
    wait_until { open_fds() <= $fds } 'the descriptors to be closed';
    is _running(), 0, 'all calls of the application have ended';
    return;
}

sub _client { my ($self, @options) = @_; return $self->{proxy}->client($self->{front}, @options) }

# --- one by one ---

# [method, path without the number, more of the request, status, body of the answer]
my @KINDS = (
    [GET  => 'id', {}, 200, ''],
    [POST => 'id', { body => 1 }, 200, 1],
    [GET  => 'chunked', {}, 200, ''],
    [HEAD => 'id', {}, 200, undef],
    [GET  => '204', {}, 204, undef],
    [POST => 'id', { chunked => 1 }, 200, 1],
    [GET  => '304', {}, 304, undef],
    [PUT  => 'id', { body => '' }, 200, ''],
);

# A request of the next kind: its bytes, and what its answer must be.
sub _next_request {
    my ($client) = @_;
    my $id = ++$number;
    my ($method, $path, $more, $status, $sent) = @{ $KINDS[$id % @KINDS] };
    my $body = $sent ? "body $id " x ($id % 997) : '';
    my %more = %$more;
    $more{body}    = $body                   if $more{body};
    $more{chunked} = [$body =~ /.{1,1000}/g] if $more{chunked};
    my $content = defined $sent ? "$id:" . md5_hex($body) : '';
    return (
        $client->request_bytes($method => "/$path/$id", %more), $method,
        [$id, $status, $content]
    );
}

# Wrong answers among $rounds requests of each of some clients, at the same time
sub _exchange_all {
    my ($self, $rounds) = @_;
    my @clients = map { $self->_client } 1 .. CLIENTS;
    my @wrong;
    for my $round (1 .. $rounds) {
        my @asked = map { [_next_request($_)] } @clients;
        $clients[$_]->write($asked[$_][0]) for 0 .. $#clients;
        my @leavers =
            map { $self->_client->write("GET /waits/$_ HTTP/1.1\r\nHost: x\r\n\r\n") } 1 .. 2;
        for my $i (0 .. $#clients) {
            my (undef, $method, $wanted) = @{ $asked[$i] };
            my $response = $clients[$i]->read_response(method => $method);
            my $got = $response && [$response->header('x-id'), $response->status, $response->body];
            push @wrong, [$method, $wanted, $got] if !$got || "@$got" ne "@$wanted";
        }
        $_->reset for @leavers;
    }
    $_->close for @clients;
    wait_until { !_running() } 'the calls to end';
    return @wrong;
}

sub _many_at_once {
    my ($self) = @_;
    my $begun = $count{begun};
    %port = ();
    is [_exchange_all($self, 12)], [], 'all are right';
    my $share = ($count{begun} - $begun) / keys %port;
    cmp_ok $share, '>', 3, 'requests on each connection to the server';
    return;
}

sub _large_uploads {
    my ($self) = @_;
    my @pieces = $large =~ /.{1,60000}/gs;
    for my $action (qw(id slowly)) {
        for my $framing ([body => $large], [chunked => \@pieces]) {
            my $id       = ++$number;
            my $response = $self->_client->request(
                POST    => "/$action/$id", @$framing,
                timeout => PATIENCE
            );
            is $response->body, "$id:$digest", "$framing->[0], the application reads ($action)";
        }
    }
    return;
}

sub _large_responses {
    my ($self) = @_;
    my $client = $self->_client;
    for my $path (qw(length stream file)) {
        my $response = $client->request(GET => "/$path/0", timeout => PATIENCE);
        ok $response->body eq $large, $path;
        is $client->request(HEAD => "/$path/0")->body, '', "HEAD of it";
    }
    return;
}

sub _slow_readers {
    my ($self) = @_;
    my $slow = $self->_client(rcvbuf => 4096)->stop_reading;
    $slow->write("GET /length/0 HTTP/1.1\r\nHost: x\r\n\r\n");
    my $sent = -1;
    wait_until { turn(0.05); $count{sent} == $sent || (($sent = $count{sent}) && 0) }
    'the response to stop, or to be through';
    cmp_ok $count{sent}, '<', LARGE, 'the application waits for the client'
        if $self->{front} eq 'direct';
    is $self->_client->get("/id/1")->status, 200, 'others are served';
    my $head = '';
    my ($got, $md5) = (0, Digest::MD5->new);

    while (my $n = _sip($slow, \my $bytes)) {
        if ($head !~ /\r\n\r\n/) {
            $head .= $bytes;
            next if $head !~ s/(?<=\r\n\r\n)(.*)\z//s;
            $bytes = $1;
        }
        $got += length $bytes;
        $md5->add($bytes);
        last if $got >= LARGE;
    }
    is [$got, $md5->hexdigest], [LARGE, $digest], 'it gets it all';
    $slow->close;
    return;
}

# What there is, a little at a time, the loop turning
sub _sip {
    my ($client, $bytes) = @_;
    my $n;
    wait_until { $n = sysread $client->{fh}, $$bytes, 65_536; defined $n } 'bytes';
    turn(0);
    return $n;
}

sub _slow_senders {
    my ($self) = @_;
    my $body   = 'slow but sure ' x 20;
    my %bytes  = (
        'content-length' => sub { $_[0]->request_bytes(POST => "/id/$_[1]", body => $body) },
        chunked          => sub {
            $_[0]->request_bytes(POST => "/id/$_[1]", chunked => [$body =~ /.{1,7}/g]);
        },
    );
    for my $framing (sort keys %bytes) {
        my ($id, $client) = (++$number, $self->_client);
        my $response = $client->drip($bytes{$framing}->($client, $id))->read_response;
        is $response->body, "$id:" . md5_hex($body), $framing;
    }
    return;
}

sub _leavers {
    my ($self) = @_;
    my $post   = "POST /id/1 HTTP/1.1\r\nHost: x\r\n";
    my %asked  = (
        'during the response'  => "GET /endless/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        'before the response'  => "GET /waits/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        'during the upload'    => "${post}Content-Length: 1000000\r\n\r\n" . 'x' x 300_000,
        'in a chunk of theirs' => "${post}Transfer-Encoding: chunked\r\n\r\nfffff\r\n"
            . 'x' x 300_000,
        'in the head' => "GET /id/1 HTTP/1.1\r\nHo",
    );
    for my $when (sort keys %asked) {
        for my $how (qw(close reset)) {
            my $begun   = $count{begun};
            my @clients = map { $self->_client(rcvbuf => 4096) } 1 .. 10;
            $_->stop_reading->write($asked{$when}) for @clients;
            wait_until { $count{begun} >= $begun + @clients } 'the calls to begin'
                if $when =~ /response/;
            $_->$how for @clients;
            wait_until { !_running() } "the calls to end ($how $when)";
            ok 1, "$how $when: all calls have ended";
        }
    }
    is $self->_client->get("/id/7")->body, '7:' . md5_hex(''), 'others are served';
    return;
}

sub _errors {
    my ($self) = @_;
    my $body = 'x' x (MOST + 1);
    delete @asked{ my @paths = qw(/bad-host /refused /431) };
    is $self->_client->get('/bad-host')->status, 400, '400';
    is $self->_client->request(POST => '/refused', body => $body, timeout => PATIENCE)->status, 413,
        '413';
    is $self->_client->get('/431', headers => [map { ["x-$_", 'x' x 5000] } 1 .. 2])->status, 431,
        '431';
    is [grep { $asked{$_} } @paths], [], 'the application was not called';
    my $client = $self->_client;
    is $client->get('/dies/1')->status, 500, '500';
    like [$self->{t}->take_warnings], [qr/as the test wants it/], 'with a warning';
    is $client->get('/id/8')->body, '8:' . md5_hex(''), 'and on the same connection, the next';
    return;
}

sub _leaks {
    my ($self) = @_;
    my $round  = sub { _exchange_all($self, 4) };
    my @wrong  = map { $round->() } 1 .. 2;
    my ($kib, $fds) = (resident_kb(), open_fds());
    push @wrong, map { $round->() } 1 .. LEAK_ROUNDS;
    is \@wrong, [], 'all answers are right';
    cmp_ok resident_kb() - $kib, '<', LEAK_KIB, 'resident memory';
    wait_until { open_fds() <= $fds + Test::PAGI::Proxy->KEPT } 'the descriptors to be closed';
    wait_until { $self->{t}->server->connection_count <= Test::PAGI::Proxy->KEPT }
    'the connections to end that the proxy does not keep';
    return;
}

1;
