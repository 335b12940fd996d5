package Bench::Nginx;
use strict;
use warnings;

# nginx as a peer of ours: one process, its configuration and what it writes in a directory of its
# own, a greeting at / and the files of a directory below.

use Bench::Command qw(output);
use Bench::Home    qw(WORK);
use Bench::Servers ();
use Exporter       qw(import);
use File::Path     qw(make_path);

our @EXPORT_OK = qw(nginx);

# A row as in Bench::Servers. nginx(files => DIRECTORY, connections => how many at the most)
sub nginx {
    my (%args) = @_;
    return {
        name    => 'nginx',
        what    => 'nginx, one worker, sendfile, keep-alive',
        setup   => 'nginx',
        body    => 'Hello, World!',
        missing =>
            sub { return _program() ? undef : 'nginx is not installed (benches/setup nginx)' },
        command => sub { _command($_[0], %args) },
        version => \&_version,
    };
}

sub _program {
    my ($program) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';
    return $program;
}

sub _command {
    my ($port, %args) = @_;
    my $dir = WORK . '/nginx';
    make_path($dir);
    open my $conf, '>', "$dir/conf" or die "$dir/conf: $!\n";
    print {$conf} _conf($dir, $port, %args);
    close $conf or die "$dir/conf: $!\n";
    return (_program(), '-e', "$dir/error.log", '-p', "$dir/", '-c', "$dir/conf");
}

# master_process off: the one process is the worker.
sub _conf {
    my ($dir, $port, %args) = @_;
    my $files       = $args{files} // $dir;
    my $connections = 2 * ($args{connections} // 512);    # it closes idle ones before it is full
    my @paths = map { "    ${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    return join "\n", 'daemon off;', 'master_process off;', "pid $dir/pid;",
        "events { worker_connections $connections; }", 'http {', '    access_log off;',
        '    sendfile on;', '    tcp_nopush on;', '    keepalive_timeout 600s;',
        '    keepalive_requests 1000000000;', @paths, '    server {',
        "        listen 127.0.0.1:$port backlog=2048;", "        root $files;",
        '        location = / { return 200 "Hello, World!"; }', '    }', '}', '';
}

sub _version {
    my (undef, $text) = output(10, _program(), '-v');
    return $text =~ m{nginx/(\S+)} ? $1 : '';
}

1;
