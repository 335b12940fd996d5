# Events with ties and overloads: read as what they stringify to, and never a way to harm
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::Loop qw(failure_of);
use Test::PAGI::Matrix;
use Test::PAGI::Puppet;
use Test::PAGI::Server;

package Exotic {
    use overload '""' => sub { $_[0]{text}->() }, bool => sub { !!$_[0]{text}->() }, fallback => 1;
    sub new { my ($class, $text) = @_; return bless { text => $text }, $class }
}

package Exotic::Scalar {
    sub TIESCALAR { my ($class, $text) = @_; return bless { text => $text }, $class }
    sub FETCH     { return $_[0]{text}->() }
}

package main;

sub exotic {
    my ($text) = @_;
    return Exotic->new(ref $text ? $text : sub { $text });
}

for_each_transport {
    my ($on) = @_;
    my $puppet = Test::PAGI::Puppet->new;
    with_server {
        my ($t) = @_;

        my $open = sub {
            my $client = $t->client->begin(GET => '/');
            return ($puppet->next_call, $client);
        };

        subtest 'objects that stringify' => sub {
            my ($call, $client) = $open->();
            $call->start(headers => [['x-a', exotic('v')], [exotic('x-b'), 'w']]);
            $call->body(exotic('hello'));
            $call->finish;
            my $response = $client->read_response;
            is [map { $response->header($_) } qw(x-a x-b)], ['v', 'w'], 'headers';
            is $response->body, 'hello', 'body';
        };

        subtest 'tied scalars' => sub {
            my ($call, $client) = $open->();
            tie my $tied, 'Exotic::Scalar', sub { 'tied' };
            my $start = { type => 'http.response.start', headers => [['x-a', '']] };
            tie $start->{headers}[0][1], 'Exotic::Scalar', sub { 'tied' };
            is failure_of($call->{send}->($start)), undef, 'start';
            is failure_of($call->body($tied)), undef, 'body';
            $call->finish;
            is $client->read_response->header('x-a'), 'tied', 'header';
        };

        subtest 'code that changes the event while it is read' => sub {
            my ($call, $client) = $open->();
            my @headers = (['x-a', 'A' x 5000]);
            push @headers,
                ['x-b', exotic(sub { undef $headers[0][1]; my @new = ('Z' x 5000) x 3; 'v' })];
            is failure_of($call->start(headers => \@headers)), undef, 'start';
            my $event = { type => 'http.response.body', body => 'B' x 9000 };
            $event->{more} = exotic(sub { undef $event->{body}; '' });
            is failure_of($call->{send}->($event)), undef, 'body';
            $call->finish;
            my $response = $client->read_response;
            like $response->header('x-a'), qr/\A(?:A{5000})?\z/, 'no stale bytes in the head';
            like $response->body, qr/\AB{9000}\z/, 'nor in the body';
        };

        subtest 'code that dies fails the send alone' => sub {
            my ($call, $client) = $open->();
            my $bad = exotic(sub { die "not now\n" });
            like failure_of($call->start(headers => [['x-a', $bad]])), qr/not now/, 'failed';
            $call->reply('ok');
            is $client->read_response->body, 'ok', 'the next one works';
        };
    }
    on => $on, app => $puppet->app;
};

done_testing;
