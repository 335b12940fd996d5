# What this stage does not do yet is refused in so many words, never silently ignored.
# Each subtest is replaced by the tests of its feature when that arrives.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use PAGI::Server;
use Test2::V0;
use Test::PAGI::App;

# [option, value, a word its refusal must contain]
my @OPTIONS = (
    [http2 => 1, qr/http2|HTTP\/2/i],
);

for my $case (@OPTIONS) {
    my ($option, $value, $word) = @$case;
    subtest "option $option is refused when used" => sub {
        my $error = dies {
            my @tcp    = (host => '127.0.0.1', port => 0);
            my $server = PAGI::Server->new(app => hello(), quiet => 1, @tcp, $option => $value);
            IO::Async::Loop->new->add($server);
            $server->listen->get;
        };
        like $error, $word, 'by name';
        unlike $error, qr/Unrecognised configuration keys/, 'as known but not there yet';
    };
}

done_testing;
