# PAGI::Server::Protocol::HTTP2::Session: bytes in, bytes out, no connection (contract 01 section 5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::Protocol::HTTP2;
use Scalar::Util qw(weaken);
use Test2::V0;
use Test::PAGI::Client::H2;

my $CLASS   = 'PAGI::Server::Protocol::HTTP2';
my $PREFACE = $Test::PAGI::Client::H2::PREFACE;

# What a client of the tests writes to: a string.
package Wire {
    sub new       { return bless { in => '', out => '' }, shift }
    sub write     { $_[0]{out} .= $_[1] }
    sub is_closed { return 0 }
    sub is_eof    { return 0 }
    sub error     { return undef }
}

# A session that remembers what it told, and a client whose bytes go there and back.
package Pair {

    sub new {
        my ($class, %args) = @_;
        my $self = bless { told => [], wire => Wire->new }, $class;
        Scalar::Util::weaken(my $weak = $self);
        my %callbacks = map {
            my $name = $_;
            (
                "on_$name" => sub {
                    push @{ $weak->{told} }, [$name, @_];
                    $args{"on_$name"}->($weak, @_) if $args{"on_$name"};
                }
            );
        } qw(request body close);
        my $http2 = PAGI::Server::Protocol::HTTP2->new(%{ $args{settings} // {} });
        $self->{session} = $http2->create_session(%callbacks);
        $self->{client} =
            Test::PAGI::Client::H2->new($self->{wire}, %{ $args{client} // {} });
        return $self;
    }

    sub session { return $_[0]{session} }
    sub client  { return $_[0]{client} }

    # Moves bytes until there are no more.
    sub pump {
        my ($self) = @_;
        my ($wire, $session) = @$self{qw(wire session)};
        while (1) {
            my $bytes = delete $wire->{out} // '';
            $wire->{out} = '';
            $session->feed($bytes) if length $bytes;
            my $out = $session->extract // '';
            $wire->{in} .= $out;
            $self->{client}->take;
            last if !length $bytes && !length $out;
        }
        return $self;
    }

    # What was told since, as lists.
    sub told {
        my ($self) = @_;
        return [splice @{ $self->{told} }];
    }

    sub frames {
        my ($self) = @_;
        return [map { "$_->{kind}:$_->{id}" . ($_->{code} ? " $_->{code}" : '') }
                splice @{ $self->{client}{frames} }];
    }

    sub response {
        my ($self, $id) = @_;
        return $self->pump->{client}{streams}{$id};
    }
}

package main;

sub head {
    my ($method, $path, @headers) = @_;
    return { ':method' => $method, ':path' => $path, ':scheme' => 'http', ':authority' => 'test' },
        \@headers;
}

subtest 'SETTINGS are queued at once' => sub {
    my $session = $CLASS->new(max_concurrent_streams => 7)->create_session;
    is $session->want_write, 1, 'want_write';
    is $session->want_read, 1, 'want_read';
    my ($size, $kind, $flags, $id, $settings) = unpack 'xnCCN a*', $session->extract;
    is [$kind, $flags, $id], [4, 0, 0], 'a SETTINGS frame';
    my %value = map { unpack 'nN', $_ } unpack '(a6)*', substr $settings, 0, $size;
    is $value{3}, 7, 'with the settings of the object';
    is $session->want_write, 0, 'nothing more';
    is $session->extract, '', 'really';
    is $session->feed(''), 0, 'no bytes';
};

subtest 'a request and its response' => sub {
    my $pair = Pair->new;
    my $id   = $pair->client->open(GET => '/a?b', headers => [['x-one', '1'], ['cookie', 'c=d']]);
    $pair->pump;
    is $pair->told,
        [['request', 1, head(GET => '/a?b', ['x-one', '1'], ['cookie', 'c=d']), 0]], 'on_request';
    is $pair->session->submit_response(
        $id,
        status  => 201,
        headers => [['content-type', 'text/plain'], ['X-Two', 2]],
        body    => 'hello'
        ),
        1, 'taken';
    is $pair->told, [], 'told by feed and extract alone';
    my $response = $pair->response($id);
    is $response->status, 201, 'status';
    is $response->headers, [['content-type', 'text/plain'], ['x-two', 2]], 'headers, and no others';
    is $response->body, 'hello', 'body';
    is $response->is_truncated, 0, 'whole';
    is $pair->told, [['close', $id, 0]], 'on_close';
    is $pair->session->submit_data($id, 'x'), 0, 'nothing for a stream that is over';
};

subtest 'request bodies' => sub {
    my $pair = Pair->new;
    my $id   = $pair->client->open(POST => '/', more => 1);
    $pair->pump;
    is $pair->told, [['request', $id, head(POST => '/'), 1]], 'a body follows';
    $pair->client->frame(DATA => $id, 'one');
    $pair->pump;
    $pair->client->frame(DATA => $id, 'two', END_STREAM => 1);
    $pair->pump;
    is $pair->told, [['body', $id, 'one', 0], ['body', $id, 'two', 1]], 'pieces';
    $id = $pair->client->open(POST => '/', more => 1);
    $pair->client->frame(DATA => $id, 'piece');
    $pair->client->frame(
        HEADERS    => $id, $pair->client->block(['x-sum', '5']),
        END_STREAM => 1, END_HEADERS => 1
    );
    $pair->pump;
    is $pair->told,
        [['request', $id, head(POST => '/'), 1], ['body', $id, 'piece', 0], ['body', $id, '', 1]],
        'trailer fields end it';
    my $large = join '', map { chr(65 + $_ % 26) x 1000 } 1 .. 500;
    $id = $pair->client->open(POST => '/', more => 1);
    $pair->client->upload($id, $large, 1);
    $pair->pump;
    my @pieces = grep { $_->[0] eq 'body' } @{ $pair->told };
    is join('', map { $_->[2] } @pieces), $large, 'more than the windows: credit is given back';
    is $pieces[-1][3], 1, 'the last piece is';
};

subtest 'a response piece by piece' => sub {
    my $pair = Pair->new;
    my @pieces;
    my @asked;
    my $id = $pair->client->open(GET => '/');
    $pair->pump;
    $pair->session->submit_response_streaming(
        $id,
        status        => 200,
        headers       => [],
        callback_data => 'mine',
        data_callback => sub {
            push @asked, [@_];
            my $piece = shift @pieces or return undef;
            return @$piece;
        },
    );
    my $response = $pair->response($id);
    is $response->status, 200, 'the head leaves';
    is scalar @asked, 1, 'asked once: it had nothing';
    is [@{ $asked[0] }[0, 2]], [$id, 'mine'], 'with the stream and the data';
    ok $asked[0][1] > 0, 'and a size';
    $pair->pump;
    is scalar @asked, 1, 'not again before it is resumed';
    is $pair->session->want_write, 0, 'nothing to write';
    push @pieces, ['one', 0], ['two', 0];
    is $pair->session->resume_stream($id), 1, 'resumed';
    is $pair->session->want_write, 1, 'something to write';
    is $pair->response($id)->body, 'onetwo', 'what there was';
    push @pieces, ['three', 1];
    $pair->session->resume_stream($id);
    is $pair->response($id)->body, 'onetwothree', 'the rest';
    is $response->is_truncated, 0, 'and the end';
    is $pair->told->[-1], ['close', $id, 0], 'closed';
    is $pair->session->resume_stream($id), 0, 'over';
    is scalar @asked, 5, 'asked no more than needed';
};

subtest 'more than the windows take' => sub {
    my $pair = Pair->new(client => { window => 0 });
    my $body = join '', map { chr(65 + $_ % 26) x 1000 } 1 .. 200;
    my $left = $body;
    my $id   = $pair->client->open(GET => '/');
    $pair->pump;
    $pair->session->submit_response(
        $id,
        body => sub { (substr($left, 0, $_[1], ''), !length $left) }
    );
    my $response = $pair->response($id);
    is length $response->body, 65_535, 'as far as the window';
    is $pair->session->want_write, 0, 'then nothing';
    $pair->client->grant($_, 1_000_000) for 0, $id;
    $pair->pump;
    is $response->body, $body, 'the rest when it opens';
    ok !$response->is_truncated, 'whole';
    $id = $pair->client->open(GET => '/');
    $pair->pump;
    $pair->session->submit_response($id, body => $body);
    $pair->client->grant($id, 1_000_000);
    is $pair->response($id)->body, $body, 'and a string';
};

subtest 'a large response' => sub {
    my $pair = Pair->new;
    my $id   = $pair->client->open(GET => '/');
    $pair->client->grant($_, 1 << 30) for 0, $id;
    $pair->pump;
    my $body = join '', map { chr(65 + $_ % 26) x 100_000 } 1 .. 50;
    $pair->session->submit_response(
        $id,
        body => sub { (substr($body, 0, $_[1], ''), !length $body) }
    );
    ok length $pair->session->extract <= 1_400_000, 'not all at once';
    is $pair->session->want_write, 1, 'there is more';
    1 while length $pair->session->extract;
    is $pair->told->[-1], ['close', $id, 0], 'until there is none';
    is $pair->session->want_write, 0, 'none';
};

subtest 'streams at once' => sub {
    my $pair = Pair->new;
    my @ids  = map { $pair->client->open(GET => "/$_") } 1, 2;
    $pair->pump;
    for my $id (@ids) {
        my $count = 0;
        $pair->session->submit_response_streaming(
            $id,
            status        => 200,
            headers       => [],
            data_callback => sub { ("$id." x 3, ++$count == 3) }
        );
    }
    $pair->pump;
    my $order = join '', map { $_->{id} } grep { $_->{kind} eq 'DATA' } $pair->client->frames;
    like $order, qr/\A(?:13){3}/, 'in turn';
    is $pair->response($_)->body, "$_." x 9, "stream $_" for @ids;
};

subtest 'data unasked, trailers' => sub {
    my $pair    = Pair->new;
    my $session = $pair->session;
    my $id      = $pair->client->open(GET => '/');
    $pair->pump;
    like dies { $session->submit_data($id, 'x') },
        qr/\AStream $id has no response yet at \S*http2-s/,
        'not before the response';
    $session->submit_response_streaming($id, status => 200, headers => []);
    like dies { $session->submit_response($id) }, qr/\AStream $id has a response already at /,
        'one response';
    $session->submit_data($id, 'one');
    $session->submit_data($id, 'two');
    is $pair->response($id)->body, 'onetwo', 'data';
    is $session->submit_trailers($id, [['x-sum', 6]]), 1, 'trailers';
    is $pair->response($id)->trailers, [['x-sum', 6]], 'received';
    is $pair->told->[-1], ['close', $id, 0], 'which end it';
    $id = $pair->client->open(HEAD => '/');
    $pair->pump;
    $session->submit_response(
        $id, status => 200, headers => [['content-length', 3]],
        body        => 'abc'
    );
    ok !$pair->response($id)->is_truncated, 'none to HEAD';
    $id = $pair->client->open(GET => '/', more => 1);
    $pair->pump;
    $session->submit_response($id, body => 'abc');
    like dies { $session->submit_data($id, 'x') }, qr/\AStream $id has ended its response at /,
        'nothing behind the end';
};

subtest 'resets' => sub {
    my $pair = Pair->new;
    my ($id, $other) = map { $pair->client->open(POST => '/', more => 1) } 1, 2;
    $pair->pump->told;
    $pair->client->reset_stream($id, 8);
    $pair->pump;
    is $pair->told, [['close', $id, 8]], "the client's";
    is $pair->session->submit_response($id, body => 'x'), 0, 'nobody to answer';
    is $pair->session->reset_stream($other, 2), 1, 'our own';
    $pair->pump;
    is $pair->told, [['close', $other, 2]], 'told as well';
    is $pair->client->wait_frame('RST_STREAM', $other)->{code}, 'INTERNAL_ERROR', 'and sent';
    is $pair->session->want_read, 1, 'the session goes on';
    $id = $pair->client->open(GET => '/');
    $pair->pump;
    $pair->session->submit_response($id, body => sub { die "no data\n" });
    is dies { $pair->pump }, "no data\n", 'a callback that dies is heard of';
    $pair->pump;
    is $pair->client->wait_frame('RST_STREAM', $id)->{code}, 'INTERNAL_ERROR', 'its stream reset';
};

subtest 'the end' => sub {
    my $pair = Pair->new;
    my $id   = $pair->client->open(GET => '/');
    $pair->pump->told;
    $pair->session->terminate(11);
    is $pair->told, [['close', $id, 11]], 'streams end with it';
    is $pair->session->want_read, 0, 'nothing is read';
    is $pair->session->want_write, 1, 'the last word is written';
    $pair->pump;
    my ($goaway) = grep { $_->{kind} eq 'GOAWAY' } $pair->client->frames;
    is [@$goaway{qw(code last)}], ['ENHANCE_YOUR_CALM', $id], 'GOAWAY';
    is $pair->session->want_write, 0, 'and then nothing';
    is $pair->session->feed('x'), 0, 'nothing is taken';
    my $early = $CLASS->new->create_session;
    $early->terminate;
    like $early->extract, qr/\A\x00\x00.\x04.*\x00\x00\x08\x07\x00{13}\z/s,
        'before the client spoke';
    is $early->want_read, 0, 'as well';
    $pair = Pair->new;
    $pair->client->frame(GOAWAY => 0, pack 'NN', 0, 0);
    $pair->pump;
    is $pair->session->want_read, 0, 'the client leaves, and nothing is under way';
};

subtest 'what is not HTTP/2' => sub {
    my $session = $CLASS->new->create_session;
    $session->feed("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    is $session->want_read, 0, 'another protocol';
    like $session->extract, qr/\x07\x00{12}\x01\z/, 'GOAWAY';
    my $pair = Pair->new;
    $pair->pump;
    $pair->client->write("\xff" x 100);
    $pair->pump;
    is $pair->session->want_read, 0, 'garbage';
    is $pair->client->wait_frame('GOAWAY')->{code}, 'FRAME_SIZE_ERROR', 'GOAWAY';
    $pair = Pair->new(settings => { h2_rst_rate_limit => { burst => 3, rate => 1 } });

    for (1 .. 20) {
        my $id = $pair->client->open(GET => '/');
        $pair->client->reset_stream($id);
    }
    $pair->pump;
    is $pair->session->want_read, 0, 'too many resets';
    is $pair->client->wait_frame('GOAWAY')->{code}, 'ENHANCE_YOUR_CALM', 'GOAWAY';
    $pair = Pair->new;
    my $id = $pair->client->open_fields(
        [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], ['x', ' padded ']]);
    $pair->pump;
    is $pair->told, [], 'a malformed request is not told';
    is $pair->client->wait_frame('RST_STREAM', $id)->{code}, 'PROTOCOL_ERROR', 'but reset';
};

subtest 'byte by byte' => sub {
    my $pair = Pair->new;
    $pair->client->open(GET => '/x');
    my $bytes = delete $pair->{wire}{out};
    $pair->session->feed($_) for split //, $bytes;
    is $pair->told, [['request', 1, head(GET => '/x'), 0]], 'the same';
};

subtest 'callbacks are not called in the midst of things' => sub {
    my ($depth, $deepest) = (0, 0);
    my $pair;
    $pair = Pair->new(
        on_request => sub {
            my ($own, $id) = @_;
            $depth++;
            $deepest = $depth if $depth > $deepest;
            $own->session->submit_response($id, body => 'x');
            $own->session->extract;
            $own->session->feed($own->{rest}) if $own->{rest};
            delete $own->{rest};
            $depth--;
        }
    );
    my @ids = map { $pair->client->open(GET => "/$_") } 1 .. 3;
    my $all = delete $pair->{wire}{out};
    $pair->{wire}{out} = '';
    my $cut = length($all) - 20;
    $pair->{rest} = substr $all, $cut;
    $pair->session->feed(substr $all, 0, $cut);
    is $deepest, 1, 'one at a time';
    is [map { "@$_[0, 1]" } @{ $pair->told }],
        ['request 1', 'request 3', 'close 1', 'request 5', 'close 3', 'close 5'], 'all, in order';
};

subtest 'arguments' => sub {
    my $http2 = $CLASS->new;
    like dies {
        $http2->create_session(on_data => sub { })
    },
        qr/\AUnknown callback 'on_data' at \S*http2-session/, 'an unknown callback';
    like dies { $http2->create_session(on_body => 1) },
        qr/\ACallback 'on_body' must be a code reference at /, 'one that is none';
    my $pair = Pair->new;
    my $id   = $pair->client->open(GET => '/');
    $pair->pump;
    my $session = $pair->session;
    is dies { $session->submit_response($id, headers => [["a\n", 1]]) },
        "Invalid header name: contains CR, LF, or null byte\n", 'a header';
    is dies { $session->submit_response($id, status => 101) },
        "Invalid status: must be an integer between 200 and 999\n", 'a status';
    like dies { $session->submit_response($id, stauts => 200) },
        qr/\AUnknown argument 'stauts' of a response at /, 'a name';
    like dies { $session->feed("\x{100}") }, qr/\AThe input must be bytes/, 'wide input';
    is $session->submit_response(99, body  => 'x'), 0, 'no such stream';
    is $session->submit_response($id, body => 'fine'), 1, 'and nothing was begun';
    is $pair->response($id)->body, 'fine', 'so that it can be answered';
};

subtest 'nothing is left behind' => sub {
    my $pair = Pair->new;
    $pair->client->open(GET => '/');
    $pair->pump;
    my $closure = do {
        my @none;
        sub { return $none[0] }
    };
    $pair->session->submit_response_streaming(
        1, status     => 200, headers => [],
        data_callback => $closure
    );
    $pair->pump;
    weaken $closure;
    weaken(my $session = $pair->session);
    ok $closure, 'held while it may be asked';
    $pair->client->reset_stream(1);
    $pair->pump;
    is $closure, undef, 'let go of with its stream';
    undef $pair;
    is $session, undef, 'the session goes';
    my $turn = sub {
        my $one = Pair->new;
        $one->session->submit_response($_, body => 'x' x 100_000)
            for map { my $id = $one->client->open(POST => '/', more => 1); $one->pump; $id } 1 .. 5;
        $one->pump;
    };
    my $size = sub {
        open my $file, '<', '/proc/self/statm' or return 0;
        return (split ' ', <$file>)[1] * 4096;
    };
    $turn->() for 1 .. 100;
    my $before = $size->();
    $turn->() for 1 .. 200;
    ok $size->() - $before < 4 * 1024 * 1024, 'nor does memory grow'
        or diag $size->() - $before;
};

done_testing;
