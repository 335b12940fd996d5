package PAGI::Server::Workers::Deaths;
use strict;
use warnings;

use POSIX qw(WEXITSTATUS WIFSIGNALED WTERMSIG);

our $VERSION = '0.003000';

# A worker that ends sooner than this has not lived, seconds
use constant CHILDHOOD => 5;

# The most that is waited before a worker that keeps dying is started again, seconds
use constant MOST_BACK_OFF => 30;

# Deaths in a row, by the number of the worker
sub new { return bless {}, $_[0] }

# At once, but for those that keep dying young
sub count {
    my ($self, $worker, $now) = @_;

    my $num      = $worker->{num};
    my $is_young = $now - $worker->{started} < CHILDHOOD;
    return $self->{$num} = 0 if $worker->{stopping} || !$is_young;
    my $before = $self->{$num}++ || return 0;
    my $wait   = 2**($before - 1) / 2;
    return $wait < MOST_BACK_OFF ? $wait : MOST_BACK_OFF;
}

sub line {
    my ($class, $worker, $status) = @_;

    return "Worker $worker->{pid} (worker $worker->{num}) ended with " . $class->how($status);
}

sub how {
    my ($class, $status) = @_;

    return WIFSIGNALED($status) ? 'signal ' . WTERMSIG($status) : 'status ' . WEXITSTATUS($status);
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Workers::Deaths - how long to wait before a worker is started again

=head1 METHODS

=head2 new

    my $deaths = PAGI::Server::Workers::Deaths->new;

=head2 count

    my $seconds = $deaths->count($worker, $now);

A worker has ended that was not replaced before. How long to wait with its replacement: not at all,
but for those that die again and again within 5 seconds; then half a second, one, and so on up to 30.

=head2 line

    my $line = PAGI::Server::Workers::Deaths->line($worker, $status);

What the log is told of it.

=head2 how

    my $text = PAGI::Server::Workers::Deaths->how($status);

C<signal N> or C<status N>, from what C<wait> tells.

=cut
