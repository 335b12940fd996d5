# Every row of the option table: a bad value dies with its name, a good one is taken, by the
# constructor and by configure on a server that runs; the manual says when that takes effect.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Math::BigInt;
use PAGI::Server;
use PAGI::Server::Options;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Certificates;
use Test::PAGI::Server;
use Test::PAGI::Tree qw(pod_of);

my @ROWS = PAGI::Server::Options->rows;
my $APP  = hello();

# What no value of that kind can be, by kind; every value is a boolean
my %BAD = (
    code   => ['x', {}, 1],
    str    => [[], {}],
    path   => [[], {}],
    choice => ['zzz', [], ''],
    list   => ['x', {}, 1],
    hash   => ['x', [], 1],
    handle => ['x', {}],
    bool   => [],
    map { $_ => ['abc', '12x', '-1', [], {}, 'inf', 'nan', ' '] } qw(count bytes seconds mode),
);

# A good value, unless the row's own default is one to try
my %GOOD = (
    app               => $APP,
    host              => '127.0.0.1',
    socket            => '/no/such/socket',
    socket_mode       => 0660,
    listen            => [{ host => '127.0.0.1', port => 0 }],
    extensions        => { fullflush => {} },
    access_log        => \*STDERR,
    access_log_format => 'tiny',
    logger            => sub { },
    loop_type         => 'Poll',
    ssl               => sub { return Test::PAGI::Certificates->shared },
    h2_rst_rate_limit => { burst => 5 },
    validate_events   => 1,
);

# Options that only go together with, or without, some other
my %WITH = (write_low_watermark => { write_high_watermark => 9_007_199_254_740_991 });

sub new_server { return PAGI::Server->new(app => $APP, quiet => 1, @_) }

sub good_values {
    my ($row) = @_;
    my $name = $row->{name};
    return ref $GOOD{$name} eq 'CODE' && $name eq 'ssl' ? $GOOD{$name}->() : $GOOD{$name}
        if exists $GOOD{$name};
    return (0, 1)                     if $row->{kind} eq 'bool';
    return split ' ', $row->{choices} if $row->{kind} eq 'choice';
    my $most = $row->{max} - ($WITH{$name} ? 1 : 0);
    return ($row->{min}, $most, $row->{default} || $row->{min});
}

sub bad_values {
    my ($row) = @_;
    my @beyond = $row->{max} > 0 && $row->{kind} ne 'bool' ? (2 * $row->{max} + 2) : ();
    push @beyond, $row->{min} - 1 if $row->{min} > 0;
    return (@{ $BAD{ $row->{kind} } }, @beyond);
}

# Of a missing capability in this perl's loop nothing is known before run.
sub is_taken {
    my ($row, $value, $take) = @_;
    my ($name, %with) = ($row->{name}, %{ $WITH{ $row->{name} } // {} });
    return lives { $take->(%with, $name => $value) };
}

for my $row (@ROWS) {
    my $name = $row->{name};
    ok $BAD{ $row->{kind} }, "$name: its kind is known" or next;

    subtest "new($name)" => sub {
        for my $value (bad_values($row)) {
            like dies { new_server($name => $value) }, qr/\b$name\b/, "refuses '$value'";
        }
        for my $value (good_values($row)) {
            my $server;
            ok is_taken($row, $value, sub { $server = new_server(@_) }), "takes '$value'"
                or diag $@;
            next if $name =~ /\A(?:socket|listen|disable_tls|socket_mode)\z/;
            is $server->{$name}, $value, 'it is a key of the server' if $server;
        }
        ok lives { new_server(app => $APP, $name => undef) }, 'undef is not given'
            or diag $@
            if $name ne 'app';
    };
}

with_server {
    my ($t) = @_;
    my $server = $t->server;

    for my $row (@ROWS) {
        my $name = $row->{name};
        subtest "configure($name)" => sub {
            my $before = $server->{$name};
            for my $value (bad_values($row)) {
                like dies { $server->configure($name => $value) }, qr/\b$name\b/,
                    "refuses '$value'";
                is $server->{$name}, $before, 'nothing has changed';
            }
            for my $value (good_values($row)) {
                ok is_taken($row, $value, sub { $server->configure(@_) }), "takes '$value'"
                    or diag $@;
            }
            $server->configure($name => $before // PAGI::Server::Options->default_of($name));
        };
    }
    is $server->port, $t->port, 'it listens where it did';
    is $t->get('/')->status, 200, 'and serves';
}
app => $APP, quiet => 1;

subtest 'the manual says when configure takes effect' => sub {
    my ($section) = pod_of('lib/PAGI/Server.pm') =~ /^=head2 configure\n(.*?)^=head2/ms;
    my %named = map { $_ => 1 } $section =~ /C<(\w+)>/g;
    is [grep { !$named{$_} } PAGI::Server::Options->names], [], 'for every option';
};

subtest 'several at once: all or nothing' => sub {
    my $server = new_server(timeout => 7);
    like dies { $server->configure(timeout => 8, max_body_size => 'x') }, qr/max_body_size/, 'dies';
    is $server->{timeout}, 7, 'nothing is taken';
};

subtest 'booleans are true or false by the rules of Perl, in the core as well' => sub {
    my @core = grep { $_->{kind} eq 'bool' && $_->{side} eq 'core' } @ROWS;
    ok scalar @core, 'there are some';
    my @cases = (
        [1, 1], ['yes', 1], ['0.5', 1], [2, 1], [JSON::PP::true(), 1],
        [0, 0], ['', 0], [JSON::PP::false(), 0]
    );
    for my $case (@cases) {
        my ($given, $want) = @$case;
        my $settings;
        my $warnings = warnings {
            my $server = new_server(map { $_->{name} => $given } @core);
            $settings = PAGI::Server::Options->settings($server);
            is $server->{http2_enabled}, $want, "http2_enabled of '$given'";
        };
        is [map { $settings->{ $_->{name} } } @core], [($want) x @core], "'$given' is $want";
        is $warnings, [], 'without a warning';
    }
};

{

    package My::Seven;
    use overload '0+' => sub { 7 }, fallback => 1;
}

subtest 'numbers that Perl writes otherwise, and objects that stand for one' => sub {
    my $seven = bless {}, 'My::Seven';
    is new_server(max_body_size => 1e15)->{max_body_size}, 1e15, '1e15';
    is new_server(max_body_size => 1.5e15)->{max_body_size}, 1.5e15, '1.5e15';
    is new_server(timeout       => $seven)->{timeout}, 7, 'an object with 0+';
    my $workers = new_server(workers => Math::BigInt->new(2))->{workers};
    is $workers, 2, 'a Math::BigInt';
    ok !ref $workers, 'is kept as a number';
    is new_server(port => $seven)->port, 7, 'a port';
    my $listen = [{ host => 'h', port => $seven }];
    is new_server(listen => $listen)->listeners->[0]{port}, 7, 'of a listener';
    like dies { new_server(port => bless {}, 'My::Nothing') }, qr/'port'/, 'not any object';
    like dies { new_server(max_body_size => $_) }, qr/'max_body_size'/, "not $_"
        for '1e6', '1.55e+1', '10_000', Math::BigInt->new(-1);
};

subtest 'what is meant otherwise than it would be taken' => sub {
    my $empty = "Invalid value '' for option 'host': must not be empty\n";
    is dies { new_server(host   => '') }, $empty, 'an empty host is not all addresses';
    is dies { new_server(listen => [{ host => '', port => 0 }]) }, $empty, 'nor in listen';
    is dies { new_server(socket => '/x', socket_mode => '0660') },
        "Invalid value '0660' for option 'socket_mode': must be a number, not octal digits\n",
        'octal digits are no number';
    is new_server(socket => '/x', socket_mode => $_)->listeners->[0]{socket_mode}, 0 + $_, "but $_"
        for 0660, '432', 0;
};

subtest 'effective_max_connections of an object without options' => sub {
    my @bare = map { bless {%$_}, 'PAGI::Server' } {}, { max_connections => -1 },
        { max_connections => 5 };
    is [map { $_->effective_max_connections } @bare], [1000, 1000, 5], 'is what counts';
};

done_testing;
