package Test::PAGI::Proxy;

# A proxy program in front of a server under test: nginx or HAProxy, started by the test on ports
# of its own, with a configuration in a directory of its own, in the foreground, and ended by its
# pid. Neither is left running when the test is killed.
#
#     my $nginx = Test::PAGI::Proxy->nginx($t->port);
#     $nginx->client('direct');     # a client of the front 'direct'
#     $nginx->stop;
#     $nginx->complaints;           # what its logs say that is wrong
#
# Both have two fronts: 'stored', where the proxy takes in the whole request, and as much of the
# response as it can, before it passes them on, and 'direct', where it passes on what it has.

use strict;
use warnings;

use Carp       qw(croak);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test2::API qw(context);
use Test::PAGI::Client;
use Test::PAGI::Loop qw(turn wait_until);
use Test::PAGI::Process;

use constant TRIES => 3;    # a port that was free may be taken a moment later

# Connections that the proxies keep to the server
use constant KEPT => 32;

my %PROGRAM = (
    nginx => {
        package => 'nginx',
        command => sub { ('nginx', '-e', "$_[0]/error.log", '-p', "$_[0]/", '-c', "$_[0]/conf") },
        conf    => \&_nginx_conf,
        stop    => 'QUIT',
    },
    haproxy => {
        package => 'haproxy',
        command => sub { ('haproxy', '-db', '-f', "$_[0]/conf") },
        conf    => \&_haproxy_conf,
        stop    => 'USR1',
    },
);

# Ends the test file, well or ill, where the program is not there.
sub need {
    my ($class, $name) = @_;
    local $ENV{PATH} = _path();
    return if grep { -x "$_/$name" } split /:/, $ENV{PATH};
    my $reason = "$name is not installed (Debian: $PROGRAM{$name}{package})";
    die "$reason, and script/setup installs it\n" if $ENV{CI};
    my $ctx = context();
    $ctx->plan(0, SKIP => $reason);
    $ctx->release;
    exit 0;
}

sub nginx   { my ($class, @server) = @_; return $class->_start(nginx   => @server) }
sub haproxy { my ($class, @server) = @_; return $class->_start(haproxy => @server) }

sub port { my ($self, $front) = @_; return $self->{ports}{$front} // croak "no front $front" }

sub client {
    my ($self, $front, %options) = @_;
    return Test::PAGI::Client->connect_tcp(port => $self->port($front), %options);
}

# Lets what is under way finish, as far as it does at once. Returns the wait status.
sub stop {
    my ($self)  = @_;
    my $process = delete $self->{process} or return;
    my $status  = eval { $process->signal($self->{program}{stop})->wait_exit(2) };
    $status //= $process->signal('KILL')->wait_exit;
    $self->{output} = $process->stdout . $process->stderr;
    return $status;
}

# The lines of its logs that only a server that does wrong can cause. In nginx's, whatever is an
# error; what clients that leave cause is not one, or it is about the client's socket. In
# HAProxy's, requests whose end (httplog's termination state) is not in order, and not the
# client's doing either.
sub complaints {
    my ($self) = @_;
    my $log = $self->{output} // $self->{process}->stdout . $self->{process}->stderr;
    if (open my $fh, '<', "$self->{dir}/error.log") {
        local $/;
        $log .= readline($fh) // '';
    }
    return grep { $self->_is_complaint($_) } split /\n/, $log;
}

sub _is_complaint {
    my ($self, $line) = @_;
    return $line =~ /\[(?:error|crit|alert|emerg)\]/ if $self->{name} eq 'nginx';
    return $line !~ / stopped / if $line =~ /\[(?:WARNING|ALERT)\]/;
    my ($end) = $line =~ m{ (\S\S)\S\S (?:\d+/){4}\d+ } or return 0;
    return $end !~ /\A(?:--|C.)\z/;
}

# --- starting ---

sub _start {
    my ($class, $name, $server) = @_;
    my $self = bless {
        name    => $name,
        program => $PROGRAM{$name},
        dir     => tempdir(CLEANUP => 1)
    }, $class;
    for my $try (1 .. TRIES) {
        return $self if $self->_try($server);
    }
    croak "$name did not start: " . $self->{process}->stderr . join ' ', $self->complaints;
}

sub _try {
    my ($self, $server) = @_;
    $self->{ports} = { map { $_ => _free_port() } qw(stored direct) };
    open my $fh, '>', "$self->{dir}/conf" or croak "$self->{dir}/conf: $!";
    print {$fh} $self->{program}{conf}->($self->{dir}, $server, $self->{ports});
    close $fh or croak "$self->{dir}/conf: $!";
    my @command = $self->{program}{command}->($self->{dir});
    $self->{process} = Test::PAGI::Process->start(
        command => [qw(setpriv --pdeathsig KILL), @command],
        env     => { PATH => _path() }
    );
    my $is_up;
    wait_until { $self->{process}->has_ended || ($is_up = $self->_answers) } "$self->{name}";
    return $is_up;
}

# All its fronts take connections.
sub _answers {
    my ($self) = @_;
    for my $front (sort keys %{ $self->{ports} }) {
        return 0 if !eval { $self->client($front)->close; 1 };
    }
    return 1;
}

sub _free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
        or croak "no free port: $@";
    return $socket->sockport;
}

# Debian keeps both programs where users do not look.
sub _path { return "$ENV{PATH}:/usr/local/sbin:/usr/sbin" }

# --- their configurations ---

sub _nginx_conf {
    my ($dir, $server, $ports) = @_;
    my $kept     = KEPT;
    my $bad_host = <<'END';
        location /bad-host {
            proxy_set_header Connection "";
            proxy_set_header Host "no host";
            proxy_pass http://server;
        }
END
    return <<"END";
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log error;
events { worker_connections 512; }
http {
    access_log /dev/stdout combined;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    client_max_body_size 0;
    keepalive_requests 100000;
    upstream server {
        server 127.0.0.1:$server max_fails=0;
        keepalive $kept;
    }
    proxy_next_upstream off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:$ports->{stored};
        location / { proxy_pass http://server; }
$bad_host    }
    server {
        listen 127.0.0.1:$ports->{direct};
        proxy_buffering off;
        proxy_request_buffering off;
        location / { proxy_pass http://server; }
$bad_host    }
}
END
}

sub _haproxy_conf {
    my ($dir, $server, $ports) = @_;
    my $kept = KEPT;
    return <<"END";
global
    log stdout format raw local0 info
    maxconn 500
defaults
    mode http
    log global
    option httplog
    option abortonclose
    timeout connect 5s
    timeout client 15s
    timeout server 15s
    timeout http-request 15s
frontend stored
    bind 127.0.0.1:$ports->{stored}
    option http-buffer-request
    default_backend server
frontend direct
    bind 127.0.0.1:$ports->{direct}
    default_backend server
backend server
    http-reuse always
    retries 0
    http-request set-header Host "no host" if { path /bad-host }
    server server 127.0.0.1:$server pool-max-conn $kept
END
}

1;
