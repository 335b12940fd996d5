package PAGI::Server::TransportState;
use strict;
use warnings;

use PAGI::Server::Log;

our $VERSION = '0.003000';

# An empty hash asks the core, through the stream that the compiled half ties to it.

sub CLONE_SKIP { 1 }

sub new {
    my ($class, %args) = @_;

    my %known = map { $_ => $args{$_} } grep { defined $args{$_} } qw(measure high low arm_drain);
    return bless { alone => 1, %known }, $class;
}

sub buffered_amount {
    my ($self) = @_;

    return PAGI::Server::Core::buffered_amount($self) unless $self->{alone};
    return $self->{measure} ? $self->{measure}->() // 0 : 0;
}

sub high_water_mark {
    my ($self) = @_;

    return PAGI::Server::Core::high_water_mark($self) unless $self->{alone};
    return _value($self->{high});
}

sub low_water_mark {
    my ($self) = @_;

    return PAGI::Server::Core::low_water_mark($self) unless $self->{alone};
    return _value($self->{low});
}

sub on_high_water {
    my ($self, $callback) = @_;

    push @{ $self->{on_high_water} }, $callback;
    return $self if !$self->_is_high;
    if   ($self->{is_high}) { _run($callback) }
    else                    { $self->_check_watermarks }
    return $self;
}

sub on_drain {
    my ($self, $callback) = @_;

    push @{ $self->{on_drain} }, $callback;
    $self->_check_watermarks if !$self->{is_high} && $self->_is_high;
    return $self;
}

# One cycle: at or above high, all high callbacks once; below low, all drain callbacks once.
sub _check_watermarks {
    my ($self) = @_;

    return $self->_rise if !$self->{is_high} && $self->_is_high;
    return $self->_fall if $self->{is_high}  && $self->_is_low;
}

# It was below low, which is told once. Where it is not any more, the next time counts.
sub _drained {
    my ($self) = @_;

    return $self->_arm if $self->{is_high} && !$self->_is_low;
    return $self->_check_watermarks;
}

sub _rise {
    my ($self) = @_;

    $self->{is_high} = 1;
    my @callbacks = @{ $self->{on_high_water} // [] };    # one may end the request
    _run($_) for @callbacks;
    $self->_arm;
}

sub _fall {
    my ($self) = @_;

    $self->{is_high} = 0;
    my @callbacks = @{ $self->{on_drain} // [] };
    _run($_) for @callbacks;
}

sub _arm {
    my ($self) = @_;

    return PAGI::Server::Core::watch_drain($self) unless $self->{alone};
    return if !$self->{arm_drain};
    $self->{arm_drain}->(sub { $self->_drained });
}

sub _is_high {
    my ($self) = @_;

    my $high = $self->high_water_mark;
    return defined $high && $self->buffered_amount >= $high;
}

sub _is_low {
    my ($self) = @_;

    my $low = $self->low_water_mark // $self->high_water_mark;
    return !defined $low || $self->buffered_amount < ($low || 1);
}

sub _value {
    my ($value) = @_;

    return ref $value eq 'CODE' ? $value->() : $value;
}

sub _run {
    my ($callback) = @_;

    eval { $callback->(); 1 }
        or PAGI::Server::Log->complain(
        error => 'transport callback error: ' . PAGI::Server::Log->said($@));
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::TransportState - how much of a response is still on its way

=head1 SYNOPSIS

    my $transport = $scope->{'pagi.transport'};
    $transport->on_high_water(sub { $producer->pause });
    $transport->on_drain(sub { $producer->resume });

=head1 DESCRIPTION

The object behind C<pagi.transport>: what was sent and has not yet been handed to the transport, and
the watermarks of backpressure. All values are read when asked for.

=head1 CONSTRUCTOR

=head2 new

    my $state = PAGI::Server::TransportState->new(
        measure   => sub { $bytes },
        high      => 65536,
        low       => 16384,
        arm_drain => sub { my ($fire) = @_; ... },
    );

For use without a server; all arguments are optional. C<measure> returns the amount in bytes,
C<high> and C<low> are numbers or code that returns one, and C<arm_drain> is called with code to
call once the amount may have fallen.

=head1 METHODS

=head2 buffered_amount

Bytes sent and not yet handed to the transport; 0 where nothing is known.

=head2 high_water_mark

Bytes at which C<$send> waits, undef where nothing is known.

=head2 low_water_mark

Bytes below which a waiting C<$send> goes on, undef where nothing is known.

=head2 on_high_water

    $state->on_high_water(sub { ... });

Calls back each time the amount reaches the high mark, at once if it is there now. Returns the
object.

=head2 on_drain

    $state->on_drain(sub { ... });

Calls back each time the amount falls below the low mark after it had reached the high one. Returns
the object. What a callback throws becomes the warning C<transport callback error: E>.

=cut
