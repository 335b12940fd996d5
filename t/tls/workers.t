# Workers that begin while the certificates are bad (contract 06 section 8)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::NeedsTLS;
use IO::Socket::SSL::Utils qw(CERT_asHash);
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Prefork;

my $made = Test::PAGI::Certificates->new;
my ($old, $new) = map { $made->self_signed($_) } qw(old new);
my $dir  = tempdir(CLEANUP => 1);
my $pair = { cert_file => "$dir/cert.pem", key_file => "$dir/key.pem" };

sub install {
    my ($from) = @_;
    for my $key (sort keys %$pair) {
        copy($from->{$key}, "$pair->{$key}.new")  or die "copy: $!";
        rename "$pair->{$key}.new", $pair->{$key} or die "rename: $!";
    }
}

install($old);
my $prefork = Test::PAGI::Prefork->start(workers => 1, ssl => $pair, quiet => 0);
my $port    = $prefork->port;

# Who answers, and with which certificate
sub ask {
    my $client = Test::PAGI::Client::TLS->connect_tcp(port => $port);
    my $name   = CERT_asHash($client->socket->peer_certificate)->{subject}{commonName};
    my ($pid)  = split ' ', $client->get('/')->body;
    $client->close;
    return ($pid, $name);
}

my ($worker, $name) = ask();
is $name, 'old', 'the first certificate';

sub replaced {
    my ($before) = ($worker);
    my ($pid)    = $prefork->workers;
    kill TERM => $pid;
    wait_until { my @now = $prefork->workers; @now == 1 && $now[0] != $pid } 'another worker';
    ($worker, $name) = ask();
    return $worker != $before;
}

my %spoil = (
    '1: a certificate of another key' => sub {
        copy($new->{cert_file}, $pair->{cert_file}) or die "copy: $!";
    },
    '2: junk'           => sub { open my $fh, '>', $pair->{cert_file} or die $!; print {$fh} 'x' },
    '3: no certificate' => sub { unlink $pair->{cert_file}            or die $! },
);
for my $how (sort keys %spoil) {
    $spoil{$how}->();
    ok replaced(), "$how: the next worker serves";
    is $name, 'old', 'with the certificate that was good';
}
like $prefork->stderr, qr/TLS certificates not reloaded, the old ones stay: SSL key file/, 'a line';
install($new);
wait_until { (ask())[1] eq 'new' } 'the new certificate';
pass 'a good pair is taken';
unlink $pair->{key_file};
ok replaced(), 'one more';
is $name, 'old', 'has what the master has read last';
install($new);
wait_until { (ask())[1] eq 'new' } 'the new certificate';
ok replaced(), 'the master reads it when it forks';
unlink $pair->{key_file};
ok replaced(), 'and keeps it';
is $name, 'new', 'for the next';
$prefork->finish;

done_testing;
