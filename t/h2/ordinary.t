# What ordinary clients do is no abuse, and no stream waits for a half that its client does not end
# (contract 05; the abuse itself is in abuse.t)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds settle wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(frame_bytes);

my @UPGRADE = (
    [':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'http'], [':path', '/'],
    [':authority', 'test'], ['sec-websocket-version', 13],
);

async sub count_body {
    my ($receive, $send) = @_;
    my ($body) = await read_body($receive);
    await reply($send, length $body);
}

my ($on) = Test::PAGI::Matrix::transport('h2c');

subtest 'empty pieces do not add up for a connection\'s life' => sub {
    with_server {
        my ($t) = @_;
        my $h2 = $t->client;
        my @bodies;
        for (1 .. 30) {
            my $id = $h2->open(POST => '/', more => 1);
            $h2->write($h2->frame_bytes(DATA => $id, '') x 6);
            $h2->frame(DATA => $id, 'body', END_STREAM => 1);
            push @bodies, $h2->response($id)->body;
        }
        is \@bodies, [(4) x 30], '180 of them in 30 requests';
    }
    on => $on, app => http_app { my ($scope, @io) = @_; return count_body(@io) };
};

subtest 'bytes one by one, many at once, where few streams are allowed' => sub {
    with_server {
        my ($t) = @_;
        my $h2  = $t->client;
        my $id  = $h2->open(POST => '/', more => 1);
        $h2->write($h2->frame_bytes(DATA => $id, 'x') x 20_000);
        $h2->frame(DATA => $id, '', END_STREAM => 1);
        is $h2->response($id)->body, 20_000, 'all of them arrive';
    }
    on      => $on, h2_max_concurrent_streams => 10,
        app => http_app { my ($scope, @io) = @_; return count_body(@io) };
};

subtest 'windows that are opened for every 2 KiB read' => sub {
    my $size = 4 * 2**20;
    with_server {
        my ($t) = @_;
        my $h2  = $t->client->hold_windows;
        my $id  = $h2->open(GET => '/');
        my ($seen, $got) = (0, $h2->partial($id));
        while ($seen < $size) {
            $h2->wait_for('more of it', sub { length $got->body > $seen || $h2->is_eof });
            last if $h2->is_eof;
            my $new = length($got->body) - $seen;
            $seen += $new;
            for (1 .. $new / 2048) { $h2->grant($_, 2048) for 0, $id }
            $h2->grant($_, $new % 2048) for $new % 2048 ? (0, $id) : ();
        }
        is $seen, $size, 'the whole response';
        is [grep { $_->{kind} eq 'GOAWAY' } $h2->frames], [], 'and no GOAWAY';
    }
    on => $on, app => http_app { return reply($_[2], 'x' x $size) };
};

subtest 'messages to an application that does not read them' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t)  = @_;
        my $h2   = $t->client;
        my $id   = $h2->open_fields(\@UPGRADE, more => 1);
        my $call = $puppet->next_call;
        $call->event;
        $h2->write($h2->frame_bytes(DATA => $id, frame_bytes(1, 'x')) x 3000);
        my $other = $h2->open(GET => '/');
        $puppet->next_call->reply('fine');
        is $h2->response($other)->body, 'fine', 'a neighbour is served';
        $call->send(type => 'websocket.accept');
        my $count = 0;

        while ($count < 3000) {
            my $event = $call->event;
            last if $event->{type} ne 'websocket.receive' || $event->{text} ne 'x';
            $count++;
        }
        is $count, 3000, 'all of them, once they are read';
        $h2->reset_stream($id);
        $call->event;
        $call->finish;
    }
    on => $on, app => $puppet->app, h2_max_concurrent_streams => 10;
};

subtest 'a handshake that ends its stream' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t)  = @_;
        my $h2   = $t->client;
        my $id   = $h2->open_fields(\@UPGRADE);
        my $call = $puppet->next_call;
        is $call->event->{type}, 'websocket.connect', 'it is one';
        is $call->event,
            { type => 'websocket.disconnect', code => 1006, reason => 'client_closed' },
            'and over';
        $call->finish;
        $h2->wait_for('the end of the stream', sub { $h2->partial($id)->is_over });
        ok !$h2->is_eof, 'the connection lives';
    }
    on => $on, app => $puppet->app;
};

subtest 'an end that waits for a window costs the others nothing' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t)  = @_;
        my $h2   = $t->client(settings => [[4, 0]], window => 0);
        my $id   = $h2->open_fields(\@UPGRADE, more => 1);
        my $call = $puppet->next_call;
        $call->event;
        $call->send(type => 'websocket.accept');
        $call->send(type => 'websocket.close');
        $h2->frame(DATA => $id, '', END_STREAM => 1);
        $call->finish;
        my $neighbour = $t->client;
        holds { !$h2->is_eof } 'it waits', 1.3;
        my $other = $neighbour->open(GET => '/');
        $puppet->next_call->reply('fine');
        is $neighbour->response($other)->body, 'fine', 'a neighbour is served';
        $h2->grant($id, 1000);
        $h2->wait_for('the end of the stream', sub { $h2->partial($id)->is_over });
    }
    on => $on, app => $puppet->app;
};

for my $case (
    ['an answered POST', sub { $_[0]->open(POST => '/', more => 1) }],
    ['a refused handshake', sub { $_[0]->open_fields(\@UPGRADE, more => 1) }],
    )
{
    my ($what, $open) = @$case;
    subtest "a shutdown does not wait for the rest of $what" => sub {
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t)  = @_;
            my $h2   = $t->client;
            my $id   = $open->($h2);
            my $call = $puppet->next_call;
            my $type = $call->scope->{type};
            if   ($type eq 'http') { $call->reply('fine') }
            else                   { $call->send(type => 'websocket.close'); $call->finish }
            $h2->wait_for('the answer', sub { $h2->partial($id)->is_over });
            my $done = $t->server->shutdown;
            is $h2->wait_frame(RST_STREAM => $id)->{code}, 'NO_ERROR', 'it is not wanted';
            $h2->wait_for('the end', sub { $h2->is_eof });
            settle($done, 'the shutdown');
        }
        on => $on, app => $puppet->app, shutdown_timeout => 60;
    };
}

subtest 'the protocol of a handshake has no case' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t)    = @_;
        my $h2     = $t->client;
        my @fields = map { $_->[0] eq ':protocol' ? [':protocol', 'WebSocket'] : $_ } @UPGRADE;
        $h2->open_fields(\@fields, more => 1);
        my $call = $puppet->next_call;
        is $call->scope->{type}, 'websocket', 'the scope';
        $call->send(type => 'websocket.close');
        $call->finish;
    }
    on => $on, app => $puppet->app;
};

subtest 'two Host fields where no :authority is above them' => sub {
    with_server {
        my ($t)    = @_;
        my $h2     = $t->client;
        my @fields = ([':method', 'GET'], [':scheme', 'http'], [':path', '/']);
        my $id     = $h2->open_fields([@fields, ['host', 'a'], ['host', 'b']]);
        is $h2->wait_frame(RST_STREAM => $id)->{code}, 'PROTOCOL_ERROR', 'malformed';
        is $h2->get('/')->status, 200, 'the connection lives';
    }
    on => $on, app => hello();
};

done_testing;
