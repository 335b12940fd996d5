# Applications of others' frameworks, each on a server of its own, all in one process
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP qw(decode_json);
use Test2::V0;

BEGIN {
    skip_all 'Plack (libplack-perl) is not installed' unless eval { require Plack::Util; 1 };
}

use Test::PAGI::App;
use Test::PAGI::Loop qw(test_loop);
use Test::PAGI::PSGI;
use Test::PAGI::Server;

my %SOURCE = (
    Mojolicious => <<'PERL',
        package Others::Mojo;
        use Mojolicious::Lite -signatures;
        app->log->level('fatal');
        app->secrets(['of a test']);
        get '/hello/:name' => sub ($c) { $c->render(text => 'Hello ' . $c->param('name')) };
        post '/json' => sub ($c) { $c->render(json => { got => $c->req->json }) };
        post '/form' => sub ($c) { $c->render(text => $c->param('a') . '|' . $c->param('b')) };
        get '/large' => sub ($c) { $c->render(data => 'x' x 1_000_000) };
        get '/away' => sub ($c) { $c->redirect_to('/hello/you') };
        get '/count' => sub ($c) { $c->render(text => ++$c->session->{count}) };
        get '/dies' => sub ($c) { die "as asked\n" };
        require Mojo::Server::PSGI;
        my $server = Mojo::Server::PSGI->new(app => app);
        sub { $server->run(@_) };
PERL
    Dancer2 => <<'PERL',
        package Others::Dancer;
        use Dancer2;
        set logger => 'null';
        set session => 'Simple';
        set show_errors => 0;
        get '/hello/:name' => sub { 'Hello ' . route_parameters->get('name') };
        post '/json' => sub {
            content_type 'application/json';
            encode_json({ got => decode_json(request->body) });
        };
        post '/form' => sub { join '|', map { body_parameters->get($_) } qw(a b) };
        get '/large' => sub { 'x' x 1_000_000 };
        get '/away' => sub { redirect '/hello/you' };
        get '/count' => sub {
            my $count = 1 + (session('count') // 0);
            session count => $count;
            $count;
        };
        get '/dies' => sub { die "as asked\n" };
        Others::Dancer->to_app;
PERL
);

my %servers;
for my $name (sort keys %SOURCE) {
    next unless eval "require $name; 1";
    local $ENV{MOJO_MODE} = 'production';
    my $psgi = eval "use strict; use warnings; $SOURCE{$name}" or die "$name: $@";
    $servers{$name} = Test::PAGI::Server->new(app => psgi_app($psgi))->start;
}
$servers{PAGI} = Test::PAGI::Server->new(app => hello())->start;

my @FORM = (['Content-Type' => 'application/x-www-form-urlencoded']);

for my $name (sort keys %SOURCE) {
    subtest $name => sub {
        my $t = $servers{$name}
            or skip_all "$name (lib\L$name\E-perl) is not installed";
        my $client = $t->client;
        is $client->get('/hello/w%C3%B6rld')->body, "Hello w\xC3\xB6rld", 'a route, UTF-8';
        my $json = $client->request(
            POST    => '/json',
            headers => [['Content-Type' => 'application/json']],
            body    => '{"a":[1,2]}'
        );
        is decode_json($json->body), { got => { a => [1, 2] } }, 'JSON both ways';
        like $json->header('content-type'), qr{\Aapplication/json}, 'and its type';
        is $client->request(POST => '/form', headers => \@FORM, body => 'a=1+2&b=%26')->body,
            '1 2|&', 'a form';
        is $client->request(POST => '/form', headers => \@FORM, chunked => ['a=x', '&b=y'])->body,
            'x|y', 'a form in chunks';
        is length $client->get('/large')->body, 1_000_000, 'a large response';
        my $away = $client->get('/away');
        is $away->status, 302, 'a redirection';
        like $away->header('location'), qr{/hello/you\z}, 'to where';
        my $first = $client->get('/count');
        my ($cookie) = $first->header('set-cookie') =~ /\A([^;]+)/;
        is $client->get('/count', headers => [[Cookie => $cookie]])->body, 2, 'a session';
        is $client->get('/dies')->status, 500, 'an error is its own';
        is $client->get('/nowhere')->status, 404, 'and so is 404';
        is $client->request(HEAD => '/hello/you')->body, '', 'HEAD';
        is $client->get('/hello/you')->body, 'Hello you', 'all on one connection';
        $client->close;
    };
}

subtest 'one stops, the others go on' => sub {
    for my $name (grep { $servers{$_} } sort keys %SOURCE) {
        my $kept = $servers{PAGI}->client;
        is $kept->get('/')->body, 'hello', "beside $name";
        (delete $servers{$name})->stop;
        is $kept->get('/')->body, 'hello', "without $name";
        is $_->get('/hello/you')->status, 200, 'the rest' for values %servers;
    }
    (delete $servers{PAGI})->stop;
};

done_testing;
