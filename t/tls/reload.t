# Certificates are replaced while the server runs
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test2::V0;
use Test::PAGI::NeedsTLS;
use IO::Socket::SSL::Utils qw(CERT_asHash);
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Client::TLS;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Server;

my $made = Test::PAGI::Certificates->new;
my ($old, $new, $last) = map { $made->self_signed($_) } qw(old new last);
my $dir  = tempdir(CLEANUP => 1);
my $pair = { cert_file => "$dir/cert.pem", key_file => "$dir/key.pem" };
my $app  = http_app { reply($_[2], 'ok') };

sub install {
    my ($from, @keys) = @_;
    for my $key (@keys ? @keys : qw(cert_file key_file)) {
        copy($from->{$key}, "$pair->{$key}.new")  or die "copy: $!";
        rename "$pair->{$key}.new", $pair->{$key} or die "rename: $!";
    }
}

sub name_of {
    my ($client) = @_;
    return CERT_asHash($client->socket->peer_certificate)->{subject}{commonName};
}

sub fresh {
    my ($t) = @_;
    return name_of(Test::PAGI::Client::TLS->connect_tcp(port => $t->port));
}

install($old);
with_server {
    my ($t) = @_;
    my $client = Test::PAGI::Client::TLS->connect_tcp(port => $t->port);
    is name_of($client), 'old', 'the first certificate';

    install($new);
    wait_until { fresh($t) eq 'new' } 'the new certificate';
    pass 'a change of the files is noticed';
    is $client->get('/')->status, 200, 'a connection from before lives on';
    is [grep { /certificates/ } $t->wait_warning(qr/reloaded/)], ["TLS certificates reloaded\n"],
        'and logged';

    install($last, 'cert_file');
    my @lines;
    wait_until {
        fresh($t);
        push @lines, $t->take_warnings;
        grep { /not reloaded.* does not belong/ } @lines
    }
    'a line about a pair that is none';
    is fresh($t), 'new', 'the old one stays';
    install($last, 'key_file');
    wait_until { fresh($t) eq 'last' } 'the pair to be whole';
    $t->wait_warning(qr/certificates reloaded/);
    pass 'it is taken when it is whole';

    open my $fh, '>', $pair->{cert_file};
    print {$fh} "junk\n";
    close $fh;
    is $t->server->reload_tls, 0, 'junk is refused';
    like [$t->take_warnings], bag { item qr/not reloaded.*contains no PEM certificate/; etc },
        'with a line';
    is fresh($t), 'last', 'the old one stays';
    unlink $pair->{key_file};
    is $t->server->reload_tls, 0, 'so is a file that is missing';
    is fresh($t), 'last', 'the old one stays';
    $t->take_warnings;
    install($new);
    is $t->server->reload_tls, 1, 'on demand';
    is fresh($t), 'new', 'at once';
    $t->take_warnings;
    install($old);
    kill HUP => $$;
    like [$t->wait_warning(qr/reloaded/)],
        bag { item qr/\AReceived HUP signal/; item qr/\ATLS certificates reloaded/; end }, 'on HUP';
    is fresh($t), 'old', 'at once, too';
}
app => $app, ssl => $pair, quiet => 0, log_level => 'info';

# A chmod or chown of what could not be read, or cp -p: the inode's own time is all that changes.
subtest 'a change that leaves length and time of a file alone' => sub {
    install($old);
    my $then = int(time) - 100;
    my $put  = sub {
        my ($bytes) = @_;
        open my $fh, '+<', $pair->{key_file} or die "$pair->{key_file}: $!";
        print {$fh} $bytes;
        close $fh;
        utime $then, $then, $pair->{key_file};
    };
    my $key = do { local (@ARGV, $/) = $old->{key_file}; <> };
    utime $then, $then, $pair->{key_file};
    with_server {
        my ($t) = @_;
        fresh($t);
        my @lines;
        my $until = sub {
            my ($pattern) = @_;
            wait_until {
                fresh($t);
                push @lines, $t->take_warnings;
                grep { /$pattern/ } @lines
            }
            "a line like $pattern";
        };
        $put->('x' x length $key);
        $until->(qr/not reloaded/);
        $put->($key);
        $until->(qr/certificates reloaded/);
        pass 'it is noticed';
    }
    app => $app, ssl => $pair, quiet => 0, log_level => 'info';
};

with_server { is $_[0]->server->reload_tls, 1, 'without TLS there is nothing to do' } app => $app;

done_testing;
