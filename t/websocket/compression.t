# permessage-deflate: RFC 7692
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Compress::Raw::Zlib qw(Z_SYNC_FLUSH);
use Test2::V0;
use Test::PAGI::Loop qw(resident_kb settle);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;
use Test::PAGI::WebSocket qw(accept_socket frame_bytes);

sub deflater {
    my ($bits)  = @_;
    my ($state) = Compress::Raw::Zlib::Deflate->new(
        -WindowBits   => -($bits // 15),
        -AppendOutput => 1
    );
    return $state;
}

sub inflater {
    my ($bits)  = @_;
    my ($state) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -($bits // 15));
    return $state;
}

sub pack_message {
    my ($state, $message) = @_;
    my $out = '';
    $state->deflate($message, $out);
    $state->flush($out, Z_SYNC_FLUSH);
    return $out =~ s/\x00\x00\xFF\xFF\z//r;
}

sub unpack_message {
    my ($state, $packed) = @_;
    my $in = "$packed\x00\x00\xFF\xFF";
    $state->inflate($in, my $out);
    return $out;
}

my $LONG = join ' ', map { "the $_. sentence is like the others." } 1 .. 50;

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my ($ws, $call);
    my $open = sub {
        my ($t, $offer) = @_;
        $ws   = Test::PAGI::WebSocket->open($t, fields => { 'Sec-WebSocket-Extensions' => $offer });
        $call = accept_socket($puppet->next_call);
        return $ws->accepted->answer->header('sec-websocket-extensions');
    };

    with_server {
        my ($t) = @_;
        my $name = 'permessage-deflate';

        subtest 'what is agreed upon' => sub {
            for my $case (
                [undef, undef],
                ['x-webkit-deflate-frame', undef],
                [$name, $name],
                ["$name; client_max_window_bits", "$name; client_max_window_bits=12"],
                ["$name; server_max_window_bits=10", "$name; server_max_window_bits=10"],
                ["$name; server_max_window_bits=8", undef],
                [["$name; what=ever", "$name"], $name],
                ["$name; server_no_context_takeover", "$name; server_no_context_takeover"],
                ["$name; client_no_context_takeover", "$name; client_no_context_takeover"],
                )
            {
                my ($offer, $answer) = @$case;
                is $open->($t, $offer), $answer,
                    (ref $offer ? "@$offer" : $offer // 'no offer') . ' => ' . ($answer // 'none');
                $call->finish;
            }
        };

        subtest 'messages both ways' => sub {
            $open->($t, $name);
            my ($out, $in) = (deflater(), inflater(12));
            my $first;
            for my $round (1 .. 5) {
                my $packed = pack_message($out, $LONG);
                $ws->write(frame_bytes(1, $packed, rsv => 4));
                is $call->event->{text}, $LONG, "received, from @{[length $packed]} bytes";
                $call->send(type => 'websocket.send', text => $LONG);
                my $frame = $ws->frame;
                is [@$frame{qw(opcode rsv)}], [1, 4], 'sent in a compressed frame';
                is unpack_message($in, $frame->{payload}), $LONG, 'the same text';
                $first //= length $frame->{payload};
                cmp_ok length $frame->{payload}, '<=', $round == 1 ? 900 : $first / 2,
                    'what came before helps';
            }
            $call->send(type => 'websocket.send', text => 'short');
            is $ws->frame->{rsv}, 0, 'a short message goes as it is';
            $ws->text('as it is');
            is $call->event->{text}, 'as it is', 'and may come so';
            my $large = join '', map { chr rand 256 } 1 .. 200_000;
            settle($call->send(type => 'websocket.send', bytes => $large));
            ok unpack_message($in, $ws->frame->{payload}) eq $large, 'what cannot be compressed';
            $call->finish;
        };

        subtest 'fragments' => sub {
            $open->($t, $name);
            my $packed = pack_message(deflater(), $LONG);
            my @pieces = unpack '(a7)*', $packed;
            $ws->write(frame_bytes(2, shift @pieces, rsv => 4, fin => 0), frame_bytes(9, 'ping'));
            $ws->write(map({ frame_bytes(0, $_, fin => 0) } @pieces), frame_bytes(0, ''));
            is $call->event->{bytes}, $LONG, 'one message';
            is $ws->frame->{payload}, 'ping', 'a ping between is no part of it';
            $call->finish;
        };

        subtest 'without a context' => sub {
            $open->($t, "$name; server_no_context_takeover; client_no_context_takeover");
            my @sizes;
            for (1 .. 3) {
                $ws->write(frame_bytes(1, pack_message(deflater(), $LONG), rsv => 4));
                is $call->event->{text}, $LONG, 'received';
                $call->send(type => 'websocket.send', text => $LONG);
                my $packed = $ws->frame->{payload};
                push @sizes, length $packed;
                is unpack_message(inflater(), $packed), $LONG, 'read by itself';
            }
            is $sizes[2], $sizes[0], 'each is as long as the first';
            $call->finish;
        };

        subtest 'small windows' => sub {
            $open->($t, "$name; server_max_window_bits=9; client_max_window_bits=9");
            my ($out, $in) = (deflater(9), inflater(9));
            for my $text ($LONG, scalar reverse($LONG), $LONG x 5) {
                $ws->write(frame_bytes(1, pack_message($out, $text), rsv => 4));
                is $call->event->{text}, $text, 'received';
                $call->send(type => 'websocket.send', text => $text);
                is unpack_message($in, $ws->frame->{payload}), $text, 'sent';
            }
            $call->finish;
        };

        my $bomb = pack_message(deflater(), "\0" x 60_000_000);
        my %bad  = (
            'a bomb'             => [frame_bytes(2, $bomb, rsv => 4), 1009, 'Message too big'],
            'no compressed data' =>
                [frame_bytes(2, "\x07what", rsv => 4), 1007, 'Invalid compressed data'],
            'text that is not UTF-8' =>
                [frame_bytes(1, pack_message(deflater(), "\xFF"), rsv => 4), 1007, 'Invalid UTF-8'],
            'RSV1 on a continuation' => [
                frame_bytes(1, '', rsv => 4, fin => 0) . frame_bytes(0, '', rsv => 4), 1002,
                'RSV bits must be 0'
            ],
            'RSV1 on a ping' => [frame_bytes(9, '', rsv => 4), 1002, 'RSV bits must be 0'],
            'RSV2'           => [frame_bytes(1, '', rsv => 2), 1002, 'RSV bits must be 0'],
        );
        for my $what (sort keys %bad) {
            subtest $what => sub {
                my ($bytes, $code, $text) = @{ $bad{$what} };
                my $before = resident_kb();
                $open->($t, $name);
                my $waiting = $call->receive;
                $ws->write($bytes);
                is $ws->close_frame, [$code, $text], 'is refused';
                is settle($waiting)->{code}, $code, 'and the application told';
                $call->finish;
                cmp_ok resident_kb() - $before, '<', 24_000, 'memory' if defined $before;
                $t->take_warnings;
            };
        }
    }
    on => $on, app => $puppet->app;

    with_server {
        my ($t) = @_;
        is $open->($t, 'permessage-deflate'), undef, 'ws_compression 0 agrees to nothing';
        $ws->write(frame_bytes(1, 'x', rsv => 4));
        is $ws->close_frame, [1002, 'RSV bits must be 0'], 'and means it';
        $call->finish;
    }
    on => $on, app => $puppet->app, ws_compression => 0;

    with_server {
        my ($t) = @_;
        is $open->($t, 'permessage-deflate; client_max_window_bits'),
            'permessage-deflate; client_max_window_bits=15', 'ws_compression 15: large windows';
        $call->finish;
    }
    on => $on, app => $puppet->app, ws_compression => 15;
};

done_testing;
