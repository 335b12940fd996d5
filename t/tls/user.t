# A key that only root may read, and a server that becomes somebody else (contract 06 section 8: it
# is loaded before rights are given up)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy qw(copy);
use File::Temp;
use Test2::V0;
use Test::PAGI::NeedsTLS;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root);

my @nobody = getpwnam 'nobody';
plan skip_all => 'needs root and a user nobody' if $> != 0 || !@nobody;

# What the user must read, and what nobody but root may
my ($public, $private) = map { File::Temp->newdir } 1 .. 2;
chmod 0755, "$public";
my $made = Test::PAGI::Certificates->new->self_signed('localhost');
my %file = (cert_file => "$private/cert.pem", key_file => "$private/key.pem");
for my $key (sort keys %file) {
    copy($made->{$key}, $file{$key}) or die "copy: $!";
    chmod 0600, $file{$key};
}
my $app = "$public/app.pl";
open my $fh, '>', $app or die "$app: $!";
print {$fh} <<'PERL';
use strict; use warnings; use Future::AsyncAwait;
async sub {
    my ($scope, $receive, $send) = @_;
    die "no\n" if $scope->{type} ne 'http';
    await $send->({ type => 'http.response.start', headers => [] });
    await $send->({ type => 'http.response.body', body => "$$ $>" });
};
PERL
close $fh;

sub start {
    my (@flags) = @_;
    return Test::PAGI::Process->start(
        command => [
            Test::PAGI::Process::perl_command(root() . '/bin/pagi-server'),
            qw(-E none --no-access-log -p 0 --user nobody),
            '--ssl-cert' => $file{cert_file}, '--ssl-key' => $file{key_file}, @flags, $app
        ],
        env => { PAGI_REUSE => undef },
    );
}

sub ask {
    my ($port) = @_;
    my $client = Test::PAGI::Client::TLS->connect_tcp(port => $port);
    return split ' ', $client->get('/')->body;
}

my $REFUSED = 'TLS certificates not reloaded, the old ones stay: Cannot read .*: Permission denied '
    . '\(this server has given up the rights to read it: a restart reads it\)';

for my $workers (0, 2) {
    subtest "$workers workers" => sub {
        my $process = start(-w => $workers);
        my $port    = $process->wait_for(err => qr{listening on https://127\.0\.0\.1:(\d+)/});
        my ($pid, $uid) = ask($port);
        is $uid, $nobody[2], 'it serves, as the user';
        $process->signal('HUP');
        $process->wait_for(err => qr/^($REFUSED)$/m);
        wait_until { !$workers || (ask($port))[0] != $pid } 'another worker';
        is((ask($port))[1], $nobody[2], 'and goes on after HUP');
        $process->signal('TERM');
        is $process->wait_exit, 0, 'exit status';
        is [$process->stderr =~ /not reloaded/g], ['not reloaded'], 'one line says so';
    };
}

subtest 'a key that is not there' => sub {
    unlink $file{key_file} or die $!;
    my $process = start();
    isnt $process->wait_exit, 0, 'exit status';
    like $process->stderr, qr/^SSL key not found: \Q$file{key_file}\E$/m, 'the file is named';
};

done_testing;
