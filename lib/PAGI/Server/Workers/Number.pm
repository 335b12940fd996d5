package PAGI::Server::Workers::Number;
use strict;
use warnings;

our $VERSION = '0.003000';

sub one_more {
    my ($class, $workers) = @_;

    my %taken = map { $_->{num} => 1 } $workers->active;
    my ($num) = grep { !$taken{$_} && !$workers->{later}{$_} } 1 .. 1 + ++$workers->{target};
    $workers->log(info => "Received TTIN, spawning worker $num (total: $workers->{target})");
    $workers->_spawn_or_retry($num);
}

sub one_less {
    my ($class, $workers) = @_;

    my ($waiting) = sort { $b <=> $a } keys %{ $workers->{later} };
    my ($newest) =
        sort { $b->{started} <=> $a->{started} || $b->{num} <=> $a->{num} } $workers->active;
    return if $workers->{target} < 2 || !($waiting || $newest);
    $workers->{target}--;
    $workers->log(info => "Received TTOU, killing worker (remaining: $workers->{target})");
    return _forget($workers, $waiting) if $waiting;    # rather than one that serves
    $newest->{is_surplus} = 1;
    $workers->stop($newest);
}

# Nobody is started under this number any more.
sub _forget {
    my ($workers, $num) = @_;

    $workers->{loop}->unwatch_time(delete $workers->{later}{$num});
    $workers->_settled($num);
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers::Number - one worker more, one less

=head1 DESCRIPTION

What a master does on TTIN and TTOU, see L<PAGI::Server::Workers/Signals to the master>.

=head1 CLASS METHODS

=head2 one_more

    PAGI::Server::Workers::Number->one_more($workers);

=head2 one_less

    PAGI::Server::Workers::Number->one_less($workers);

One that waits to be started again goes first, else the newest one. The last one stays.

=cut
