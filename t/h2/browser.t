# Chromium over TLS: fetch, EventSource and WebSocket on one HTTP/2 connection
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use JSON::PP qw(decode_json);
use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::App;
use Test::PAGI::Browser;
use Test::PAGI::Certificates;
use Test::PAGI::Loop qw(test_loop wait_until);
use Test::PAGI::Server;

Test::PAGI::Browser->need;

my $made = Test::PAGI::Certificates->new;
my $pair = $made->issue($made->authority('Test CA'), 'localhost');

# What Chromium asks for instead of the authority itself: the hash of the server's key.
my $pin = `openssl x509 -in $pair->{cert_file} -noout -pubkey | openssl pkey -pubin -outform der \\
    | openssl dgst -sha256 -binary | openssl base64`;
chomp $pin;

# The page: two WebSockets and an event stream are open while it fetches.
my $PAGE = <<'HTML';
<!doctype html><meta charset="utf-8"><title>HTTP/2</title><script>
const text = async (path, options) => (await fetch(path, options)).text();
const socket = path => new Promise((open, fail) => {
    const socket = new WebSocket('wss://' + location.host + path);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => open(socket);
    socket.onerror = () => fail('no WebSocket');
});
const echo = (socket, message) => new Promise(heard => {
    socket.onmessage = event => heard(event.data);
    socket.send(message);
});
const events = (source, count) => new Promise(heard => {
    const seen = [];
    source.onmessage = event => seen.push(event.data) === count && heard([...seen]);
});
const closed = socket => new Promise(heard => {
    socket.onclose = event => heard([event.code, event.reason, event.wasClean]);
    socket.close(4001, 'genug');
});
async function run() {
    const source = new EventSource('/events');
    const told = {};
    told.first = await events(source, 1);
    const [one, two] = [await socket('/echo/1'), await socket('/echo/2')];
    told.extensions = one.extensions;
    const long = 'The same sentence, again and again. '.repeat(5000);
    const all = Promise.all([
        events(source, 3),
        echo(one, 'grüß 日本'),
        echo(two, long).then(back => back === long),
        ...[...Array(20).keys()].map(n => text('/part/' + n)),
        text('/body', { method: 'POST', body: 'x'.repeat(300000) }),
    ]);
    told.all = await all;
    told.bytes = [...new Uint8Array(await echo(one, new Uint8Array([0, 255, 1])))];
    told.closed = await closed(one);
    told.other = await echo(two, 'still here');
    source.close();
    two.close();
    return told;
}
run().catch(error => ({ error: String(error) }))
    .then(told => fetch('/report', { method: 'POST', body: JSON.stringify(told) }));
</script>
HTML

utf8::encode($PAGE);    # Test2::V0 has the source as characters

my ($report, @scopes, %gone);

async sub events {
    my ($scope, $receive, $send) = @_;
    await $send->({ type => 'sse.start' });
    my $gone = left($receive);
    for my $number (1 .. 1000) {
        last if $gone->is_ready;
        await $send->({ type => 'sse.send', data => "event $number" });
        await test_loop()->delay_future(after => 0.05);
    }
    $gone{sse} = await $gone;
}

async sub left {
    my ($receive) = @_;
    my $event = await $receive->();
    $event = await $receive->() while $event->{type} ne 'sse.disconnect';
    return $event->{reason};
}

async sub echo {
    my ($scope, $receive, $send) = @_;
    await $receive->();
    await $send->({ type => 'websocket.accept' });
    while (1) {
        my $event = await $receive->();
        $gone{ $scope->{path} } = $event, return if $event->{type} eq 'websocket.disconnect';
        my ($kind) = grep { exists $event->{$_} } qw(text bytes);
        await $send->({ type => 'websocket.send', $kind => $event->{$kind} });
    }
}

async sub http {
    my ($scope, $receive, $send) = @_;
    my ($path, $body) = ($scope->{path}, await read_body($receive));
    return await reply($send, $PAGE, headers => [['content-type', 'text/html']]) if $path eq '/';
    return await reply($send, "part $1")                      if $path =~ m{\A/part/(\d+)};
    return await reply($send, length $body)                   if $path eq '/body';
    return await reply($send, 'no such thing', status => 404) if $path ne '/report';
    $report = decode_json($body);
    await reply($send, 'thanks');
}

my %APP = (http => \&http, sse => \&events, websocket => \&echo);
my $app = sub {
    my ($scope) = @_;
    my $run = $APP{ $scope->{type} } or die "not for $scope->{type}\n";
    push @scopes, $scope;
    return $run->(@_);
};

with_server {
    my ($t) = @_;
    my @flags = (
        "--ignore-certificate-errors-spki-list=$pin",
        '--no-default-browser-check', '--disable-background-timer-throttling',
    );
    my $browser = Test::PAGI::Browser->open(
        'https://localhost:' . $t->port . '/',
        arguments => \@flags
    );
    eval {
        wait_until { $report } 'the report of the page', 60;
        wait_until { 3 == keys %gone } 'the end of its streams', 20;
        1;
    }
        or diag $browser->output;
    $browser->close;

    my %told = %{ $report // {} };
    is $told{error}, undef, 'the page had no trouble';
    is $told{first}, ['event 1'], 'an event';
    my ($events, $text, $long, @others) = @{ $told{all} // [] };
    is scalar @{ $events // [] }, 3, 'more of them while others talk';
    is $text, "gr\x{fc}\x{df} \x{65e5}\x{672c}", 'a text comes back';
    ok $long, 'a long one';
    is \@others, [(map { "part $_" } 0 .. 19), 300_000], '20 fetches, and one with a large body';
    like $told{extensions}, qr/\Apermessage-deflate/, 'compression was agreed on';
    is $told{bytes}, [0, 255, 1], 'bytes';
    is $told{closed}, [4001, 'genug', T()], 'closed by the page';
    is $told{other}, 'still here', 'the other WebSocket lives on';
    is $gone{sse}, 'client_closed', 'the event stream ended';
    is $gone{'/echo/1'}{code}, 4001, 'the code arrived';

    my @ours = grep { $_->{path} !~ /favicon/ } @scopes;
    my %kinds;
    $kinds{ $_->{type} }++ for @ours;
    is \%kinds, { http => 23, sse => 1, websocket => 2 }, 'what the application saw';
    is [grep { $_->{http_version} ne '2' } @ours], [], 'all of it over HTTP/2';
    my %ports = map { $_->{client}[1] => 1 } @ours;
    is scalar keys %ports, 1, 'on one connection';
    is [map { $_->{scheme} } grep { $_->{type} eq 'websocket' } @ours], ['wss', 'wss'], 'scheme';
}
app => $app, host => 'localhost', ssl => $pair, http2 => 1;

done_testing;
