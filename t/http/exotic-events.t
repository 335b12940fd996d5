# Events with ties and overloads: read as what they stringify to, and never a way to harm
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
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

# Of the conversions these have one, or none.
package Exotic::Number {
    use overload '0+' => sub { ${ $_[0] } }, fallback => 1;
}

package Exotic::Truth {
    use overload 'bool' => sub { ${ $_[0] } };
}

package Exotic::Both {
    use overload '""' => sub { 'no' }, 'bool' => sub { ${ $_[0] } }, fallback => 1;
}

package Exotic::Equal {
    use overload 'eq' => sub { 1 }, fallback => 1;
}

package Exotic::List {
    use overload '@{}' => sub { $_[0]->() }, fallback => 1;
}

# Perl has not looked yet whether this one has overloads when its first object is sent.
package Plain::Base { }

package Plain::Object {
    our @ISA = ('Plain::Base');
}

package main;

sub object {
    my ($class, $value) = @_;
    return bless \$value, $class;
}

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

        for my $class (qw(JSON::PP::Boolean Exotic::Number Exotic::Truth Exotic::Both)) {
            subtest "flags are true or false by Perl's rules: $class" => sub {
                my ($call, $client) = $open->();
                is failure_of($call->start(trailers => object($class, 0))), undef, 'start';
                is failure_of($call->body('a', more => object($class, 1))), undef, 'more';
                is failure_of($call->body('b', more => object($class, 0))), undef, 'no more';
                is $client->read_response->body, 'ab', 'body';
                $call->finish;
            };
        }

        subtest 'an object that converts to nothing is true' => sub {
            for my $class (qw(Exotic::Equal Plain::Object)) {
                my ($call, $client) = $open->();
                is failure_of($call->start), undef, 'start';
                is failure_of($call->body('a', more => object($class, 0))), undef, "more: $class";
                is failure_of($call->body('b')), undef, 'the end';
                is $client->read_response->body, 'ab', 'body';
                $call->finish;
            }
        };

        subtest 'numbers' => sub {
            my ($call, $client) = $open->();
            my $sent = $call->start(
                status  => object('Exotic::Number', 201),
                headers => [['x-n', object('Exotic::Number', 5)]]
            );
            is failure_of($sent), undef, 'start';
            $call->body(object('Exotic::Number', 7));
            my $response = $client->read_response;
            is [$response->status, $response->header('x-n'), $response->body], [201, 5, 7],
                'as text';
            $call->finish;
        };

        subtest 'lists' => sub {
            my ($call, $client) = $open->();
            my $tuple = bless sub { ['x-a', 'v'] }, 'Exotic::List';
            my $list = bless sub { [$tuple, bless(['x-b', 'w'], 'Exotic::Equal')] }, 'Exotic::List';
            is failure_of($call->start(headers => $list)), undef, 'start';
            $call->body('');
            my $response = $client->read_response;
            is [map { $response->header($_) } qw(x-a x-b)], ['v', 'w'], 'headers';
            $call->finish;
        };

        for my $class (qw(Exotic::Equal Plain::Object)) {
            subtest "what is no text, number or list is refused by its name: $class" => sub {
                my ($call, $client) = $open->();
                my $object = object($class, 1);
                like failure_of($call->start(status  => $object)), qr/'status' must be an integer/;
                like failure_of($call->start(headers => $object)),
                    qr/'headers' must be an array reference/;
                like failure_of($call->start(headers => [$object])), qr/\AInvalid header: each of/;
                is failure_of($call->start(headers => [['x-a', $object]])), undef,
                    'a value is text';
                like failure_of($call->body($object)), qr/'body' must be a byte string/;
                $call->body('ok');
                my $response = $client->read_response;
                like $response->header('x-a'), qr/\A$class=SCALAR/, 'as Perl writes it';
                is $response->body, 'ok', 'the next one works';
                $call->finish;
            };
        }

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
