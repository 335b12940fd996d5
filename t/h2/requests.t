# contract 05 sections 3 to 6: requests and responses over HTTP/2
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp ();
use Future;
use Future::AsyncAwait;
use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

sub start { return { type => 'http.response.start', status => 200, @_ } }
sub body  { my $body = shift; return { type => 'http.response.body', body => $body, @_ } }

my ($scope, @received, %do);
my $app = http_app {
    my ($got, $receive, $send) = @_;
    my $run = $do{ $got->{path} } // $do{'/'};
    $scope = $got if !ref $scope;
    return $run->($got, $receive, $send);
};

async sub whole {
    my ($receive) = @_;
    my $body = '';
    while (1) {
        my $event = await $receive->();
        push @received, $event;
        $body .= $event->{body} // '';
        return $body if !$event->{more};
    }
}

%do = (
    '/' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start(headers => [['Content-Type', 'text/plain']]));
        await $send->(body("$got->{method} $got->{raw_path}"));
    },
    '/echo' => async sub {
        my ($got, $receive, $send) = @_;
        my $body = await whole($receive);
        await $send->(start());
        await $send->(body($body));
    },
    '/die'   => async sub { die "on purpose\n" },
    '/none'  => async sub { return },
    '/stops' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start());
        await $send->(body('begun', more => 1));
    },
    '/dies-late' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start());
        await $send->(body('begun', more => 1));
        die "late\n";
    },
    '/short' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start(headers => [['content-length', 10]]));
        await $send->(body('abc'));
    },
    '/long' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start(headers => [['content-length', 3]]));
        await $send->(body('abcdef'));
    },
    '/trailers' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start(trailers => 1));
        await $send->(body('x'));
        await $send->({ type => 'http.response.trailers', headers => [['X-Sum', 7]] });
    },
    '/fields' => async sub {
        my ($got, $receive, $send) = @_;
        await $send->(start(
            headers => [
                ['Connection', 'close'], ['Upgrade', 'h2c'], ['Keep-Alive', 'x'], ['TE', 'gzip'],
                ['Transfer-Encoding', 'chunked'], ['X-A', ' b '], ['set-cookie', 1],
                ['set-cookie', 2],
            ]
        ));
        await $send->(body(''));
    },
);

sub texts {
    return [map { "$_->[0]: $_->[1]" } @{ $_[0] }];
}

for_each_transport {
    my ($on) = @_;
    with_server {
        my ($t) = @_;
        my $h2 = $t->client;

        subtest 'the scope' => sub {
            undef $scope;
            my $response = $h2->get(
                '/a%20b?x=1&y',
                headers => [
                    ['x-b', 1], ['cookie', 'a=1'],
                    ['x-a', 2], ['cookie', 'b=2']
                ]
            );
            is $response->status, 200, 'status';
            is $response->body, 'GET /a%20b', 'body';
            is $scope->{http_version}, '2', 'http_version';
            is $scope->{scheme}, $on->is_secure ? 'https' : 'http', 'scheme';
            is [@{$scope}{qw(path raw_path query_string)}], ['/a b', '/a%20b', 'x=1&y'], 'path';
            is texts($scope->{headers}), ['x-b: 1', 'x-a: 2', 'host: test', 'cookie: a=1; b=2'],
                'headers: no pseudo fields, authority as host, cookies joined';
            ok $scope->{'pagi.connection'}->isa('PAGI::Server::ConnectionState'), 'connection';
            like $response->header('date'), qr/GMT\z/, 'date';
            like $response->header('server'), qr{\APAGI::Server/}, 'server';
            is $response->names, [qw(content-type date server)], 'names in lower case';
        };

        subtest ':authority stands above host' => sub {
            undef $scope;
            $h2->get('/', host => 'outer', headers => [['host', 'inner'], ['x', 1]]);
            is texts($scope->{headers}), ['host: outer', 'x: 1'], 'in its place';
            undef $scope;
            $h2->get('/', host => undef, headers => [['host', 'inner']]);
            is texts($scope->{headers}), ['host: inner'], 'without it host stays';
        };

        subtest 'methods and sequences on one connection' => sub {
            is $h2->request($_, '/m')->body, "$_ /m", $_ for qw(GET POST PUT DELETE PATCH);
            my @ids = map { $h2->open(GET => "/$_") } 1 .. 20;
            is [map { $h2->response($_)->body } @ids], [map { "GET /$_" } 1 .. 20], 'at once';
        };

        subtest 'request bodies' => sub {
            for my $size (0, 1, 16_384, 65_535, 65_536, 300_000) {
                my $body = 'x' x $size;
                @received = ();
                my $id      = $h2->open(POST => '/echo', more => $size);
                my $out     = $body;
                my $granted = 65_535;
                while (length $out) {
                    my $piece = substr $out, 0, $granted < 16_384 ? $granted : 16_384, '';
                    $granted -= length $piece;
                    $h2->frame(DATA => $id, $piece, END_STREAM => !length $out) if length $piece;
                    next if $granted || !length $out;
                    $h2->wait_for(
                        "credit for $size",
                        sub {
                            my @new = grep {
                                $_->{kind} eq 'WINDOW_UPDATE' && $_->{id} == $id && !$_->{seen}++
                            } $h2->frames;
                            $granted += unpack 'N', $_->{payload} for @new;
                            @new;
                        }
                    );
                }
                ok $h2->response($id)->body eq $body, "$size bytes";
                is $received[-1]{more} // 0, 0, 'the last says so';
            }
            my $id = $h2->open(POST => '/echo', more => 1, headers => [['content-length', 3]]);
            $h2->frame(DATA => $id, 'a')->frame(DATA => $id, 'bc', END_STREAM => 1);
            is $h2->response($id)->body, 'abc', 'of a declared length';
            $id = $h2->open(POST => '/echo', more => 1);
            $h2->frame(DATA    => $id, 'abc');
            $h2->frame(HEADERS => $id, $h2->block(['x-sum', 1]), END_STREAM => 1, END_HEADERS => 1);
            is $h2->response($id)->body, 'abc', 'trailers are dropped';
        };

        subtest 'content-length and what came' => sub {
            my $id = $h2->open(POST => '/echo', more => 1, headers => [['content-length', 3]]);
            $h2->frame(DATA => $id, 'abcd', END_STREAM => 1);
            is $h2->wait_frame(RST_STREAM => $id)->{code}, 'PROTOCOL_ERROR', 'too much';
            $id = $h2->open(POST => '/echo', more => 1, headers => [['content-length', 3]]);
            $h2->frame(DATA => $id, 'ab', END_STREAM => 1);
            is $h2->wait_frame(RST_STREAM => $id)->{code}, 'PROTOCOL_ERROR', 'too little';
            is $h2->get('/')->status, 200, 'the connection lives';
        };

        subtest 'no body' => sub {
            my $response = $h2->request(HEAD => '/');
            is [$response->status, $response->body], [200, ''], 'HEAD';
            for my $status (204, 304) {
                $do{"/$status"} = async sub {
                    my ($got, $receive, $send) = @_;
                    await $send->(start(status => $status));
                    await $send->(body('none of it'));
                };
                $response = $h2->get("/$status");
                is [$response->status, $response->body], [$status, ''], $status;
            }
        };

        subtest 'fields of the connection stay behind' => sub {
            my $response = $h2->get('/fields');
            is $response->names, [qw(x-a set-cookie set-cookie date server)], 'names';
            is $response->header('x-a'), 'b', 'blanks';
        };

        subtest 'more fields than a head has room for' => sub {
            $do{'/many'} = async sub {
                my ($got, $receive, $send) = @_;
                my @fields = map { ["x-$_", 1] } 1 .. $got->{query_string};
                await $send->(start(headers => \@fields));
                await $send->(body('x'));
            };
            $do{'/many-trailers'} = async sub {
                my ($got, $receive, $send) = @_;
                my @fields = map { ["x-$_", 1] } 1 .. $got->{query_string};
                await $send->(start(trailers => 1));
                await $send->(body('x'));
                await $send->({ type => 'http.response.trailers', headers => \@fields });
            };
            my $other = $h2->open(POST => '/echo', more => 1);
            for my $path (qw(/many /many-trailers)) {
                my $id = $h2->open(GET => "$path?40000");
                is $h2->wait_frame(RST_STREAM => $id)->{code}, 'INTERNAL_ERROR', "$path: reset";
            }
            $h2->frame(DATA => $other, 'lives', END_STREAM => 1);
            is $h2->response($other)->body, 'lives', 'its neighbour lives';
            is $h2->get("/many?24000")->body, 'x', 'as many as there is room for';
        };

        subtest 'trailers' => sub {
            my $response = $h2->get('/trailers');
            is [$response->body, texts($response->trailers)], ['x', ['x-sum: 7']], 'after the body';
        };

        subtest 'failures touch nobody else' => sub {
            my %ids = map { $_ => $h2->open(GET => $_) } qw(/a /die /b /none /stops /dies-late /c);
            my %got = map { $_ => $h2->response($ids{$_}) } keys %ids;
            is [map { $got{$_}->status } qw(/a /die /b /none /c)], [200, 500, 200, 500, 200],
                'statuses';
            is $got{'/die'}->body, "Internal Server Error\n", 'the body of a 500';
            like $got{'/die'}->header('date'), qr/GMT/, 'its date';
            for my $path (qw(/stops /dies-late)) {
                is [$got{$path}->status, $got{$path}->body, $got{$path}->code],
                    [200, 'begun', 'INTERNAL_ERROR'], "$path is broken off after what it had";
            }
            my %id = map { substr($_, 1) => $ids{$_} } keys %ids;
            is [sort $t->take_warnings], [
                sort "PAGI application error (HTTP/2 stream $id{die}): on purpose\n",
                "PAGI application returned without starting a response (HTTP/2 stream $id{none})\n",
                "PAGI application returned with an incomplete response (HTTP/2 stream $id{stops})\n",
                "PAGI application error after response started (HTTP/2 stream $id{'dies-late'}): late\n",
                ],
                'warnings name the stream';
        };

        subtest 'declared lengths of responses' => sub {
            my $short = $h2->get('/short');
            is [$short->body, $short->code], ['abc', 'INTERNAL_ERROR'], 'short: broken off';
            my $long = $h2->get('/long');
            is [$long->body, $long->code], ['abc', undef], 'long: cut';
            ok scalar $t->take_warnings, 'with warnings';
        };

        subtest 'files' => sub {
            my $file = File::Temp->new;
            my $data = join '', map { chr($_ % 251) } 1 .. 200_000;
            print {$file} $data;
            $file->flush;
            my %event;
            $do{'/file'} = async sub {
                my ($got, $receive, $send) = @_;
                await $send->(start());
                await $send->({ type => 'http.response.body', %event });
            };
            for my $case ([], [offset => 150_000], [offset => 10, length => 100_000], [length => 0])
            {
                my %range = @$case;
                my $want  = substr $data, $range{offset} // 0, $range{length} // length $data;
                %event = (file => "$file", %range);
                ok $h2->get('/file')->body eq $want, "a path, @$case";
                open my $fh, '<', "$file" or die $!;
                %event = (fh => $fh, %range);
                ok $h2->get('/file')->body eq $want, "a handle, @$case";
            }
        };

        subtest 'a body in pieces arrives in pieces' => sub {
            my $go = Future->new;
            $do{'/pieces'} = async sub {
                my ($got, $receive, $send) = @_;
                await $send->(start());
                await $send->(body('one', more => 1));
                await $go;
                await $send->(body('two'));
            };
            my $id = $h2->open(GET => '/pieces');
            $h2->wait_for('the first piece', sub { $h2->partial($id)->body eq 'one' });
            ok !$h2->partial($id)->is_over, 'not over';
            $go->done;
            is $h2->response($id)->chunks, ['one', 'two'], 'both';
        };

        subtest 'refusals' => sub {
            my $id =
                $h2->open(POST => '/echo', more => 1, headers => [['content-length', 99_999_999]]);
            is [map { ($_->status, $_->body) } $h2->response($id)], [413, "Payload Too Large\n"],
                'a length above max_body_size';
            is $h2->get('/', headers => [map { ["x-$_", 1] } 1 .. 200])->status, 431, 'fields';
            my @big = map { ["x-$_", "y" x 3000] } 1 .. 25;
            is $h2->get("/", headers => \@big)->status, 431, "a large list";
            $id = $h2->{next};
            $h2->{next} += 2;
            $h2->{streams}{$id} = Test::PAGI::Client::H2::Response->new(method => 'CONNECT');
            $h2->frame(
                HEADERS     => $id, $h2->block([':method', 'CONNECT'], [':authority', 'x:1']),
                END_HEADERS => 1
            );
            is [map { ($_->status, $_->body) } $h2->response($id)],
                [501, "CONNECT method not supported\n"], 'CONNECT';
            is $h2->get('/')->status, 200, 'the connection lives';
        };
    }
    on => $on, app => $app;
}
protocol => 'h2';

done_testing;
