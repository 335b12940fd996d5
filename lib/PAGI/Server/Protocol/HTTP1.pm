package PAGI::Server::Protocol::HTTP1;
use strict;
use warnings;

use Carp qw(croak);

use PAGI::Server::Core;
use PAGI::Server::Protocol::Fields;

our $VERSION = '0.003000';

my %DEFAULT = (
    max_header_size       => 8192,
    max_request_line_size => 8192,
    max_header_count      => 100,
    max_chunk_size        => 10_485_760,
);

sub new {
    my ($class, %args) = @_;

    my %limits = (%DEFAULT, %args);
    $limits{$_} //= $DEFAULT{$_} for keys %DEFAULT;
    _check_limit($_, $limits{$_}) for sort keys %limits;
    return bless \%limits, $class;
}

sub _check_limit {
    my ($name, $value) = @_;

    croak "Unknown option '$name'"                                   if !exists $DEFAULT{$name};
    croak "Invalid value '$value' for '$name': not a natural number" if !_is_natural($value);
}

sub _is_natural { !ref $_[0] && $_[0] =~ /\A0*[1-9][0-9]{0,14}\z/ }

# Buffers go on as they came: a copy of the argument would copy the bytes.

sub parse_request {
    my ($self) = @_;

    return PAGI::Server::Core::codec_head(
        $_[1],
        @{$self}{qw(max_request_line_size max_header_size max_header_count)}
    );
}

sub parse_chunked_body {
    my ($self) = @_;

    return PAGI::Server::Core::codec_chunks($_[1], $self->{max_chunk_size});
}

sub serialize_response_start {
    my ($self, $status, $headers, $chunked, $version) = @_;

    die "Invalid status: must be an integer between 100 and 999\n"
        if !defined $status || ref $status || $status !~ /\A[1-9][0-9]{2}\z/;
    my $is_1_0 = ($version // '1.1') eq '1.0';
    return PAGI::Server::Core::codec_start(
        $status,
        PAGI::Server::Protocol::Fields->plain($headers), $chunked ? 1 : 0, $is_1_0
    );
}

sub serialize_response_body {
    my ($self, undef, $more, $chunked) = @_;

    return PAGI::Server::Core::codec_body($_[1], $more ? 1 : 0, $chunked ? 1 : 0);
}

sub serialize_chunk_end { PAGI::Server::Core::codec_last_chunk() }

sub serialize_continue { PAGI::Server::Core::codec_continue() }

sub serialize_trailers {
    my ($self, $headers) = @_;

    return PAGI::Server::Core::codec_trailers(PAGI::Server::Protocol::Fields->plain($headers));
}

sub format_date { PAGI::Server::Core::codec_date() }

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Protocol::HTTP1 - HTTP/1.1 messages to Perl values and back

=head1 SYNOPSIS

    use PAGI::Server::Protocol::HTTP1;

    my $codec  = PAGI::Server::Protocol::HTTP1->new;
    my $buffer = "POST /caf%C3%A9?a=b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello";

    my ($request, $used) = $codec->parse_request(\$buffer);
    if    (!$request)         { }    # more input is needed
    elsif ($request->{error}) { }    # refuse with that status and $request->{message}
    else                      { substr $buffer, 0, $used, '' }

    my $response = $codec->serialize_response_start(200, [['content-type', 'text/plain']], 1)
        . $codec->serialize_response_body('hello', 0, 1);

=head1 DESCRIPTION

The codec of L<PAGI::Server> by itself, for programs that read and write HTTP/1.1 without a server:
proxies, tests, servers of another make. It is the compiled code that serves connections, behind
methods: what it accepts and refuses is what the server accepts and refuses.

An object holds limits and nothing else. It keeps no state between calls and can be used for any
number of connections.

A buffer is a string of bytes or a reference to one. It is never modified; the caller drops what was
used. A buffer with wide characters is an error of the caller's: the method dies.

=head1 CONSTRUCTOR

=head2 new

    my $codec = PAGI::Server::Protocol::HTTP1->new(%limits);

Croaks for a name that is none of these, and for a value that is not a natural number:

    Unknown option 'X'
    Invalid value 'X' for 'NAME': not a natural number

=over 4

=item max_header_size

Largest head in bytes, request line included, the empty line at its end not included. Default 8192.

=item max_request_line_size

Longest request line in bytes, without its line end. Default 8192.

=item max_header_count

Most header fields. Cookie fields count once; Content-Type and Content-Length do not count. Default
100.

=item max_chunk_size

Largest chunk in bytes that is accepted, 10,485,760 (10 MiB) where nothing is given. A chunk size of
more than seven hex digits is refused whatever this says.

=back

=head1 METHODS

=head2 parse_request

    my ($request, $used) = $codec->parse_request($buffer);
    my ($request, $used) = $codec->parse_request(\$buffer);

Reads the request head at the front of the buffer. There are three outcomes:

=over 4

=item C<(undef, 0)>

The head is not complete. Limits hold already: a head that has become too long is refused without
its end being waited for.

=item C<< ({ error => $status, message => $text }, $bytes) >>

The request is refused; status and text are those of the server's response (L</ERRORS>). C<$bytes> is
what belongs to the refused head and is to be discarded: up to and including its first empty line, or
all of the buffer where there is none yet. Nothing behind a refused head can be relied upon to begin
where a request begins: the server closes the connection.

=item C<(\%request, $bytes)>

The head took C<$bytes> bytes, with one empty line in front of it where there was one. The body, if
there is one, follows there.

=back

The keys of C<%request>, with the values that the server puts into a scope:

=over 4

=item method

In upper case.

=item path

The path, percent-decoded. Characters where the bytes are UTF-8, bytes where they are not.

=item raw_path

The path as it was sent, in bytes.

=item query_string

What follows the first C<?>, as it was sent; empty where there is none.

=item http_version

C<1.0> or C<1.1>; a later 1.x is processed as 1.1.

=item headers

A reference to an array of C<[$name, $value]>, one for each field line, in the order of the wire. Names
are in lower case, values without blanks around them. Cookie lines are joined with C<; > at the place
of the first. The authority of an absolute-form target replaces the value of C<host>.

=item content_length

The number in Content-Length; undef where there is none.

=item chunked

1 where the body comes in the chunked coding, else 0.

=item expect_continue

1 where the client sent C<Expect: 100-continue>, else 0.

=back

=head2 parse_chunked_body

    my ($data, $used, $complete) = $codec->parse_chunked_body(\$buffer);

Decodes all whole chunks at the front of the buffer, which begins with a chunk size. C<$data> is their
data, C<$used> the bytes they took. C<$complete> is 1 once the last chunk and its trailer fields, which
are dropped, were read; what follows is not looked at. A chunk that is not all there is not used:
C<('', 0, 0)> means that more input is needed. Chunk extensions are ignored.

A body that cannot be decoded gives C<< ({ error => $status, message => $text }, 0, 0) >>, whatever
chunks precede the fault.

=head2 serialize_response_start

    my $bytes = $codec->serialize_response_start($status, \@headers, $chunked, $version);

The head of a response: its status line, the headers in the order and case given, a C<Server> field
where none was given, and C<Transfer-Encoding: chunked> where C<$chunked> is true, C<$version> is 1.1
and no field says it already. C<$version> is C<1.0> or C<1.1>, the default. Each header is C<[$name,
$value]>. No other field is added or dropped, C<Date> in particular: see L</format_date>.

Dies with C<Invalid status: must be an integer between 100 and 999>, or for a header that cannot go
on the wire (L</ERRORS>).

=head2 serialize_response_body

    my $bytes = $codec->serialize_response_body($chunk, $more, $chunked);

A piece of a body: as it is, or as a chunk where C<$chunked> is true, with the last chunk behind it
where C<$more> is false. Nothing comes of an undefined or empty piece, even where it is the last one:
end such a body with L</serialize_chunk_end>.

=head2 serialize_chunk_end

The last chunk, without trailer fields.

=head2 serialize_continue

The interim response C<100 Continue>.

=head2 serialize_trailers

    my $bytes = $codec->serialize_trailers(\@headers);

Field lines and the empty line that ends them. They follow the line C<0> of a last chunk. Dies as
L</serialize_response_start> does.

=head2 format_date

The time now as a C<Date> field has it, such as C<Sun, 06 Nov 1994 08:49:37 GMT>.

=head1 ERRORS

Refusals of L</parse_request>:

    400  Bad Request
    400  chunked must be the final Transfer-Encoding
    400  Transfer-Encoding and Content-Length are mutually exclusive
    413  Payload Too Large (a Content-Length above 2147483647)
    414  URI Too Long
    431  Request Header Fields Too Large
    501  Unsupported Transfer-Encoding

Refusals of L</parse_chunked_body>:

    400  Invalid chunk size
    400  Bad Request (trailer fields)
    413  Chunk Too Large
    431  Request Header Fields Too Large (trailer fields of more than 8 KiB)

Exceptions for headers, each with a newline at its end:

    Invalid header name: contains CR, LF, or null byte
    Invalid header name: contains control characters
    Invalid header name: must be a token
    Invalid header value: contains CR, LF, or null byte
    Invalid header value: contains wide characters
    Invalid header: each of the headers must be an array reference [name, value]

=head1 SEE ALSO

L<PAGI::Server>

=cut
