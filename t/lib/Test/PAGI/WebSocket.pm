package Test::PAGI::WebSocket;

# A WebSocket client that writes the frames it is told to write, right or wrong, and reads what
# comes, frame by frame: over a connection of HTTP/1 or a stream of HTTP/2.
#
#     my $ws   = Test::PAGI::WebSocket->open($t, path => '/chat');   # sends the handshake
#     my $call = $puppet->next_call;
#     accept_socket($call);
#     $ws->accepted->text('hello');
#     is $ws->frame, { opcode => 1, payload => 'hello', fin => 1, rsv => 0 };

use strict;
use warnings;

use Digest::SHA      qw(sha1_base64);
use Encode           qw(decode_utf8 encode_utf8);
use Exporter         qw(import);
use Test::PAGI::Loop qw(wait_until);

our @EXPORT_OK = qw(accept_socket frame_bytes close_bytes handshake);

my $KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

# Takes a puppet's call through websocket.connect and websocket.accept.
sub accept_socket {
    my ($call, %accept) = @_;
    $call->event;
    $call->send(type => 'websocket.accept', %accept);
    return $call;
}

# The bytes of a handshake over HTTP/1; undef takes a field away, a list repeats it.
sub handshake {
    my (%args) = @_;
    my $head = ($args{line} // 'GET ' . ($args{path} // '/') . ' HTTP/1.1') . "\r\nHost: test\r\n";
    my @own  = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Key' => $KEY);
    $head .= "$_->[0]: $_->[1]\r\n" for _fields(\%args, @own);
    return "$head\r\n";
}

sub _fields {
    my ($args, @own) = @_;
    my %field = (@own, 'Sec-WebSocket-Version' => 13, %{ $args->{fields} // {} });
    my @fields;
    for my $name (sort keys %field) {
        my $values = ref $field{$name} ? $field{$name} : [$field{$name}];
        push @fields, map { [$name, $_] } grep { defined } @$values;
    }
    return @fields;
}

# path, fields {name => value, [values] or undef}, more: bytes behind it; client: options of its
# client.
sub open {
    my ($class, $t, %args) = @_;
    my $client = $t->client(%{ $args{client} // {} });
    if ($client->can('tunnel')) {
        # Blanks around a value, which HTTP/1 skips, HTTP/2 refuses.
        my @fields = map { [$_->[0], $_->[1] =~ s/\A\s+|\s+\z//gr] } _fields(\%args);
        my $tunnel = $client->tunnel(path => $args{path}, fields => \@fields);
        $tunnel->write($args{more} // '');
        return bless { client => $tunnel, is_tunnel => 1 }, $class;
    }
    $client->write(handshake(%args) . ($args{more} // ''));
    return bless { client => $client }, $class;
}

# What its bytes go through.
sub client { return $_[0]{client} }

# The head of the answer to the handshake, whatever it is.
sub answer {
    my ($self) = @_;
    return $self->{answer} //= $self->{client}->read_head;
}

# The same as the bytes it is over HTTP/1.
sub head { return $_[0]->answer->raw_head }

# Dies unless the handshake was accepted.
sub accepted {
    my ($self) = @_;
    return $self if $self->{is_accepted}++;
    my $answer = $self->answer // die "no answer to the handshake\n";
    my $wanted = $self->{is_tunnel} ? 200 : 101;
    die 'not accepted: ' . $answer->status . "\n" if $answer->status != $wanted;
    return $self                                  if $self->{is_tunnel};
    my $proof = sha1_base64("${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11") . '=';
    die "not upgraded\n" unless lc($answer->header('upgrade')            // '') eq 'websocket';
    die "wrong proof\n"  unless ($answer->header('sec-websocket-accept') // '') eq $proof;
    return $self;
}

# --- writing ---

# The bytes of a frame: opcode, payload; fin 1, rsv 0, mask 1 (0: none), length (a lie).
sub frame_bytes {
    my ($opcode, $payload, %opt) = @_;
    my $length = $opt{length} // length $payload;
    my $masked = $opt{mask}   // 1;
    my $head   = chr(($opt{fin} // 1) * 0x80 | ($opt{rsv} // 0) << 4 | $opcode);
    my $bit    = $masked ? 0x80 : 0;
    $head .=
          $length < 126    ? pack('C', $bit | $length)
        : $length < 65_536 ? pack('Cn', $bit | 126, $length)
        :                    pack('CQ>', $bit | 127, $length);
    return $head . $payload unless $masked;
    my $mask = pack 'N', 0x37fa213d;
    return $head . $mask . (
        $payload ^ substr $mask x (1 + length($payload) / 4), 0,
        length $payload
    );
}

# The bytes of a Close frame.
sub close_bytes {
    my ($code, $reason) = @_;
    return frame_bytes(8, defined $code ? pack('n', $code) . encode_utf8($reason // '') : '');
}

sub write {
    my ($self, @bytes) = @_;
    $self->{client}->write(join '', @bytes);
    return $self;
}

sub text {
    my ($self, $text, %opt) = @_;
    return $self->write(frame_bytes(1, encode_utf8($text), %opt));
}

sub binary {
    my ($self, $bytes, %opt) = @_;
    return $self->write(frame_bytes(2, $bytes, %opt));
}

sub ping {
    my ($self, $bytes) = @_;
    return $self->write(frame_bytes(9, $bytes // ''));
}

sub pong {
    my ($self, $bytes) = @_;
    return $self->write(frame_bytes(10, $bytes // ''));
}

sub send_close {
    my ($self, @close) = @_;
    return $self->write(close_bytes(@close));
}

# --- reading ---

# The next frame; undef where the server closed before one.
sub frame {
    my ($self, $timeout) = @_;
    my $client = $self->accepted->{client};
    my $frame;
    wait_until { ($frame = $self->_take_frame) || $client->is_eof } 'a frame', $timeout;
    return $frame;
}

# The payload of the next message.
sub message {
    my ($self, $timeout) = @_;
    my $frame = $self->frame($timeout) or die "closed instead of a message\n";
    die "opcode $frame->{opcode} instead of a message\n" if $frame->{opcode} > 2;
    return $frame->{opcode} == 1 ? decode_utf8($frame->{payload}) : $frame->{payload};
}

# Code and reason of the Close frame that comes next, other frames being skipped.
sub close_frame {
    my ($self, $timeout) = @_;
    while (my $frame = $self->frame($timeout)) {
        next      unless $frame->{opcode} == 8;
        return [] unless length $frame->{payload};
        my ($code, $reason) = unpack 'na*', $frame->{payload};
        return [$code, decode_utf8($reason)];
    }
    return undef;
}

# Nothing follows but the end of the connection.
sub ends {
    my ($self, $timeout) = @_;
    return $self->{client}->read_until_eof($timeout) eq '';
}

sub _take_frame {
    my ($self) = @_;
    my $in = $self->{client}->buffer;
    return undef if length $in < 2;
    my ($first, $length) = unpack 'CC', $in;
    die "the server masked a frame\n" if $length & 0x80;
    my $head = $length == 126 ? 4 : $length == 127 ? 10 : 2;
    return undef if length $in < $head;
    $length = unpack 'x2n', $in  if $head == 4;
    $length = unpack 'x2Q>', $in if $head == 10;
    return undef if length $in < $head + $length;
    my $payload = substr $self->{client}->read_bytes($head + $length), $head;
    return {
        fin     => $first >> 7,
        rsv     => $first >> 4 & 7,
        opcode  => $first & 15,
        payload => $payload,
    };
}

1;
