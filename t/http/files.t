# File and fh bodies (contract 02 section 8, H24)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Fcntl      ();
use File::Temp qw(tempdir);
use IO::File;
use IO::Handle;
use Test2::V0;
use Test::PAGI::Loop   qw(failure_of holds settle wait_until);
use Test::PAGI::Matrix qw(-at_once);
use Test::PAGI::Puppet;
use Test::PAGI::Server;

my $dir = tempdir(CLEANUP => 1);

sub file_of {
    my ($name, $content) = @_;
    open my $fh, '>:raw', "$dir/$name" or die $!;
    print {$fh} $content;
    close $fh or die $!;
    return "$dir/$name";
}

my $text  = join '', map { chr } 0 .. 255;
my $small = file_of(small => $text);
my $large = file_of(large => $text x 4096);    # 1 MiB
my $empty = file_of(empty => '');

sub opened {
    my ($path, $layer) = @_;
    open my $fh, $layer // '<:raw', $path or die $!;
    return $fh;
}

package OneLine {
    sub TIEHANDLE { my ($class, $text) = @_; return bless \$text, $class }

    sub READ {
        my ($self, undef, $length) = @_;
        $_[1] = substr $$self, 0, $length, '';
        return length $_[1];
    }
}

# A glob by its overload alone
package OneGlob {
    use overload '*{}' => sub { $_[0]->() }, fallback => 1;
}

package main;

sub tied_handle {
    my $fh = \do { local *FH };
    tie *$fh, 'OneLine', 'tied text';
    return $fh;
}

sub temporary {
    my $temp = File::Temp->new;
    binmode $temp;
    print {$temp} $text;
    seek $temp, 0, 0;
    return $temp;
}

# Of a class that Perl has yet to look into for overloads
sub io_handle {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die $!;
    return IO::Handle->new_from_fd(fcntl($fh, Fcntl::F_DUPFD(), 0) // die($!), 'r');
}

my $whole = $text x 4096;

# name => [the event, the body]
my @CASES = (
    ['a small file', [file => $small], $text],
    ['a large file', [file => $large], $whole],
    ['a file with more, which does not count', [file => $small, more => 1], $text],
    ['an empty file', [file => $empty], ''],
    ['from an offset', [file => $large, offset => 1000], substr($whole, 1000)],
    ['a range', [file => $large, offset => 7, length => 9], substr($whole, 7, 9)],
    ['a range past the end', [file => $small, offset => 250, length => 99], substr($text, 250)],
    ['an offset past the end', [file => $small, offset => 1_000_000], ''],
    ['no length', [file => $large, length => 0], ''],
    ['a handle', sub { fh => opened($large) }, $whole],
    [
        'a handle with a range', sub { (fh => opened($large), offset => 3, length => 5) },
        substr $whole, 3, 5
    ],
    [
        'a handle in the middle', sub { my $fh = opened($small); read $fh, my $x, 5; (fh => $fh) },
        substr $text, 5
    ],
    ['a handle in memory', sub { fh => opened(\(my $copy = $text)) }, $text],
    [
        'with an offset', sub { (fh => opened(\(my $copy = $text)), offset => 9) },
        substr $text, 9
    ],
    ['a tied handle', sub { fh => tied_handle() }, 'tied text'],
    ['an IO::File', sub { fh => IO::File->new($small, 'r') }, $text],
    ['an IO::Handle', sub { fh => io_handle($large) }, $whole],
    ['a File::Temp', sub { fh => temporary() }, $text],
    [
        'a glob', sub { no strict 'refs'; open *FILE, '<:raw', $small or die $!; (fh => *FILE) },
        $text
    ],
    [
        'an object that gives a glob',
        sub {
            my $fh = opened($small);
            (fh => bless sub { $fh }, 'OneGlob');
        },
        $text
    ],
    [
        'a pipe', sub { open my $fh, '-|', 'printf piped' or die $!; (fh => $fh) },
        'piped'
    ],
);

my @FAILURES = (
    ['a missing file', [file => "$dir/none"], qr/\ACannot stat file \Q$dir\E\/none: No such file/],
    ['a directory', [file => $dir], qr/\ACannot open file \Q$dir\E: /],
    ['a closed handle', sub { my $fh = opened($small); close $fh; (fh => $fh) }, qr/closed/],
    ['an IO::Handle of nothing', sub { fh => IO::Handle->new }, qr/the handle is closed$/],
    ['an IO::File of nothing', sub { fh => IO::File->new }, qr/the handle is closed$/],
    [
        'a handle for writing',
        sub { open my $fh, '>>', $large or die $!; (fh => $fh, offset => 1) },
        qr/\AFailed to read file: Bad file descriptor$/
    ],
    [
        'a small one', sub { open my $fh, '>>', $small or die $!; (fh => $fh, offset => 1) },
        qr/\AFailed to read file: Bad file descriptor$/
    ],
    [
        'a pipe for writing', sub { open my $fh, '|-', 'cat' or die $!; (fh => $fh) },
        qr/\AFailed to read fh: Bad file descriptor$/
    ],
    [
        'a directory handle', sub { opendir my $fh, $dir or die $!; (fh => $fh) },
        qr/\ACannot read fh: not a filehandle$/
    ],
    map({
            my $fh = $_;
            ["fh $fh", sub { fh => $fh }, qr/\ACannot read fh: not a filehandle$/]
        } 'STDIN',
        0, '',
        {},
        sub { },
        bless({}, 'Some::Thing')),
    ['two sources', [file => $small, body => 'x'], qr/exactly one of body\/file\/fh \(got 2\)/],
    ['offset -1', [file => $small, offset => -1], qr/'offset' must be an integer/],
    ['length x', [file => $small, length => 'x'], qr/'length' must be an integer/],
);

for_each_transport {
    my ($on)   = @_;
    my $puppet = Test::PAGI::Puppet->new;
    my $serve  = sub {
        my ($code, %options) = @_;
        with_server { $code->(@_) } on => $on, app => $puppet->app, %options;
    };
    my $open = sub {
        my ($t, $method) = @_;
        my $client = $t->client->begin($method // 'GET', '/');
        return ($puppet->next_call, $client);
    };
    my $event = sub { ref $_[0] eq 'CODE' ? $_[0]->() : @{ $_[0] } };

    for my $threshold (65_536, 0) {
        $serve->(
            sub {
                my ($t) = @_;
                for my $case (@CASES) {
                    my ($what, $source, $body) = @$case;
                    subtest "$what (sync_file_threshold $threshold)" => sub {
                        for my $length (undef, length $body) {
                            my ($call, $client) = $open->($t);
                            $call->start(
                                headers => [defined $length ? ['content-length', $length] : ()]);
                            my %event    = $event->($source);
                            my $sent     = $call->send(type => 'http.response.body', %event);
                            my $response = $client->read_response;
                            wait_until { $sent->is_ready } 'the send';
                            is failure_of($sent), undef, 'sent';
                            ok $response->body eq $body, 'the bytes';
                            ok $call->connection->response_complete, 'complete';
                            $call->finish;
                        }
                    };
                }
            },
            sync_file_threshold => $threshold,
        );
    }

    $serve->(sub {
        my ($t) = @_;
        for my $case (@FAILURES) {
            my ($what, $source, $text) = @$case;
            subtest "$what fails the send, and another body works" => sub {
                my ($call, $client) = $open->($t);
                $call->start;
                like failure_of($call->send(type => 'http.response.body', $event->($source))),
                    $text;
                $call->body('instead');
                is $client->read_response->body, 'instead', 'recovered';
                $call->finish;
                is [$t->take_warnings], [], 'nobody is warned';
            };
        }

        subtest 'HEAD sends no file' => sub {
            my ($call, $client) = $open->($t, 'HEAD');
            $call->start;
            $call->send(type => 'http.response.body', file => $large);
            $call->finish;
            is $client->read_response->status, 200, 'the head';
            holds { $client->buffer eq '' } 'and nothing else';
        };

        subtest 'a file waits for a client that does not read' => sub {
            my $huge   = file_of(huge => $text x 65_536);   # 16 MiB
            my $client = $t->client;                        # a small window would take long to fill
            $client->stop_reading->begin(GET => '/');
            my $call = $puppet->next_call;
            $call->start;
            my $sent = $call->send(type => 'http.response.body', file => $huge);
            holds { !$sent->is_ready } 'the send waits';
            $client->start_reading;
            ok $client->read_response->body eq $text x 65_536, 'every byte';
            settle($sent, 'the send');
            $call->finish;
        };

        my $FAILURE = 'Failed to read file: it has become shorter';

        # A file becomes shorter while its client does not read; what the block does comes before.
        my $break = sub {
            my ($meanwhile) = @_;
            my $huge        = file_of(huge => $text x 65_536);
            my $client      = $t->client;
            $client->stop_reading->begin(GET => '/');
            my $call = $puppet->next_call;
            $call->connection->on_disconnect(sub { push @{ $call->{ended} }, @_ });
            $call->start;
            my $sent = $call->send(type => 'http.response.body', file => $huge);
            holds { !$sent->is_ready } 'the send waits';
            $meanwhile->($call, $sent) if $meanwhile;
            truncate $huge, 100 or die $!;
            $client->start_reading;
            ok $client->read_response->is_truncated, 'the response breaks off, visibly';
            return ($call, $sent);
        };

        subtest 'a file that cannot be read to its end' => sub {
            my ($call, $sent) = $break->();
            wait_until { $sent->is_ready } 'the send';
            is failure_of($sent), "$FAILURE\n", 'its send fails';
            ok !$call->connection->response_complete, 'no complete response';
            is $call->{ended}, ['server_error'], 'told why';
            is failure_of($call->body('instead')), undef, 'what else is sent is ignored';
            $call->fail($sent->failure);
            my $error = $on->blames('PAGI application error (after response started)');
            like [$t->wait_warning(qr/Failed/)], [qr/$error: \Q$FAILURE\E\n\z/], 'one line';
        };

        subtest 'of an application that does not wait' => sub {
            my ($call) = $break->(sub { $_[1]->cancel });
            wait_until { $call->{ended} } 'the end';
            is $call->{ended}, ['server_error'], 'told why';
            is [$t->take_warnings], ["$FAILURE\n"], 'warned';
            $call->finish;
            like [$t->take_warnings], [qr/incomplete response/], 'it returns without a response';
        };

        subtest 'of an application that has returned' => sub {
            my ($call) = $break->(sub { $_[0]->finish });
            is [$t->wait_warning(qr/Failed/)], ["$FAILURE\n"], 'a line of the log';
            is $call->{ended}, undef, 'its request was over';
        };
    });
};

done_testing;
