# Chromium's EventSource, and a stream read with fetch (contract 04 sections 5, 10, 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use IO::Async::Loop;
use JSON::PP qw(decode_json);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Browser;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Server;

Test::PAGI::Browser->need;

# The page: what it sees, step by step, goes to /report at the end.
my $PAGE = <<'HTML';
<!doctype html><meta charset="utf-8"><title>SSE</title><script>
const log = [];
const note = (...words) => log.push(words);
const report = () => fetch('/report', { method: 'POST', body: JSON.stringify(log) });
const source = new EventSource('/events');
source.onopen = () => note('open', source.readyState);
source.onmessage = e => note('message', e.data, e.lastEventId);
source.addEventListener('named', e => note('named', e.data, e.lastEventId));
source.onerror = () => {
    note('error', source.readyState);
    if (source.readyState === EventSource.CLOSED) posted();
};
async function posted() {
    const response = await fetch('/events', {
        method: 'POST',
        headers: { 'Accept': 'text/event-stream', 'Content-Type': 'application/json' },
        body: JSON.stringify({ words: ['één', 'two'] }),
    });
    note('fetch', response.status, response.headers.get('content-type'));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
    }
    note('body', text);
    await report();
}
</script>
HTML

utf8::encode($PAGE);    # Test2::V0 has the source as characters

my ($report, @visits);

async sub events {
    my ($scope, $receive, $send) = @_;
    my %header = map { $_->[0] => $_->[1] } @{ $scope->{headers} };
    return await posted_events($scope, $receive, $send) if $scope->{method} eq 'POST';
    push @visits, $header{'last-event-id'};
    if (@visits == 1) {
        await $send->({ type => 'sse.start' });
        await $send->({ type => 'sse.send', data => "one\ntwo ☺", retry => 100, id => 'first' });
        await $send->({ type => 'sse.comment', comment => 'nobody sees this' });
        await $send->({ type => 'sse.send', event => 'named', data => '{"a":1}', id => 'second' });
        await $send->({ type => 'sse.send', data  => '' });
        return;
    }
    if (@visits == 2) {
        await $send->({ type => 'sse.start' });
        await $send->({ type => 'sse.send', data    => 'again' });
        await $send->({ type => 'sse.close', reason => 'enough' });
        return;
    }
    await $send->({ type => 'sse.http.response.start', status => 204 });
    await $send->({ type => 'sse.http.response.body' });
    return;
}

async sub posted_events {
    my ($scope, $receive, $send) = @_;
    my ($body, $event) = ('');
    do { $event = await $receive->(); $body .= $event->{body} } while ($event->{more});
    await $send->({ type => 'sse.start' });
    for my $word (@{ decode_json($body)->{words} }) {
        await $send->({ type => 'sse.send', event => 'word', data => $word });
    }
    return;
}

my $http = http_app {
    my ($scope, $receive, $send) = @_;
    return reply($send, $PAGE, headers => [['content-type', 'text/html']])
        if $scope->{path} eq '/';
    return reply($send, '', status => 404) if $scope->{path} ne '/report';
    return read_body($receive)->then(sub {
        $report = decode_json($_[0]);
        return reply($send, 'thanks');
    });
};

my $app = sub {
    my ($scope) = @_;
    return $scope->{type} eq 'sse' ? events(@_) : $http->(@_);
};

with_server {
    my ($t) = @_;
    my $browser = Test::PAGI::Browser->open('http://127.0.0.1:' . $t->port . '/');
    eval {
        wait_until { $report } 'the report of the page', 60;
        1;
    }
        or diag $browser->output;
    $browser->close;

    my @steps = @{ $report // [] };
    my $next  = sub { return shift @steps };
    is $next->(), ['open', 1], 'open';
    is $next->(), ['message', "one\ntwo \x{263a}", 'first'], 'lines and characters, with an id';
    is $next->(), ['named', '{"a":1}', 'second'], 'a named event, no comment';
    is $next->(), ['message', '', 'second'], 'an empty message is one (E02)';
    is $next->(), ['error', 0], 'the end of the stream: it comes again';
    is $next->(), ['open', 1], 'open';
    is $next->(), ['message', 'again', 'second'], 'the next stream; the id stays';
    is $next->(), ['error', 0], 'closed by the application: it comes again';
    is $next->(), ['error', 2], '204: it comes no more';
    is $next->(), ['fetch', 200, 'text/event-stream'], 'a stream over POST';
    is $next->(), ['body', "event: word\ndata: \x{e9}\x{e9}n\n\nevent: word\ndata: two\n\n"],
        'made from the body of the request';
    is \@steps, [], 'nothing else';
    is \@visits, [undef, 'second', 'second'], 'Last-Event-ID';
}
app => $app;

done_testing;
