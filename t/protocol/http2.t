# PAGI::Server::Protocol::HTTP2 by itself (contract 01 section 5, 05 sections 1 and 2)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server;
use PAGI::Server::Options;
use PAGI::Server::Protocol::HTTP2;
use Test2::V0;

my $CLASS   = 'PAGI::Server::Protocol::HTTP2';
my $PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

my %DEFAULT = (
    max_concurrent_streams  => 100,
    initial_window_size     => 65_535,
    max_frame_size          => 16_384,
    enable_push             => 0,
    enable_connect_protocol => 1,
    max_header_list_size    => 65_536,
    h2_rst_rate_limit       => { burst => 1000, rate => 33 },
);

is $CLASS->available, 1, 'available';

subtest 'detect_preface' => sub {
    my %is = (
        $PREFACE                          => 1,
        "$PREFACE\0\0\0\4\0\0\0\0\0"      => 1,
        substr($PREFACE, 0, 23)           => 0,
        ''                                => 0,
        "GET / HTTP/1.1\r\nHost: x\r\n"   => 0,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX" => 0,
        " $PREFACE"                       => 0,
    );
    is $CLASS->detect_preface($_), $is{$_}, $_ =~ s/[^ -~]/./gr for sort keys %is;
    is $CLASS->detect_preface(undef), 0, 'undef';
    is $CLASS->new->detect_preface($PREFACE), 1, 'an object can be asked';
};

subtest 'settings' => sub {
    is { %{ $CLASS->new } }, \%DEFAULT, 'the defaults';
    is {
        %{ $CLASS->new(map { $_ => undef } grep { !/rst/ } keys %DEFAULT) }
    }, \%DEFAULT,
        'undef is the default';
    my %other = (
        max_concurrent_streams  => 7,
        initial_window_size     => 1000,
        max_frame_size          => 20_000,
        enable_push             => 1,
        enable_connect_protocol => 0,
        max_header_list_size    => 500,
        h2_rst_rate_limit       => { burst => 3, rate => 1 },
    );
    is { %{ $CLASS->new(%other) } }, \%other, 'others';
    is $CLASS->new(h2_rst_rate_limit => undef)->{h2_rst_rate_limit}, undef, 'no limit';
    is { $CLASS->new(%other)->options },
        {
        map({ ("h2_$_" => $other{$_}) } grep { !/rst/ } keys %other),
        h2_rst_rate_limit => { burst => 3, rate => 1 }
        },
        'as options of a server';
    like dies { $CLASS->new(nonsense => 1) }, qr/\AUnknown setting 'nonsense' for $CLASS at /,
        'an unknown one is named';
    like dies { $CLASS->new($_ => 'x') }, qr/'h2_$_'|\bh2_$_\b/, "$_ => 'x'"
        for grep { !/rst|enable/ } keys %DEFAULT;
    like dies { $CLASS->new(h2_rst_rate_limit => { rate => 'x' }) },
        qr/\AInvalid rate 'x' in h2_rst_rate_limit/, 'a limit that is none';
};

subtest 'of a server' => sub {
    my $server = sub {
        PAGI::Server->new(app => sub { }, quiet => 1, @_);
    };
    ok !exists $server->()->{http2_protocol}, 'none without http2';
    my $on = $server->(http2 => 1, h2_max_frame_size => 20_000, h2_rst_rate_limit => undef);
    isa_ok $on->{http2_protocol}, $CLASS;
    is { %{ $on->{http2_protocol} } },
        { %DEFAULT, max_frame_size => 20_000, h2_rst_rate_limit => undef }, 'its settings';
    $on->configure(h2_max_concurrent_streams => 5);
    is $on->{http2_protocol}{max_concurrent_streams}, 5, 'after configure';
    $on->configure(http2 => 0);
    ok !exists $on->{http2_protocol}, 'gone with http2';
    my $same = $server->(http2 => 1, $CLASS->new(max_frame_size => 30_000)->options);
    is $same->{h2_max_frame_size}, 30_000, 'options of a server';
};

subtest 'from the table' => sub {
    my @options = grep { /\Ah2_/ } PAGI::Server::Options->names;
    is [sort keys %{ { $CLASS->new->options } }], [sort @options], 'every h2 option is a setting';
};

done_testing;
