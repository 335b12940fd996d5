package PAGI::Server::EventValidator;
use strict;
use warnings;

use Carp qw(croak);

our $VERSION = '0.003000';

# What each event must look like: a rule a field, checked in order.
my @START = (['status', 'required'], ['status', 'integer'], ['headers', 'array']);

my %HTTP = (
    'http.response.start' => \@START,
    'http.response.body'  => [
        ['body file fh', 'at most one'],
        ['offset', 'integer'], ['length', 'integer']
    ],
    'http.response.trailers' => [['headers', 'array']],
);

my %WEBSOCKET = (
    'websocket.accept'              => [['headers', 'array']],
    'websocket.send'                => [['bytes text', 'exactly one']],
    'websocket.close'               => [['code', 'integer']],
    'websocket.keepalive'           => [['interval', 'required'], ['interval', 'number']],
    'websocket.http.response.start' => \@START,
    'websocket.http.response.body'  => [['more', 'integer']],
);

my %SSE = (
    'sse.start'               => [['status', 'integer'], ['headers', 'array']],
    'sse.send'                => [['data', 'required'], ['data', 'string']],
    'sse.comment'             => [['comment', 'required'], ['comment', 'string']],
    'sse.keepalive'           => [['interval', 'required'], ['interval', 'number']],
    'sse.close'               => [['reason', 'string']],
    'sse.http.response.start' => \@START,
    'sse.http.response.body'  => [['more', 'integer']],
);

my %RULE = (
    'required' => sub { !defined $_[1] && "requires '$_[0]' field" },
    'integer'  => sub { _given($_[1], qr/\A\d+\z/)    || "'$_[0]' must be an integer" },
    'number'   => sub { _given($_[1], qr/\A[\d.]+\z/) || "'$_[0]' must be a number" },
    'array'    =>
        sub { !defined $_[1] || ref $_[1] eq 'ARRAY' || "'$_[0]' must be an array reference" },
    'string' => sub { !ref $_[1] || "'$_[0]' must be a string" },
);

sub validate_http_send { _validate(\%HTTP, @_) }

sub validate_websocket_send { _validate(\%WEBSOCKET, @_) }

sub validate_sse_send { _validate(\%SSE, @_) }

sub _validate {
    my ($table, $event) = @_;

    my $type = $event->{type} // return;
    for my $rule (@{ $table->{$type} // [] }) {
        my $problem = _problem($event, @$rule);
        croak "$type $problem" if $problem;
    }
    return;
}

sub _problem {
    my ($event, $fields, $kind) = @_;

    return _counted($event, $fields, $kind) unless $RULE{$kind};
    my $problem = $RULE{$kind}->($fields, $event->{$fields});
    return $problem && $problem ne '1' ? $problem : undef;
}

# A key without a value is as good as none.
sub _counted {
    my ($event, $fields, $kind) = @_;

    my @names = split ' ', $fields;
    my $count = grep { defined $event->{$_} } @names;
    return undef if $count == 1 || ($count == 0 && $kind eq 'at most one');
    return 'requires exactly one of ' . join('/', @names) . " (got $count)";
}

sub _given {
    my ($value, $pattern) = @_;

    return !defined $value || (!ref $value && $value =~ $pattern);
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::EventValidator - checks the shape of an event before it is sent

=head1 SYNOPSIS

    use PAGI::Server::EventValidator;
    PAGI::Server::EventValidator::validate_http_send($event);

=head1 DESCRIPTION

Three functions that take one event of an application and croak where its shape is wrong. With the
option C<validate_events> L<PAGI::Server> calls the one of the scope for every C<$send> of a request
that runs; what it croaks fails that C<$send>. Types that a function does not know pass, and so do
extra fields.

The server checks much of this by itself, always, and is more lenient: C<status> may be missing.

=head1 FUNCTIONS

Each takes one event, a hash reference, and returns nothing, or croaks. Fields are checked in the
order given; the first complaint counts. A field that is C<undef> passes where it is not required, and
does not count where one of several is: C<< { text => undef, bytes => $bytes } >> has one.

    TYPE requires 'FIELD' field
    TYPE 'FIELD' must be an integer            (digits only)
    TYPE 'FIELD' must be a number              (digits and dots)
    TYPE 'FIELD' must be an array reference
    TYPE 'FIELD' must be a string              (no reference)
    TYPE requires exactly one of A/B (got N)

=head2 validate_http_send

    PAGI::Server::EventValidator::validate_http_send($event);

    http.response.start     status (required, integer), headers (array)
    http.response.body      at most one of body, file and fh; offset, length (integer)
    http.response.trailers  headers (array)

=head2 validate_websocket_send

    PAGI::Server::EventValidator::validate_websocket_send($event);

    websocket.accept               headers (array)
    websocket.send                 exactly one of bytes and text
    websocket.close                code (integer)
    websocket.keepalive            interval (required, number)
    websocket.http.response.start  status (required, integer), headers (array)
    websocket.http.response.body   more (integer)

=head2 validate_sse_send

    PAGI::Server::EventValidator::validate_sse_send($event);

    sse.start                status (integer), headers (array)
    sse.send                 data (required, string)
    sse.comment              comment (required, string)
    sse.keepalive            interval (required, number)
    sse.close                reason (string)
    sse.http.response.start  status (required, integer), headers (array)
    sse.http.response.body   more (integer)

=head1 SEE ALSO

L<PAGI::Server>, L<PAGI::Spec::Www>

=cut
