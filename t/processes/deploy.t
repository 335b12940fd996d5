# examples/deploy: what is in there fits the command, and is what it says
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Process;
use Test::PAGI::Tree qw(root slurp);

my @FILES = qw(pagi-app.service Dockerfile kubernetes.yaml nginx.conf README.md);

my $help = Test::PAGI::Process->start(
    command => [Test::PAGI::Process::perl_command(root() . '/bin/pagi-server', '--help')]);
$help->wait_exit;

subtest 'flags' => sub {
    for my $name (@FILES) {
        my $text = slurp("examples/deploy/$name");
        $text =~ s/^.*(?:apt-get|docker|kubectl|systemctl|COPY).*$//mg;
        $text =~ s/\\\n//g;
        my @lines = grep { /pagi-server|ENTRYPOINT|CMD|args/ } split /\n/, $text;
        my %flags = map  { $_ => 1 } map { /(?<![\w-])(--[a-z][\w-]+)/g } @lines;
        my @odd   = grep { $help->stdout !~ /\Q$_\E\b/ } sort keys %flags;
        is \@odd, [], "$name: pagi-server knows all of them";
    }
};

subtest 'the application' => sub {
    my $process = Test::PAGI::Process->start(
        command => [
            Test::PAGI::Process::perl_command(
                root() . '/bin/pagi-server', qw(-E none --no-access-log -w 2 -p 0),
                root() . '/examples/deploy/app.pl'
            )
        ],
        env => { PAGI_REUSE => undef },
    );
    my $port = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    is(Test::PAGI::Client->connect_tcp(port => $port)->get('/healthz')->body, "ok\n", 'is healthy');
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

sub is_there {
    my ($program) = @_;
    return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub output_of {
    my (@command) = @_;
    my $process   = Test::PAGI::Process->start(command => \@command);
    my $status    = $process->wait_exit;
    return ($status, $process->stdout . $process->stderr);
}

subtest 'logrotate' => sub {
    skip_all 'no logrotate' if !is_there('logrotate') && !-x '/usr/sbin/logrotate';
    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
    my $directory = File::Temp->newdir;
    my $log       = "$directory/access.log";
    my $process   = Test::PAGI::Process->start(
        command => [
            Test::PAGI::Process::perl_command(
                root() . '/bin/pagi-server', qw(-E none -w 2 -p 0 --access-log-format %U),
                '--access-log' => $log, root() . '/examples/deploy/app.pl'
            )
        ],
        env => { PAGI_REUSE => undef },
    );
    my $port = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    my $get  = sub { Test::PAGI::Client->connect_tcp(port => $port)->get($_[0])->status };
    wait_until { $get->('/healthz'); -s $log } 'a line';
    my $pid  = $process->pid;
    my $conf = slurp('examples/deploy/logrotate.conf') =~ s{/var/log/pagi-app}{$directory}r;
    $conf =~ s/systemctl kill -s USR1 .*/kill -USR1 $pid/ or die 'no signal';
    open my $fh, '>', "$directory/conf" or die $!;
    print {$fh} $conf;
    close $fh;
    chmod 0644, "$directory/conf";
    my ($status, $text) = output_of('logrotate', '-f', '-s', "$directory/state", "$directory/conf");
    is $status, 0, 'rotated' or diag $text;
    like do { local (@ARGV, $/) = "$log.1"; <> }, qr{\A(?:/healthz\n)+\z}, 'the old file';
    wait_until {
        $get->('/after');
        -s $log && do { local (@ARGV, $/) = $log; <> }
            =~ m{^/after$}m
    }
    'a line in the new one';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest 'systemd' => sub {
    skip_all 'no systemd-analyze' if !is_there('systemd-analyze');
    my $directory = File::Temp->newdir;
    for my $name (qw(pagi-app.service pagi-app.socket)) {
        my $text = slurp("examples/deploy/$name") =~ s{/usr/local/bin/pagi-server}{/bin/true}r;
        open my $fh, '>', "$directory/$name" or die $!;
        print {$fh} $text;
    }
    my ($status, $text) =
        output_of('systemd-analyze', 'verify', map { "$directory/pagi-app.$_" } qw(service socket));
    is [$status, $text], [0, ''], 'verified';
};

subtest 'Kubernetes' => sub {
    my ($status) = is_there('python3') ? output_of('python3', '-c', 'import yaml') : 1;
    skip_all 'nothing that reads YAML' if $status;
    my $code =
        'import sys, yaml; print([d["kind"] for d in yaml.safe_load_all(open(sys.argv[1]))])';
    my $file = root() . '/examples/deploy/kubernetes.yaml';
    is [output_of('python3', '-c', $code, $file)], [0, "['Deployment', 'Service']\n"], 'read';
};

subtest 'nginx' => sub {
    skip_all 'no nginx' if !is_there('nginx');
    my $file = root() . '/examples/deploy/nginx.conf';
    my $conf = File::Temp->new;
    print {$conf} "events {} pid /dev/null; http { include $file; }\n";
    close $conf;
    my ($status, $text) = output_of(qw(nginx -t -q -c), "$conf");
    $text =~ s/^.*\[(?:warn|alert)\].*\n//mg;
    skip_all 'may not bind' if $text =~ /bind\(\)|Permission denied/;
    is [$status, $text], [0, ''], 'verified';
};

done_testing;
