# The examples do what their READMEs say.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP qw(decode_json);
use Test2::V0;
use Test::PAGI::Server;
use Test::PAGI::Tree qw(root slurp);
use Test::PAGI::WebSocket;

sub example {
    my ($name) = @_;
    my $path   = root() . "/examples/$name/app.pl";
    my $room   = 'Example::' . $name =~ s/-/_/gr;
    my $app = eval qq{package $room;\n#line 1 "$path"\n} . slurp("examples/$name/app.pl") or die $@;
    return sub { $_[0]{type} eq 'lifespan' ? die "not asked for\n" : $app->(@_) };
}

sub has_page {
    my ($t, $title) = @_;
    like $t->get('/')->body, qr{<title>\Q$title\E</title>}, 'a page';
    is $t->get('/nowhere')->status, 404, 'and nothing else';
    return;
}

with_server {
    my ($t) = @_;
    subtest 'websocket-echo' => sub {
        has_page($t, 'Echo');
        my $ws = Test::PAGI::WebSocket->open($t, path => '/echo')->accepted;
        is $ws->text('hello')->message, 'hello', 'text';
        is $ws->binary("\0\xFF")->message, "\0\xFF", 'bytes';
        is $ws->text('close')->close_frame, [4000, 'as asked'], 'close';
        like(Test::PAGI::WebSocket->open($t, path => '/')->head, qr/ 403 /, 'elsewhere');
    };
}
app => example('websocket-echo');

with_server {
    my ($t) = @_;
    subtest 'chat' => sub {
        has_page($t, 'Chat');
        like(Test::PAGI::WebSocket->open($t, path => '/chat')->head, qr/ 400 /, 'without a name');
        my %member;
        for my $name (qw(ann bob)) {
            $member{$name} = Test::PAGI::WebSocket->open($t, path => "/chat?name=$name")->accepted;
            is decode_json($member{$name}->message)->{members}, [sort keys %member], "$name joins";
        }
        is decode_json($member{ann}->message)->{name}, 'bob', 'ann hears of bob';
        $member{bob}->text('hi');
        for my $name (qw(ann bob)) {
            my $said = decode_json($member{$name}->message);
            is [@$said{qw(name text)}], [qw(bob hi)], "$name hears what bob says";
        }
        my $late = Test::PAGI::WebSocket->open($t, path => '/chat?name=eve')->accepted;
        is decode_json($late->message)->{text}, 'hi', 'a newcomer is told';
        $member{bob}->send_close(1000);
        is decode_json($member{ann}->message)->{name}, 'eve', 'ann hears of eve';
        is decode_json($member{ann}->message)->{members}, [qw(ann eve)], 'and that bob left';
    };
}
app => example('chat');

with_server {
    my ($t) = @_;
    subtest 'binary-transfer' => sub {
        has_page($t, 'Binary transfer');
        my $ws   = Test::PAGI::WebSocket->open($t)->accepted;
        my $file = join '', map { chr($_ * $_ >> 3 & 255) } 1 .. 600_000;
        my $next = sub { decode_json($ws->message) };
        $ws->text('{"type":"put","size":600000}');
        is $next->()->{type}, 'go', 'the server is ready';
        $ws->binary($_) for unpack '(a50000)*', $file;
        my $message;
        $message = $next->() while ($message->{type} // 'receipt') eq 'receipt';
        require Digest::SHA;
        is $message->{sha256}, Digest::SHA::sha256_hex($file), 'up';
        $ws->text('{"type":"get"}');
        is $next->(), { type => 'file', size => 600_000 }, 'it is told what comes';
        my $back = '';

        while (my $frame = $ws->frame) {
            last if $frame->{opcode} == 1;
            $back .= $frame->{payload};
        }
        ok $back eq $file, 'down';
        is $ws->text('nonsense')->close_frame, [1003, 'what?'], 'what is no order';
    };
}
app => example('binary-transfer');

done_testing;
