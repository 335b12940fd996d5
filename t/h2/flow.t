# contract 05 section 9, and section 4 of it inward: windows, watermarks, neighbours
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds settle turn wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    &with_server(
        sub {
            my ($t) = @_;

            subtest 'a stream whose window is shut waits, and alone' => sub {
                my $h2   = $t->client(settings => [[4, 1000]], window => 0);
                my $slow = $h2->open(GET => '/slow');
                my $call = $puppet->next_call;
                my ($high, $drained) = (0, 0);
                my $transport = $call->transport;
                $transport->on_high_water(sub { $high++ });
                $transport->on_drain(sub { $drained++ });
                $call->start;
                ok $call->body('x' x 20_000, more => 1)->is_done, 'the first piece never waits';
                is $high, 1, 'on_high_water at once';
                wait_until { $transport->buffered_amount == 19_000 } 'what its window took';
                my $sent = $call->body('y', more => 1);
                ok !$sent->is_ready, 'the next one does';
                my $other = $h2->open(GET => '/other');
                $puppet->next_call->reply('swift');
                is $h2->response($other)->body, 'swift', 'a neighbour is served';
                $h2->grant($slow, 12_000);
                wait_until { $transport->buffered_amount == 7_001 } 'more of it';
                ok !$sent->is_ready, 'still above the low mark';
                is $drained, 0, 'no on_drain';
                $h2->grant($slow, 7_000);
                settle($sent, 'the send');
                wait_until { $drained } 'on_drain';
                my $last = $call->body('z');
                $h2->grant($slow, 100);
                is length $h2->response($slow)->body, 20_002, 'all of it';
                ok !(grep { length > 16_384 } @{ $h2->partial($slow)->chunks }),
                    'in frames of their size';
                $call->finish;
                $h2->close;
            };

            subtest 'a stream that is reset while it waits' => sub {
                my $h2      = $t->client(settings => [[4, 10]], window => 0);
                my $id      = $h2->open(GET => '/');
                my $call    = $puppet->next_call;
                my $drained = 0;
                $call->transport->on_drain(sub { $drained++ });
                $call->start;
                $call->body('x' x 20_000, more => 1);
                my $sent = $call->body('y', more => 1);
                $h2->reset_stream($id);
                settle($sent, 'the send is released');
                is $drained, 0, 'without on_drain';
                $call->finish;
                $h2->close;
            };

            subtest 'a reset that crosses the answer' => sub {
                my $h2 = $t->client(settings => [[4, 10]], window => 0);
                for (1 .. 30) {
                    my $id   = $h2->open(GET => '/');
                    my $call = $puppet->next_call;
                    $h2->reset_stream($id);
                    $call->start;
                    $call->body('x' x 20_000, more => 1);
                    settle($call->body('y', more => 1), 'the send is released');
                    $call->finish;
                }
                pass('every time');
                $h2->close;
            };

            subtest 'the window of the connection' => sub {
                my $h2    = $t->client(window => 0);
                my @ids   = map { $h2->open(GET => '/') } 1 .. 2;
                my @calls = map { $puppet->next_call } @ids;
                $_->start, $_->body('x' x 60_000) for @calls;
                $h2->wait_for(
                    'a window',
                    sub {
                        my $got = 0;
                        $got += length $h2->partial($_)->body for @ids;
                        $got == 65_535;
                    }
                );
                $h2->grant(0, 100_000);
                is length $h2->response($_)->body, 60_000, 'whole' for @ids;
                $_->finish for @calls;
                $h2->close;
            };

            subtest 'a body that nobody reads stops at its window' => sub {
                my $h2   = $t->client;
                my $id   = $h2->open(POST => '/', more => 1);
                my $call = $puppet->next_call;
                $h2->frame(DATA => $id, 'x' x 16_384) for 1 .. 3;
                $h2->frame(DATA => $id, 'x' x 16_383);
                my $credit = sub {
                    my $all = 0;
                    $all += unpack 'N', $_->{payload}
                        for grep { $_->{kind} eq 'WINDOW_UPDATE' && $_->{id} == $id }
                        $h2->take->frames;
                    return $all;
                };
                my $other = $h2->request(POST => '/', body => 'y') if 0;
                my $next  = $h2->open(POST => '/next', more => 1);
                my $calm  = $puppet->next_call;
                $h2->frame(DATA => $next, 'n' x 10_000, END_STREAM => 1);
                my $got = 0;
                while ($got < 10_000) { $got += length $calm->event->{body} }
                $calm->reply('ok');
                is $h2->response($next)->body, 'ok', 'a neighbour has its own window';
                is $credit->(), 0, 'no credit while it is not read';
                my $read = 0;
                while ($read < 65_535) { $read += length $call->event->{body} }
                $h2->wait_for('credit', sub { $credit->() > 30_000 });
                $h2->frame(DATA => $id, 'end', END_STREAM => 1);
                is $call->event, { type => 'http.request', body => 'end', more => 0 }, 'its end';
                $call->reply('read');
                is $h2->response($id)->body, 'read', 'answered';
                $h2->close;
            };

            subtest 'fullflush lets the held head go' => sub {
                my $h2   = $t->client;
                my $id   = $h2->open(GET => '/');
                my $call = $puppet->next_call;
                $call->start;
                holds { !defined $h2->partial($id)->status } 'the head is held back';
                ok $call->send(type => 'http.fullflush')->is_done, 'fullflush';
                $h2->wait_for('the head', sub { defined $h2->partial($id)->status });
                $call->body('x');
                $call->finish;
                is $h2->response($id)->body, 'x', 'the rest';
                $h2->close;
            };

            subtest 'an answer before the body has come' => sub {
                my $h2 = $t->client;
                my $id = $h2->open(POST => '/', more => 1);
                $puppet->next_call->reply('early');
                is $h2->response($id)->body, 'early', 'is sent';
                $h2->frame(DATA => $id, 'x' x 1000);
                $h2->frame(DATA => $id, 'x' x 1000, END_STREAM => 1);
                my $after = $h2->open(GET => '/');
                $puppet->next_call->reply('after');
                is $h2->response($after)->body, 'after', 'the rest of the body is dropped';
                ok !(grep { $_->{kind} eq 'RST_STREAM' } $h2->frames), 'quietly, where it is short';
                $h2->close;
            };
        },
        on                   => $on,
        app                  => $puppet->app,
        write_high_watermark => 16_000,
        write_low_watermark  => 4000,
        extensions           => { fullflush => {} },
    );
}
protocol => 'h2';

done_testing;
