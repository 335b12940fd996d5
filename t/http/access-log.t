# The access log, default format (contract 02 section 13, H34)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(holds wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

package My::Printer {
    sub new { my ($class) = @_; return bless [], $class }
    sub print { my ($self, @lines) = @_; push @$self, @lines; return 1 }
}

my $TIME = qr{\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000};

# A line of the clf preset.
sub clf {
    my ($request, $status) = @_;
    return qr{\A(?:127\.0\.0\.1|unix) - - \[$TIME\] "\Q$request\E" $status \d+\.\d{3}s\n\z};
}

my $app = http_app {
    my ($scope, $receive, $send) = @_;
    die "boom\n" if $scope->{path} eq '/die';
    my ($status) = $scope->{path} =~ m{\A/(\d{3})};
    return reply($send, 'hello', status => $status // 200);
};

# A log in a file, and a function that waits for its lines.
sub new_log {
    my $file = File::Temp->new;
    open my $fh, '>', $file->filename or die $!;
    my $lines = sub {
        my ($count) = @_;
        my @lines;
        wait_until {
            open my $in, '<', $file->filename or die $!;
            @lines = <$in>;
            @lines >= $count;
        }
        "$count log lines";
        return @lines;
    };
    return ($fh, $lines, $file);
}

for_each_transport {
    my ($on) = @_;

    subtest 'one line per request, there when the request is over' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t) = @_;
            $t->get('/nobody');
            my ($line) = $lines->(1);
            like $line, clf('GET /nobody', 200), 'the default format';
            is scalar(@{ [$lines->(1)] }), 1, 'one line';
        }
        on => $on, app => $app, access_log => $fh;
    };

    subtest 'the line of each kind of request' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            $client->request(GET  => '/404');
            $client->request(POST => '/a%20b?c=%20d', body => '');
            $client->request(HEAD => '/head?');
            $client->get('/again');
            $client->get('/die');
            my @lines = $lines->(5);
            like $lines[0], clf('GET /404', 404), 'status';
            like $lines[1], clf('POST /a%20b?c=%20d', 200), 'raw path and query';
            like $lines[2], qr{"HEAD /head\??" 200 }, 'HEAD';
            like $lines[3], clf('GET /again', 200), 'another of this client';
            like $lines[4], clf('GET /die', 500), 'the backstop';
            $t->take_warnings;
        }
        on => $on, app => $app, access_log => $fh;
    };

    subtest 'the duration runs until the application is done' => sub {
        my ($fh, $lines, $file) = new_log();
        my $slow = http_app {
            my ($scope, $receive, $send) = @_;
            return Test::PAGI::Loop::test_loop()->delay_future(after => 0.3)
                ->then(sub { reply($send, 'late') });
        };
        with_server {
            my ($t) = @_;
            $t->get('/slow');
            my ($seconds) = ($lines->(1))[0] =~ / (\d+\.\d{3})s$/;
            cmp_ok $seconds, '>=', 0.29, 'at least what it took';
            cmp_ok $seconds, '<', 5, 'not something else';
        }
        on => $on, app => $slow, access_log => $fh;
    };

    subtest 'a client that left before the start: status -' => sub {
        my ($fh, $lines, $file) = new_log();
        my $puppet = Test::PAGI::Puppet->new;
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            $client->begin(GET => '/gone');
            my $call = $puppet->next_call;
            $client->close;
            wait_until { !$call->connection->is_connected } 'the disconnect';
            $call->finish;
            like(($lines->(1))[0], clf('GET /gone', '-'), 'line');
        }
        on => $on, app => $puppet->app, access_log => $fh;
    };

    subtest 'refused requests are logged too (H34)' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t) = @_;
            $t->client->begin(POST => '/big', length => 99_999_999, more => 1)->read_response;
            like(($lines->(1))[0], clf('POST /big', 413), 'too large');
        }
        on => $on, app => $app, access_log => $fh;
    };

    subtest 'what a client sends cannot forge a line (H34)' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t)      = @_;
            my $response = $t->get(q{/a"b\\c});
            my ($line)   = $lines->(1);
            my $shown    = $response->status == 200 ? qr{GET /a\\x22b\\x5[Cc]c} : qr{[^"]*};
            like $line, qr{ "$shown" \d{3} \S+\n\z}, 'quotes and backslashes are escaped';
        }
        on => $on, app => $app, access_log => $fh;
    };

    subtest 'an object that prints works' => sub {
        my $printer = My::Printer->new;
        with_server {
            my ($t) = @_;
            $t->get('/printed');
            wait_until { @{$printer} } 'the line';
            like $printer, [clf('GET /printed', 200)], 'one line';
            is [$t->take_warnings], [], 'no warnings';
        }
        on => $on, app => $app, access_log => $printer;
    };

    subtest 'a handle in memory works' => sub {
        open my $fh, '>', \my $log or die $!;
        with_server {
            my ($t) = @_;
            $t->get('/memory');
            wait_until { length($log // '') } 'the line';
            like $log, clf('GET /memory', 200), 'line';
        }
        on => $on, app => $app, access_log => $fh;
    };
};

# STDERR of the process, while the block runs.
sub stderr_of {
    my ($block) = @_;
    my $file = File::Temp->new;
    open my $saved, '>&', \*STDERR    or die $!;
    open STDERR, '>', $file->filename or die $!;
    my $ok    = eval { $block->(); 1 };
    my $error = $@;
    open STDERR, '>&', $saved or die $!;
    die $error if !$ok;
    open my $in, '<', $file->filename or die $!;
    return join '', <$in>;
}

for_each_transport {
    my ($on) = @_;

    subtest 'without the option the log goes to STDERR' => sub {
        my $text = stderr_of(sub {
            with_server { $_[0]->get('/default') } on => $on, app => $app,
                without                               => ['access_log'];
        });
        like $text, clf('GET /default', 200), 'one line, though the server is quiet';
    };

    subtest 'access_log undef is off' => sub {
        my $text = stderr_of(sub {
            with_server { $_[0]->get('/off') } on => $on, app => $app, access_log => undef;
        });
        is $text, '', 'nothing on STDERR';
    };
};

# Versions, and heads that cannot be parsed, are HTTP/1's.
for_each_transport {
    my ($on) = @_;

    subtest 'what is no request is logged too (H34)' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t) = @_;
            $t->exchange("GET /bad HTTP/1.1\r\nnonsense\r\n\r\n");
            $t->exchange("GET /big HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
            my @lines = $lines->(2);
            like $lines[0], qr{\A(?:127\.0\.0\.1|unix) - - \[$TIME\] "[^"]*" 400 \S+\n\z},
                'parse error';
            like $lines[1], qr{\A(?:127\.0\.0\.1|unix) - - \[$TIME\] "[^"]*" 413 \S+\n\z},
                'too large';
        }
        on => $on, app => $app, access_log => $fh;
    };

    subtest 'HTTP/1.0' => sub {
        my ($fh, $lines, $file) = new_log();
        with_server {
            my ($t) = @_;
            my @kept = (headers => [[Connection => 'keep-alive']]);
            $t->client->get('/v10', version => '1.0', @kept);
            like(($lines->(1))[0], clf('GET /v10', 200), 'its line');
        }
        on => $on, app => $app, access_log => $fh;
    };
}
protocol => 'h1';

done_testing;
