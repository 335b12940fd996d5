# configure on a running server (A07): what an application sees, and how it is logged
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server::Options;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Matrix;
use Test::PAGI::Server;

sub text_app {
    my ($text) = @_;
    return http_app { return reply($_[2], $text) };
}

sub log_to { open my $fh, '>', \my $text or die $!; return ($fh, \$text) }

for_each_transport {
    my ($on) = @_;

    with_server {
        my ($t) = @_;
        my $client = $t->client;
        is $client->get('/')->body, 'hello', 'before';

        subtest 'app' => sub {
            $t->server->configure(app => text_app('changed'));
            is $client->get('/')->body, 'changed', 'on the same connection';
            is $t->get('/')->body, 'changed', 'on another';
        };

        subtest 'access_log, access_log_format' => sub {
            my ($fh, $text) = log_to();
            $t->server->configure(access_log => $fh);
            $client->get('/first');
            like $$text, qr{"GET /first" 200}, 'a handle';
            $t->server->configure(access_log_format => 'only %U');
            $client->get('/second');
            like $$text, qr{^only /second$}m, 'a format';
            like dies { $t->server->configure(access_log_format => '%Z') }, qr/Unknown/,
                'a bad one';
            $client->get('/third');
            like $$text, qr{^only /third$}m, 'changes nothing';
            my $before = $$text;
            $t->server->configure(access_log => undef);
            $client->get('/fourth');
            is $$text, $before, 'undef';
        };

        subtest 'extensions' => sub {
            my @seen;
            my $app = http_app {
                my ($scope, $receive, $send) = @_;
                push @seen, [grep { $_ ne 'tls' } sort keys %{ $scope->{extensions} }];
                return reply($send, 'ok');
            };
            $t->server->configure(app => $app, extensions => { fullflush => {}, 'x-new' => {} });
            $client->get('/');
            is $seen[0], [qw(fullflush x-new)], 'are those of later requests';
        };

        subtest 'validate_events' => sub {
            my $app = http_app {
                my ($scope, $receive, $send) = @_;
                return $send->({ type => 'http.response.start', headers => [] });
            };
            $t->server->configure(app => $app, validate_events => 1);
            is $t->get('/')->status, 500, 'a start without a status';
            like [$t->take_warnings]->[0], qr/requires 'status' field/, 'is refused now';
        };
    }
    on => $on, app => hello();
}
accepts => 1;

subtest 'every constructor key' => sub {
    with_server {
        my ($t) = @_;
        my %odd = (
            app    => hello(), access_log => undef, extensions  => {}, ssl => undef,
            listen => undef, socket       => undef, socket_mode => undef,
        );
        for my $name (PAGI::Server::Options->names) {
            my $value = exists $odd{$name} ? $odd{$name} : PAGI::Server::Options->default_of($name);
            ok lives { $t->server->configure($name => $value) }, $name or diag $@;
        }
    }
    app => hello();
};

done_testing;
