# The chunked coding: sizes, data, extensions (RFC 9112 7.1, contract 02 section 4)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

use Test2::V0 qw(done_testing);
use Test::PAGI::Strictness;

my $END = "0\r\n\r\n";

# The coded body and what it decodes to; a request follows.
sub good {
    my ($name, $coded, $body) = @_;
    return [
        '9112 7.1', $name,
        chunked($coded . next_request()), served(body => $body), served(path => '/next')
    ];
}

# A size line before five bytes of data.
sub good_line {
    my ($name, $line) = @_;
    return good($name, "$line\r\nhello\r\n$END", 'hello');
}

sub bad {
    my ($name, $coded, @options) = @_;
    my $bytes = chunked($coded . next_request());
    return ['9112 7.1', $name, $bytes, broken(400, 'Invalid chunk size'), @options];
}

sub bad_line {
    my ($name, $line, @options) = @_;
    return bad($name, "$line\r\nhello\r\n$END", @options);
}

sub too_large {
    my ($size) = @_;
    my $bytes = chunked("$size\r\nhello\r\n$END" . next_request());
    return ['9112 7.1', "size $size", $bytes, broken(413, 'Chunk Too Large')];
}

sub unfinished {
    my ($name, $coded) = @_;
    return ['9112 8', $name, chunked($coded), cut(calls => 1)];
}

check_table([
    good('no data', $END, ''),
    good('one chunk', "5\r\nhello\r\n$END", 'hello'),
    good('two chunks', "3\r\nabc\r\n2\r\nde\r\n$END", 'abcde'),
    good('chunks of one byte', join('', map { "1\r\n$_\r\n" } 'a' .. 'j') . $END, 'abcdefghij'),
    good('a size in lower case', "a\r\n0123456789\r\n$END", '0123456789'),
    good('a size in capitals', "A\r\n0123456789\r\n$END", '0123456789'),
    good('a size of two digits', "10\r\n0123456789abcdef\r\n$END", '0123456789abcdef'),
    good('a size in both cases', '1aB' . "\r\n" . 'x' x 0x1ab . "\r\n$END", 'x' x 0x1ab),
    good('leading zeros', "005\r\nhello\r\n$END", 'hello'),
    good('seven digits', "0000005\r\nhello\r\n$END", 'hello'),
    good('a last chunk of two noughts', "5\r\nhello\r\n00\r\n\r\n", 'hello'),
    good('a last chunk of seven noughts', "0000000\r\n\r\n", ''),
    good('data of line ends', "4\r\n\r\n\r\n\r\n$END", "\r\n\r\n"),
    good('data that looks like the end', "5\r\n0\r\n\r\n\r\n$END", "0\r\n\r\n"),
    good('data that looks like a chunk', "6\r\n1\r\na\r\n\r\n$END", "1\r\na\r\n"),
    good('binary data', "4\r\n\0\xFF\r\x80\r\n$END", "\0\xFF\r\x80"),
    good(
        'data that is a request',
        sprintf("%x\r\n%s\r\n$END", length next_request(), next_request()), next_request()
    ),
    good('a large chunk', sprintf("%x\r\n%s\r\n$END", 200_000, 'x' x 200_000), 'x' x 200_000),
    [
        '9112 7.1', 'two chunked requests',
        chunked("1\r\na\r\n$END") . chunked("1\r\nb\r\n$END"), served(body => 'a'),
        served(body => 'b')
    ],

    good_line('an extension', '5;a'),
    good_line('an extension with a value', '5;a=b'),
    good_line('an extension with a quoted value', '5;a="b c"'),
    good_line('a semicolon in quotes', '5;a="b;c"'),
    good_line('an escaped quote', '5;a="b\\"c"'),
    good_line('two extensions', '5;a=b;c=d'),
    good_line('a blank before the semicolon', '5 ;a=b'),
    good_line('a blank behind the semicolon', '5; a=b'),
    good_line('blanks around the equals sign', '5;a = b'),
    good_line('TABs for blanks', "5\t;\ta\t=\tb"),
    good_line('digits as an extension', '5;6'),
    good_line('an extension that looks like a size', '5;ffffffff'),
    good_line('an extension of a thousand bytes', '5;a=' . 'b' x 1000),
    good_line('high bytes in quotes', "5;a=\"\xE9\""),
    good('an extension of the last chunk', "0;a=b\r\n\r\n", ''),
    good('a quoted extension of the last chunk', "0;a=\"b\"\r\n\r\n", ''),
    good('an extension on each chunk', "1;a\r\nx\r\n1;b\r\ny\r\n0;c\r\n\r\n", 'xy'),

    bad('no size', "\r\nhello\r\n$END"),
    bad('an extension without a size', ";a\r\nhello\r\n$END"),
    bad_line('a letter beyond f', 'g'),
    bad_line('a letter behind the size', '5g'),
    bad_line('the prefix 0x', '0x5'),
    bad_line('the prefix 0X', '0X5'),
    bad_line('the suffix h', '5h'),
    bad_line('a plus sign', '+5'),
    bad_line('a minus sign', '-5'),
    bad_line('minus nought', '-0'),
    bad_line('a leading blank', ' 5'),
    bad_line('a leading TAB', "\t5"),
    bad_line('a fraction', '5.0'),
    bad_line('a comma', '5,'),
    bad_line('two sizes with a comma', '5,5'),
    bad_line('an underscore', '5_0'),
    bad_line('quotes', '"5"'),
    bad_line('a colon', '5:a'),
    bad_line('an equals sign', '5=a'),
    bad_line('a slash', '5/6'),
    bad_line('a NUL behind it', "5\0"),
    bad_line('a NUL before it', "\0005"),
    bad_line('a vertical tab behind it', "5\x0b"),
    bad_line('a form feed behind it', "5\x0c"),
    bad_line('a no-break space behind it', "5\xA0"),
    bad_line('a full-width digit', "\xEF\xBC\x95"),
    bad_line('Arabic digits', "\xD9\xA5"),
    bad_line('a bare CR behind it', "5\r"),
    bad_line('a bare CR before it', "\r5"),
    bad_line('a bare LF before it', "\n5"),
    bad_line('a word', 'five'),
    bad_line('a header line', 'Content-Length: 5'),
    bad_line('a blank and a second size', '5 6'),
    bad_line('a blank and a word', '5 x'),
    bad_line('a TAB and a word', "5\tx"),
    bad_line('a blank and 0x', '5 0x5'),
    bad_line('a blank and a comma', '5 ,a'),
    # No chunk-ext, so not in the grammar, though old servers padded their sizes.
    bad_line('a blank behind the size', '5 '),
    bad_line('a TAB behind the size', "5\t"),
    bad('a blank behind the last size', "0 \r\n\r\n"),
    bad('a blank and a word behind the last size', "0 x\r\n\r\n"),

    bad('LF ends the size', "5\nhello\r\n$END"),
    bad('CR ends the size', "5\rhello\r\n$END"),
    bad('LF CR ends the size', "5\n\rhello\r\n$END"),
    bad('CR CR LF ends the size', "5\r\r\nhello\r\n$END"),
    bad('LF ends the last size', "0\n\r\n"),
    bad('LF ends both last lines', "0\n\n"),
    bad('CR ends the last size', "0\r\r\n"),
    bad('LF ends the data', "5\r\nhello\n$END"),
    bad('CR ends the data', "5\r\nhello\r$END"),
    bad('LF CR ends the data', "5\r\nhello\n\r$END"),
    bad('nothing ends the data', "5\r\nhello$END"),
    bad('two other bytes end the data', "5\r\nhelloXX$END"),
    bad('a blank behind the data', "5\r\nhello \r\n$END"),
    bad('an empty line behind the data', "5\r\nhello\r\n\r\n$END"),
    bad('one byte too many', "5\r\nhello!\r\n$END"),
    bad('one byte too few', "6\r\nhello\r\n$END"),
    bad('a bad size behind a good chunk', "5\r\nhello\r\nx\r\n$END"),

    # RFC 9112 7.1.1 has extensions ignored, but who ends the line where must not differ.
    bad_line('LF in an extension', "5;a\nb"),
    bad_line('LF ends an extension', "5;a\nhello\r\n0\r\n\r\n"),
    bad_line('CR in an extension', "5;a\rb"),
    bad_line('CR CR LF ends an extension', "5;a\r"),
    bad_line('NUL in an extension', "5;a\0b"),
    bad_line('a control byte in an extension', "5;a\x01b"),
    bad_line('DEL in an extension', "5;a\x7F"),
    bad_line('LF in a quoted value', "5;a=\"b\nc\""),
    bad_line('CR in a quoted value', "5;a=\"b\rc\""),
    bad_line('LF behind the semicolon', "5;\n"),
    bad_line('a quote left open', '5;a="b'),
    bad_line('an escape at the end of an open quote', '5;a="b\\'),
    bad('LF in an extension of the last chunk', "0;a\n\r\n\r\n"),
    ['9112 7.1.1', 'an extension without end', chunked('5;' . 'a' x 9000), broken([400, 413, 431])],

    # Contract: more than seven digits, or 10 MiB.
    map({ too_large($_) } qw(
            a00001 fffffff 00000005 00000000 10000000 ffffffff 100000005 7fffffffffffffff
            ffffffffffffffff 10000000000000005 fffffffffffffffffffffffffffffffb
    )),

    unfinished('no chunk', ''),
    unfinished('half a size line', '5'),
    unfinished('a size line without LF', "5\r"),
    unfinished('half the data', "5\r\nhel"),
    unfinished('data without its CRLF', "5\r\nhello"),
    unfinished('data without its LF', "5\r\nhello\r"),
    unfinished('no last chunk', "5\r\nhello\r\n"),
    unfinished('half the last chunk', "5\r\nhello\r\n0"),
    unfinished('the last chunk without its empty line', "5\r\nhello\r\n0\r\n"),
    unfinished('half the last empty line', "5\r\nhello\r\n0\r\n\r"),
    unfinished('half an extension', '5;a='),
    unfinished('half a trailer', "0\r\nA: b"),
]);

done_testing;
