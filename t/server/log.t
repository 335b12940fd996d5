use Test2::V0;

use PAGI::Server::Log;

sub shown {
    my ($log) = @_;

    return warnings {
        $log->log($_ => "a $_ line") for qw(debug info warn error);
    };
}

subtest 'level' => sub {
    my %shown = (
        debug => [map { "a $_ line\n" } qw(debug info warn error)],
        info  => [map { "a $_ line\n" } qw(info warn error)],
        warn  => [map { "a $_ line\n" } qw(warn error)],
        error => ["a error line\n"],
    );
    for my $level (sort keys %shown) {
        is shown(PAGI::Server::Log->new(level => $level)), $shown{$level}, "level $level";
    }
    is shown(PAGI::Server::Log->new), $shown{info}, 'default is info';
};

subtest 'quiet' => sub {
    my $log = PAGI::Server::Log->new(level => 'debug', quiet => 1);
    is $log->quiet, 1, 'is quiet';
    is shown($log), ["a error line\n"], 'errors only';

    $log->quiet(0);
    is scalar @{ shown($log) }, 4, 'and back again';
};

subtest 'changing the level' => sub {
    my $log = PAGI::Server::Log->new;
    is $log->level, 'info', 'before';
    is shown($log->level('error')), ["a error line\n"], 'after';

    like dies { $log->level('loud') }, qr/\AInvalid log_level 'loud'/, 'an unknown level';
    is $log->level, 'error', 'leaves the old one';
};

subtest 'a handler of warnings that dies' => sub {
    my $text = '';
    {
        local *STDERR;
        open STDERR, '>', \$text or die $!;
        local $SIG{__WARN__} = sub { die "no warnings here\n" };
        ok lives { PAGI::Server::Log->new->log(info => 'a line') }, 'cannot break off the server';
        local $SIG{__WARN__} = sub { die $_[0] };
        PAGI::Server::Log->new->log(info => 'another');
    }
    is $text, "a line\nno warnings here\nanother\n", 'nothing is lost';
};

subtest 'is_shown' => sub {
    my $log = PAGI::Server::Log->new(level => 'warn');
    is $log->is_shown('info'), 0, 'below';
    is $log->is_shown('warn'), 1, 'at the level';
    is $log->is_shown('bogus'), 1, 'an unknown level is not lost';
};

subtest 'validation' => sub {
    is(PAGI::Server::Log->validate('debug'), 'debug', 'returns the level');

    my $error = "Invalid log_level 'loud' - must be one of: debug, info, warn, error\n";
    is dies   { PAGI::Server::Log->validate('loud') }, $error, 'M-API-6';
    is dies   { PAGI::Server::Log->new(level => 'loud') }, $error, 'in the constructor';
    like dies { PAGI::Server::Log->validate(undef) }, qr/\AInvalid log_level ''/, 'undef';
};

done_testing;
