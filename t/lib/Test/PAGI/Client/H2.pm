package Test::PAGI::Client::H2;

# An HTTP/2 client over a Test::PAGI::Client: frames written by hand, frames read as they come.
#
#     my $h2 = Test::PAGI::Client::H2->new($client);           # sends preface and SETTINGS
#     my $response = $h2->request(GET => '/');                 # as a Test::PAGI::Client's
#     my $id = $h2->open(GET => '/');                          # several at once
#     $h2->frame(DATA => $id, 'abc', END_STREAM => 1);         # or any bytes: $h2->write(...)
#     my $end = $h2->wait_frame('GOAWAY');
#
# begin, body, read_response and the others of Test::PAGI::Client::Common are for tests of any
# protocol; bodies sent with these heed the server's windows. Its header table has size 0, so that
# each header block stands for itself.

use strict;
use warnings;

use parent 'Test::PAGI::Client::Common';

use Carp         qw(croak);
use Scalar::Util qw(weaken);
use Test::PAGI::Client::H2::Response;
use Test::PAGI::Client::H2::Tunnel;
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

# What the protocol grants before anybody has said more.
use constant WINDOW => 65_535;

# settings => [[id, value], ...] besides; window => 0 to grant no more than the initial windows;
# keep_frames => 0 not to remember what came, but for resets.
sub new {
    my ($class, $wire, %args) = @_;
    my $self = bless {
        wire    => $wire,
        next    => 1,
        frames  => [],
        window  => $args{window}      // 1,
        keeps   => $args{keep_frames} // 1,
        scheme  => $args{scheme}      // 'http',
        streams => {},
        begun   => [],
        uploads => {},
        credit  => WINDOW,
        initial => WINDOW,
    }, $class;
    return $self if $args{silent};
    weaken(my $weak = $self);
    $wire->{on_read} = sub { $weak->take if $weak };
    my @settings = ([1, 0], @{ $args{settings} // [] });
    return $self->write(
        $PREFACE . $self->frame_bytes(SETTINGS => 0, join '', map { pack 'nN', @$_ } @settings));
}

sub wire     { return $_[0]{wire} }
sub frames   { return @{ $_[0]{frames} } }
sub is_eof   { return $_[0]{wire}->is_eof }
sub error    { return $_[0]{wire}->error }
sub received { return $_[0]{wire}->received }
sub port     { return $_[0]{wire}->port }

for my $name (qw(close reset start_reading stop_reading)) {
    no strict 'refs';
    *$name = sub {
        my ($self) = @_;
        $self->{wire}->$name;
        return $self;
    };
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
    push @fields, ['content-length', $opt{length}]      if defined $opt{length};
    return @fields;
}

# Sends the head of a request, the number of whose stream it returns. With more => 1 the request
# goes on.
sub open {
    my ($self, $method, $target, %opt) = @_;
    my @fields = $self->request_fields($method, $target, %opt);
    return $self->open_fields(\@fields, %opt);
}

# The same with all fields as they are given.
sub open_fields {
    my ($self, $fields, %opt) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$id} = Test::PAGI::Client::H2::Response->new(method => $fields->[0][1]);
    my ($first, @more) = unpack '(a16384)*', $self->block(@$fields);
    $self->frame(HEADERS      => $id, $first, END_HEADERS => !@more, END_STREAM => !$opt{more});
    $self->frame(CONTINUATION => $id, shift @more, END_HEADERS => !@more) while @more;
    return $id;
}

# The handshake of a WebSocket: path, protocol, fields [[name, value], ...]. Its stream.
sub tunnel {
    my ($self, %opt) = @_;
    my @fields = (
        [':method', 'CONNECT'], [':protocol', $opt{protocol} // 'websocket'],
        [':scheme', $self->{scheme}], [':path', $opt{path} // '/'], [':authority', 'test'],
        map({ [lc $_->[0], $_->[1]] } @{ $opt{fields} // [] }),
    );
    my $id = $self->open_fields(\@fields, more => 1);
    $self->upload($id, '');
    return Test::PAGI::Client::H2::Tunnel->new($self, $id);
}

# Sends a request, waits for its response: options as of Test::PAGI::Client.
sub request {
    my ($self, $method, $target, %opt) = @_;
    my $id       = $self->_send_request($method, $target, %opt);
    my $response = $self->response($id, timeout => $opt{timeout});
    delete $self->{streams}{$id};
    return $response;
}

# Sends a request and reads nothing; read_response reads the responses in the order of these.
sub begin {
    my ($self, $method, $target, %opt) = @_;
    push @{ $self->{begun} }, $self->_send_request($method, $target, %opt);
    return $self;
}

sub _send_request {
    my ($self, $method, $target, %opt) = @_;
    my $body = $opt{body} // ($opt{chunked} ? join '', @{ $opt{chunked} } : '');
    my $id   = $self->open($method, $target, %opt, more => $opt{more} || length $body);
    $self->upload($id, $body, !$opt{more}) if $opt{more} || length $body;
    return $id;
}

# Sends of a stream what its windows allow, now and when they open.
sub upload {
    my ($self, $id, $bytes, $is_last) = @_;
    my $response = $self->{streams}{$id} or return $self;
    return $self if defined $response->code;    # it was reset
    my $upload = $self->{uploads}{$id} //= { queue => '', credit => $self->{initial} };
    $upload->{queue} .= $bytes;
    $upload->{is_last} ||= $is_last;
    $self->_pump($id);
    return $self;
}

sub _pump {
    my ($self, $id) = @_;
    my $upload = $self->{uploads}{$id} or return;
    while (length $upload->{queue}) {
        my $size = (sort { $a <=> $b } 16_384, $self->{credit}, $upload->{credit})[0];
        return if $size <= 0;
        my $piece = substr $upload->{queue}, 0, $size, '';
        $_ -= length $piece for $self->{credit}, $upload->{credit};
        my $is_last = $upload->{is_last} && !length $upload->{queue};
        $self->frame(DATA => $id, $piece, END_STREAM => $is_last);
        return delete $self->{uploads}{$id} if $is_last;
    }
    return if !$upload->{is_last};
    $self->frame(DATA => $id, '', END_STREAM => 1);
    return delete $self->{uploads}{$id};
}

# A part of the body of the request that was begun last, and the last one.
sub body {
    my ($self, $bytes) = @_;
    return $self->upload($self->_last, $bytes);
}

sub end_body {
    my ($self, $bytes) = @_;
    return $self->upload($self->_last, $bytes // '', 1);
}

sub _last { return $_[0]{begun}[-1] // $_[0]{read} // croak 'no request was begun' }

sub abort {
    my ($self) = @_;
    return $self->reset_stream($self->_last);
}

# Finishes our side of the connection (FIN); reading goes on.
sub half_close {
    my ($self) = @_;
    wait_until { !$self->unsent } 'the windows to take all bytes before FIN';
    $self->{wire}->half_close;
    return $self;
}

sub unsent {
    my ($self) = @_;
    my $all = $self->{wire}->unsent;
    $all += length $_->{queue} for values %{ $self->{uploads} };
    return $all;
}

sub read_response {
    my ($self, %opt) = @_;
    my $id       = $self->{begun}[0] // croak 'no request was begun';
    my $response = $self->response($id, %opt);
    delete $self->{streams}{ $self->{read} } if $self->{read};
    $self->{read}     = shift @{ $self->{begun} };
    $response->{seen} = length $response->body if $response;
    return $response;
}

sub is_read { return !@{ $_[0]{begun} } }

# It ended as it should, and nothing went wrong with the connection.
sub request_over {
    my ($self) = @_;
    my $is_whole = !$self->{streams}{ $self->{read} // $self->_last }->is_truncated;
    return $is_whole && !grep { $_->{kind} eq 'GOAWAY' && $_->{code} ne 'NO_ERROR' } $self->frames;
}

# What there is of responses that were not read: empty as long as there is nothing.
sub buffer {
    my ($self) = @_;
    return join '',
        map { ($_->status // '') . $_->body } map { $self->{streams}{$_} } @{ $self->{begun} };
}

# As buffer, once the connection is at its end: empty where it closed without a word.
sub read_until_eof {
    my ($self, $timeout) = @_;
    wait_until { $self->is_eof } 'the server to close the connection', $timeout;
    return $self->buffer;
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
        # What went through a tunnel is nowhere but in its buffer.
        my $response = $self->{streams}{ $frame->{id} };
        my $is_kept  = $frame->{kind} ne 'DATA' || !$response || !$response->is_tunnel;
        $is_kept &&= $self->{keeps} || $frame->{kind} =~ /\A(?:RST_STREAM|GOAWAY)\z/;
        push @{ $self->{frames} }, $frame if $is_kept;
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
    $self->_heed_windows($frame, $is_ack);
    my $response = $self->{streams}{ $frame->{id} } or return;
    $frame->{fields} = Test::PAGI::HPACK::decode($frame->{payload}) if $kind eq 'HEADERS';
    $response->take($frame);
    return unless $kind eq 'DATA' && $self->{window} && length $frame->{payload};
    $self->{owed}{$_} += length $frame->{payload} for 0, $frame->{id};
    $self->_grant_owed if !$self->{is_held};
    return;
}

sub _grant_owed {
    my ($self) = @_;
    my $owed = delete $self->{owed} // {};
    $self->grant($_, $owed->{$_}) for sort { $a <=> $b } keys %$owed;
    return;
}

# From here on what comes is not granted again, until it is.
sub hold_windows {
    my ($self) = @_;
    $self->{is_held} = 1;
    return $self;
}

sub open_windows {
    my ($self) = @_;
    $self->{is_held} = 0;
    $self->_grant_owed;
    return $self;
}

# What the server takes of our bodies.
sub _heed_windows {
    my ($self, $frame, $is_ack) = @_;
    my ($kind, $id) = @{$frame}{qw(kind id)};
    if ($kind eq 'SETTINGS' && !$is_ack) {
        my ($initial) = map { $_->[1] } grep { $_->[0] == 4 }
            map { [unpack 'nN', $_] } unpack '(a6)*', $frame->{payload};
        my $more = ($initial // $self->{initial}) - $self->{initial};
        $_->{credit}     += $more for values %{ $self->{uploads} };
        $self->{initial} += $more;
    }
    elsif ($kind eq 'WINDOW_UPDATE') {
        my $more = unpack 'N', $frame->{payload};
        $self->{credit}               += $more if !$id;
        $self->{uploads}{$id}{credit} += $more if $id && $self->{uploads}{$id};
    }
    delete $self->{uploads}{$id} if $kind eq 'RST_STREAM';
    $self->_pump($_) for sort { $a <=> $b } keys %{ $self->{uploads} };
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

# What is there of it, or of the response that read_response would give.
sub partial {
    my ($self, $id) = @_;
    return $self->take->{streams}{ $id // $self->{begun}[0] // $self->{read} };
}

1;
