package Test::PAGI::Client::H2;

# An HTTP/2 client over a Test::PAGI::Client: frames written by hand, frames read as they come.
#
#     my $h2 = Test::PAGI::Client::H2->new($client);           # sends preface and SETTINGS
#     my $response = $h2->request(GET => '/');                 # as a Test::PAGI::Client's
#     my $id = $h2->open(GET => '/');                          # several at once
#     $h2->frame(DATA => $id, 'abc', END_STREAM => 1);         # or any bytes: $h2->write(...)
#     my $end = $h2->wait_frame('GOAWAY');
#
# Its header table has size 0, so that each header block stands for itself.

use strict;
use warnings;

use Carp qw(croak);
use Test::PAGI::Client::H2::Response;
use Test::PAGI::HPACK ();
use Test::PAGI::Loop  qw(wait_until);

my @KINDS = qw(
    DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION
);
my %KIND  = map { $KINDS[$_] => $_ } 0 .. $#KINDS;
my %FLAG  = (END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8, PRIORITY => 32);
my @CODES = qw(
    NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED
    FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM
    INADEQUATE_SECURITY HTTP_1_1_REQUIRED
);

our $PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

# settings => [[id, value], ...] besides; window => 0 to grant no more than the initial windows.
sub new {
    my ($class, $wire, %args) = @_;
    my $self = bless {
        wire    => $wire,
        next    => 1,
        frames  => [],
        window  => $args{window} // 1,
        scheme  => $args{scheme} // 'http',
        streams => {},
    }, $class;
    return $self if $args{silent};
    my @settings = ([1, 0], @{ $args{settings} // [] });
    return $self->write(
        $PREFACE . $self->frame_bytes(SETTINGS => 0, join '', map { pack 'nN', @$_ } @settings));
}

sub wire   { return $_[0]{wire} }
sub frames { return @{ $_[0]{frames} } }
sub is_eof { return $_[0]{wire}->is_eof }
sub port   { return $_[0]{wire}->port }

sub close {
    my ($self) = @_;
    $self->{wire}->close;
    return $self;
}

sub write {
    my ($self, $bytes) = @_;
    $self->{wire}->write($bytes);
    return $self;
}

# --- writing ---

sub frame_bytes {
    my ($self, $kind, $id, $payload, %flags) = @_;
    my $bits = 0;
    $bits |= $FLAG{$_} // $_ for grep { $flags{$_} } keys %flags;
    my $number = $KIND{$kind} // $kind;
    return substr(pack('N', length $payload), 1) . pack('CCN', $number, $bits, $id) . $payload;
}

sub frame {
    my ($self, $kind, $id, $payload, %flags) = @_;
    return $self->write($self->frame_bytes($kind, $id, $payload // '', %flags));
}

# A header block.
sub block {
    my ($self, @fields) = @_;
    return Test::PAGI::HPACK::encode(@fields);
}

sub request_fields {
    my ($self, $method, $target, %opt) = @_;
    my @fields = ([':method', $method], [':scheme', $self->{scheme}], [':path', $target]);
    my $host   = exists $opt{host} ? $opt{host} : 'test';
    push @fields, [':authority', $host] if defined $host;
    push @fields, map { [lc $_->[0], $_->[1]] } @{ $opt{headers} // [] };
    push @fields, ['content-length', length $opt{body}] if defined $opt{body};
    return @fields;
}

# Sends the head of a request, the number of whose stream it returns. With more => 1 the request
# goes on.
sub open {
    my ($self, $method, $target, %opt) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$id} = Test::PAGI::Client::H2::Response->new(method => $method);
    my $block = $self->block($self->request_fields($method, $target, %opt));
    my ($first, @more) = unpack '(a16384)*', $block;
    $self->frame(HEADERS      => $id, $first, END_HEADERS => !@more, END_STREAM => !$opt{more});
    $self->frame(CONTINUATION => $id, shift @more, END_HEADERS => !@more) while @more;
    return $id;
}

# Sends a request, waits for its response: options as of Test::PAGI::Client.
sub request {
    my ($self, $method, $target, %opt) = @_;
    my $body = $opt{body} // ($opt{chunked} ? join '', @{ $opt{chunked} } : undef);
    my $id   = $self->open($method, $target, %opt, more => defined $body && length $body);
    if (defined $body && length $body) {
        my @pieces = unpack '(a16384)*', $body;
        my $last   = pop @pieces;
        $self->frame(DATA => $id, $_) for @pieces;
        $self->frame(DATA => $id, $last, END_STREAM => 1);
    }
    return $self->response($id, timeout => $opt{timeout});
}

sub get {
    my ($self, $target, %opt) = @_;
    return $self->request(GET => $target, %opt);
}

# Sends a request and reads nothing; read_response reads the responses in the order of these.
sub begin {
    my ($self, $method, $target, %opt) = @_;
    push @{ $self->{begun} }, $self->open($method, $target, %opt);
    return $self;
}

sub read_response {
    my ($self, %opt) = @_;
    my $id = shift @{ $self->{begun} } // croak 'no request was begun';
    return $self->response($id, %opt);
}

# What there is of responses that were not read: empty as long as there is nothing.
sub buffer {
    my ($self) = @_;
    my @unread = map { $self->partial($_) } @{ $self->{begun} // [] };
    return join '', map { ($_->status // '') . $_->body } @unread;
}

sub reset_stream {
    my ($self, $id, $code) = @_;
    return $self->frame(RST_STREAM => $id, pack 'N', $code // 8);
}

sub grant {
    my ($self, $id, $bytes) = @_;
    return $self->frame(WINDOW_UPDATE => $id, pack 'N', $bytes);
}

# --- reading ---

# Takes what came: frames into the list, responses together.
sub take {
    my ($self) = @_;
    my $in = \$self->{wire}{in};
    while (length $$in >= 9) {
        my ($high, $low, $kind, $flags, $id) = unpack 'CnCCN', $$in;
        my $length = $high << 16 | $low;
        last if length $$in < 9 + $length;
        my $frame = {
            kind    => $KINDS[$kind] // $kind,
            flags   => $flags,
            id      => $id & 0x7fff_ffff,
            payload => substr(substr($$in, 0, 9 + $length, ''), 9),
        };
        push @{ $self->{frames} }, $frame;
        $self->_heed($frame);
    }
    return $self;
}

sub _heed {
    my ($self, $frame) = @_;
    my $kind = $frame->{kind};
    $frame->{code} = $CODES[unpack 'N', $frame->{payload}] if $kind eq 'RST_STREAM';
    ($frame->{last}, $frame->{code}) = unpack 'NN', $frame->{payload} if $kind eq 'GOAWAY';
    $frame->{code} = $CODES[$frame->{code}] // $frame->{code} if $kind eq 'GOAWAY';
    my $is_ack = $frame->{flags} & $FLAG{ACK};
    return if $self->{wire}->is_closed;
    $self->frame(SETTINGS => 0, '', ACK                => 1) if $kind eq 'SETTINGS' && !$is_ack;
    $self->frame(PING     => 0, $frame->{payload}, ACK => 1) if $kind eq 'PING'     && !$is_ack;
    my $response = $self->{streams}{ $frame->{id} } or return;
    $frame->{fields} = Test::PAGI::HPACK::decode($frame->{payload}) if $kind eq 'HEADERS';
    $response->take($frame);
    return unless $kind eq 'DATA' && $self->{window} && length $frame->{payload};
    $self->grant($_, length $frame->{payload}) for 0, $frame->{id};
    return;
}

# Waits for a condition on the frames.
sub wait_for {
    my ($self, $what, $is_there, $timeout) = @_;
    my $found = eval {
        wait_until { $self->take; $is_there->() || $self->is_eof } $what, $timeout;
        1;
    };
    return if $found;
    my @seen = map { "$_->{kind}($_->{id}" . ($_->{code} ? " $_->{code})" : ')') } $self->frames;
    croak "$@  frames so far: @seen\n";
}

# The first frame of a kind, on a stream if that is given; undef where the connection ended before.
sub wait_frame {
    my ($self, $kind, $id, $timeout) = @_;
    my $found;
    $self->wait_for(
        "a $kind frame",
        sub {
            ($found) =
                grep { $_->{kind} eq $kind && (!defined $id || $_->{id} == $id) } $self->frames;
        },
        $timeout
    );
    return $found;
}

# The response on a stream, once it is over: complete, reset, or its connection at an end.
sub response {
    my ($self, $id, %opt) = @_;
    my $response = $self->{streams}{$id};
    $self->wait_for(
        $opt{what} // "the response on stream $id",
        sub { $response->is_over }, $opt{timeout}
    );
    return defined $response->status ? $response : undef;
}

# What is there of it.
sub partial { return $_[0]->take->{streams}{ $_[1] } }

1;
