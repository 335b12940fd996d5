use strict;
use warnings;

use Future::AsyncAwait;
use IO::Async::Loop;

# A small PAGI application: what a page, a form, a stream and a lifespan look like.
# Served by: pagi-server examples/hello/app.pl

my %ROUTE = (
    'GET /'        => \&home,
    'GET /headers' => \&headers,
    'POST /echo'   => \&echo,
    'GET /stream'  => \&stream,
);

my $app = async sub {
    my ($scope, $receive, $send) = @_;

    return await lifespan($scope, $receive, $send) if $scope->{type} eq 'lifespan';
    die "Unsupported scope type: $scope->{type}\n" if $scope->{type} ne 'http';

    $scope->{state}{served}{count}++ if $scope->{state}{served};
    my $method  = $scope->{method} eq 'HEAD' ? 'GET' : $scope->{method};
    my $handler = $ROUTE{"$method $scope->{path}"} // \&not_found;
    return await $handler->($scope, $receive, $send);
};

# What is put into the state here is in every request's scope.
async sub lifespan {
    my ($scope, $receive, $send) = @_;

    while (1) {
        my $event = await $receive->();
        if ($event->{type} eq 'lifespan.startup') {
            $scope->{state}{served} = { since => time, count => 0 };
            await $send->({ type => 'lifespan.startup.complete' });
        }
        elsif ($event->{type} eq 'lifespan.shutdown') {
            await $send->({ type => 'lifespan.shutdown.complete' });
            return;
        }
    }
}

async sub home {
    my ($scope, $receive, $send) = @_;

    my ($count, $seconds) = (0, 0);
    if (my $served = $scope->{state}{served}) {
        ($count, $seconds) = ($served->{count}, time - $served->{since});
    }
    return await respond($send, 200, 'text/html; charset=utf-8', page($count, $seconds));
}

# The request as the application sees it
async sub headers {
    my ($scope, $receive, $send) = @_;

    my $text = "$scope->{method} $scope->{raw_path} HTTP/$scope->{http_version}\n";
    $text .= "$_->[0]: $_->[1]\n" for @{ $scope->{headers} };
    return await respond($send, 200, 'text/plain; charset=utf-8', $text);
}

# The request's body comes back, piece by piece as it arrives.
async sub echo {
    my ($scope, $receive, $send) = @_;

    my ($type) = map { $_->[1] } grep { $_->[0] eq 'content-type' } @{ $scope->{headers} };
    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', $type // 'application/octet-stream']],
    });
    my $more = 1;
    while ($more) {
        my $event = await $receive->();
        return if $event->{type} eq 'http.disconnect';
        $more = $event->{more};
        await $send->({ type => 'http.response.body', body => $event->{body}, more => $more });
    }
}

# A line every half second, until there are ten or the client has gone
async sub stream {
    my ($scope, $receive, $send) = @_;

    my $loop = IO::Async::Loop->new;
    await $send->({
        type    => 'http.response.start',
        status  => 200,
        headers => [['content-type', 'text/plain; charset=utf-8'], ['cache-control', 'no-store']],
    });
    for my $left (reverse 0 .. 9) {
        return unless $scope->{'pagi.connection'}->is_connected;
        await $send->(
            { type => 'http.response.body', body => "$left more to come\n", more => $left ? 1 : 0 }
        );
        await $loop->delay_future(after => 0.5) if $left;
    }
}

async sub not_found {
    my ($scope, $receive, $send) = @_;

    return await respond($send, 404, 'text/plain; charset=utf-8', "Nothing here. Try /\n");
}

async sub respond {
    my ($send, $status, $type, $body) = @_;

    await $send->({
        type    => 'http.response.start',
        status  => $status,
        headers => [['content-type', $type], ['content-length', length $body]],
    });
    return await $send->({ type => 'http.response.body', body => $body });
}

sub page {
    my ($count, $seconds) = @_;

    return <<"END";
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hello from PAGI-Server</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 3rem auto; padding: 0 1rem;
         color: #1d2733; background: #fbfaf7; }
  h1 { line-height: 1.2; margin-bottom: .3rem; }
  h1 b { color: #b7410e; }
  code { background: #efece4; padding: .1em .35em; border-radius: .25em; }
  li { margin: .4rem 0; }
  textarea { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }
  button { font: inherit; padding: .3rem 1rem; }
  footer { margin-top: 3rem; color: #66707b; font-size: .9rem; }
</style>
</head>
<body>
<h1>Hello from PAGI&#8209;Server</h1>
<p>This page is a Perl application, served by <b>PAGI&#8209;Server on Rust</b>.</p>
<ul>
  <li><a href="/headers"><code>GET /headers</code></a>: your request, as the application sees it</li>
  <li><a href="/stream"><code>GET /stream</code></a>: a response that takes five seconds to write</li>
  <li><code>POST /echo</code>: what you send comes back as it arrives</li>
</ul>
<form method="post" action="/echo" enctype="text/plain">
  <textarea name="text" rows="3">Hello, camel and crab!</textarea>
  <button>Send to /echo</button>
</form>
<footer>$count requests in $seconds seconds. The code is in
<code>examples/hello/app.pl</code>.</footer>
</body>
</html>
END
}

$app;
