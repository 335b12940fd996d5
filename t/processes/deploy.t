# examples/deploy: what is in there fits the command, and is what it says
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
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
