# PAGI::Spec::Www, "headers" and "Cookie Header Normalization" (contract 02 section 3)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my $headers;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    $headers = $scope->{headers};
    return reply($send, 'ok');
};

# What the application sees of a request with these header lines (Host apart).
sub seen {
    my ($t, @lines) = @_;
    undef $headers;
    my $client = $t->client;
    if ($t->on->protocol eq 'h1') {
        $client->write(join "\r\n", 'GET / HTTP/1.1', 'Host: test', @lines, '', '');
    }
    else {
        $client->begin(GET => '/', headers => [map { [/\A([^:]+):\s*(.*?)\s*\z/s] } @lines]);
    }
    is $client->read_response->status, 200, 'served';
    $client->close;
    return [grep { $_->[0] ne 'host' } @{ $headers // [] }];
}

# Over HTTP/2 fields of one name stand together, at the place of the first (contract 05 section 14).
sub together {
    my ($on, @tuples) = @_;
    return \@tuples if $on->protocol eq 'h1';
    my %place;
    $place{ $tuples[$_][0] } //= $_ for 0 .. $#tuples;
    return [sort { $place{ $a->[0] } <=> $place{ $b->[0] } } @tuples];
}

# [rule, [lines sent], [tuples seen]]
my @TABLE = (
    ['names are lower-cased', ['X-MiXeD: Value'], [['x-mixed' => 'Value']]],
    [
        'one tuple per line, in wire order',
        ['B: 1', 'A: 2', 'C: 3'],
        [[b => 1], [a => 2], [c => 3]]
    ],
    [
        'repeated fields are not merged',
        ['X-A: 1', 'x-b: 2', 'x-a: 3', 'X-A: 1'],
        [['x-a' => 1], ['x-b' => 2], ['x-a' => 3], ['x-a' => 1]]
    ],
    [
        'commas are left alone',
        ['Accept: text/html, */*;q=0.1', 'Accept: a/b'],
        [[accept => 'text/html, */*;q=0.1'], [accept => 'a/b']]
    ],
    ['no blank after the colon is needed', ['X:a'], [[x => 'a']]],
    ['TABs inside a value stay', ["X: a\tb"], [[x => "a\tb"]]],
    ['an empty value is the empty string', ['X:'], [[x => '']]],
    ['a blank value is the empty string', ["X:  \t "], [[x => '']]],
    ['colons in a value stay', ['X: a:b: c'], [[x => 'a:b: c']]],
    [
        'an underscore stays an underscore',
        ['Content_Type: evil', 'Content-Type: good'],
        [[content_type => 'evil'], ['content-type' => 'good']]
    ],
    [
        'every token character is a name', ["!#\$%&'*+-.^_`|~09aZ: v"],
        [["!#\$%&'*+-.^_`|~09az" => 'v']]
    ],
    ['high bytes in values stay bytes', ["X: \xE9\xFF"], [[x => "\xE9\xFF"]]],
    ['UTF-8 in values is not decoded', ["X: \xC3\xA9"], [[x => "\xC3\xA9"]]],
    [
        'content-type and content-length are plain tuples',
        ['Content-Length: 0', 'Content-Type: a/b'],
        [['content-length' => 0], ['content-type' => 'a/b']]
    ],
    ['one cookie line', ['Cookie: a=1; b=2'], [[cookie => 'a=1; b=2']]],
    [
        'cookie lines are joined with "; " into one',
        ['Cookie: a=1', 'COOKIE: b=2; c=3', 'cookie: d=4'],
        [[cookie => 'a=1; b=2; c=3; d=4']]
    ],
);

# Of HTTP/1 alone: RFC 9113 8.2.1 and 8.2.2 forbid these.
my @LINES = (
    ['blanks around a value are trimmed', ["X: \t a b \t "], [[x => 'a b']]],
    [
        'hop-by-hop headers stay visible',
        ['Connection: keep-alive, TE', 'TE: trailers', 'Keep-Alive: 5', 'Proxy-Connection: x'],
        [
            [connection         => 'keep-alive, TE'],
            [te                 => 'trailers'],
            ['keep-alive'       => 5],
            ['proxy-connection' => 'x']
        ]
    ],
);

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $row (@TABLE) {
            my ($rule, $lines, $expected) = @$row;
            subtest $rule => sub { is seen($t, @$lines), together($on, @$expected), 'tuples' };
        }

        subtest 'cookie lines among other headers leave their order alone' => sub {
            my $seen    = seen($t, 'X-A: 1', 'Cookie: a=1', 'X-B: 2', 'Cookie: b=2', 'X-C: 3');
            my @cookies = grep { $_->[0] eq 'cookie' } @$seen;
            my @others  = grep { $_->[0] ne 'cookie' } @$seen;
            is \@cookies, [[cookie => 'a=1; b=2']], 'one cookie tuple';
            is \@others, [['x-a' => 1], ['x-b' => 2], ['x-c' => 3]], 'the others in order';
        };

        subtest 'the order is the same on every request' => sub {
            my @lines = map { "X-H$_: $_" } 1 .. 40;
            my @seen  = map { seen($t, @lines) } 1 .. 3;
            is $seen[$_], [map { ["x-h$_" => $_] } 1 .. 40], "request $_" for 0 .. 2;
        };

        subtest 'the place of host' => sub {
            $t->get('/', headers => [['A' => 1]]);
            my @first = ([host => 'test'], [a => 1]);
            is $headers, $on->protocol eq 'h1' ? \@first : [reverse @first],
                'where it was sent; at the end, where it was no field';
        };

        subtest 'each tuple is a pair of its own' => sub {
            $t->get('/', headers => [['A' => 1], ['A' => 1]]);
            is [map { scalar @$_ } @$headers], [2, 2, 2], 'two elements each';
            ref_is_not $headers->[0], $headers->[1], 'not shared';
            ref_is_not $headers->[1], $headers->[2], 'none of them';
        };
    }
    on => $on, app => $app;
};

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $row (@LINES) {
            my ($rule, $lines, $expected) = @$row;
            subtest $rule => sub { is seen($t, @$lines), $expected, 'tuples' };
        }

        subtest 'transfer-encoding stays visible' => sub {
            my $response = $t->client->request(POST => '/', chunked => ['x']);
            is $response->status, 200, 'served';
            is [grep { $_->[0] eq 'transfer-encoding' } @$headers],
                [['transfer-encoding' => 'chunked']], 'tuple';
        };
    }
    on => $on, app => $app;
}
protocol => 'h1';

done_testing;
