# The access log's language, as a function of Perl (contract 01 sections 2.3 and 2.7, 02 section 13)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future;
use PAGI::Server;
use Test2::V0;

my %INFO = (
    client_ip       => '10.0.0.1',
    timestamp       => '10/Feb/2026:12:34:56 +0000',
    method          => 'GET',
    path            => '/a%20b',
    query           => 'x=1',
    http_version    => '1.1',
    status          => 200,
    size            => 5,
    duration        => 1.234567,
    request_headers => [['host', 'h'], ['referer', 'http://r/'], ['user-agent', 'curl "7"']],
);

sub line {
    my ($format, %info) = @_;
    return PAGI::Server->_compile_access_log_format($format)->({ %INFO, %info });
}

my $T = '10/Feb/2026:12:34:56 +0000';

for my $row (
    # format, line, what is special about the request
    ['clf', qq{10.0.0.1 - - [$T] "GET /a%20b?x=1" 200 1.235s}],
    ['common', qq{10.0.0.1 - - [$T] "GET /a%20b?x=1 HTTP/1.1" 200 5}],
    [
        'combined',
        qq{10.0.0.1 - - [$T] "GET /a%20b?x=1 HTTP/1.1" 200 5 "http://r/" "curl \\x227\\x22"}
    ],
    ['tiny', 'GET /a%20b?x=1 200 1234ms'],
    ['%h %l %u', '10.0.0.1 - -'],
    ['%h', 'unix', client_ip => 'unix'],
    ['%h', '-', client_ip    => undef],
    ['%m|%U|%q|%H', 'GET|/a%20b|?x=1|HTTP/1.1'],
    ['%U%q', '/a%20b', query => ''],
    ['%U%q', '/a%20b', query => undef],
    ['%s', '-', status       => undef],
    ['%s', '-', status       => '-'],
    ['%s', '101', status     => 101],
    ['%b %B', '5 5'],
    ['%b %B', '- 0', size                   => 0],
    ['%b %B', '3000000000 3000000000', size => 3_000_000_000],
    ['%d %D %T', '1.235 1234567 1'],
    ['%d %D %T', '0.000 0 0', duration => undef],
    ['%{User-Agent}i %{REFERER}i %{X-No}i', 'curl \\x227\\x22 http://r/ -'],
    ['%{host}i', '-', request_headers              => undef],
    ['%{host}i', '-', request_headers              => []],
    ['%t', '22/Nov/2026:05:46:29 +0000', timestamp => 1_795_326_389],
    ['%t', '-', timestamp                          => undef],
    ['100%% %', '100% '],
    ['plain', 'plain'],
    ['%U', '/\\x22\\x5C\\x0A', path => qq{/"\\\n}],
    )
{
    my ($format, $expected, %info) = @$row;
    is line($format, %info), $expected, join ' ', $format, map { $_ // 'undef' } %info;
}

subtest 'formats that do not compile' => sub {
    for my $row (
        ['%Z', "Unknown access log format atom '%Z'\n"],
        ['%M', "Unknown access log format atom '%M'\n"],
        ['%{x', "Unterminated %{...} in access log format\n"],
        ['%{x}o', "Expected 'i' after %{x} in access log format\n"],
        )
    {
        my ($format, $error) = @$row;
        like dies { PAGI::Server->_compile_access_log_format($format) }, qr/\A\Q$error\E\z/,
            $format;
        like dies {
            PAGI::Server->new(app => sub { }, access_log_format => $format)
        },
            qr/\A\Q$error\E\z/, "$format in the constructor";
    }
};

subtest 'a server keeps its formatter until it gets another format' => sub {
    my $server = PAGI::Server->new(app => sub { Future->done });
    my $first  = $server->{_access_log_formatter};
    ref_ok $first, 'CODE', 'there';
    is $first->({%INFO}), line('clf'), 'of the default format';
    $server->configure(quiet => 1);
    ref_is $server->{_access_log_formatter}, $first, 'another option changes nothing';
    $server->configure(access_log_format => '%m');
    ref_is_not $server->{_access_log_formatter}, $first, 'another format does';
    is $server->{_access_log_formatter}->({%INFO}), 'GET', 'it is the new one';
    my $second = $server->{_access_log_formatter};
    like dies { $server->configure(access_log_format => '%Z') }, qr/\AUnknown access log/, 'bad';
    ref_is $server->{_access_log_formatter}, $second, 'changes nothing';
};

subtest 'the info is not changed, and may be tied or overloaded' => sub {
    my %info = %INFO;
    line('%s %D %h', %info);
    is \%info, \%INFO, 'as it was';
    {

        package Loud;
        use overload '""' => sub { 'loud' }, fallback => 1;
    }
    is line('%m', method => bless {}, 'Loud'), 'loud', 'overloaded';
    require Tie::Hash;
    tie my %tied, 'Tie::StdHash';
    %tied = (%INFO, method => 'TIED');
    is(PAGI::Server->_compile_access_log_format('%m')->(\%tied), 'TIED', 'tied');
};

subtest 'an overload that changes the info changes nothing that was read' => sub {
    {

        package Meddling;
        use overload '""' => sub { $_[0]{code}->(); return 'x' }, fallback => 1;
    }
    my (%info, @others);
    my $meddle = sub {
        delete $info{client_ip};
        @{ $info{request_headers}[0] } = ();
        @others = map { 'o' x 3000 } 1 .. 50;
    };
    %info = (
        client_ip       => 'c' x 3000,
        path            => bless({ code => $meddle }, 'Meddling'),
        request_headers => [['a', 'h' x 3000], ['b', bless { code => $meddle }, 'Meddling']],
    );
    is(PAGI::Server->_compile_access_log_format('%h %U')->(\%info), 'c' x 3000 . ' x', 'a value');
    $info{path} = '/';
    $info{request_headers}[0] = ['a', 'h' x 3000];
    is(PAGI::Server->_compile_access_log_format('%{a}i')->(\%info), 'h' x 3000, 'a header');
};

subtest 'numbers that are none of the log' => sub {
    is line('%t', timestamp    => 1.7e12), '-', 'a time in milliseconds';
    is line('%B', size         => 1e30), '18446744073709551615', 'a size above all';
    is line('%B', size         => 'nan'), '0', 'no number';
    is line('%h %H', client_ip => "1\n2", http_version => "1\n1"), '1\\x0A2 HTTP/1\\x0A1',
        'nothing forges a line';
};

done_testing;
