package Test::PAGI::Client::Common;

# What clients of all protocols have in common, so that a test reads the same over each of them:
#
#     $client->begin(POST => '/', more => 1)->body('abc')->end_body('def');
#     $client->read_head->status;             # the body goes on
#     $client->read_data(qr/\n\n/);           # what came of it, without its framing
#     $client->read_response->body;           # all of it, also what was read before
#     ok $client->ends;                       # and nothing else
#
# begin    a request: headers [[name, value], ...], body; more => 1 leaves it open, without a
#          declared length or with length => bytes.
# body     a part of its body; end_body the last one.
# abort    ends the request: HTTP/1 resets the connection, HTTP/2 the stream.
# reset, half_close, close
#          of the connection, as is stop_reading, start_reading, is_eof, error, read_until_eof and
#          received, the number of bytes that came.
# buffer   what there is of responses that were not read, in a form that only says whether and
#          about how much; unsent: how many bytes of requests are still here.
#
# A class of these has partial (what there is of the response that is read next), request_over
# (nothing else comes after that one) and the writing half.

use strict;
use warnings;

use Test::PAGI::Loop qw(wait_until);

# An event stream.
sub subscribe {
    my ($self, $target, %opt) = @_;
    my @headers = ([accept => 'text/event-stream'], @{ delete $opt{headers} // [] });
    return $self->begin(delete $opt{method} // 'GET', $target, %opt, headers => \@headers);
}

sub get {
    my ($self, $target, %opt) = @_;
    return $self->request(GET => $target, %opt);
}

# The next response as soon as its head is there; undef where there is none.
sub read_head {
    my ($self, $timeout) = @_;
    wait_until { defined $self->partial->status || $self->is_done } 'the head of a response',
        $timeout;
    my $response = $self->partial;
    return defined $response->status ? $response : undef;
}

# What comes next of the body: that many bytes, or up to what matches; less where it ends before.
sub read_data {
    my ($self, $want, $timeout) = @_;
    my $found = sub {
        my $unread = $self->partial->unread;
        return $unread =~ /\A(.*?$want)/s ? $1    : undef if ref $want;
        return length $unread < $want     ? undef : substr $unread, 0, $want;
    };
    my $data;
    wait_until { defined($data = $found->()) || $self->is_done } "data: $want", $timeout;
    $data //= $self->partial->unread;
    $self->partial->{seen} += length $data;
    return $data;
}

# Whether the response comes to its proper end with nothing more of its body, and its request with
# it: over HTTP/1 the connection closes.
sub ends {
    my ($self, $timeout) = @_;
    return 1 if $self->is_read && $self->request_over($timeout);
    return 0 if $self->is_read;
    wait_until { $self->is_done } 'the end of the response', $timeout;
    my $response = $self->partial;
    return 0 if $response->is_truncated || $response->unread ne '';
    return $self->request_over($timeout);
}

# Nothing more comes of the response that is read.
sub is_done {
    my ($self) = @_;
    return $self->partial->is_over || $self->is_eof;
}

1;
