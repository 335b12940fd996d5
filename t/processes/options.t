# Every option reaches the workers (P01), TLS included
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::Loop     qw(wait_until);
use Test::PAGI::NeedsTLS ();
use Test::PAGI::Process;

-e '/proc/self/stat' or plan skip_all => 'needs /proc';

# Answers with the options of its server object, which is found by way of the loop.
my $PROGRAM = <<'PERL';
    use strict; use warnings; use Future::AsyncAwait; use PAGI::Server; use PAGI::Server::Options;
    use Data::Dumper; use IO::Async::Loop;
    $Data::Dumper::Sortkeys = $Data::Dumper::Terse = 1; $Data::Dumper::Indent = 0;
    my %given = %{ eval $ARGV[0] or die $@ };
    open my $log, '>>', delete $given{log} or die $!;
    my $app = async sub {
        my ($scope, $receive, $send) = @_;
        die "no\n" if $scope->{type} ne 'http';
        my ($server) = grep { $_->isa('PAGI::Server') && $_->loop } IO::Async::Loop->new->notifiers;
        my %shown = map { $_ => $server->{$_} } grep { !/^(?:app|access_log)$/ } PAGI::Server::Options->names;
        my $text = Dumper({ %shown, is_worker => $server->{is_worker}, loop => ref $server->loop,
            database => $server->{database}, notifier_name => $server->notifier_name });
        await $send->({ type => 'http.response.start', status => 200, headers => [] });
        await $send->({ type => 'http.response.body', body => $text });
    };
    package My::Server { our @ISA = 'PAGI::Server';
        sub configure {
            my ($self, %params) = @_;
            $self->{database} = delete $params{database} if exists $params{database};
            die "database is required\n" if !defined $self->{database};
            $self->SUPER::configure(%params);
        }
    }
    my $class = $given{database} ? 'My::Server' : 'PAGI::Server';
    $class->new(app => $app, access_log => $log, host => '127.0.0.1', port => 0, %given)->run;
PERL

my $LOG = File::Temp->new;

my %GIVEN = (
    workers                  => 1,
    access_log_format        => 'seen %U',
    log_level                => 'debug',
    max_connections          => 7,
    max_body_size            => 12_345,
    max_header_size          => 4000,
    max_header_count         => 33,
    write_high_watermark     => 50_000,
    write_low_watermark      => 5000,
    timeout                  => 17,
    request_timeout          => 18,
    shutdown_timeout         => 4,
    lifespan_mode            => 'auto',
    lifespan_startup_timeout => 9,
    heartbeat_timeout        => 11,
    listener_backlog         => 50,
    validate_events          => 1,
    disable_tls              => 1,
    loop_type                => 'Select',
    extensions               => { fullflush => {} },
    sync_file_threshold      => 99,
    max_requests             => 1000,
    max_requests_jitter      => 0,
    max_worker_memory        => 1e9,
    h2_rst_rate_limit        => undef,
);

sub start {
    my (%options) = @_;
    require Data::Dumper;
    no warnings 'once';
    local ($Data::Dumper::Terse, $Data::Dumper::Indent) = (1, 0);
    return Test::PAGI::Process->start(
        code => $PROGRAM,
        args => ['--', Data::Dumper::Dumper({ %options, log => "$LOG" })],
        env  => { PAGI_ENV => undef, PAGI_REUSE => undef },
    );
}

subtest 'every option' => sub {
    my $process = start(%GIVEN);
    my $port    = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    my $shown   = eval(Test::PAGI::Client->connect_tcp(port => $port)->get('/x')->body);
    is $shown->{is_worker}, 1, 'of a worker';
    is $shown->{loop}, 'IO::Async::Loop::Select', 'its loop is of the kind that was asked for';
    for my $name (sort keys %GIVEN) {
        my $want = $name eq 'workers' ? 0 : $GIVEN{$name};
        is $shown->{$name}, $want, $name;
    }
    wait_until { -s "$LOG" } 'the access log';
    open my $fh, '<', "$LOG";
    is join('', <$fh>), "seen /x\n", 'its format';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest 'options of a subclass' => sub {
    my $process = start(workers => 1, database => 'mine', notifier_name => 'my server');
    my $port    = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    my $shown   = eval(Test::PAGI::Client->connect_tcp(port => $port)->get('/x')->body);
    is $shown->{database}, 'mine', 'its own';
    is $shown->{notifier_name}, 'my server', 'and those of IO::Async::Notifier';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

subtest 'TLS' => sub {
    skip_all 'no TLS client' if !Test::PAGI::NeedsTLS::is_there();
    require Test::PAGI::Client::TLS;
    my $process = start(workers => 2, ssl => Test::PAGI::Certificates->shared);
    my $port    = $process->wait_for(err => qr{listening on https://127\.0\.0\.1:(\d+)/});
    my $client  = Test::PAGI::Client::TLS->connect_tcp(port => $port);
    is $client->get('/')->status, 200, 'workers speak it';
    $process->signal('HUP');
    $process->wait_for(err => qr/^(Received HUP)/m);
    $client = Test::PAGI::Client::TLS->connect_tcp(port => $port);
    is $client->get('/')->status, 200, 'also after HUP';
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status';
};

done_testing;
