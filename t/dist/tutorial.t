# What the guides show works: the tutorial's programs are served, those of the others compile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(files pod_of root);
use Test::PAGI::WebSocket;

# The verbatim blocks that are whole programs: from "use strict" to the next ordinary text.
sub programs {
    my ($path) = @_;
    my @programs;
    for my $paragraph (split /\n{2,}/, pod_of($path)) {
        my $verbatim = $paragraph =~ /\A\n?[ \t]/;
        push @programs, '' if $verbatim && $paragraph =~ /^[ \t]+use strict;/m;
        if    (!$verbatim || $paragraph =~ /\A\n?[ \t]+\$ /) { push @programs, undef }
        elsif (defined $programs[-1])                        { $programs[-1] .= "$paragraph\n\n" }
    }
    return grep { defined } @programs;
}

sub file_of {
    my ($text) = @_;
    my $file = File::Temp->new(SUFFIX => '.pl');
    print {$file} $text;
    close $file or die $!;
    return $file;
}

# Serves a program and calls the block with something that makes clients.
sub served (&$) {
    my ($block, $program) = @_;
    my $file    = file_of($program);
    my $process = Test::PAGI::Process->start(
        command => [
            Test::PAGI::Process::perl_command(
                root() . '/bin/pagi-server', '--port', 0, $file->filename
            )
        ],
        env => { PAGI_ENV => 'none', PERL_UNICODE => undef }
    );
    my $port = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    $block->(bless { port => $port }, 'Clients');
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status after TERM';
    unlike $process->stderr, qr/error|warning|uninitialized/i, 'no complaints';
    return;
}

sub Clients::client { return Test::PAGI::Client->connect_tcp(port => $_[0]{port}) }
sub Clients::get    { my $self = shift; return $self->client->get(@_) }

my $NOTE = "M\xC3\xBCll";

sub adds {
    my ($t, $note) = @_;
    my $response = $t->client->request(POST => '/notes', body => $note);
    is $response->status, 200, 'a note is taken';
    like $response->body, qr/^\Q$note\E$/m, 'and shown';
    return;
}

my @step = programs('lib/PAGI/Server/Tutorial.pod');
is scalar @step, 4, 'the tutorial has four steps';

subtest 'step 1' => sub {
    served {
        my ($t) = @_;
        is $t->get('/notes')->body, "A first note\n", 'the notes';
        is $t->get('/nowhere')->status, 404, 'nothing else';
    }
    $step[0];
};

for my $number (2 .. @step) {
    subtest "step $number" => sub {
        served {
            my ($t) = @_;
            adds($t, $NOTE);
            is $t->get('/notes')->body, "A first note\n$NOTE\n", 'the notes';
            watches($t) if $number >= 3;
            talks($t)   if $number >= 4;
        }
        $step[$number - 1];
    };
}

sub watch {
    my ($t) = @_;
    my $watcher = $t->client;
    $watcher->write("GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    $watcher->read_until(qr/\r\n\r\n/);
    return $watcher;
}

# The head is there a moment before the application watches: notes are added until one arrives.
sub watches {
    my ($t) = @_;
    my $watcher = watch($t);
    wait_until {
        $t->client->request(POST => '/notes', body => $NOTE);
        $watcher->buffer =~ /^data: \Q$NOTE\E\n\n/m
    }
    'an event';
    pass 'a watcher is told';
    $watcher->close;
    adds($t, 'nobody watches');
    return;
}

sub talks {
    my ($t) = @_;
    my ($ann, $bob) = map { Test::PAGI::WebSocket->open($t, path => '/live')->accepted } 1 .. 2;
    is $ann->text('first')->message, 'first', 'one hears what it says';
    is $bob->message, 'first', 'and so does another';
    my $watcher = watch($t);
    wait_until { $bob->text('second'); $watcher->buffer =~ /^data: second\n\n/m } 'an event';
    is $ann->message, 'second', 'a note reaches sockets and streams';
    adds($t, 'posted');
    my $heard;
    wait_until { $heard = $ann->message; $heard eq 'posted' } 'the posted one';
    is $heard, 'posted', 'however it came';
    $_->send_close(1000) for $ann, $bob;
    return;
}

for my $path (files('lib', qr/(?:Deployment|EventLoops|Migration)\.pod\z/)) {
    subtest "programs of $path" => sub {
        my @programs = programs($path);
        ok @programs || $path !~ /EventLoops/, 'there are some';
        for my $program (@programs) {
            my ($missing) = grep { !eval "require $_; 1" } $program =~ /^\s*use ([A-Z][\w:]+)/gm;
            my $what = ($program =~ /^\s*# (.*)/m)[0] // 'a program';
            if ($missing) {
                pass "$what: not tried without $missing";
                next;
            }
            my $file    = file_of($program);
            my $process = Test::PAGI::Process->start(
                command => [Test::PAGI::Process::perl_command('-c', $file->filename)]);
            is $process->wait_exit, 0, "$what compiles" or diag $process->stderr, $program;
        }
    };
}

done_testing;
