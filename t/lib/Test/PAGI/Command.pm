package Test::PAGI::Command;

# The real command, as an operator runs it, and the files of a test of it, in a directory of its own.
#
#     my $app     = write_file('app.pl', app_text('first'));    # answers "first PID UID:EUID:GIDS"
#     my $process = command([qw(-E none -p 0), $app], NOTIFY_SOCKET => $path);
#     like body(port_of($process)), qr/^first/;
#     is ends($process), 0;

use strict;
use warnings;

use Cwd      qw(abs_path);
use Exporter qw(import);
use File::Temp;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::PAGI::Client;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

our @EXPORT_OK = qw(
    app_text await_end body children_of command ends file manager mine port_of read_file successor
    write_file
);

my $ROOT      = abs_path(root());
my $DIRECTORY = File::Temp->newdir;
chmod 0755, "$DIRECTORY";
my $TEST = $$;
my @MINE;

END { kill KILL => @MINE if @MINE && $$ == $TEST }

# Processes that are not children of the test, to be killed at its end
sub mine { push @MINE, @_ }

sub file { return @_ ? "$DIRECTORY/$_[0]" : "$DIRECTORY" }

sub write_file {
    my ($name, $text) = @_;
    open my $fh, '>', file($name) or die $!;
    print {$fh} $text;
    close $fh;
    return file($name);
}

sub read_file {
    my ($name) = @_;
    open my $fh, '<', file($name) or return '';
    local $/;
    return readline($fh) // '';
}

# An application that answers with this word and who it is; code may be put in front.
sub app_text {
    my ($word, $before) = @_;
    $before //= '';
    return <<"PERL";
use strict; use warnings; use Future::AsyncAwait;
async sub {
    my (\$scope, \$receive, \$send) = \@_;
    $before
    die "no\\n" if \$scope->{type} ne 'http';
    await \$send->({ type => 'http.response.start', headers => [] });
    await \$send->({ type => 'http.response.body', body => "$word \$\$ \$<:\$>:\$)" });
};
PERL
}

sub command {
    my ($flags, %env) = @_;
    return Test::PAGI::Process->start(
        command => [Test::PAGI::Process::perl_command("$ROOT/bin/pagi-server", @$flags)],
        env     => {
            PAGI_ENV => undef, PAGI_REUSE => undef, NOTIFY_SOCKET => undef, PAGI_ARGV => undef, %env
        },
    );
}

sub port_of {
    my ($process) = @_;
    return $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
}

sub body {
    my ($port) = @_;
    return Test::PAGI::Client->connect_tcp(port => $port)->get('/')->body;
}

sub ends {
    my ($process) = @_;
    $process->signal('TERM');
    return $process->wait_exit;
}

# Of somebody who is no child of ours
sub await_end {
    my ($pid, $signal) = @_;
    kill $signal // 'TERM', $pid;
    wait_until { !kill(0 => $pid) || _is_zombie($pid) } "the end of $pid";
    return;
}

# The new master after a USR2, once it serves alone; both name themselves in the file "pid"
sub successor {
    my ($process) = @_;
    my $old = $process->pid;
    wait_until {
        die $process->stderr if $process->stderr =~ /ended before/;
        $process->has_ended && read_file('pid')  =~ /\A(?!$old)\d+\n/
    }
    'the successor';
    my $new = read_file('pid') + 0;
    mine($new);
    return $new;
}

sub _is_zombie {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 1;
    return (readline($fh) // '') =~ /\) Z/;
}

sub children_of {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', readline($fh) // '';
}

# A service manager: the path of its socket, and a function that waits until what it was told matches
# and returns all of that, or forgets it where there is no pattern.
sub manager {
    my ($name) = @_;
    my $path   = file($name);
    my $listen = IO::Socket::UNIX->new(Local => $path, Type => SOCK_DGRAM) or die $!;
    my $said   = '';
    $listen->blocking(0);
    my $hears = sub {
        my ($pattern) = @_;
        return $said = '' if !$pattern;
        wait_until {
            while (defined $listen->recv(my $line, 500)) { $said .= $line }
            $said =~ $pattern
        }
        "$pattern";
        return $said;
    };
    return ($path, $hears);
}

1;
