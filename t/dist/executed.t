# What a SYNOPSIS shows does what it says: each is run, in a process of its own, with what it takes
# for granted before it and a look at the outcome behind it. (Those that are whole servers:
# t/dist/synopsis.t.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::Process;
use Test::PAGI::Tree qw(files module_name pod_of);

# Served in t/dist/synopsis.t
my %SERVED = map { $_ => 1 } qw(PAGI::Server);

# Told by those that are built on it, or nothing without the rest of a program
my %APART = map { $_ => 1 } qw(PAGI::Server::Runner::Loader);

my $APP = <<'PERL';
    my @seen;
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        push @seen, $scope->{type};
        if ($scope->{type} eq 'lifespan') {
            while (1) {
                my $event = await $receive->();
                await $send->({ type => "$event->{type}.complete" });
                return if $event->{type} eq 'lifespan.shutdown';
            }
        }
        await $send->({ type => 'http.response.start', status => 200 });
        await $send->({ type => 'http.response.body', body => 'served' });
    };
PERL

my $LOOP = "use IO::Async::Loop; my \$loop = IO::Async::Loop->new;\n";

# A program in a child that is told to end once it says that it listens
my $CHILD = <<'PERL';
    sub served {
        my ($code) = @_;
        pipe my $read, my $write or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            open STDERR, '>&', $write;
            close $read;
            eval { $code->(); 1 } or print {$write} "died: $@";
            require POSIX;
            POSIX::_exit(0);
        }
        close $write;
        my $said = '';
        $said .= $_, /listening on/ && kill TERM => $pid while <$read>;
        waitpid $pid, 0;
        return $said;
    }
PERL

# module => what is there before it, and inside of the sub that it stands in (a whole program stands
# in none); what must hold after it; words that are other ones here. DIR is a directory of its own.
my %RUN = (
    'PAGI::Server::AsyncFile' => {
        before => <<'PERL',
            my @sent;
            my $send = sub { push @sent, $_[0]{body}; return Future->done };
            open my $film, '>', 'DIR/film.mp4' or die $!;
            print {$film} 'x' x 1_000_000, 'y' x 600_000;
            close $film;
            open my $motd, '>', 'DIR/motd' or die $!;
            print {$motd} "hello\n";
            close $motd;
PERL
        after =>
            q{$content eq "hello\n" && join('', @sent) eq 'y' x 500_000 && -s 'DIR/visits' == 9},
        instead => { '/etc/motd' => 'DIR/motd', '/tmp/' => 'DIR/', '/srv/' => 'DIR/' },
    },
    'PAGI::Server::Connection' => {
        is_whole => 1,
        after    => <<'PERL',
            my $loop = IO::Async::Loop->new;
            socketpair my $ours, my $theirs, Socket::AF_UNIX(), Socket::SOCK_STREAM(), 0 or die $!;
            serve($loop, $theirs);
            syswrite $ours, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            my $got = '';
            $loop->watch_io(handle => $ours, on_read_ready => sub {
                sysread($ours, $got, 1000, length $got) or $loop->stop;
            });
            $loop->run;
            $got =~ m{\AHTTP/1.1 204 };
PERL
    },
    'PAGI::Server::ConnectionState' => {
        before => 'my $scope = { "pagi.connection" => PAGI::Server::ConnectionState->new };',
        after  => '$connection->disconnect_future->is_ready == 0',
    },
    'PAGI::Server::EventValidator' => {
        before => 'my $event = { type => "http.response.start", status => 200 };',
        after  => '1',
    },
    'PAGI::Server::Inherited' => { after => '!defined $fd' },
    'PAGI::Server::Lifespan'  => {
        before => $APP . $LOOP,
        after  => '"@seen" eq "lifespan" && $lifespan',
    },
    'PAGI::Server::Log' => {
        before => 'my @said; $SIG{__WARN__} = sub { push @said, @_ };',
        after  => '"@said" eq "PAGI Server startup failed: no database\n"',
    },
    'PAGI::Server::LogFile' => {
        after => 'rename("DIR/access.log", "DIR/old"); PAGI::Server::LogFile->reopen(sub { });'
            . ' -e "DIR/access.log"',
        instead => { '/var/log/app/' => 'DIR/' },
    },
    'PAGI::Server::Options'         => { after => 'grep { $_->{option} eq "timeout" } @flags' },
    'PAGI::Server::Protocol::HTTP1' => {
        after => '$request->{path} eq "/caf\x{e9}" && $buffer eq "hello"'
            . ' && $response =~ /\r\n5\r\nhello\r\n0\r\n\r\n\z/',
    },
    'PAGI::Server::Protocol::HTTP2' => {
        before => 'open my $out, ">", \my $printed; select $out;',
        after  => 'select STDOUT; $printed eq "Streams at once: 50\nThat is HTTP/2\n"',
    },
    'PAGI::Server::Protocol::Fields' =>
        { after => '$plain->[0][1] eq "5" && $plain->[1][1] eq ""' },
    'PAGI::Server::Protocol::HTTP2::Session' => {
        before => 'open my $out, ">", \my $printed; select $out;',
        after  => 'select STDOUT; $printed =~ /\A\d+ bytes to send\n\z/'
            . ' && $to_client =~ m{You asked for /\n}',
    },
    'PAGI::Server::Runner::Flags' => {
        before => 'open my $out, ">", \my $printed; select $out;',
        after  =>
            'select STDOUT; $values->{port} == 8080 && "@rest" eq "app.pl" && $printed =~ /--port/',
    },
    'PAGI::Server::Runner::RunnerFlags' => {
        before => 'my @argv = ("-q", "app.pl");',
        after  => '$values->{quiet} && "@rest" eq "app.pl"',
    },
    'PAGI::Server::Signals' => {
        before => $LOOP
            . 'use PAGI::Server; my $server = PAGI::Server->new(app => sub { }, quiet => 1);',
        after => '1',
    },
    'PAGI::Server::Sockets' => {
        before => 'use PAGI::Server; my $server = PAGI::Server->new(app => sub { }, port => 0);',
        after  => '$server->port > 0',
    },
    'PAGI::Server::TransportState' => {
        before => <<'PERL',
            my ($amount, @did) = 200;
            package Producer { sub pause { push @did, 'pause' } sub resume { push @did, 'resume' } }
            my $producer = bless {}, 'Producer';
            my $fire;
            my $scope = { 'pagi.transport' => PAGI::Server::TransportState->new(
                measure   => sub { $amount }, high => 100, low => 10,
                arm_drain => sub { $fire = $_[0] },
            ) };
PERL
        after => '$amount = 0; $fire->(); "@did" eq "pause resume"',
    },
    'PAGI::Server::Workers' => {
        before  => 'use PAGI::Server; my $app = sub { Future->done };' . $CHILD,
        inside  => 'my $said = served(sub {',
        after   => '1 }); $said =~ /listening on .* with 4 workers/',
        instead => { 5000 => 0 },
    },
);

# What needs rights or arguments of a real process is run by the tests of the command.
my %COMMAND =
    map { $_ => 1 } map { "PAGI::Server::$_" } qw(Runner Runner::Daemon Runner::ServerFlags);

sub synopsis {
    my ($path) = @_;
    my ($text) = pod_of($path) =~ /^=head1 SYNOPSIS\n(.*?)(?=^=head1|\z)/ms or return;
    return join "\n\n", grep { /\A[ \t]/ } split /\n{2,}/, $text =~ s/\A\n+//r;
}

sub program {
    my ($module, $code, $directory) = @_;
    my $run     = $RUN{$module};
    my $instead = $run->{instead} // {};
    $code =~ s/\Q$_\E/$instead->{$_}/g for sort keys %$instead;
    $code =~ s/^\s*\.{3}(?=\s*(?:#.*)?$)/1;/mg;
    my ($before, $inside, $after) = map { ($run->{$_} // '') . "\n" } qw(before inside after);
    $code .= "\n";
    my $text =
        "use Future; use Future::AsyncAwait; use Socket ();\nno strict; use $module;\n$before"
        . (
        $run->{is_whole}
        ? "$code my \$holds = do { $after };\n"
        : "my \$holds = (async sub {\n$inside$code$after})->()->get;\n"
        ) . qq{print \$holds ? "as shown\\n" : "otherwise\\n";\n};
    return $text =~ s/\bDIR\b/$directory/gr;
}

for my $path (grep { defined synopsis($_) } files('lib', qr/\.pm\z/)) {
    my $module = module_name($path);
    next if $SERVED{$module} || $APART{$module} || $COMMAND{$module};
    subtest $module => sub {
        ok $RUN{$module}, 'there is something to run it with' or return;
        my $directory = tempdir(CLEANUP => 1);
        open my $file, '>', "$directory/program.pl" or die $!;
        print {$file} program($module, synopsis($path), $directory);
        close $file or die $!;
        my $process = Test::PAGI::Process->start(
            command => [Test::PAGI::Process::perl_command("$directory/program.pl")]);
        is $process->wait_exit, 0, 'it runs' or diag $process->stderr;
        is $process->stdout, "as shown\n", 'and does what it says';
    };
}

done_testing;
