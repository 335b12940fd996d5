package Test::PAGI::Prefork;

# A server with workers, in a process of its own. Its application answers with the number of its
# process and of its worker, and does on other paths what a test wants of it:
#
#     /wait      answers once the file named release is there
#     /block     never returns
#     /die       ends the process
#     /grow      takes memory
#     /status    answers with what the system says of a program that it starts
#
#     my $prefork = Test::PAGI::Prefork->start(workers => 2, heartbeat_timeout => 1);
#     my ($pid, $num) = $prefork->ask;

use strict;
use warnings;

use parent 'Test::PAGI::Process';

use Data::Dumper ();
use File::Temp;
use Test::PAGI::Client;
use Test::PAGI::Loop qw(wait_until);

my $PROGRAM = <<'PERL';
    use strict; use warnings; use Future; use Future::AsyncAwait; use IO::Async::Loop; use PAGI::Server;
    $| = 1;
    my ($directory, $options) = @ARGV;
    my @hog;
    sub numbered { return "$directory/$_[0]" }
    my %on = (
        '/block' => sub { 1 while 1 },
        '/die'   => sub { kill KILL => $$; sleep 1 while 1 },
        '/grow'  => sub { push @hog, 'x' x 1e6 for 1 .. 60 },
    );
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        if ($scope->{type} eq 'lifespan') {
            my $num = $scope->{pagi}{worker_num};
            await $receive->();
            print "START $num $scope->{pagi}{is_worker}\n";
            if (-e numbered('fail')) {
                await $send->({ type => 'lifespan.startup.failed', message => 'no database' });
                return;
            }
            if (-e numbered('hang')) { await Future->new }
            await $send->({ type => 'lifespan.startup.complete' });
            print "STARTED $num\n";
            await $receive->();
            print "SHUTDOWN $num\n";
            await $send->({ type => 'lifespan.shutdown.complete' });
            return;
        }
        $on{ $scope->{path} }->() if $on{ $scope->{path} };
        if ($scope->{path} eq '/wait') {
            print "WAITING\n";
            my $loop = IO::Async::Loop->new;
            await $loop->delay_future(after => 0.02) while !-e numbered('release');
        }
        my $body = $scope->{path} eq '/status' ? `cat /proc/self/status` : "$$ " . ref IO::Async::Loop->new;
        await $send->({ type => 'http.response.start', headers => [] });
        await $send->({ type => 'http.response.body', body => $body });
    };
    my %options = %{ eval $options or die $@ };
    PAGI::Server->new(app => $app, access_log => undef, host => '127.0.0.1', port => 0, %options)->run;
    print "END\n";
PERL

sub start {
    my ($class, %options) = @_;
    my $env       = delete $options{env} // {};
    my $touch     = delete $options{touch};
    my $directory = File::Temp->newdir;
    my $self      = bless { directory => $directory }, $class;
    $self->touch($touch) if $touch;
    my $dumped = do {
        local ($Data::Dumper::Indent, $Data::Dumper::Terse) = (0, 1);
        Data::Dumper::Dumper(\%options);
    };
    my $process = $class->SUPER::start(
        code => $PROGRAM,
        args => ['--', "$directory", $dumped],
        env  => { PAGI_ENV => undef, PAGI_REUSE => undef, %$env },
    );
    $process->{directory} = $directory;
    return $process;
}

sub touch {
    my ($self, $name) = @_;
    open my $fh, '>', "$self->{directory}/$name" or die $!;
    return $self;
}

sub remove {
    my ($self, $name) = @_;
    unlink "$self->{directory}/$name";
    return $self;
}

sub port {
    return $_[0]{port} //= $_[0]->wait_for(err => qr{listening on https?://127\.0\.0\.1:(\d+)/});
}

sub client { return Test::PAGI::Client->connect_tcp(port => $_[0]->port) }

# The process that answers one request
sub ask {
    my ($self) = @_;
    my ($pid, $loop) = split ' ', $self->client->get('/')->body;
    return wantarray ? ($pid, $loop) : $pid;
}

# The processes of its workers, from the system
sub workers {
    my ($self) = @_;
    my @pids = sort { $a <=> $b } map { _child_of($_, $self->pid) } glob '/proc/[0-9]*/stat';
    return @pids;
}

sub wait_workers {
    my ($self, $count) = @_;
    my @workers;
    wait_until { @workers = $self->workers; @workers == $count } "$count workers";
    return @workers;
}

# Until every one of them has begun to serve
sub wait_started {
    my ($self, $count) = @_;
    wait_until { (() = $self->stdout =~ /^STARTED /mg) >= $count } "$count starts";
    return $self->wait_workers($count);
}

# Ends it, as a test should
sub finish {
    my ($self) = @_;
    $self->signal('TERM');
    return $self->wait_exit;
}

# A master that is killed cannot end its workers: they find out, but a test does not wait for that.
sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    my @workers = $self->{pid} && !$self->has_ended ? $self->workers : ();
    $self->SUPER::DESTROY;
    kill KILL => @workers if @workers;
    return;
}

sub _child_of {
    my ($stat, $parent) = @_;
    open my $fh, '<', $stat or return;
    my $line = readline($fh) // return;
    my ($pid, $state, $ppid) = $line =~ /\A(\d+) \(.*\) (\S) (\d+)/s or return;
    return $ppid == $parent && $state ne 'Z' ? $pid : ();
}

1;
