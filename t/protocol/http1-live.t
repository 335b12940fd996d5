# The codec and the server are one parser: the same heads, the same verdicts, the same requests.
# HTTP/1 alone, as its name says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::Protocol::HTTP1;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $codec = PAGI::Server::Protocol::HTTP1->new;

my $scope;
my $app = http_app { ($scope, my $receive, my $send) = @_; return reply($send, 'ok') };

sub with { return join "\r\n", 'GET / HTTP/1.1', 'Host: x', @_, '', '' }
sub line { return join "\r\n", $_[0], 'Host: x', '', '' }

my @HEADS = (
    with(),
    with('X-A:  1 ', 'x_b: 2', 'X-A: 3', 'Cookie: a=1', 'X: y', 'Cookie: b=2'),
    with("X: \xE9\xFF", 'Y:'),
    with('Content-Length: 0'),
    with('Expect: 100-continue'),
    (map { line("GET $_ HTTP/1.1") } '/caf%C3%A9?q=%20', '/%FF', "/\xE9", '/a//b/../c', '*', '/?'),
    (map { line("GET $_ HTTP/1.1") } 'http://y:8/p?q', 'http://y', '?q', 'x', '/%', '/a b', ''),
    (map { line("$_ / HTTP/1.1") } 'get', 'M-SEARCH', 'G@T', "G\0T"),
    (map { line("GET / $_") } 'HTTP/1.0', 'HTTP/1.9', 'HTTP/2.0', 'HTTP/1.10', 'http/1.1', ''),
    "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\r\n" . with(), "\r\n\r\n" . with(),
    (
        map { with($_) } 'Host: x', 'nonsense', 'X : y', ': y', "X: a\r\n b", "X: \x01", "X: a\rb",
        "X: \x7F", "X\xE4: y", "X: a\tb",
    ),
    (map { with("Content-Length: $_") } '+5', '', '5 5', '-1', '2147483648', '99999999999'),
    (map { with("Transfer-Encoding: $_") } 'gzip', '', 'chunked, gzip', 'chunked, chunked'),
    with('Transfer-Encoding: chunked', 'Content-Length: 5'),
    (map { with('X: ' . 'a' x $_) } 8163, 8164, 20_000),
    (map { line('GET /' . 'a' x $_ . ' HTTP/1.1') } 8150, 8178, 8179),
    (
        map {
            with(map { "X-$_: 1" } 2 .. $_)
        } 100,
        101
    ),
    "GET / HTTP/1.1\nHost: x\n\n", "\x16\x03\x01\x02\0\x01\r\n\r\n",
    'GET /' . 'a' x 9000, substr(with('X: ' . 'a' x 9000), 0, 9000),
);

sub shown { return substr $_[0] =~ s/([^ -~])/sprintf '\\x%02X', ord $1/ger, 0, 60 }

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $head (@HEADS) {
            undef $scope;
            my ($request) = $codec->parse_request($head);
            my $client    = $t->client->write($head);
            my $response  = $client->read_response;
            is $response->status, $request->{error} // 200, 'status: ' . shown($head);
            if ($request->{error}) {
                is $response->body, $request->{message}, 'text: ' . shown($head);
            }
            else {
                my @keys = qw(method path raw_path query_string http_version headers);
                is {
                    map { $_ => $scope->{$_} } @keys
                }, { map { $_ => $request->{$_} } @keys },
                    'request: ' . shown($head);
            }
            $client->close;
        }
    }
    on => $on, app => $app;
}
protocol => 'h1';

done_testing;
