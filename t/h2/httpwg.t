# httpwg-cli (cargo install --locked httpwg-cli), an independent suite of 107 cases. Which of them
# are known to fail, and why, is told in PAGI::Server::Compliance.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use Test::PAGI::App;
use Test::PAGI::Loop qw(test_loop wait_until);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

my ($program) =
    grep { -x } $ENV{HTTPWG} // (), map { "$_/httpwg" } split /:/, $ENV{PATH};
skip_all('httpwg is not installed') if !$program;

my @KNOWN = (
    'invalid header block fragment',
    'sends headers frame with mismatched host authority',
    'sends headers frame with pseudo header in trailer',
);

# A stream that is over is sent nothing any more, so an answer must not come before the case is told.
my $app = http_app {
    my ($scope, $receive, $send) = @_;
    return test_loop()->delay_future(after => 0.05)->then(sub { reply($send, 'hello') });
};

my ($h2c) = Test::PAGI::Matrix::transport('h2c');
&with_server(
    sub {
        my ($t) = @_;
        my ($out, $status) = ('');
        test_loop()->run_child(
            command   => ['timeout', '-k', '2', '90', $program, '-a', '127.0.0.1:' . $t->port],
            on_finish => sub { ($status, $out) = ($_[1], $_[2] . $_[3]) },
        );
        wait_until { defined $status } 'the end of the suite', 90;
        $out =~ s/\e\[[0-9;]*m//g;
        my ($passed, $all) = $out =~ m{Passed (\d+)/(\d+) tests};
        cmp_ok $all // 0, '>=', 107, 'its cases';
        my @failed = $out =~ /Test failed: [^\n]* :: ([^\n:]+)$/mg;
        my %known  = map { $_ => 1 } @KNOWN;
        is [grep { !$known{$_} } @failed], [], 'only those that are known fail';
    },
    on  => $h2c,
    app => $app
);

done_testing;
