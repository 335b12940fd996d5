package Test::PAGI::Client::H2::Tunnel;

# The bytes of one HTTP/2 stream, written and read like those of a connection of HTTP/1: what a
# WebSocket of RFC 8441 speaks over. close is of the whole connection, reset and half_close are of
# the stream; who stops reading grants no more of its windows.

use strict;
use warnings;

use Test::PAGI::Loop qw(turn wait_until);

sub new {
    my ($class, $h2, $id) = @_;
    return bless { h2 => $h2, id => $id }, $class;
}

sub id { return $_[0]{id} }

sub write {
    my ($self, $bytes) = @_;
    $self->{h2}->upload($self->{id}, $bytes);
    return $self;
}

# One byte in a frame, the loop turning in between.
sub drip {
    my ($self, $bytes) = @_;
    for my $byte (split //, $bytes) {
        $self->write($byte);
        turn(0.001);
    }
    return $self;
}

sub reset {
    my ($self) = @_;
    $self->{h2}->reset_stream($self->{id});
    return $self;
}

sub half_close {
    my ($self) = @_;
    $self->{h2}->upload($self->{id}, '', 1);
    return $self;
}

for my $name (qw(close hold_windows open_windows)) {
    no strict 'refs';
    *$name = sub {
        my ($self) = @_;
        $self->{h2}->$name;
        return $self;
    };
}

sub stop_reading  { return $_[0]->hold_windows }
sub start_reading { return $_[0]->open_windows }

sub unsent { return $_[0]{h2}->unsent }
sub answer { return $_[0]{h2}->partial($_[0]{id}) }
sub buffer { return $_[0]->answer->unread }
sub is_eof { return $_[0]->answer->is_over || $_[0]{h2}->is_eof }

sub read_response {
    my ($self, %opt) = @_;
    my $response = $self->{h2}->response($self->{id}, %opt) or return undef;
    $response->{seen} = length $response->body;
    return $response;
}

# The head of the answer to the handshake.
sub read_head {
    my ($self) = @_;
    wait_until { defined $self->answer->status || $self->is_eof } 'the answer to a handshake';
    return $self->answer;
}

sub read_bytes {
    my ($self, $n, $timeout) = @_;
    my $answer = $self->answer;
    wait_until { length $self->buffer >= $n || $self->is_eof } "$n bytes", $timeout;
    return substr $answer->{body}, 0, $n, '';
}

sub read_until_eof {
    my ($self, $timeout) = @_;
    wait_until { $self->is_eof } 'the server to end the stream', $timeout;
    return $self->read_bytes(length $self->buffer);
}

1;
