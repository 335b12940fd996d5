package PAGI::Server::Runner;
use strict;
use warnings;

use File::Spec;
use parent qw(PAGI::Server::Runner::Loader PAGI::Server::Runner::Help);

use PAGI::Server::Log;
use PAGI::Server::LogFile;
use PAGI::Server::Runner::Daemon;
use PAGI::Server::Runner::Paths;
use PAGI::Server::Runner::Reload;
use PAGI::Server::Runner::RunnerFlags;
use PAGI::Server::Workers::Restart;    # remembers how the program was started

our $VERSION = '0.003000';

my $FLAGS = PAGI::Server::Runner::RunnerFlags->new;

# Signals that a server hears once it runs, or not at all: who knows the process, by its pid file or by
# its port, may send one before, and ends nothing with it
my @UNHEARD = qw(HUP USR1 USR2 TTIN TTOU);

# The process that is just loading an application
my $loading = 0;

# The runner whose pid file is to go when the process does
my $pid_owner;

sub new {
    my ($class, %args) = @_;

    return bless {
        quiet              => 0,
        no_access_log      => 0,
        daemonize          => 0,
        default_middleware => 1,
        libs               => [],
        modules            => [],
        server_options     => {},
        argv               => [],
        map({ $_ => undef } qw(host port server env loop access_log pid_file user group eval)),
        %args,
    }, $class;
}

sub run {
    my ($self, @argv) = @_;

    $self = $self->new unless ref $self;
    $self->parse_options(@argv);
    $ENV{PAGI_ENV} = $self->mode;
    return $self->_show_version if $self->{show_version};
    return $self->_show_help    if $self->{show_help};
    return $self->_reload       if $self->{reload} && !defined $ENV{PAGI_RELOADER_PID};

    $self->_wire_future_io;
    $self->prepare_app;
    return $self->_serve($self->load_server);
}

sub parse_options {
    my ($self, @argv) = @_;

    my ($server_options, @words) = _split_server_options(@argv);
    $self->{server_options} = { %{ $self->{server_options} }, %$server_options };

    my ($given, @rest) = $FLAGS->parse(map { /\A(-[IMe])(.+)\z/s ? ($1, $2) : $_ } @words);
    $given->{$_} = [@{ $self->{$_} }, @{ $given->{$_} // [] }] for qw(libs modules);
    @{$self}{ keys %$given } = values %$given;
    $self->{argv} = \@rest;
    return $self;
}

sub mode {
    my ($self) = @_;

    return $self->{env} || $ENV{PAGI_ENV} || (-t STDIN ? 'development' : 'production');
}

# The application

sub load_app {
    my ($self) = @_;

    my @words = $self->_words;
    unshift @INC, @{ $self->{libs} };
    $self->_import_module($_) for @{ $self->{modules} };

    my $code = $self->{eval};
    if    (defined $code)              { $self->{app_spec} = '-e' }
    elsif (@words && $words[0] !~ /=/) { $self->{app_spec} //= shift @words }
    my %args = %{ $self->{app_args} = $self->_parse_app_args(@words) };

    $loading = $$;
    my $is_loaded = eval {
        $self->{app} =
            defined $code ? $self->_load_code($code) : $self->_load_spec($self->{app_spec}, %args);
        1;
    };
    $loading = 0;
    die $@ if !$is_loaded;
    return $self->{app};
}

sub prepare_app {
    my ($self) = @_;

    my $app = $self->load_app;
    return $app unless ($self->{default_middleware} // 1) && $self->mode eq 'development';
    return $self->{app} = $self->_with_lint($app);
}

# What the flags left over: the application and its arguments
sub _words {
    my ($self) = @_;

    my @words = @{ $self->{argv} };
    if (my @unknown = $FLAGS->unknown(@words)) {
        my $what = @unknown > 1 ? 'Unknown options' : 'Unknown option';
        die "$what: " . join(', ', @unknown) . " (see pagi-server --help)\n";
    }

    my ($end) = grep { $words[$_] eq '--' } 0 .. $#words;
    splice @words, $end, 1 if defined $end;
    return @words;
}

sub _parse_app_args {
    my ($self, @words) = @_;

    my %args;
    for my $word (@words) {
        my ($key, $value) = split /=/, $word, 2;
        if (defined $value) { $args{$key} = $value }
        else                { $self->_say("Ignoring argument without '=': $word") }
    }
    return wantarray ? %args : \%args;
}

sub _with_lint {
    my ($self, $app) = @_;

    my $has_lint = eval { require PAGI::Middleware::Lint; 1 };
    my $note     = $has_lint ? 'Lint middleware enabled' : 'install PAGI-Tools for Lint middleware';
    $self->_say("PAGI development mode - $note") unless $self->{quiet};
    return $has_lint ? PAGI::Middleware::Lint->new(strict => 1)->wrap($app) : $app;
}

# Where its server says what it has to say
sub _say {
    my ($self, $text) = @_;

    PAGI::Server::Log->tell($self->{server_options}{logger}, warn => "$text\n");
}

# The server

sub load_server {
    my ($self) = @_;

    my $class = $self->_server_class;
    $self->_make_paths_absolute if $self->{daemonize};

    my %options = (
        app   => $self->{app} // $self->prepare_app,
        quiet => $self->{quiet} ? 1 : 0,
        $self->_address,
        $self->_access_log,
        $self->{loop} ? (loop_type => $self->{loop}) : (),
        %{ $self->{server_options} },
    );
    return $class->new(%options);
}

sub _server_class {
    my ($self) = @_;

    my $class = $self->{server} || 'PAGI::Server';
    $self->_require($class, "Cannot load server '$class'");
    return $class;
}

sub _address {
    my ($self) = @_;

    my @given = grep { defined $self->{$_} } qw(host port);
    return (host => $self->{host} // '127.0.0.1', port => $self->{port} // 5000)
        unless grep { $self->{server_options}{$_} } qw(socket listen);

    $self->_say('Ignoring ' . join(' and ', map { "--$_" } @given) . ' with --socket or --listen')
        if @given;
    return;
}

sub _access_log {
    my ($self) = @_;

    my $log = $self->{access_log};
    return (access_log => undef)                             if $self->{no_access_log};
    return (access_log => ref $log ? $log : _open_log($log)) if defined $log;
    return (access_log => undef)                             if $self->mode eq 'production';
    return;
}

# A daemon has left its directory when it binds, and when it loads a module late
sub _make_paths_absolute {
    my ($self) = @_;

    @INC                    = map { ref ? $_ : File::Spec->rel2abs($_) } @INC;
    $self->{server_options} = PAGI::Server::Runner::Paths->absolute($self->{server_options});
    $self->{pid_file}       = File::Spec->rel2abs($self->{pid_file}) if defined $self->{pid_file};
}

# The process

sub _serve {
    my ($self, $server) = @_;

    my $is_ours = $server->isa('PAGI::Server');
    my $is_heir = $is_ours && $server->_is_heir;    # a hot restart: all has been done
    $self->_go_to_background($is_ours ? $server : ()) if $self->{daemonize} && !$is_heir;
    local @SIG{qw(TERM INT)} = $self->_early_signals;
    my @others = $is_ours ? @UNHEARD : ();
    local @SIG{@others} = (sub { }) x @others;
    if ($is_heir) {
        $server->{_on_take_over} = sub { $self->_write_pid_file }
    }
    else {
        $self->_bind($server) if $is_ours && defined $self->{pid_file};
        $self->_write_pid_file;
    }
    $self->_drop_privileges($is_ours ? $server : ()) if !$is_heir || $> == 0;
    $self->_settle_in_time($is_ours  ? $server : ());
    PAGI::Server::Runner::Reload->live_with($server) if $is_ours;
    $server->run;
    $self->_remove_pid_file;
    return;
}

# What is wrong with the sockets shall be seen, hence before. And before a pid file: one who finds
# his port taken shall not take the file of whom it is taken by.
sub _go_to_background {
    my ($self, $server) = @_;

    my $sockets = $server ? $self->_bind($server) : undef;
    $self->_daemonize('not settled');
    $sockets->belong_here if $sockets;
}

# Once the start has succeeded, as far as the server tells: in the process that serves and, with workers,
# in each of them.
sub _settle_in_time {
    my ($self, $server) = @_;

    my $settle = sub { PAGI::Server::Runner::Daemon->settle };
    return $settle->() if !$server;
    $server->{_on_started} = $settle;
}

sub _bind {
    my ($self, $server) = @_;

    return eval { $server->bind } // die $server->_start_error($@);
}

# Runs the same command again and again, on sockets that stay.
sub _reload {
    my ($self) = @_;

    die "--reload cannot be used with --daemonize\n" if $self->{daemonize};
    my $class = $self->_server_class;
    die "--reload needs PAGI::Server, not $class\n" unless $class->isa('PAGI::Server');
    $self->{app} = sub { };
    my $server = $self->load_server;
    $self->_bind($server)->survive_exec(1);
    my $spec  = $self->{app_spec} // (grep { !/\A-/ } @{ $self->{argv} })[0];
    my @roots = PAGI::Server::Runner::Reload->roots_of($spec, @{ $self->{libs} });
    exit(PAGI::Server::Runner::Reload->new(roots => \@roots, quiet => $self->{quiet})->run);
}

# Until the server looks after them, signals must not leave a pid file behind: exit runs END
sub _early_signals {
    my ($self) = @_;

    return map { $_ // 'DEFAULT' } @SIG{qw(TERM INT)} unless defined $self->{pid_file};
    return (sub { exit 128 + 15 }, sub { exit 128 + 2 });
}

sub _daemonize {
    my ($self, $is_unsettled) = @_;

    my $pid = PAGI::Server::Runner::Daemon->detach;
    PAGI::Server::Runner::Daemon->settle if !$is_unsettled;
    return $pid;
}

sub _write_pid_file {
    my ($self) = @_;

    defined $self->{pid_file} or return;
    $self->{_pid_file_path} =
        PAGI::Server::Runner::Daemon->write_pid($self->{pid_file}, $self->_owner);
    $pid_owner = $self;
    return;
}

sub _remove_pid_file {
    my ($self) = @_;

    my $path = delete $self->{_pid_file_path} // return;
    PAGI::Server::Runner::Daemon->remove_pid($path);
    return;
}

# Whose the files are to be of one who gives up root's rights: numbers, -1 for what stays as it is
sub _owner {
    my ($self) = @_;

    my ($user, $group) = @{$self}{qw(user group)};
    return unless $> == 0 && (defined $user || defined $group);
    my @ids = PAGI::Server::Runner::Daemon->ids($user, $group);
    return map { $_ // -1 } @ids[0, 1];
}

# After the server's sockets are open and its keys are read: a port below 1024, and a key that nobody
# else may read, need root's rights.
sub _drop_privileges {
    my ($self, $server) = @_;

    my ($user, $group) = @{$self}{qw(user group)};
    return unless defined $user || defined $group;
    my @owner = $self->_owner;
    PAGI::Server::LogFile->chown(@owner) if @owner;
    if ($server && @owner) {
        my $is_ready = eval {
            $server->bind->chown_files(@owner);
            PAGI::Server::TLS->hold($server);
            1;
        };
        die $server->_start_error($@) if !$is_ready;
    }
    PAGI::Server::Runner::Daemon->drop_privileges($user, $group);
    return;
}

sub _wire_future_io {
    my ($self) = @_;

    eval { require Future::IO::Impl::IOAsync; 1 } or return;
    $self->_say('Future::IO configured for IO::Async')
        unless $self->{quiet} || $self->mode eq 'production';
}

# Small change

sub _split_server_options {
    my (@argv) = @_;

    my ($server_options, @words) = ({});
    while (@argv) {
        my $word = shift @argv;
        if ($word eq 'server_options' && ref $argv[0]) { $server_options = shift @argv }
        else                                           { push @words, $word }
    }
    return ($server_options, @words);
}

sub _open_log {
    my ($file) = @_;

    return
        eval { PAGI::Server::LogFile->open(File::Spec->rel2abs($file)) }
        // die "Cannot open access log $file: $@";
}

# Who exits with 0 has not done what the command is for.
END {
    if ($loading == $$) {
        my $status = $?;
        warn "The application has ended the program while it was loaded (exit $status)\n";
        $? = 1 if !($status & 255);
    }
    local $?;
    $pid_owner->_remove_pid_file if $pid_owner;
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner - load a PAGI application and run a server with it

=head1 SYNOPSIS

    use PAGI::Server::Runner;

    PAGI::Server::Runner->run(@ARGV);
    PAGI::Server::Runner->run('-p', 8080, './app.pl');

    my $runner = PAGI::Server::Runner->new(port => 8080, quiet => 1);
    $runner->parse_options('My::App', 'root=/srv');
    $runner->prepare_app;
    $runner->load_server->run;

=head1 DESCRIPTION

What L<pagi-server> does once the flags of the server itself are taken off the command line: reads
the other flags, loads the application, makes the server object, puts the process into the state it
shall serve in, and runs the server. The flags are described there.

=head2 Any server class

The class (C<-s>, default L<PAGI::Server>) needs two methods only:

=over 4

=item new(%options)

Gets C<app> (a code reference), C<host> and C<port> (unless the server options say C<socket> or
C<listen>), C<quiet> (0 or 1), C<access_log> (a file handle, C<undef> for none, or absent for the
server's default), C<loop_type> (if C<-l> was given) and then the server options, which win.

=item run

Blocks until the server has stopped.

=back

=head2 Finding the application

C<-e CODE> wins; then C<--app>; then the first argument, if it has no C<=>. Without any of them the
current directory is served by PAGI::App::Directory, if that is installed. The other arguments are
C<key=value> pairs for the constructor of a module.

A name with C<::> is a module. A name with C</> or one that ends in C<.pl> or C<.psgi> is a file.
Any other name is a file if there is one, else a module.

=over 4

=item A module

is loaded, made an object with C<new(%args, _caller_file =E<gt> $path)> and asked for C<to_app>.

=item A file

is run with C<$0> and C<$FindBin::Bin> set for it and with an empty C<@ARGV>. Its last value is the
application.

=item CODE

is run in package C<main>, under C<strict> and C<warnings>, with the imports of C<-M>. Its last
value is the application.

=back

An application is a code reference, or an object with an overloaded C<&{}>; a file or CODE may also
return an object with a C<to_app> method that gives one.

=head2 The order of things

Options; C<PAGI_ENV>; Future::IO, if installed, told to use IO::Async; the application; the server
object; the background (C<-D>); the pid file; user and group; the server's C<run>; the pid file
goes. The pid file also goes in an C<END> block. It is only ever removed by the process that is
named in it.

A PAGI::Server opens its sockets before the process goes to the background, writes its pid file or
gives up its rights, and reads its certificates and keys before the latter. The pid file, the files of
Unix sockets and an access log that was root's become the user's, who writes to them later. In a
directory that is not the user's they cannot be removed at the end: the pid file is left empty then.
In a hot restart the process is in the background already, may have given up its rights, and writes
the pid file when it takes over.

A daemon's relative paths (pid file, sockets, certificates, C<@INC>) are made absolute before it
leaves its directory; the access log is already open by then. Its umask is 022. The command that was
given returns once the server serves (with workers: one of them): with status 0, or, where something
failed before, with another and what it was. Another class than PAGI::Server is not waited for.

=head1 METHODS

=head2 new

    my $runner = PAGI::Server::Runner->new(%args);

Each of these may be given, and be overridden by a flag:

=over 4

=item host, port

Where to listen: a string and an integer. Default 127.0.0.1 and 5000, decided by L</load_server>.

=item server

The class of the server, a string. Default C<PAGI::Server>.

=item env

The environment mode, a string; see L</mode>.

=item loop

The name of an IO::Async::Loop subclass without that prefix, a string.

=item access_log

A file to append to, or a handle. Default none of its own, see L</load_server>.

=item quiet, no_access_log, daemonize, reload

Booleans, default 0.

=item default_middleware

A boolean, default 1: whether the mode C<development> wraps the application.

=item pid_file, user, group

Strings. Default none.

=item eval

Perl code that returns the application, a string.

=item libs, modules

Array references: directories to look for modules in, and modules to load (C<Mod> or C<Mod=a,b>).

=item server_options

A hash reference, handed to the server's constructor.

=back

=head2 run

    PAGI::Server::Runner->run(@argv);
    $runner->run(@argv);

Parses C<@argv> as L</parse_options> does and does everything there is to do. Returns when the
server has stopped, or after C<--help> or C<--version>. Whatever goes wrong dies: with the texts
below, or with what the server says, or with

    --reload cannot be used with --daemonize
    --reload needs PAGI::Server, not CLASS

Warns C<Future::IO configured for IO::Async> where that is so, unless C<quiet> or in mode
C<production>. Warnings go to the C<logger> of C<server_options>, where there is one, with the level
C<warn>.

=head2 parse_options

    $runner = $runner->parse_options(@argv);
    $runner = $runner->parse_options(@argv, server_options => \%options);

Takes the runner's flags from the list; C<-Idir>, C<-MMod> and C<-ecode> may be written in one. The
two words C<server_options> and a hash reference may stand anywhere. What is left over is kept for
L</load_app>. Dies with C<Error parsing options> and a newline, after a warning that says why.

=head2 mode

    my $mode = $runner->mode;

The environment mode: C<env>, else the environment variable C<PAGI_ENV>, else C<development> if
standard input is a terminal, else C<production>. Any word will do; these two mean something.

=head2 load_app

    my $app = $runner->load_app;

Adds C<libs> to C<@INC>, loads the C<modules> and loads the application, see
L</Finding the application>. Returns a code reference. Warns C<Ignoring argument without '=': ARG>.
Dies with one of these and a newline:

    Unknown option: --NAME (see pagi-server --help)
    Cannot load module M: ERROR                        (or: it is not the name of a module)
    Error evaluating -e code: ERROR
    -e code must return a coderef, got TYPE
    Invalid module name: X
    Cannot find module 'X': ERROR
    Module 'X' does not have new() and to_app() methods
    Module 'X' to_app() did not return a coderef
    App file not found: PATH
    Error reading PATH: ERROR                          (or: it is a directory)
    Error loading PATH: ERROR
    App file must return a coderef, got: TYPE
    No application given. ...

C<TYPE> is what C<ref> says, or C<non-reference>. Where the application calls C<exit> meanwhile that is
warned about, and a status of 0 becomes 1:

    The application has ended the program while it was loaded (exit N)

=head2 prepare_app

    my $app = $runner->prepare_app;

Loads the application and, in mode C<development>, wraps it with PAGI::Middleware::Lint (strict) if
that is installed. Either way a warning says so, unless C<quiet>:

    PAGI development mode - Lint middleware enabled
    PAGI development mode - install PAGI-Tools for Lint middleware

=head2 load_server

    my $server = $runner->load_server;

Loads the class and returns a new object. The access log is none with C<no_access_log>, else the
file C<access_log>, else none in mode C<production>, else the server's own default. Host and port
are left out, with a warning if they were given (C<Ignoring --host with --socket or --listen>), when
the server options name a C<socket> or C<listen>. Dies with C<Cannot load server 'CLASS': ERROR> or C<Cannot open access log FILE: ERROR>
and a newline, or with what the constructor says.

=head1 SEE ALSO

L<pagi-server>, L<PAGI::Server>, L<PAGI::Server::Runner::Daemon>,
L<PAGI::Server::Runner::ServerFlags>

=cut
