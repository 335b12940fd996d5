# PAGI::Server->new, accessors and configure (contract 01 section 2, 09 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(open_fds settle test_loop wait_until);
use Test::PAGI::Server;

sub new_server {
    return PAGI::Server->new(app => sub { }, quiet => 1, @_);
}

# What new says to these options; app is given unless the options have it.
sub refusal {
    my (%options) = @_;
    my $error = dies { new_server(%options) };
    return $error;
}

subtest 'a server is an IO::Async::Notifier' => sub {
    my $server = new_server();
    isa_ok $server, 'PAGI::Server', 'IO::Async::Notifier';
    can_ok $server, qw(
        listen shutdown run port socket_path listeners is_running connection_count
        effective_max_connections configure loop add_child remove_child adopt_future invoke_error
    );
    ok !$server->can('start'), 'there is no start';
};

subtest 'app is required' => sub {
    like dies { PAGI::Server->new }, qr/\Aapp is required/, 'none';
    like dies { PAGI::Server->new(app => undef) }, qr/\Aapp is required/, 'undef';
};

{

    package My::App;
    use overload '&{}' => sub {
        my ($self) = @_;
        return sub { $self->call(@_) }
    }, fallback => 1;
    sub new  { my ($class, %args) = @_; return bless {%args}, $class }
    sub call { my ($self, @args)  = @_; return $self->{app}->(@args) }
}

subtest 'app may be an object that can be called' => sub {
    with_server { is $_[0]->get('/')->body, 'hello', 'served' } app => My::App->new(app => hello());
    like dies { PAGI::Server->new(app => bless {}, 'My::Nothing') },
        qr/option 'app': must be a code reference/, 'not any object';
};

subtest 'unknown options are named' => sub {
    my $start = qr/\AUnrecognised configuration keys for PAGI::Server - /;
    like refusal(nonsense => 1), qr/${start}nonsense/, 'one';
    like refusal(zzz      => 1, aaa => 1), qr/${start}(?:aaa zzz|zzz aaa)/, 'two';
    like refusal(loop     => test_loop()), qr/${start}loop/, 'there is no loop option';
    like refusal(Port     => 1), qr/${start}Port/, 'case counts';
};

subtest 'options of IO::Async::Notifier are accepted' => sub {
    is new_server(notifier_name => 'mine')->notifier_name, 'mine', 'notifier_name';
    ok lives {
        new_server(on_error => sub { })
    }, 'on_error';
};

subtest 'defaults' => sub {
    my $server = PAGI::Server->new(app => sub { });
    is $server->port, 5000, 'port';
    is $server->is_running, 0, 'is_running';
    is $server->connection_count, 0, 'connection_count';
    is $server->effective_max_connections, 1000, 'effective_max_connections';
    is $server->socket_path, undef, 'socket_path';
    is $server->listeners, [{ type => 'tcp', host => '127.0.0.1', port => 5000 }], 'listeners';
    is $server->{host}, '127.0.0.1', '{host}';
    is $server->{extensions}, {}, '{extensions}';
    is $server->{max_body_size}, 10_000_000, '{max_body_size}';
};

subtest 'given values' => sub {
    my $app    = sub { };
    my $server = new_server(app => $app, host => '127.0.0.2', port => 4321, max_connections => 7);
    ref_is $server->{app}, $app, '{app}';
    is $server->port, 4321, 'port';
    is $server->effective_max_connections, 7, 'effective_max_connections';
    is $server->listeners, [{ type => 'tcp', host => '127.0.0.2', port => 4321 }], 'listeners';
};

subtest 'class methods' => sub {
    like(PAGI::Server->has_tls, qr/\A[01]\z/, 'has_tls');
    like(PAGI::Server->has_http2, qr/\A[01]\z/, 'has_http2');
    cmp_ok $PAGI::Server::VERSION, '>=', 0.002005, 'VERSION';
};

subtest 'accessors work on a bare object' => sub {
    my $server = bless { connections => { a => 1, b => 2 }, max_connections => 0 }, 'PAGI::Server';
    is $server->connection_count, 2, 'connection_count';
    is $server->effective_max_connections, 1000, 'effective_max_connections';
    $server->{max_connections} = 5;
    is $server->effective_max_connections, 5, 'effective_max_connections, set';
};

subtest 'constructing opens no socket and starts no thread' => sub {
    my ($fds, $threads) = (open_fds(), thread_count());
    skip_all('no /proc here') if !defined $fds || !defined $threads;
    my @servers = map { new_server(port => 0) } 1 .. 5;
    is open_fds(), $fds, 'descriptors';
    is thread_count(), $threads, 'threads';
};

sub thread_count {
    opendir my $dir, '/proc/self/task' or return undef;
    return scalar grep { !/^\./ } readdir $dir;
}

subtest 'listeners exclude each other' => sub {
    my @spec = ({ host => '127.0.0.1', port => 0 });
    for my $key (qw(host port socket socket_mode)) {
        my %value = (host => 'x', port => 1, socket => '/x', socket_mode => 0660);
        is refusal(listen => \@spec, $key => $value{$key}),
            "Cannot specify both 'listen' and '$key' options\n", "listen and $key";
    }
    is refusal(socket => '/x', host => 'x'), "Cannot specify both 'socket' and 'host' options\n",
        'socket and host';
    is refusal(socket => '/x', port => 1), "Cannot specify both 'socket' and 'port' options\n",
        'socket and port';
};

subtest 'listen is a list of specs' => sub {
    my $list = "'listen' must be a non-empty arrayref\n";
    is refusal(listen => $_), $list, 'not a list' for [], {}, 'x';
    is refusal(listen => ['x']), "Each listen spec must be a hashref\n", 'a string in it';
    is refusal(listen => [[]]), "Each listen spec must be a hashref\n", 'a list in it';
    my $both = "TCP listen spec requires both 'host' and 'port'\n";
    is refusal(listen => [{ host => 'x' }]), $both, 'host alone';
    is refusal(listen => [{ port => 1 }]), $both, 'port alone';
    is refusal(listen => [{}]), $both, 'neither';

    for my $key (qw(host port)) {
        is refusal(listen => [{ socket => '/x', $key => 1 }]),
            "Cannot specify both 'socket' and '$key' in a listen spec\n", "socket and $key";
    }
    my @two    = map { { host => '127.0.0.1', port => $_ } } 4001, 4002;
    my $server = new_server(listen => \@two);
    is $server->listeners, [map { { type => 'tcp', %$_ } } @two], 'listeners';
    is [$server->{host}, $server->{port}], [undef, undef], 'host and port are undef';
    is $server->port, 4001, 'port is that of the first';
};

subtest 'words are checked' => sub {
    is refusal(log_level => 'loud'),
        "Invalid log_level 'loud' - must be one of: debug, info, warn, error\n", 'log_level';
    is refusal(lifespan_mode => 'maybe'),
        "Invalid lifespan_mode 'maybe' - must be one of: auto, on, off\n", 'lifespan_mode';
    is refusal(loop_type => 'E poll'),
        "Invalid loop_type 'E poll': must contain only letters, digits, and ::\n", 'loop_type';
    ok lives { new_server(log_level     => $_) }, "log_level $_"     for qw(debug info warn error);
    ok lives { new_server(lifespan_mode => $_) }, "lifespan_mode $_" for qw(auto on off);
    ok lives { new_server(loop_type     => $_) }, "loop_type $_"     for qw(Poll Foo::Bar);
};

my @NUMBERS = qw(
    port listener_backlog max_connections max_body_size max_header_size max_header_count
    write_high_watermark write_low_watermark timeout shutdown_timeout lifespan_startup_timeout
);

subtest 'a number that is none is refused by the name of its option (A09)' => sub {
    for my $option (@NUMBERS) {
        for my $value ('abc', '', '12x', [], {}) {
            like refusal($option => $value), qr/\b$option\b/, "$option => '$value'";
        }
    }
};

subtest 'numbers may be strings, seconds may have fractions' => sub {
    ok lives { new_server($_ => '2000') }, "$_ as a string" or diag $@ for @NUMBERS;
    ok lives { new_server($_ => 0.5) }, "$_ with a fraction"
        or diag $@
        for qw(timeout shutdown_timeout lifespan_startup_timeout);
};

subtest 'the low watermark lies below the high one' => sub {
    my $text = sub {
        sprintf "Option 'write_low_watermark' (%s) must be less than "
            . "'write_high_watermark' (%s)\n", @_;
    };
    my $marks = sub { [map { $_[0]{"write_${_}_watermark"} } qw(high low)] };
    my ($high, $low) = map { "write_${_}_watermark" } qw(high low);
    is refusal($high => 100, $low => 200), $text->(200, 100), 'above';
    is refusal($high => 100, $low => 100), $text->(100, 100), 'equal';
    is refusal($low  => 70_000), $text->(70_000, 65_536), 'above the default';
    is $marks->(new_server()), [65_536, 16_384], 'the defaults';
    is $marks->(new_server($high => 100_000)), [100_000, 16_384], 'a higher one alone';
    is $marks->(new_server($high => 1000)), [1000, 250], 'a lower one alone: the other gives way';
    is $marks->(new_server($high => 1)), [1, 1], 'the least';
    my $server = new_server();
    like dies { $server->configure($low => 65_536) }, qr/'$low' .*'$high'/, 'configure';
    is $marks->($server), [65_536, 16_384], 'changed nothing';
};

subtest 'configure' => sub {
    my $server = new_server();
    like dies { $server->configure(nonsense => 1) },
        qr/\AUnrecognised configuration keys for PAGI::Server - nonsense/, 'unknown';
    like dies { $server->configure(timeout => 'abc') }, qr/\btimeout\b/, 'not a number';
    ok lives { $server->configure(max_connections => 3) }, 'known';
    is $server->effective_max_connections, 3, 'in effect';
    ok lives {
        $server->configure(
            quiet               => 1, log_level     => 'warn', timeout => 5, max_header_size => 100,
            max_header_count    => 5, max_body_size => 5, write_high_watermark => 100,
            write_low_watermark => 10, shutdown_timeout => 1, extensions => {}, access_log => undef,
        )
    }, 'every key of this stage' or diag $@;
};

subtest 'configure applies to connections accepted later (A07)' => sub {
    with_server {
        my ($t)  = @_;
        my $long = [headers => [['X-A' => 'a' x 300]]];
        my $old  = $t->client;
        is $old->get('/', @$long)->status, 200, 'before';
        $t->server->configure(max_header_size => 200, max_body_size => 5);
        is $t->get('/', @$long)->status, 431, 'max_header_size';
        is $t->request(POST => '/', body => '123456')->status, 413, 'max_body_size';
        is $t->get('/')->status, 200, 'others are served';
    }
    app => hello();
};

subtest 'port 0: the port is known after listen' => sub {
    my $t = Test::PAGI::Server->new(app => hello(), port => 0);
    is $t->build->port, 0, 'before';
    $t->start;
    cmp_ok $t->port, '>', 0, 'after';
    is $t->server->listeners->[0]{port}, $t->port, 'also in listeners';
    is $t->server->is_running, 1, 'is_running';
    ok settle($t->server->listen, 'a second listen') || 1, 'a second listen is done at once';
    $t->stop;
};

subtest 'two listeners are served' => sub {
    my @two = map { { host => '127.0.0.1', port => 0 } } 1, 2;
    with_server {
        my ($t) = @_;
        my @ports = map { $_->{port} } @{ $t->server->listeners };
        isnt $ports[0], $ports[1], 'two ports';
        is $t->port, $ports[0], 'port is the first';
        for my $port (@ports) {
            my $client = Test::PAGI::Client->connect_tcp(port => $port);
            is $client->get('/')->body, 'hello', "served on $port";
            $client->close;
        }
    }
    app => hello(), listen => \@two, without => [qw(host port)];
};

subtest 'a port in use: listen fails' => sub {
    with_server {
        my ($t)       = @_;
        my $other     = Test::PAGI::Server->new(app => hello(), port => $t->port);
        my $listening = $other->build->listen;
        wait_until { $listening->is_ready } 'listen to end';
        like scalar $listening->failure, qr/Address already in use/i, 'failure';
        is $other->server->is_running, 0, 'not running';
        $other->stop;
        is $t->get('/')->body, 'hello', 'the first server goes on';
        $t->take_warnings;
    }
    app => hello();
};

done_testing;
