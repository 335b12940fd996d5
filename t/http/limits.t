# Limits of the request head, enforced while bytes arrive (contract 02 section 4, H07)
# HTTP/1 alone: sizes of lines. Those of header lists over HTTP/2 are in t/h2/requests.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $calls = 0;
my $app   = http_app { my ($scope, $receive, $send) = @_; $calls++; return reply($send, 'ok') };

my %BODY = (414 => 'URI Too Long', 431 => 'Request Header Fields Too Large');

sub refused {
    my ($t, $rule, $status, @pieces) = @_;
    subtest "$rule: $status" => sub {
        my $before   = $calls;
        my $client   = $t->client->write_pieces(@pieces);
        my $response = $client->read_response;
        is $response->status, $status, 'status';
        is $response->body, $BODY{$status}, 'body';
        is $client->read_until_eof, '', 'the connection closes';
        is $calls, $before, 'the application is not called';
        $client->close;
    };
    return;
}

sub served {
    my ($t, $rule, @pieces) = @_;
    subtest "$rule: served" => sub {
        my $client = $t->client->write_pieces(@pieces);
        is $client->read_response->status, 200, 'status';
        $client->close;
    };
    return;
}

# A head whose terminator stands at this offset.
sub head_of {
    my ($offset) = @_;
    my $start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    return $start . 'a' x ($offset - length $start) . "\r\n\r\n";
}

sub head_with { return join "\r\n", 'GET / HTTP/1.1', 'Host: x', @_, '', '' }

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;

        served($t, 'a head of exactly 8192 bytes', head_of(8192));
        refused($t, 'a head of 8193 bytes', 431, head_of(8193));
        refused($t, 'a head of 20 kB', 431, head_of(20_000));
        refused($t, 'a head of 20 kB in pieces', 431, unpack '(a1000)*', head_of(20_000));
        refused($t, 'a request line of 9000 bytes', 414, head_with() =~ s{/}{'/' . 'a' x 9000}er);

        refused(
            $t, '20 kB of one header value without an end',
            431, "GET / HTTP/1.1\r\nHost: x\r\nX: ", ('a' x 5000) x 4
        );
        refused(
            $t, '20 kB of header lines without an end',
            431, "GET / HTTP/1.1\r\nHost: x\r\n", ("X-Name: value\r\n" x 300) x 5
        );
        refused($t, '20 kB of request line without an end', 414, 'GET /', ('a' x 5000) x 4);
        refused($t, '20 kB of method without an end', 414, ('A' x 5000) x 4);

        subtest 'megabytes without an end are not buffered' => sub {
            my $client = $t->client->write('GET / HTTP/1.1' . "\r\nX: " . 'a' x 8_000_000);
            is $client->read_response->status, 431, 'refused';
        };
    }
    on => $on, app => $app;

    with_server {
        my ($t) = @_;

        served($t, '100 header lines', head_with(map { "X-$_: 1" } 1 .. 99));
        refused($t, '101 header lines', 431, head_with(map { "X-$_: 1" } 1 .. 100));
        refused($t, '101 header lines of one name', 431, head_with(('X: 1') x 100));
        served(
            $t, 'cookie lines count once',
            head_with((map { "Cookie: c$_=1" } 1 .. 60), map { "X-$_: 1" } 1 .. 90)
        );
        served(
            $t, 'content-type and content-length do not count',
            head_with('Content-Type: a/b', 'Content-Length: 0', map { "X-$_: 1" } 1 .. 99)
        );
    }
    on => $on, app => $app;

    with_server {
        my ($t) = @_;
        served($t, 'max_header_count lines', head_with(map { "X-$_: 1" } 1 .. 4));
        refused($t, 'more than max_header_count lines', 431, head_with(map { "X-$_: 1" } 1 .. 5));
    }
    on => $on, app => $app, max_header_count => 5;

    with_server {
        my ($t) = @_;
        served($t, 'a head of max_header_size', head_of(20_000));
        refused($t, 'a head above max_header_size', 431, head_of(20_001));
        served($t, 'a request line of 8192 bytes', head_with() =~ s{/}{'/' . 'a' x 8178}er);
    }
    on => $on, app => $app, max_header_size => 20_000;

    with_server {
        my ($t) = @_;
        served($t, 'a head of a small max_header_size', head_of(100));
        refused($t, 'a head above a small max_header_size', 431, head_of(101));
        refused($t, 'the same without an end', 431, substr head_of(200), 0, 150);
    }
    on => $on, app => $app, max_header_size => 100;
}
protocol => 'h1';

done_testing;
