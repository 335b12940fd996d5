# PAGI::Spec::Www, "path" and "raw_path" (contract 02 section 2)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

# The answer spells each string as code points, so that bytes and characters cannot be confused.
my %seen;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    %seen = map { $_ => $scope->{$_} } qw(path raw_path query_string headers);
    return reply($send, 'ok');
};

sub points {
    return join ' ', map { sprintf '%02X', ord } split //, $_[0];
}

# [rule, target as sent, path, raw_path, query_string]
my @TABLE = (
    ['percent escapes are decoded, the query is not', '/a%20b?x=%20y', '/a b', '/a%20b', 'x=%20y'],
    ['UTF-8 escapes become characters', '/caf%C3%A9', "/caf\x{E9}", '/caf%C3%A9', ''],
    ['lower-case hex digits are the same', '/caf%c3%a9', "/caf\x{E9}", '/caf%c3%a9', ''],
    ['beyond the BMP', '/%F0%9F%98%80', "/\x{1F600}", '/%F0%9F%98%80', ''],
    ['a stray byte stays a byte', '/%FF', "/\xFF", '/%FF', ''],
    ['overlong UTF-8 stays bytes', '/%C0%80', "/\xC0\x80", '/%C0%80', ''],
    ['a surrogate stays bytes', '/%ED%A0%80', "/\xED\xA0\x80", '/%ED%A0%80', ''],
    ['above U+10FFFF stays bytes', '/%F4%90%80%80', "/\xF4\x90\x80\x80", '/%F4%90%80%80', ''],
    [
        'one bad sequence leaves the whole path bytes',
        '/%C3%A9/%FF', "/\xC3\xA9/\xFF", '/%C3%A9/%FF', ''
    ],
    ['a cut sequence stays bytes', '/a%C3', "/a\xC3", '/a%C3', ''],
    ['raw UTF-8 bytes are decoded', "/caf\xC3\xA9", "/caf\x{E9}", "/caf\xC3\xA9", ''],
    ['a plus sign stays', '/a+b', '/a+b', '/a+b', ''],
    ['a semicolon stays', '/a;b=c', '/a;b=c', '/a;b=c', ''],
    ['double slashes stay', '//x//y', '//x//y', '//x//y', ''],
    ['dot segments stay', '/a/../b', '/a/../b', '/a/../b', ''],
    ['an escaped slash is decoded', '/..%2f', '/../', '/..%2f', ''],
    ['an escaped question mark stays in the path', '/a%3Fb?c', '/a?b', '/a%3Fb', 'c'],
    ['decoded once only', '/%2541', '/%41', '/%2541', ''],
    ['an escaped NUL is decoded', '/a%00b', "/a\0b", '/a%00b', ''],
    ['escaped CR and LF are decoded', '/a%0D%0Ab', "/a\r\nb", '/a%0D%0Ab', ''],
    ['further question marks belong to the query', '/a?b?c', '/a', '/a', 'b?c'],
    ['bad escapes in the query are not looked at', '/?%zz', '/', '/', '%zz'],
);

# Of HTTP/1 alone: over HTTP/2 a target is UTF-8 without a fragment, and never a URL.
my @LINES = (
    ['raw and escaped bytes are decoded together', "/%C3\xA9", "/\x{E9}", "/%C3\xA9", ''],
    ['raw Latin-1 bytes are accepted', "/nob\xE9", "/nob\xE9", "/nob\xE9", ''],
    ['a fragment is not cut off', '/p#f?q', '/p#f', '/p#f', 'q'],
    ['high bytes in the query stay bytes', "/?\xC3\xA9", '/', '/', "\xC3\xA9"],
    ['absolute form: the path of the URL', 'http://h:81/p?q', '/p', '/p', 'q'],
    ['absolute form: escapes as usual', 'http://h/a%20b', '/a b', '/a%20b', ''],
);

# [rule, target]
my @REFUSED = (
    ['not two hex digits after a percent sign', '/%zz'],
    ['one hex digit after a percent sign', '/%4'],
    ['nothing after a percent sign', '/a%'],
    ['a space in the target', '/a b'],
    ['a TAB in the target', "/a\tb"],
    ['a NUL in the target', "/a\0b"],
    ['another control byte in the target', "/a\x01b"],
    ['DEL in the target', "/a\x7Fb"],
    ['a target without a slash', '?q=1'],
    ['a relative target', 'a/b'],
    ['authority form', 'h:80'],
);

sub decodes {
    my ($t, $rule, $target, $path, $raw_path, $query) = @_;
    subtest $rule => sub {
        %seen = ();
        is $t->get($target)->status, 200, 'served';
        is points($seen{path} // ''), points($path), 'path';
        is $seen{raw_path}, $raw_path, 'raw_path';
        is $seen{query_string}, $query, 'query_string';
    };
    return;
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        decodes($t, @$_) for @TABLE;

        subtest 'OPTIONS *' => sub {
            is $t->request(OPTIONS => '*')->status, 200, 'served';
            is [@seen{qw(path raw_path query_string)}], ['*', '*', ''], 'the asterisk is the path';
        };
    }
    on => $on, app => $app;
};

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        decodes($t, @$_) for @LINES;

        subtest 'absolute form: the authority replaces Host' => sub {
            my @headers = (headers => [['X-A' => 1]]);
            is $t->get('http://h:81/p', host => 'other', @headers)->status, 200, 'served';
            my @hosts = grep { $_->[0] eq 'host' } @{ $seen{headers} };
            is \@hosts, [[host => 'h:81']], 'one host header';
        };

        for my $row (@REFUSED) {
            my ($rule, $target) = @$row;
            subtest "$rule: 400" => sub {
                %seen = ();
                is $t->get($target)->status, 400, 'refused';
                is \%seen, {}, 'the application is not called';
            };
        }
    }
    on => $on, app => $app;
}
protocol => 'h1';

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        for my $row (@REFUSED) {
            my ($rule, $target) = @$row;
            subtest "$rule: refused" => sub {
                %seen = ();
                my $response = $t->get($target);
                ok !$response || $response->status == 400, '400, or a reset';
                is \%seen, {}, 'the application is not called';
            };
        }
    }
    on => $on, app => $app;
}
protocol => 'h2';

done_testing;
