package Test::PAGI::Client::H2::Response;

# One HTTP/2 response, taken frame by frame, with the methods of a Test::PAGI::Response as far as
# they are not about HTTP/1's bytes.

use strict;
use warnings;

sub new {
    my ($class, %args) = @_;
    return bless {
        method   => $args{method},
        headers  => undef,
        trailers => [],
        body     => '',
        chunks   => [],
        seen     => 0,
    }, $class;
}

sub version      { return '2' }
sub status       { return $_[0]{status} }
sub headers      { return $_[0]{headers} }
sub body         { return $_[0]{body} }
sub chunks       { return $_[0]{chunks} }
sub trailers     { return $_[0]{trailers} }
sub code         { return $_[0]{code} }
sub is_tunnel    { return $_[0]{method} eq 'CONNECT' }
sub is_over      { return $_[0]{ended} || defined $_[0]{code} }
sub is_truncated { return $_[0]{ended} ? 0 : 1 }

sub names {
    my ($self) = @_;
    return [map { $_->[0] } @{ $self->{headers} }];
}

sub own_names { return $_[0]->names }
sub unread    { return substr $_[0]{body}, $_[0]{seen} }

sub all {
    my ($self, $name) = @_;
    return [map { $_->[1] } grep { $_->[0] eq lc $name } @{ $self->{headers} }];
}

sub header {
    my ($self, $name) = @_;
    return $self->all($name)->[0];
}

sub take {
    my ($self, $frame) = @_;
    my $kind = $frame->{kind};
    $self->{code} = $frame->{code} if $kind eq 'RST_STREAM';
    $self->_take_fields(@{ $frame->{fields} }) if $kind eq 'HEADERS';
    if ($kind eq 'DATA') {
        die "DATA in a response to HEAD\n" if $self->{method} eq 'HEAD';
        $self->{body} .= $frame->{payload};
        push @{ $self->{chunks} }, $frame->{payload}
            if length $frame->{payload} && !$self->is_tunnel;
    }
    $self->{ended} = 1 if $kind =~ /\A(?:DATA|HEADERS)\z/ && $frame->{flags} & 1;
    return;
}

sub _take_fields {
    my ($self, @fields) = @_;
    my @wrong =
        grep { $_->[0] =~ /[A-Z]/ || $_->[0] =~ /\A(?:connection|transfer-encoding)\z/ } @fields;
    die "a field that HTTP/2 must not have: $wrong[0][0]\n" if @wrong;
    if ($self->{headers}) {
        $self->{trailers} = \@fields;
        return;
    }
    my ($status) = map { $_->[1] } grep { $_->[0] eq ':status' } @fields;
    $self->{status}  = $status;
    $self->{headers} = [grep { $_->[0] ne ':status' } @fields];
    return;
}

1;
