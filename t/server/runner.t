use Test2::V0;

use Cwd            qw(getcwd realpath);
use File::Basename qw(dirname);
use File::Path     qw(make_path);
use File::Spec;
use File::Temp  qw(tempdir);
use POSIX       qw(WNOHANG);
use Time::HiRes qw(sleep);

use PAGI::Server::Runner;
use PAGI::Server::Runner::Daemon;
use PAGI::Server::Runner::Flags;
use PAGI::Server::Runner::ServerFlags;

# The runner with a double for the server (-s): neither PAGI::Server nor the Rust core is needed,
# except for the last part, which runs bin/pagi-server and needs the option table.

my $HERE = getcwd;
my $DIR  = realpath(tempdir(CLEANUP => 1));
my $APP  = "$DIR/app.pl";
my $test = $$;

# Whether Future::IO is installed here must make no difference.
hide('Future/IO/Impl/IOAsync.pm');
my @PERL = map { "-I$_" } grep { !ref } @INC;
END { POSIX::_exit($?) if $$ != $test }

delete @ENV{qw(PAGI_ENV PAGI_ARGV PAGI_FUTURE_XS)};

package Local::Server {
    our @MADE;
    our $RUN = sub { };

    sub new { my ($class, %options) = @_; push @MADE, \%options; return bless {}, $class }
    sub run { $RUN->() }
}

package Local::App {

    sub new { my ($class, %args) = @_; return bless \%args, $class }

    sub to_app {
        my ($self) = @_;
        return sub { return $self }
    }
}

package Local::NoApp {
    sub new    { return bless {}, shift }
    sub to_app { return 'nothing' }
}

package Local::Nothing {
    sub new { return bless {}, shift }
}

sub hide {
    my ($file) = @_;

    make_path(dirname("$DIR/hidden/$file"));
    write_file("hidden/$file", "die 'hidden';\n");
    unshift @INC, "$DIR/hidden";
    return;
}

sub write_file {
    my ($name, $text) = @_;

    open my $fh, '>', "$DIR/$name" or die "Cannot write $name: $!";
    print {$fh} $text;
    close $fh or die "Cannot write $name: $!";
    return "$DIR/$name";
}

sub read_file {
    my ($path) = @_;

    open my $fh, '<', $path or return undef;
    local $/;
    return readline $fh;
}

sub runner { return PAGI::Server::Runner->new->parse_options(@_) }

# Loads the application of these arguments
sub app_of { return runner(@_)->load_app }

# Runs these arguments with the double; returns what its constructor got
sub options_of {
    my (@argv) = @_;

    local $ENV{PAGI_ENV};
    @Local::Server::MADE = ();
    PAGI::Server::Runner->run('-s', 'Local::Server', @argv);
    return $Local::Server::MADE[0];
}

sub stdout_of {
    my ($code) = @_;

    open my $fh, '>', \my $text or die $!;
    my $old = select $fh;
    my $ok  = eval { $code->(); 1 };
    select $old;
    die $@ unless $ok;
    return $text;
}

write_file('app.pl', 'sub { return "from the file" }');

subtest 'flags' => sub {
    my $flags = PAGI::Server::Runner::Flags->new(
        { option => 'size', flags  => ['max-size', 's'], type => 'int' },
        { option => 'ratio', flags => ['ratio'], type         => 'num' },
        { option => 'name', flags  => ['name'], type          => 'str', doc => 'Name it.' },
        { option => 'dirs', flags  => ['dir'], type           => 'list' },
        { option => 'on', flags    => ['on'], type            => 'bool', negatable => 1 },
        { option => 'plain', flags => ['plain'], type         => 'bool' },
    );
    my %case = (
        'none'              => [[], {}],
        'mixed'             => [[qw(a -s 3 b --name=x c)], { size => 3, name => 'x' }, qw(a b c)],
        'repeated'          => [[qw(--dir a --dir b -s 1 -s 2)], { dirs => ['a', 'b'], size => 2 }],
        'bool'              => [[qw(--on --plain)], { on => 1, plain => 1 }],
        'negated'           => [[qw(--no-on)], { on => 0 }],
        'fraction'          => [[qw(--ratio 0.5)], { ratio => 0.5 }],
        'the end'           => [[qw(--on -- --plain)], { on => 1 }, '--', '--plain'],
        'not bundled'       => [['-s3'], {}, '-s3'],
        'not abbreviated'   => [['--max', 3], {}, '--max', 3],
        'case is important' => [['-S', 3], {}, '-S', 3],
        'not negatable'     => [['--no-plain'], {}, '--no-plain'],
    );
    for my $name (sort keys %case) {
        my ($argv, @expected) = @{ $case{$name} };
        is [$flags->parse(@$argv)], \@expected, $name;
    }

    my ($values) = $flags->parse(qw(-s 007));
    is $values->{size} . '', '7', 'numbers are numbers';

    my %refused = (
        'Value "x" invalid for option max-size (number expected)'    => ['--max-size', 'x'],
        'Value "--on" invalid for option max-size (number expected)' => ['-s', '--on'],
        'Value "1.5" invalid for option max-size (number expected)'  => ['-s', '1.5'],
        'Value "fast" invalid for option ratio (number expected)'    => ['--ratio', 'fast'],
        'Option name requires an argument'                           => ['--name'],
    );
    for my $why (sort keys %refused) {
        my @argv = @{ $refused{$why} };
        my $error;
        is warnings {
            $error = dies { $flags->parse(@argv) }
        }, ["$why\n"], $why;
        is $error, "Error parsing options\n", 'dies';
    }

    is [$flags->unknown(qw(a --bogus=1 -w4 - b=-c -- --later))], ['--bogus', '-w4'], 'unknown';
    like $flags->help, qr/^  -s, --max-size N\s*\n  --ratio N/m, 'help';
    like $flags->help, qr/^  --name VALUE {18}Name it\.$/m, 'with doc';
    like $flags->help, qr/^  --\[no-\]on/m, 'and the negation';
};

subtest 'parse_options' => sub {
    my $runner = PAGI::Server::Runner->new;
    like $runner,
        {
        quiet              => 0,
        no_access_log      => 0,
        daemonize          => 0,
        default_middleware => 1,
        libs               => [],
        modules            => [],
        server_options     => {},
        host               => undef,
        port               => undef,
        },
        'defaults';

    ref_is $runner->parse_options(
        qw(-o 0.0.0.0 -p 8080 -s Local::Server -E test -l Poll --access-log a.log --pid p.pid),
        qw(--user www --group web -q -D --no-default-middleware -I lib -Iother -MFoo=a -M Bar),
        qw(app.pl key=value)
        ),
        $runner, 'chainable';
    like $runner,
        {
        host               => '0.0.0.0',
        port               => 8080,
        server             => 'Local::Server',
        env                => 'test',
        loop               => 'Poll',
        access_log         => 'a.log',
        pid_file           => 'p.pid',
        user               => 'www',
        group              => 'web',
        quiet              => 1,
        daemonize          => 1,
        default_middleware => 0,
        libs               => ['lib', 'other'],
        modules            => ['Foo=a', 'Bar'],
        argv               => ['app.pl', 'key=value'],
        },
        'all flags';

    is runner('-eprint 1')->{eval}, 'print 1', 'cuddled -e';
    is runner('--no-access-log')->{no_access_log}, 1, '--no-access-log';
    is runner('--app', 'x.pl')->{app_spec}, 'x.pl', '--app';
    is runner(@$_)->{show_help}, 1, "@$_"    for ['--help'], ['-h'];
    is runner(@$_)->{show_version}, 1, "@$_" for ['--version'], ['-v'];
    is runner('app.pl', server_options => { workers => 4 }, '-q'),
        object {
        field server_options => { workers => 4 };
        field quiet          => 1;
        field argv           => ['app.pl'];
        etc
        },
        'server options, anywhere';

    my $given = PAGI::Server::Runner->new(port => 1, libs => ['a'], server_options => { x => 1 });
    $given->parse_options('-I', 'b', server_options => { y => 2 });
    like $given, { port => 1, libs => ['a', 'b'], server_options => { x => 1, y => 2 } }, 'added';

    my $error;
    like warning {
        $error = dies { runner('-p', 'http') }
    }, qr/"http" invalid for option port/,
        'bad port';
    is $error, "Error parsing options\n", 'dies';
};

subtest 'mode' => sub {
    local $ENV{PAGI_ENV};
    is(PAGI::Server::Runner->new(env => 'test')->mode, 'test', '-E');
    {
        local $ENV{PAGI_ENV} = 'staging';
        is(PAGI::Server::Runner->new->mode, 'staging', 'PAGI_ENV');
        is(PAGI::Server::Runner->new(env => 'test')->mode, 'test', '-E wins');
    }
    open my $stdin, '<&', \*STDIN        or die $!;
    open STDIN, '<', File::Spec->devnull or die $!;
    is(PAGI::Server::Runner->new->mode, 'production', 'no terminal');
    open STDIN, '<&', $stdin or die $!;

    my $seen;
    local $Local::Server::RUN = sub { $seen = $ENV{PAGI_ENV} };
    options_of('-E', 'test', $APP);
    is $seen, 'test', 'told to the application';
};

subtest 'what kind of application' => sub {
    my $runner = PAGI::Server::Runner->new;
    is $runner->_is_module_name('My::App'), 1, 'a module';
    is $runner->_is_module_name($_), 0, "$_ is none" for qw(app.pl App ./app);
    is $runner->_is_file_path($_), 1, "$_ is a file" for qw(./app app.pl app.psgi APP.PL /srv/app);
    is $runner->_is_file_path($_), 0, "$_ is none"   for qw(app App::pl app.plx);

    is $runner->_parse_app_args(qw(a=1 b= c=d=e)), { a => 1, b => '', c => 'd=e' }, 'arguments';
    my %args;
    is warnings { %args = $runner->_parse_app_args('a=1', 'x') },
        ["Ignoring argument without '=': x\n"], 'not one';
    is \%args, { a => 1 }, 'as a list';
};

subtest 'application: a file' => sub {
    is app_of($APP)->(), 'from the file', 'absolute';
    is app_of('--app', $APP)->(), 'from the file', '--app';

    chdir $DIR or die $!;
    is app_of($_)->(), 'from the file', $_ for qw(app.pl ./app.pl);
    write_file('plain', 'sub { "plain" }');
    is app_of('plain')->(), 'plain', 'any name, if it exists';
    chdir $HERE or die $!;

    local @ARGV = ('untouched');
    my $about = write_file('about.pl', <<'APP');
use FindBin;
my %seen = (bin => $FindBin::Bin, zero => $0, argv => [@ARGV], package => __PACKAGE__);
sub { \%seen };
APP
    my $zero = $0;
    is app_of($about)->(), { bin => $DIR, zero => $about, argv => [], package => 'main' },
        'its world';
    is [$0, @ARGV], [$zero, 'untouched'], 'and ours';

    my $provider = write_file('provider.pl', 'Local::App->new(a => 1)');
    is app_of($provider)->()->{a}, 1, 'an object with to_app';

    my %bad = (
        'number.pl' => ['42', qr/\AApp file must return a coderef, got: non-reference$/],
        'hash.pl'   => ['+{}', qr/\AApp file must return a coderef, got: HASH$/],
        'object.pl' =>
            ['Local::NoApp->new', qr/\AApp file must return a coderef, got: Local::NoApp$/],
        'empty.pl'   => ['', qr/\AApp file must return a coderef, got: non-reference$/],
        'dies.pl'    => ['die "oops\n"', qr/\AError loading \Q$DIR\E\/dies.pl: oops\n\z/],
        'syntax.pl'  => ['sub {', qr/\AError loading \Q$DIR\E\/syntax.pl: Missing right/],
        'require.pl' => ['require No::Such', qr/\AError loading .*: Can't locate No\/Such.pm/],
    );
    for my $name (sort keys %bad) {
        my ($text, $error) = @{ $bad{$name} };
        like dies { app_of(write_file($name, $text)) }, $error, $name;
    }
    is dies   { app_of("$DIR/none.pl") }, "App file not found: $DIR/none.pl\n", 'missing';
    like dies { app_of("$DIR/") }, qr/\AError reading .*: it is a directory$/, 'a directory';
};

subtest 'application: a module' => sub {
    my $self = app_of('Local::App', 'a=1', 'b=')->();
    is { %$self }, { a => 1, b => '', _caller_file => undef }, 'arguments';

    mkdir "$DIR/lib" or die $!;
    write_file('lib/Local_OnDisk.pm', 'package Local_OnDisk; our @ISA = "Local::App"; 1');
    local @INC = @INC;
    my $runner = runner("-I$DIR/lib", 'Local_OnDisk');
    is $runner->load_app->()->{_caller_file}, "$DIR/lib/Local_OnDisk.pm", '_caller_file';
    is $INC[0], "$DIR/lib", '-I';
    like $runner, { app_spec => 'Local_OnDisk', app_args => {}, app => D }, 'remembered';

    my %bad = (
        'No::Such::App'  => qr/\ACannot find module 'No::Such::App': Can't locate .*\n\z/,
        'bogus'          => qr/\ACannot find module 'bogus': Can't locate/,
        'a b'            => qr/\AInvalid module name: a b\n\z/,
        'Foo::'          => qr/\AInvalid module name: Foo::\n\z/,
        'Local::Nothing' =>
            qr/\AModule 'Local::Nothing' does not have new\(\) and to_app\(\) methods\n\z/,
        'Local::NoApp' => qr/\AModule 'Local::NoApp' to_app\(\) did not return a coderef\n\z/,
    );
    for my $name (sort keys %bad) {
        like dies { app_of($name) }, $bad{$name}, $name;
    }
    is warnings { app_of('Local::App', 'stray') }, ["Ignoring argument without '=': stray\n"],
        'stray';
};

subtest 'application: -e and -M' => sub {
    is app_of('-e', 'sub { __PACKAGE__ }')->(), 'main', 'code';
    is app_of('-e', 'Local::App->new(a => 1)')->()->{a}, 1, 'an object with to_app';
    my $callable = '{ package Local::Callable; use overload "&{}" => sub { sub { "called" } } }';
    is app_of('-e', "$callable bless {}, 'Local::Callable'")->(), 'called', 'an object with &{}';
    is app_of('-MList::Util=sum,max', '-e', 'sub { sum(max(1, 2), 3) }')->(), 5, 'imports';
    is app_of('-MFuture::AsyncAwait', '-e', 'async sub { 7 }')->()->get, 7, 'even of new syntax';
    is app_of('-e', 'sub { 1 }', 'Local::App=x')->(), 1, 'wins over an argument';
    is runner('-e', 'sub { 1 }')->load_app->(), 1, 'and it is';

    my %bad = (
        '42'           => qr/\A-e code must return a coderef, got non-reference\n\z/,
        'my $x; []'    => qr/\A-e code must return a coderef, got ARRAY\n\z/,
        'die "oops\n"' => qr/\AError evaluating -e code: oops\n\z/,
        '$undeclared'  =>
            qr/\AError evaluating -e code: Global symbol "\$undeclared".* at -e line \d/,
        '$FLAGS' => qr/\AError evaluating -e code: Global symbol "\$FLAGS"/,
    );
    for my $code (sort keys %bad) {
        like dies { app_of('-e', $code) }, $bad{$code}, $code;
    }
    like dies { app_of('-MNo::Such', '-e', '1') },
        qr/\ACannot load module No::Such: Can't locate/, '-M missing';
    like dies { app_of('-MList::Util=nothing', '-e', '1') },
        qr/\ACannot load module List::Util: "nothing" is not exported/, 'cannot import';
};

subtest 'no application' => sub {
    skip_all 'PAGI::App::Directory is installed' if eval { require PAGI::App::Directory; 1 };

    like dies { app_of() }, qr/\ANo application given\..*pagi-server \.\/app\.pl/s, 'says how';
    like dies { app_of('root=.') }, qr/\ANo application given/, 'arguments alone are none';
};

subtest 'unknown options are named (C01)' => sub {
    my %bad = (
        'Unknown option: --bogus'       => ['--bogus', $APP],
        'Unknown option: --value'       => ['--value=3', $APP],
        'Unknown option: -w4'           => ['-w4', $APP],
        'Unknown options: --one, --two' => ['--one', $APP, '--two'],
    );
    for my $text (sort keys %bad) {
        is dies { app_of(@{ $bad{$text} }) }, "$text (see pagi-server --help)\n", $text;
    }
    like warning {
        is dies { runner($APP, '--port') }, "Error parsing options\n", 'no value'
    },
        qr/\AOption port requires an argument$/, 'is another matter';

    write_file('-odd.pl', 'sub { "odd" }');
    chdir $DIR or die $!;
    is app_of('--', '-odd.pl')->(), 'odd', 'after -- there are no options';
    chdir $HERE or die $!;
};

subtest 'what the server gets' => sub {
    is options_of('-E', 'none', $APP),
        { app => D, host => '127.0.0.1', port => 5000, quiet => 0 }, 'defaults';
    is options_of(qw(-E none -o ::1 -p 0 -q -l Poll), $APP),
        { app => D, host => '::1', port => 0, quiet => 1, loop_type => 'Poll' }, 'flags';
    is options_of(qw(-E none), $APP, server_options => { http2 => 1, port => 7 }),
        { app => D, host => '127.0.0.1', port => 7, quiet => 0, http2 => 1 }, 'server options win';

    for my $options ({ socket => '/x.sock' }, { listen => [{ socket => '/x.sock' }] }) {
        my ($name) = keys %$options;
        is options_of(qw(-E none), $APP, server_options => $options),
            { app => D, quiet => 0, %$options }, "no host and port with $name";
        my $said = warnings { options_of(qw(-E none -p 1), $APP, server_options => $options) };
        is [grep { !/Future::IO/ } @$said], ["Ignoring --port with --socket or --listen\n"],
            'and a warning';
    }

    is dies { options_of('-s', 'No::Such', $APP) } =~ s/:.*//sr, "Cannot load server 'No",
        'no class';
    like dies { options_of('-s', 'No::Such', $APP) },
        qr/\ACannot load server 'No::Such': Can't locate/, 'says so';
    like dies { options_of('-s', 'a b', $APP) }, qr/\ACannot load server 'a b': /, 'no name';
};

subtest 'access log' => sub {
    my $log  = "$DIR/access.log";
    my $none = { app => D, host => D, port => D, quiet => D };

    is options_of(qw(-E none), $APP), $none, 'the default of the server';
    is options_of(qw(-E production), $APP), { %$none, access_log => undef }, 'production';
    is options_of(qw(-E none --no-access-log --access-log), $log, $APP),
        { %$none, access_log => undef }, '--no-access-log wins';
    ok !-e $log, 'and opens nothing';

    for my $line ("one\n", "two\n") {
        my $fh = options_of(qw(-E production --access-log), $log, $APP)->{access_log};
        print {$fh} $line;
    }
    is read_file($log), "one\ntwo\n", '--access-log appends';

    my $fh = options_of(qw(-E none --access-log), $log, $APP)->{access_log};
    print {$fh} "three\n";
    is read_file($log), "one\ntwo\nthree\n", 'line by line';

    is dies { options_of('--access-log', "$DIR/no/such.log", $APP) },
        "Cannot open access log $DIR/no/such.log: No such file or directory\n", 'cannot open';
};

subtest 'default middleware' => sub {
    my $notes = sub {
        my (@argv) = @_;
        my $warnings = warnings { options_of(@argv, $APP) };
        return [grep { /\APAGI development mode - / } @$warnings];
    };
    is scalar @{ $notes->('-E', 'development') }, 1, 'development';
    is $notes->('-E', 'development', '-q'), [], '-q';
    is $notes->('-E', 'development', '--no-default-middleware'), [], '--no-default-middleware';
    is $notes->('-E', $_), [], $_ for qw(none production);
};

subtest 'pid file' => sub {
    my $file = "$DIR/server.pid";
    my $seen;
    local $Local::Server::RUN = sub { $seen = read_file($file) };
    options_of('-E', 'none', '--pid', $file, $APP);
    is $seen, "$$\n", 'while it runs';
    ok !-e $file, 'gone after that';

    my $runner = PAGI::Server::Runner->new(pid_file => $file);
    $runner->_write_pid_file;
    is $runner->{_pid_file_path}, $file, 'its path';
    $runner->_remove_pid_file for 1 .. 2;
    ok !-e $file, 'removed, once';

    $runner->_write_pid_file;
    write_file('server.pid', ($$ + 1) . "\n");
    $runner->_remove_pid_file;
    is read_file($file), ($$ + 1) . "\n", "somebody else's stays (P07)";

    write_file('server.pid', '');
    is(PAGI::Server::Runner::Daemon->remove_pid($file), 0, 'an empty one too');

    is dies { PAGI::Server::Runner->new(pid_file => "$DIR/no/such.pid")->_write_pid_file },
        "Cannot write PID file $DIR/no/such.pid: No such file or directory\n", 'cannot write';
};

# Runs code in a child; returns the exit status and what it printed
sub in_child {
    my ($code) = @_;

    pipe my $reader, my $writer or die $!;
    my $pid = fork // die "Cannot fork: $!";
    if (!$pid) {
        open STDOUT, '>&', $writer or die $!;
        STDOUT->autoflush(1);
        close $_ for $reader, $writer;
        POSIX::_exit(
            eval { $code->(); 1 }
            ? 0
            : do { print $@; 1 }
        );
    }
    close $writer;
    my $text = do { local $/; readline $reader };
    waitpid $pid, 0;
    return ($?, $text // '');
}

sub wait_until {
    my ($check) = @_;

    for (1 .. 500) {
        return 1 if $check->();
        sleep 0.01;
    }
    return 0;
}

subtest 'a signal before the server looks after it' => sub {
    my $file = "$DIR/early.pid";
    for my $signal (['TERM', 143], ['INT', 130]) {
        my ($name, $code) = @$signal;
        my $pid = fork // die "Cannot fork: $!";
        if (!$pid) {
            my $code = 'sub Double::new { bless {}, shift } sub Double::run { sleep 1 while 1 }'
                . 'PAGI::Server::Runner->run(@ARGV)';
            exec $^X, @PERL, '-MPAGI::Server::Runner', '-e', $code, '--',
                qw(-s Double -E none --pid), $file, $APP
                or die $!;
        }
        ok wait_until(sub { read_file($file) }), 'the pid file is there';
        kill $name => $pid;
        waitpid $pid, 0;
        is $? >> 8, $code, "$name: exits";
        ok !-e $file, 'and the pid file is gone';
    }
};

subtest 'privileges' => sub {
    my $drop = sub {
        my (%args) = @_;
        return sub { PAGI::Server::Runner->new(%args)->_drop_privileges };
    };
    ok lives { $drop->()->() }, 'nothing to drop';

    if ($> != 0) {
        is dies { $drop->(user => 'nobody')->() }, "Must run as root to use --user/--group\n",
            'root';
        return;
    }
    my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
    skip_all 'there is no user nobody' unless defined $uid;

    is dies { $drop->(user  => 'no such user')->() }, "Unknown user: no such user\n", 'user';
    is dies { $drop->(group => 'no such group')->() }, "Unknown group: no such group\n", 'group';

    my $ids = sub { print join ' ', "uid $< $>", 'gid', join('/', $(), join('/', $)) };
    my ($status, $text) = in_child(sub {
        $) = "0 0 1 2";    # root's supplementary groups
        $drop->(user => 'nobody')->();
        $ids->();
        print ' back' if eval { $> = 0; $> == 0 };
    });
    is [$status, $text], [0, "uid $uid $uid gid $gid $gid $gid $gid"], 'user: all of it, for good';

    my $group = getgrnam('nogroup') ? 'nogroup' : 'daemon';
    my $other = getgrnam $group;
    ($status, $text) = in_child(sub {
        $) = "0 0 1 2";
        $drop->(group => $group)->();
        $ids->();
    });
    is [$status, $text], [0, "uid 0 0 gid $other $other $other $other"], 'group alone';

    ($status, $text) = in_child(sub {
        $drop->(user => 'nobody')->();
        $drop->(user => 'nobody')->();
    });
    is [$status >> 8, $text], [1, "Must run as root to use --user/--group\n"], 'only root can';
};

subtest 'daemonize' => sub {
    chdir $DIR or die $!;
    my $server = <<'SERVER';
package Local_Daemon;
use POSIX ();
sub new { my ($class, %options) = @_; return bless \%options, $class }
sub run {
    my ($self) = @_;
    my $socket = $self->{listen}[0]{socket};
    my @null = grep { -c $_ && !-t $_ } *STDIN, *STDOUT, *STDERR;
    my $leader = POSIX::getpgrp() == $$ ? 1 : 0;
    open my $fh, '>', "$self->{report}.new" or die;
    printf {$fh} "%s %s %03o %d %d %d %s %s", Cwd::getcwd(), $$, umask, scalar @null, $leader,
        POSIX::getppid() == $self->{starter}, $socket, join(',', grep { !m{^/} } @INC);
    close $fh;
    rename "$self->{report}.new", $self->{report};
    open my $pid, '<', $self->{pid};
    sleep 1 until -e "$self->{report}.stop";
}
1;
SERVER
    write_file('Local_Daemon.pm', $server);
    my %options = (
        listen  => [{ socket => './u.sock' }],
        report  => "$DIR/report",
        pid     => "$DIR/d.pid",
        starter => $$,
    );

    my $pid = fork // die "Cannot fork: $!";
    if (!$pid) {
        umask 0;
        @INC = ('.', grep { $_ ne '.' } @INC);
        $ENV{PAGI_ENV} = 'none';
        PAGI::Server::Runner->run(
            qw(-D --pid d.pid -s Local_Daemon), $APP,
            server_options => \%options
        );
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
    is $?, 0, 'the command returns with 0';
    ok -e "$DIR/d.pid", 'once the pid file is there';

    ok wait_until(sub { -e "$DIR/report" }), 'the daemon runs';
    my ($cwd, $daemon, $umask, $nulls, $leader, $child, $socket, $inc) = split / /,
        read_file("$DIR/report") // '';
    is $cwd, '/', 'in /';
    is $umask, '022', 'umask';
    is $nulls, 3, 'standard handles';
    is [$leader, $child], [0, 0], 'neither a leader nor a child of ours';
    is $socket, "$DIR/u.sock", 'relative paths were made absolute (P08)';
    is $inc, '', '@INC as well';
    is read_file("$DIR/d.pid"), "$daemon\n", 'pid file, relative to where it was started';
    is sprintf('%03o', (stat "$DIR/d.pid")[2] & 0777), '644', 'with sane permissions';

    write_file('report.stop', '');
    ok wait_until(sub { !-e "$DIR/d.pid" }), 'pid file removed at the end';
    chdir $HERE or die $!;
};

subtest 'output' => sub {
    my $version = stdout_of(sub { options_of('--version') });
    like $version, qr/\Arunner\.t \(PAGI \S+, Local::Server unknown\)\n\z/, '--version';
    {
        local $Local::Server::VERSION = '1.5';
        like stdout_of(sub { options_of('-v') }), qr/Local::Server 1\.5\)$/, 'with a version';
    }
    my $help = stdout_of(sub { options_of('--help') });
    like $help, qr/\AUsage: pagi-server \[options\] \[app\] \[key=value \.\.\.\]\n/, '--help';
    like $help, qr/^  -p, --port N +Port to listen on/m, 'a flag';
    is scalar @Local::Server::MADE, 0, 'and no server';
};

subtest 'server flags' => sub {
    my @table = (
        { option => 'port', flags          => ['port', 'p'], type     => 'int' },
        { option => 'workers', flags       => ['workers', 'w'], type  => 'int' },
        { option => 'max_body_size', flags => ['max-body-size'], type => 'int' },
        { option => 'timeout', flags       => ['timeout'], type       => 'num' },
        { option => 'lifespan_mode', flags => ['lifespan'], type      => 'str' },
        { option => 'socket', flags        => ['socket'], type        => 'str' },
        { option => 'http2', flags         => ['http2'], type         => 'bool', doc => 'HTTP/2.' },
        { option => 'access_log', flags    => ['access-log'], type    => 'str' },
    );
    my $flags = PAGI::Server::Runner::ServerFlags->new(@table);
    my ($cert, $key) = map { write_file($_, '') } qw(cert.pem key.pem);
    my %case = (
        'nothing'   => [[qw(app.pl -p 80)], {}, qw(app.pl -p 80)],
        'the table' => [
            [qw(--max-body-size 9 a --timeout 0.5 --lifespan on --http2 --bogus)],
            { max_body_size => 9, timeout => 0.5, lifespan_mode => 'on', http2 => 1 }, 'a',
            '--bogus'
        ],
        'negated'    => [['--no-http2'], { http2 => 0 }],
        'workers'    => [[qw(-w 4)], { workers => 4 }],
        'one worker' => [[qw(--workers 1)], { workers => 0 }],
        'no worker'  => [[qw(-w 0)], { workers => 0 }],
        'socket' => [[qw(--socket u --socket-mode 0660)], { socket => 'u', socket_mode => 0660 }],
        'ssl'    => [
            ['--ssl-cert', $cert, '--ssl-key', $key],
            { ssl => { cert_file => $cert, key_file => $key } }
        ],
        'ssl in full' => [
            [
                map({ ('--ssl-cert', $cert, '--ssl-key', $key) } 1 .. 2), '--ssl-ca', $cert,
                qw(--ssl-verify-client optional --ssl-min-version TLSv1_3 --ssl-ciphers ECDHE)
            ],
            {
                ssl => {
                    cert_file     => $cert,
                    key_file      => $key,
                    certificates  => [{ cert_file => $cert, key_file => $key }],
                    ca_file       => $cert,
                    verify_client => 'optional',
                    min_version   => 'TLSv1_3',
                    cipher_list   => 'ECDHE',
                }
            }
        ],
        'runner flags' => [[qw(--access-log x -q)], {}, qw(--access-log x -q)],
    );
    for my $name (sort keys %case) {
        my ($argv, @expected) = @{ $case{$name} };
        is [$flags->parse(@$argv)], \@expected, $name;
    }

    my %listen = (
        '/run/a:80'      => { socket => '/run/a:80' },
        './a.sock'       => { socket => './a.sock' },
        'a.sock'         => { socket => 'a.sock' },
        'localhost:http' => { socket => 'localhost:http' },
        'localhost:8080' => { host   => 'localhost', port => 8080 },
        '[::1]:0'        => { host   => '::1', port       => 0 },
        '::1:80'         => { host   => '::1', port       => 80 },
    );
    for my $spec (sort keys %listen) {
        my ($options) = $flags->parse('--listen', $spec);
        is $options, { listen => [$listen{$spec}] }, "--listen $spec";
    }
    my ($options) = $flags->parse(qw(--listen a.sock --socket-mode 0600 --listen h:1));
    is $options,
        { listen => [{ socket => 'a.sock', socket_mode => 0600 }, { host => 'h', port => 1 }] },
        '--socket-mode goes to the Unix sockets';

    my %bad = (
        "--socket-mode must be an octal value like 0660, got: 660\n"   => [qw(--socket-mode 660)],
        "--socket-mode must be an octal value like 0660, got: 0999\n"  => [qw(--socket-mode 0999)],
        "--socket-mode must be an octal value like 0660, got: 06600\n" => [qw(--socket-mode 06600)],
        "--ssl-cert and --ssl-key must be specified together\n"        => ['--ssl-cert', $cert],
        "SSL cert not found: no.pem\n" => ['--ssl-cert', 'no.pem', '--ssl-key', $key],
        "SSL key not found: no.pem\n"  => ['--ssl-cert', $cert, '--ssl-key', 'no.pem'],
        "--ssl-verify-client must be one of: require, optional, none; got: yes\n" =>
            [qw(--ssl-verify-client yes)],
    );
    for my $error (sort keys %bad) {
        is dies { $flags->parse(@{ $bad{$error} }) }, $error, $error;
    }
    like $flags->help, qr/^  -w, --workers N/m, 'help';
    like $flags->help, qr/^  --\[no-\]http2 {18}HTTP\/2\.$/m, 'from the table';
};

subtest 'the help tells what may be given, and what is in force without it' => sub {
    skip_all 'the option table is not there' unless eval { require PAGI::Server::Options; 1 };

    my $help = PAGI::Server::Runner::ServerFlags->new->help =~ s/\n {8,}/ /gr;
    like $help, qr/^  --timeout SECONDS +.*\. Default: 60\.$/m, 'seconds';
    like $help, qr/^  --max-body-size BYTES +.*\. Default: 10000000\.$/m, 'bytes';
    like $help, qr/^  --log-level debug\|info\|warn\|error +.*\. Default: info\.$/m, 'words';
    like $help, qr/^  --socket PATH +.*TCP\.$/m, 'a path';
    like $help, qr/^  --max-requests N +.*0 means never\.$/m, 'nothing where the text tells';
    unlike $help, qr/ VALUE/, 'and no flag leaves it open';
};

subtest 'bin/pagi-server' => sub {
    skip_all 'the option table is not there' unless eval { require PAGI::Server::Options; 1 };

    my $double = write_file('Local_Double.pm', <<'DOUBLE');
package Local_Double;
our $VERSION = '2.0';
sub new { my ($class, %options) = @_; return bless \%options, $class }
sub run {
    my ($self) = @_;
    print "$_=", $self->{$_} // 'undef', "\n" for grep { $_ ne 'app' } sort keys %$self;
    print "argv=", join('|', split /\0/, $ENV{PAGI_ARGV}), "\n";
    print "xs=", $ENV{PAGI_FUTURE_XS} // 'undef', "\n";
}
1;
DOUBLE
    my $cli = sub {
        my (@argv) = @_;
        return in_child(sub {
            open STDERR, '>&', \*STDOUT                         or die $!;
            exec $^X, @PERL, "-I$DIR", 'bin/pagi-server', @argv or die $!;
        });
    };
    my @run = (qw(-s Local_Double -E none), $APP);

    my ($status, $text) = $cli->(@run);
    $text =~ s/^Future::IO configured.*\n//;    # where that is installed
    is $status, 0, 'exits with 0';
    is $text, "host=127.0.0.1\nport=5000\nquiet=0\nargv=" . join('|', @run) . "\nxs=undef\n",
        'runs';

    ($status, $text) = $cli->('--http2', @run, qw(-w 1 --write-low-watermark 010 --future-xs));
    like $text, qr/^http2=1\n.*^workers=0\nwrite_low_watermark=10\n/ms, 'server flags';
    like $text, qr/^argv=--http2\|(?!.*future).*\|010\nxs=1$/m, '--future-xs';

    ($status, $text) = $cli->('--bogus', $APP);
    is [$status != 0, $text], [T, "Unknown option: --bogus (see pagi-server --help)\n"], 'unknown';

    ($status, $text) = $cli->('-s', 'Local_Double', '--version');
    like [$status, $text], [0, qr/\Apagi-server \(PAGI \S+, Local_Double 2\.0\)\n\z/], '--version';

    ($status, $text) = $cli->('--help');
    is $status, 0, '--help';
    like $text, qr/^  --max-body-size BYTES/m, 'lists the server flags';
};

done_testing;
