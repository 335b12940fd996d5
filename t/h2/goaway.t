# RFC 9113 6.8: a server that shuts down under load answers each stream up to the number in its last
# GOAWAY, whole, and has not begun with any above it
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop   qw(settle test_loop turn wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Server;

use constant {
    CLIENTS => 8,
    BURST   => 5,         # streams that a client opens at a time
    MOST    => 60,        # at once
    BODY    => 20_000,    # bytes of a response
};

my %called;
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    my ($client, $number) = $scope->{path} =~ m{\A/(\d+)/(\d+)\z};
    $called{$client}{$number} = 1;
    return test_loop()->delay_future(after => ($number % 7) * 0.02)
        ->then(sub { reply($send, 'x' x BODY) });
};

sub running {
    my ($h2) = @_;
    return grep { !$_->is_over } values %{ $h2->{streams} };
}

sub goaways {
    my ($h2) = @_;
    return grep { $_->{kind} eq 'GOAWAY' } $h2->frames;
}

# Opens streams as a client does that keeps its window of them full.
sub feed {
    my ($client, $h2) = @_;
    for (1 .. BURST) {
        return if running($h2->take) >= MOST || $h2->is_eof;
        $h2->open(GET => "/$client/$h2->{next}");
    }
    return;
}

for_each_transport {
    my ($on) = @_;
    my %stops_at = ('stops at the first GOAWAY' => 1, 'stops at the last' => 2);
    for my $what (sort keys %stops_at) {
        subtest "clients, each of which $what" => sub {
            %called = ();
            &with_server(
                sub {
                    my ($t) = @_;
                    my @clients = map { $t->client } 1 .. CLIENTS;
                    my ($shutdown, $rounds);
                    my $step = sub {
                        for my $client (0 .. $#clients) {
                            my $h2 = $clients[$client];
                            next if goaways($h2->take) >= $stops_at{$what};
                            feed($client, $h2);
                        }
                        $shutdown //= $t->server->shutdown if ++$rounds > 40;
                        return $shutdown && !grep { !$_->is_eof } @clients;
                    };
                    wait_until { $step->() } 'the end of all connections', 30;
                    settle($shutdown, 'the shutdown');
                    verdict($_, $clients[$_]->take) for 0 .. $#clients;
                },
                on  => $on,
                app => $app
            );
        };
    }
}
protocol => 'h2';

sub verdict {
    my ($client, $h2) = @_;
    my @last    = map { $_->{last} } goaways($h2);
    my $last    = $last[-1] // 0;
    my @ids     = sort { $a <=> $b } keys %{ $h2->{streams} };
    my @below   = grep { $_ <= $last } @ids;
    my @whole   = grep { length $h2->{streams}{$_}->body == BODY } @below;
    my @reset   = grep { $_->{kind} eq 'RST_STREAM' } $h2->frames;
    my @ignored = grep { $called{$client}{$_} } grep { $_ > $last } @ids;
    is $last[0], 2**31 - 1, 'the first GOAWAY takes all that is under way';
    is [grep { $_->{code} ne 'NO_ERROR' } goaways($h2)], [], 'no error';
    cmp_ok $last, '>=', 1, 'the last one names a stream';
    is scalar @whole, scalar @below, 'each up to it is answered whole: ' . @below . ' of ' . @ids;
    is [\@reset, \@ignored], [[], []], 'none is reset, and none above it was begun';
    return;
}

done_testing;
