use strict;
use warnings;

use Future::AsyncAwait;
use IO::Async::Loop;
use JSON::PP;

# A stream in answer to a POST: the words of a text, counted one after the other, as they are.
# EventSource can only GET; the page reads the stream with fetch.
# Served by: pagi-server examples/sse-post/app.pl

use constant MOST_BYTES => 64 * 1024;    # of a text

my $loop = IO::Async::Loop->new;
my $json = JSON::PP->new->canonical->utf8;

my $page = do {
    local $/;
    open my $in, '<:raw', __FILE__ =~ s/app\.pl\z/page.html/r or die "page.html: $!\n";
    readline $in;
};

# The body, or nothing where it is too long or breaks off.
async sub body {
    my ($receive) = @_;

    my ($body, $event) = ('');
    do {
        $event = await $receive->();
        return if $event->{type} ne 'sse.request' || length($body) > MOST_BYTES;
        $body .= $event->{body};
    } while ($event->{more});
    return $body;
}

async sub refuse {
    my ($send, $status, $text) = @_;

    my @headers = (['content-type', 'text/plain']);
    await $send->({ type => 'sse.http.response.start', status => $status, headers => \@headers });
    await $send->({ type => 'sse.http.response.body', body    => "$text\n" });
    return;
}

async sub count {
    my ($scope, $receive, $send) = @_;

    my $body = await body($receive);
    return await refuse($send, 413, 'too long') if !defined $body;
    my $asked = eval { $json->decode($body) };
    return await refuse($send, 400, 'send {"text": "..."} as JSON')
        if ref $asked ne 'HASH' || ref $asked->{text} || !length($asked->{text} // '');

    my $gone = $receive->();
    my %count;
    await $send->({ type => 'sse.start' });
    for my $word (map { lc } $asked->{text} =~ /\w+/g) {
        last if $gone->is_ready;
        my $data = $json->encode({ word => $word, count => ++$count{$word} });
        await $send->({ type => 'sse.send', event => 'word', data => $data });
        await $loop->delay_future(after => 0.05);
    }
    my $all = $json->encode({ words => scalar keys %count });
    await $send->({ type => 'sse.send', event   => 'done', data => $all });
    await $send->({ type => 'sse.close', reason => 'counted' });
    return;
}

async sub page {
    my ($scope, $receive, $send) = @_;

    my ($status, $type, $body) =
        $scope->{path} eq '/'
        ? (200, 'text/html; charset=utf-8', $page)
        : (404, 'text/plain', "Try /\n");
    my @headers = (['content-type', $type]);
    await $send->({ type => 'http.response.start', status => $status, headers => \@headers });
    await $send->({ type => 'http.response.body', body    => $body });
    return;
}

async sub {
    my ($scope, $receive, $send) = @_;

    die "no lifespan here\n"                           if $scope->{type} eq 'lifespan';
    return await page($scope, $receive, $send)         if $scope->{type} ne 'sse';
    return await refuse($send, 404, 'Try POST /count') if $scope->{path} ne '/count';
    return await refuse($send, 405, 'POST a text')     if $scope->{method} ne 'POST';
    return await count($scope, $receive, $send);
};
