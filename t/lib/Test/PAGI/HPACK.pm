package Test::PAGI::HPACK;

# Header compression as far as a client needs it that has no table of its own (RFC 7541).

use strict;
use warnings;

use Carp     qw(croak);
use Exporter qw(import);

our @EXPORT_OK = qw(encode decode);

# Appendix B: the lengths of the codes of all symbols. Those of one length follow each other in the
# order of the symbols, so that is all there is to know.
my @LENGTHS = qw(
    13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28
    28 6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 13 6 7 7 7 7 7
    7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6
    5 5 6 7 7 7 7 7 15 11 14 13 28 20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23
    24 23 23 23 23 21 22 23 22 23 23 24 22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22
    21 23 22 23 23 20 22 22 22 23 22 22 23 26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21
    26 27 27 26 27 24 21 21 26 26 28 27 27 27 20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26
    27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 30
);

# Appendix A
my @STATIC = map { [split / = /, $_, 2] } split /\n/, <<"END";
:authority
:method = GET
:method = POST
:path = /
:path = /index.html
:scheme = http
:scheme = https
:status = 200
:status = 204
:status = 206
:status = 304
:status = 400
:status = 404
:status = 500
accept-charset
accept-encoding = gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
END

my %SYMBOL;    # by code, as a string of binary digits
my $LONGEST = 30;

{
    my ($code, $before) = (0, 0);
    for my $symbol (sort { $LENGTHS[$a] <=> $LENGTHS[$b] || $a <=> $b } 0 .. 255) {
        my $length = $LENGTHS[$symbol];
        $code <<= $length - $before;
        $before = $length;
        $SYMBOL{ sprintf "%0${length}b", $code++ } = chr $symbol;
    }
}

# Literals without indexing, names and values as they are.
sub encode {
    my (@fields) = @_;
    return join "", map { "\0" . _string($_->[0]) . _string($_->[1]) } @fields;
}

sub _string {
    my ($text) = @_;
    return _integer(length $text) . $text;
}

sub _integer {
    my ($n) = @_;
    return pack "C", $n if $n < 127;
    my $bytes = pack "C", 127;
    for ($n -= 127; $n >= 128; $n >>= 7) { $bytes .= pack "C", ($n & 127) | 128 }
    return $bytes . pack "C", $n;
}

# The fields of a header block.
sub decode {
    my ($block) = @_;
    my @fields;
    while (length $block) {
        my $first = ord $block;
        if ($first & 0x80) {
            push @fields, [@{ _static(_take_integer(\$block, 7)) }];
        }
        elsif (($first & 0xe0) == 0x20) {
            croak "a table for a client that has none" if _take_integer(\$block, 5) > 0;
        }
        else {
            my $index = _take_integer(\$block, $first & 0x40 ? 6 : 4);
            my $name  = $index ? _static($index)->[0] : _take_string(\$block);
            push @fields, [$name, _take_string(\$block)];
        }
    }
    return \@fields;
}

sub _static {
    my ($index) = @_;
    croak "index $index is not in the static table" if $index < 1 || $index > @STATIC;
    my ($name, $value) = @{ $STATIC[$index - 1] };
    return [$name, $value // ""];
}

sub _take_integer {
    my ($block, $bits) = @_;
    my $most = (1 << $bits) - 1;
    my $n    = ord(substr $$block, 0, 1, "") & $most;
    return $n if $n < $most;
    for (my $shift = 0;; $shift += 7) {
        my $byte = ord substr $$block, 0, 1, "";
        $n += ($byte & 127) << $shift;
        return $n if $byte < 128;
    }
}

sub _take_string {
    my ($block)    = @_;
    my $is_huffman = ord($$block) & 0x80;
    my $length     = _take_integer($block, 7);
    my $text       = substr $$block, 0, $length, "";
    return $is_huffman ? _huffman($text) : $text;
}

sub _huffman {
    my ($text) = @_;
    my ($out, $code) = ("", "");
    for my $bit (split //, unpack "B*", $text) {
        $code .= $bit;
        next unless defined $SYMBOL{$code};
        $out .= $SYMBOL{$code};
        $code = "";
    }
    croak "padding that is none" if length $code > 7 || $code =~ /0/;
    return $out;
}

1;
