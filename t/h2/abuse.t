# RFC 9113 10.5, contract 05 section 8: clients that cost more than they are worth
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(resident_kb test_loop turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my ($on) = Test::PAGI::Matrix::transport('h2c');

# Writes until the server stops reading or has said goodbye; what it said.
sub flood {
    my ($h2, $bytes, $times) = @_;
    for (1 .. $times) {
        last if $h2->take->is_eof || grep { $_->{kind} eq 'GOAWAY' } $h2->frames;
        $h2->write($bytes);
        turn(0) if $_ % 20 == 0;
    }
    my $goaway = $h2->wait_frame('GOAWAY');
    return $goaway ? $goaway->{code} : 'the end';
}

sub pairs {
    my ($h2, $count) = @_;
    my $block = $h2->block($h2->request_fields(GET => '/'));
    return join '', map {
        my $id = 2 * $_ + 1;
        $h2->frame_bytes(HEADERS => $id, $block, END_HEADERS => 1, END_STREAM => 1)
            . $h2->frame_bytes(RST_STREAM => $id, pack 'N', 8);
    } 0 .. $count - 1;
}

subtest 'rapid reset' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;
        my $h2 = $t->client;
        is flood($h2, pairs($h2, 30), 1), 'ENHANCE_YOUR_CALM', '30 pairs where 3 are allowed';
        $h2->wait_for('the end', sub { $h2->is_eof });
        $h2 = $t->client;
        $h2->write(pairs($h2, 2));
        $h2->{next} = 5;
        my $id = $h2->open(GET => '/after');
        my $call;
        do { $call = $puppet->next_call } until $call->scope->{path} eq '/after';
        $call->start(status => 200);
        $call->body('x');
        $call->finish;
        is $h2->response($id)->status, 200, '2 pairs are fine';
    }
    on => $on, app => $puppet->app, h2_rst_rate_limit => { burst => 3, rate => 1 };
    with_server {
        my ($t) = @_;
        my $h2 = $t->client;
        is flood($h2, pairs($h2, 2000), 1), 'ENHANCE_YOUR_CALM', 'by default';
        is $t->get('/')->status, 200, 'neighbours are served';
    }
    on => $on, app => hello();
    with_server {
        my ($t) = @_;
        my $h2 = $t->client;
        $h2->write(pairs($h2, 1500));
        $h2->{next} = 3001;
        is $h2->get('/')->status, 200, 'undef means no limit';
    }
    on => $on, app => hello(), h2_rst_rate_limit => undef;
};

# Resets that the server makes and the client provokes (CVE-2025-8671), each on a stream of its own.
subtest 'resets that a client provokes' => sub {
    my %provoke = (
        'a window that overflows' => sub {
            my ($h2, $id) = @_;
            return join '', map { $h2->frame_bytes(WINDOW_UPDATE => $id, pack 'N', 2**31 - 1) } 1,
                2;
        },
        'DATA after the end' => sub {
            my ($h2, $id) = @_;
            return join '', map { $h2->frame_bytes(DATA => $id, 'x', END_STREAM => 1) } 1, 2;
        },
        'HEADERS after the end' => sub {
            my ($h2, $id) = @_;
            my $more = $h2->frame_bytes(HEADERS => $id, '', END_HEADERS => 1, END_STREAM => 1);
            return $h2->frame_bytes(DATA => $id, '', END_STREAM => 1) . $more;
        },
        'a window opened by nothing' => sub {
            my ($h2, $id) = @_;
            return $h2->frame_bytes(WINDOW_UPDATE => $id, pack 'N', 0);
        },
        'trailers that do not end' => sub {
            my ($h2, $id) = @_;
            return $h2->frame_bytes(HEADERS => $id, '', END_HEADERS => 1);
        },
        'a body above its length' => sub {
            my ($h2, $id) = @_;
            return $h2->frame_bytes(DATA => $id, 'xx');
        },
    );
    my $begun = 0;
    my $app   = http_app { $begun++; return test_loop()->delay_future(after => 20) };
    with_server {
        my ($t) = @_;
        for my $what (sort keys %provoke) {
            my $h2    = $on->connect($t);
            my @field = ($h2->request_fields(POST => '/'), ['content-length', 1]);
            my $block = $h2->block(@field);
            my $bytes = join '', map {
                      $h2->frame_bytes(HEADERS => $_, $block, END_HEADERS => 1)
                    . $provoke{$what}->($h2, $_)
            } map { 2 * $_ + 1 } 0 .. 29;
            my $before = $begun;
            like flood($h2, $bytes, 1), qr/\A(?:ENHANCE_YOUR_CALM|PROTOCOL_ERROR)\z/, $what;
            $h2->wait_for('the end', sub { $h2->is_eof });
            cmp_ok $begun - $before, '<=', 30, 'and few calls of the application';
            $h2->close;
        }
    }
    on => $on, app => $app, h2_rst_rate_limit => { burst => 3, rate => 1 };
};

with_server {
    my ($t) = @_;
    my $neighbour = $t->client;
    is $neighbour->get('/')->status, 200, 'a neighbour';

    my $sample = $on->connect($t);
    my %frame  = (
        'pings'           => $sample->frame_bytes(PING     => 0, 'x' x 8),
        'settings'        => $sample->frame_bytes(SETTINGS => 0, ''),
        'priorities'      => $sample->frame_bytes(PRIORITY => 7, pack 'NC', 0, 1),
        'unknown frames'  => $sample->frame_bytes(0x2a, 0, 'x'),
        'windows'         => $sample->frame_bytes(WINDOW_UPDATE => 0, pack 'N', 1),
        'priority update' => $sample->frame_bytes(0x10, 0, 'x' x 9),
    );
    for my $what (sort keys %frame) {
        my $before = resident_kb();
        my $h2     = $on->connect($t);
        is flood($h2, $frame{$what} x 500, 100), 'ENHANCE_YOUR_CALM', "a flood of $what";
        cmp_ok resident_kb() - $before, '<', 20_000, 'bounded memory';
        $h2->close;
    }

    subtest 'empty DATA' => sub {
        my $h2 = $on->connect($t);
        my $id = $h2->open(POST => '/', more => 1);
        my $is = flood($h2, $h2->frame_bytes(DATA => $id, '') x 100, 100);
        is $is, 'ENHANCE_YOUR_CALM', 'a flood of it';
        $h2->close;
    };

    subtest 'header blocks without an end' => sub {
        my $h2 = $on->connect($t);
        $h2->frame(HEADERS => 1, $h2->block(['x', 'y']));
        my $more = $h2->frame_bytes(CONTINUATION => 1, $h2->block(['x', 'y' x 1000]));
        like flood($h2, $more, 2000), qr/\A(?:ENHANCE_YOUR_CALM|COMPRESSION_ERROR)\z/,
            'CONTINUATION';
        $h2->close;
        $h2 = $on->connect($t);
        $h2->frame(HEADERS => 1, $h2->block(['x', 'y']));
        is flood($h2, $h2->frame_bytes(CONTINUATION => 1, ''), 2000), 'ENHANCE_YOUR_CALM',
            'empty ones';
        $h2->close;
    };

    subtest 'header bombs' => sub {
        my $before = resident_kb();
        my $h2     = $on->connect($t);
        $h2->wait_frame('SETTINGS');
        # One entry of 4000 bytes in the table, named 4000 times with a byte each.
        my $bomb = "\x40\x01x" . substr($h2->block(['', 'y' x 4000]), 2) . "\xbe" x 4000;
        $h2->frame(HEADERS => 1, $bomb, END_HEADERS => 1, END_STREAM => 1);
        is $h2->wait_frame('GOAWAY')->{code}, 'ENHANCE_YOUR_CALM', 'the end';
        cmp_ok resident_kb() - $before, '<', 20_000, 'bounded memory';
        $h2->close;
    };

    subtest 'a frame of 16 MiB is refused when its head is there' => sub {
        my $h2 = $on->connect($t);
        $h2->write("\xff\xff\xff\0\0\0\0\0\1");
        is $h2->wait_frame('GOAWAY')->{code}, 'FRAME_SIZE_ERROR', 'the end';
        $h2->close;
    };

    is $neighbour->get('/')->status, 200, 'the neighbour is still served';
}
on => $on, app => hello();

subtest 'a client that grants no window holds no more than is queued, and not for ever' => sub {
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t)  = @_;
            my $h2   = $t->client(settings => [[4, 0]], window => 0);
            my $id   = $h2->open(GET => '/');
            my $call = $puppet->next_call;
            $call->start(status => 200);
            $call->body('x' x 100_000, more => 1);
            is $h2->wait_frame(RST_STREAM => $id)->{code}, 'CANCEL', 'it is reset';
            wait_until { $call->scope->{'pagi.connection'}->disconnect_reason } 'a reason';
            is $call->scope->{'pagi.connection'}->disconnect_reason, 'write_timeout', 'the reason';
            $call->finish;
        },
        on      => $on,
        app     => $puppet->app,
        timeout => 0.3
    );
};

subtest 'a hundred streams without a window' => sub {
    my $left = 0;
    my $app  = http_app {
        my ($scope, $receive, $send) = @_;
        return reply($send, 'hello') if $scope->{path} eq '/small';
        return _endless($send)->on_ready(sub { $left++ });
    };
    &with_server(
        sub {
            my ($t) = @_;
            my $neighbour = $t->client;
            is $neighbour->get('/small')->status, 200, 'a neighbour';
            my $before = resident_kb();
            my $h2     = $t->client(settings => [[4, 0]], window => 0);
            $h2->open(GET => '/') for 1 .. 100;
            turn(0.02) for 1 .. 10;
            cmp_ok resident_kb() - $before, '<', 60_000, 'bounded memory';
            is $neighbour->get('/small')->status, 200, 'the neighbour is served meanwhile';
            wait_until { $left >= 100 } 'the end of all of them';
            my $resets = sub {
                scalar grep { $_->{kind} eq 'RST_STREAM' } $h2->frames;
            };
            $h2->wait_for('all resets', sub { $resets->() >= 100 });
            is $resets->(), 100, 'all are reset';
        },
        on      => $on,
        app     => $app,
        timeout => 1
    );
};

subtest 'bodies that come byte by byte, on fifty streams' => sub {
    my @send;
    my $app = http_app {
        my ($scope, $receive, $send) = @_;
        push @send, [$receive, $send];
        return test_loop()->delay_future(after => 60)->without_cancel;
    };
    &with_server(
        sub {
            my ($t)    = @_;
            my $h2     = $t->client;
            my $before = resident_kb();
            for (1 .. 50) {
                my $id = $h2->open(POST => '/', more => 1);
                for (1 .. 4) {
                    # More of them at once is more than the engine takes.
                    $h2->write($h2->frame_bytes(DATA => $id, 'x') x 5000)
                        ->frame(PING => 0, 'x' x 8);
                    $h2->wait_frame('PING');
                    $h2->{frames} = [];
                }
            }
            wait_until { @send == 50 } 'all of them', 30;
            cmp_ok resident_kb() - $before, '<', 25_000, 'a million of them cost little more';
        },
        on               => $on,
        app              => $app,
        shutdown_timeout => 0
    );
};

# Sends until somebody stops it.
async sub _endless {
    my ($send) = @_;
    await $send->({ type => 'http.response.start', status => 200 });
    my $piece = join '', map { 'x' x 1024 } 1 .. 64;
    for my $number (1 .. 16) {
        await $send->({ type => 'http.response.body', body => $piece, more => 1 });
    }
}

subtest 'a header block that trickles' => sub {
    &with_server(
        sub {
            my ($t) = @_;
            my $h2 = $t->client;
            $h2->frame(HEADERS => 1, '');
            my $sent = 0;
            $h2->wait_for(
                'its end',
                sub { turn(0.05); $h2->frame(CONTINUATION => 1, '') if $sent++ < 4; 0 }, 5
            );
            ok $h2->is_eof, 'ends in time';
        },
        on      => $on,
        app     => hello(),
        timeout => 0.2
    );
};

done_testing;
