# What a start says where something is not as it should be: inherited descriptors, rights, the
# development mode (contract 07 sections 7 and 8, 08 sections 4 and 11)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

my $DIRECTORY = File::Temp->newdir;
my %CLEAN     = map { $_ => undef } qw(PAGI_ENV PAGI_REUSE PAGI_ARGV NOTIFY_SOCKET PERL5LIB);

# A server whose program begins with $begin, and has these options
sub program {
    my ($begin, %options) = @_;
    my $code = <<'PERL';
        use strict; use warnings; use Future::AsyncAwait; use PAGI::Server;
        my $app = async sub { die "no\n" };
        PAGI::Server->new(
            app => $app, access_log => undef, lifespan_mode => 'off', @ARGV
        )->run;
PERL
    return Test::PAGI::Process->start(
        code => "BEGIN { $begin } $code",
        args => ['--', %options],
        env  => \%CLEAN,
    );
}

sub command {
    my (@words) = @_;
    return Test::PAGI::Process->start(
        command => [Test::PAGI::Process::perl_command(root() . '/bin/pagi-server', @words)],
        env     => \%CLEAN,
    );
}

sub ends {
    my ($process) = @_;
    $process->signal('TERM');
    return $process->wait_exit;
}

subtest 'what systemd hands over is of no use' => sub {
    skip_all 'sockets of this family are Linux\'s' if $^O ne 'linux';
    my $process = Test::PAGI::Process->start(env => \%CLEAN, code => <<'PERL');
        use strict; use warnings; use POSIX (); use PAGI::Server::Inherited;
        socket my $netlink, 16, 3, 0 or die $!;
        POSIX::dup2(fileno $netlink, 30);
        POSIX::dup2(POSIX::open('/dev/null'), 31);
        undef $netlink;
        POSIX::close($_) for 3 .. 20;
        POSIX::dup2(31, 3);
        POSIX::dup2(30, 4);
        @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 3);
        my $found = PAGI::Server::Inherited->collect(sub { print "$_[0]: $_[1]\n" });
        print 'found ', scalar keys %$found, "\n";
PERL
    is $process->wait_exit, 0, 'exit status';
    is [split /\n/, $process->stdout], [
        'warn: Cannot getsockname on inherited fd 3: Socket operation on non-socket',
        'warn: Inherited fd 4 has unsupported address family 16',
        'warn: Cannot fdopen inherited fd 5: Bad file descriptor',
        'found 0',
        ],
        'a file, a socket of another kind, nothing at all';
};

subtest 'the system refuses' => sub {
    my $path   = "$DIRECTORY/refused.sock";
    my $refuse = '*CORE::GLOBAL::%s = sub { $! = 13; return };';
    for my $workers (0, 2) {
        my @how     = (workers => $workers, shutdown_timeout => 1);
        my $process = program(sprintf($refuse, 'bind') =~ s/sub/sub (*\$)/r, @how, port => 81);
        isnt $process->wait_exit, 0, "a port, with $workers workers: exit status";
        is $process->stderr, "Error: Permission denied to bind to port 81\n", 'why';

        $process = program(
            sprintf($refuse, 'chmod'),
            @how,
            socket => $path, socket_mode => oct '0660'
        );
        isnt $process->wait_exit, 0, 'the mode of a Unix socket: exit status';
        is $process->stderr, "Error starting server: Cannot chmod $path: Permission denied\n",
            'why';
        ok !-e $path, 'no file is left';
    }
};

subtest 'the development mode' => sub {
    mkdir "$DIRECTORY/PAGI";
    mkdir "$DIRECTORY/PAGI/Middleware";
    open my $fh, '>', "$DIRECTORY/PAGI/Middleware/Lint.pm" or die $!;
    print {$fh} <<'PERL';
package PAGI::Middleware::Lint;
sub new { my ($class, %args) = @_; return bless {%args}, $class }
sub wrap {
    my ($self, $app) = @_;
    warn 'wrapped ', join(' ', %$self), "\n";
    return $app;
}
1;
PERL
    close $fh;
    my @app  = (qw(-p 0 --no-access-log -e), 'sub { warn "called\n"; die }');
    my @dev  = qw(-E development);
    my $note = qr/^PAGI development mode - (.*)\n/m;
    my %case = (
        'without Lint'    => [[@dev], qr/^install PAGI-Tools for Lint middleware$/, 0],
        'with it'         => [[@dev, '-I', "$DIRECTORY"], qr/^Lint middleware enabled$/, 1],
        'with it, quiet'  => [[@dev, '-q', '-I', "$DIRECTORY"], qr/^$/, 1],
        'no middleware'   => [[@dev, '--no-default-middleware', '-I', "$DIRECTORY"], qr/^$/, 0],
        'in another mode' => [['-E', 'none', '-I', "$DIRECTORY"], qr/^$/, 0],
    );
    for my $name (sort keys %case) {
        my ($flags, $says, $is_wrapped) = @{ $case{$name} };
        skip_all 'PAGI-Tools is installed'
            if $name =~ /without/ && eval { require PAGI::Middleware::Lint };
        my $process = command(@$flags, @app);
        $process->wait_for(err => qr/^(called)$/m);
        is ends($process), 0, "$name: exit status";
        my ($said) = $process->stderr =~ $note;
        like $said // '', $says, 'what is said';
        is scalar($process->stderr =~ /^wrapped strict 1$/m), $is_wrapped ? 1 : '', 'what is done';
    }
};

done_testing;
