# PAGI::Spec::Www, "HTTP Connection Scope" (contract 02 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Scalar::Util qw(refaddr);
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my @KEYS = sort qw(
    type pagi http_version method scheme path raw_path query_string root_path headers
    client server state extensions pagi.connection pagi.transport
);

# Runs requests against an application that keeps every scope it is given.
sub scopes_of {
    my ($on, $requests, %options) = @_;
    my @scopes;
    with_server {
        my ($t) = @_;
        $requests->($t);
    }
    on => $on, %options, app => http_app {
        my ($scope, $receive, $send) = @_;
        push @scopes, $scope;
        return reply($send, 'ok');
    };
    return @scopes;
}

# The extensions that a transport has by itself.
sub own { return $_[0]->is_secure ? 'tls' : () }

for_each_transport {
    my ($on) = @_;

    subtest 'exactly the keys of the specification' => sub {
        my ($scope) = scopes_of($on, sub { $_[0]->get('/') });
        my %wanted = map { $_ => 1 } @KEYS;
        delete $wanted{client} if !$on->has_addresses;
        is [sort keys %$scope], [sort keys %wanted], 'keys';
    };

    subtest 'the value of every key' => sub {
        my ($client_port, $server_port, $path);
        my ($scope) = scopes_of(
            $on,
            sub {
                my ($t) = @_;
                my $client = $t->client;
                ($client_port, $server_port) = ($client->port, $on->port($t))
                    if $on->has_addresses;
                $path = $t->server->socket_path;
                is $client->get('/a%20b?c=%20d&e')->status, 200, 'served';
            }
        );
        is $scope->{type}, 'http', 'type';
        is $scope->{pagi}, { version => '0.3', spec_version => '0.3' }, 'pagi';
        is $scope->{http_version}, $on->protocol eq 'h1' ? '1.1' : '2', 'http_version';
        is $scope->{method}, 'GET', 'method';
        is $scope->{scheme}, $on->is_secure ? 'https' : 'http', 'scheme';
        is $scope->{path}, '/a b', 'path';
        is $scope->{raw_path}, '/a%20b', 'raw_path';
        is $scope->{query_string}, 'c=%20d&e', 'query_string';
        is $scope->{root_path}, '', 'root_path';
        is $scope->{headers}, [[host => 'test']], 'headers';
        is $scope->{client}, ['127.0.0.1', $client_port], 'client'
            if $on->has_addresses;
        is $scope->{server}, $on->has_addresses ? ['127.0.0.1', $server_port] : [$path, undef],
            'server';
        is $scope->{state}, {}, 'state';
        is [keys %{ $scope->{extensions} }], [own($on)], 'extensions';
        isa_ok $scope->{'pagi.connection'}, 'PAGI::Server::ConnectionState';
        isa_ok $scope->{'pagi.transport'}, 'PAGI::Server::TransportState';
    };

    subtest 'without a query, query_string is the empty string' => sub {
        my ($none, $empty) = scopes_of($on, sub { $_[0]->get('/'); $_[0]->get('/?') });
        is $none->{query_string}, '', 'no question mark';
        is $empty->{query_string}, '', 'nothing after the question mark';
    };

    subtest 'strings are bytes, but for the decoded path' => sub {
        my ($scope) = scopes_of($on, sub { $_[0]->get('/caf%C3%A9?q=%C3%A9') });
        ok !utf8::is_utf8($scope->{$_}), "$_ is bytes" for qw(raw_path query_string method);
        is length $scope->{path}, 5, 'path is characters';
        my @strings = map { @$_ } @{ $scope->{headers} };
        ok !(grep { utf8::is_utf8($_) } @strings), 'header names and values are bytes';
    };

    subtest 'extensions are a shallow copy of those of the server' => sub {
        my $shared = { limit => 3 };
        my ($first, $second) = scopes_of(
            $on,
            sub {
                my ($t) = @_;
                my $client = $t->client;
                $client->get('/') for 1 .. 2;
                is [sort keys %{ $t->server->{extensions} }], [own($on), 'x-test'],
                    q{the server's are kept};
            },
            extensions => { 'x-test' => $shared },
        );
        is [sort keys %{ $first->{extensions} }], [own($on), 'x-test'], 'copied';
        ref_is $first->{extensions}{'x-test'}, $shared, 'shallow';
        ref_is_not $first->{extensions}, $second->{extensions}, 'a hash of its own per request';
    };

    subtest 'the application gets three arguments in scalar context' => sub {
        my (@count, @context);
        with_server {
            $_[0]->get('/');
        }
        on => $on, app => sub {
            my ($scope, $receive, $send) = @_;
            return Future->done if $scope->{type} ne 'http';
            push @count, scalar @_;
            push @context, wantarray;
            is [ref $receive, ref $send], ['CODE', 'CODE'], 'plain code references';
            return reply($send, 'ok');
        };
        is \@count, [3], 'arguments';
        is \@context, [''], 'context';
    };
};

for_each_transport {
    my ($on) = @_;

    subtest 'every request on a kept connection has a fresh scope' => sub {
        my @seen;
        my $spoil = http_app {
            my ($scope, $receive, $send) = @_;
            push @seen, { scope => $scope, before => snapshot($scope) };
            $scope->{$_} .= '-spoilt' for qw(type method scheme path raw_path root_path);
            $scope->{mine}             = 1;
            $scope->{pagi}{version}    = 'spoilt';
            $scope->{state}{mine}      = 1;
            $scope->{extensions}{mine} = 1;
            $scope->{client}[0]        = 'spoilt' if $scope->{client};
            $scope->{server}[0]        = 'spoilt';
            push @{ $scope->{headers} }, ['x-mine', 1];
            $_->[1] .= '-spoilt' for @{ $scope->{headers} };
            return reply($send, 'ok');
        };
        with_server {
            my ($t) = @_;
            my $client = $t->client;
            $client->get('/same') for 1 .. 3;
        }
        on => $on, app => $spoil;

        is scalar @seen, 3, 'three requests';
        is $seen[$_]{before}, $seen[0]{before}, "request $_ saw nothing of the earlier ones"
            for 1, 2;
        my %addresses = map { refaddr($_->{scope}) => 1 } @seen;
        is scalar keys %addresses, 3, 'three different hashes';
        for my $key (qw(pagi.connection pagi.transport headers state server)) {
            my %inner = map { refaddr($_->{scope}{$key}) => 1 } @seen;
            is scalar keys %inner, 3, "three different $key";
        }
    };

    subtest 'receive and send are a new pair per request' => sub {
        my @pairs;
        with_server {
            my $client = $_[0]->client;
            $client->get('/') for 1 .. 2;
        }
        on => $on, app => http_app {
            my ($scope, $receive, $send) = @_;
            push @pairs, [$receive, $send];
            return reply($send, 'ok');
        };
        ref_is_not $pairs[0][0], $pairs[1][0], 'receive';
        ref_is_not $pairs[0][1], $pairs[1][1], 'send';
    };
};

for_each_transport {
    my ($on) = @_;
    my %methods = (GET => 'GET', PURGE => 'PURGE', get => 'GET', 'M-SEARCH' => 'M-SEARCH');
    for my $sent (sort keys %methods) {
        subtest "method $sent is given as $methods{$sent}" => sub {
            my ($scope) = scopes_of($on, sub { is $_[0]->request($sent, '/')->status, 200 });
            is $scope->{method}, $methods{$sent};
        };
    }
};

# The values of a scope, copied, without its objects.
sub snapshot {
    my ($scope) = @_;
    my %copy = map { $_ => $scope->{$_} } grep { !ref $scope->{$_} } keys %$scope;
    $copy{$_}      = { %{ $scope->{$_} } } for qw(pagi state extensions);
    $copy{$_}      = [@{ $scope->{$_} }]   for grep { $scope->{$_} } qw(client server);
    $copy{headers} = [map { [@$_] } @{ $scope->{headers} }];
    return \%copy;
}

# Versions are HTTP/1's, and what its parser refuses is HTTP/2's own to reset.
for_each_transport {
    my ($on) = @_;

    my @versions = (['1.0', '1.0'], ['1.1', '1.1'], ['1.2', '1.1'], ['1.9', '1.1']);
    for my $case (@versions) {
        my ($sent, $seen) = @$case;
        subtest "HTTP/$sent is http_version $seen" => sub {
            my ($scope) = scopes_of(
                $on,
                sub {
                    my $response = $_[0]->get('/', version => $sent);
                    is $response->version, $seen, 'and in the status line';
                }
            );
            is $scope->{http_version}, $seen, 'in the scope';
        };
    }

    for my $sent ('G@T', 'G(T', "G\xC9T", 'G/T') {
        my $shown = $sent =~ s/([^ -~])/sprintf '\\x%02X', ord $1/ger;
        subtest "method $shown is not a token: 400" => sub {
            my @scopes = scopes_of($on, sub { is $_[0]->request($sent, '/')->status, 400 });
            is scalar @scopes, 0, 'the application is not called';
        };
    }
}
protocol => 'h1';

done_testing;
