package Test::PAGI::Response;

# One HTTP/1 response as it came over the wire, taken piece by piece from a buffer. Strict on
# purpose: framing that a lenient client would forgive is reported (dies).

use strict;
use warnings;

sub new {
    my ($class, %args) = @_;
    return bless {
        method   => $args{method} // 'GET',
        raw_head => undef,
        raw_body => '',
        body     => '',
        chunks   => [],
        trailers => [],
        seen     => 0,
    }, $class;
}

sub version      { return $_[0]{version} }
sub status       { return $_[0]{status} }
sub reason       { return $_[0]{reason} }
sub headers      { return $_[0]{headers} }
sub body         { return $_[0]{body} }
sub chunks       { return $_[0]{chunks} }
sub trailers     { return $_[0]{trailers} }
sub raw_head     { return $_[0]{raw_head} }
sub raw_body     { return $_[0]{raw_body} }
sub raw          { return $_[0]{raw_head} . $_[0]{raw_body} }
sub framing      { return $_[0]{framing} }
sub is_truncated { return $_[0]{truncated} ? 1 : 0 }
sub is_over      { return $_[0]{over}      ? 1 : 0 }

# Of the body, what a client's read_data has not given yet.
sub unread { return substr $_[0]{body}, $_[0]{seen} }

# Names as sent, in wire order.
sub names {
    my ($self) = @_;
    return [map { $_->[0] } @{ $self->{headers} }];
}

# Those of the message itself, in lower case: without those of the connection.
sub own_names {
    my ($self) = @_;
    return [grep { !/\A(?:connection|transfer-encoding)\z/ } map { lc } @{ $self->names }];
}

# All values of a field, any case.
sub all {
    my ($self, $name) = @_;
    return [map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{headers} }];
}

# First value of a field, any case, or undef.
sub header {
    my ($self, $name) = @_;
    return $self->all($name)->[0];
}

# Takes what belongs to this response out of $$buf; true once nothing more is to come.
sub take {
    my ($self, $buf, $eof) = @_;
    defined $self->{raw_head} or $self->_take_head($buf) or return 0;
    my $take = "_take_$self->{framing}";
    return $self->{over} = 1 if $self->$take($buf, $eof);
    $self->{truncated} = 1 if $eof;
    return 0;
}

sub _take_head {
    my ($self, $buf) = @_;
    my $end = index $$buf, "\r\n\r\n";
    return 0 if $end < 0;
    $self->{raw_head} = substr $$buf, 0, $end + 4, '';
    my ($line, @fields) = split /\r\n/, $self->{raw_head};
    @{$self}{qw(version status reason)} = $line =~ m{\AHTTP/(\d\.\d) (\d{3}) ([^\r\n]*)\z}
        or die "bad status line: $line\n";
    $self->{headers} = [map { _field($_) } @fields];
    $self->{framing} = $self->_choose_framing;
    return 1;
}

sub _field {
    my ($line) = @_;
    my ($name, $value) = $line =~ /\A([^\s:]+): ?(.*)\z/s or die "bad header line: $line\n";
    die "stray CR or LF in header line\n" if $line =~ /[\r\n]/;
    return [$name, $value];
}

sub _choose_framing {
    my ($self) = @_;
    return 'none' if $self->{method} eq 'HEAD' || $self->{status} =~ /\A(?:1\d\d|204|304)\z/;
    my $coding = $self->header('transfer-encoding');
    my $length = $self->header('content-length');
    die "both transfer-encoding and content-length\n" if defined $coding && defined $length;
    return 'chunked'                                  if defined $coding && lc $coding eq 'chunked';
    return defined $length ? 'length' : 'close';
}

sub _take_none { return 1 }

sub _take_length {
    my ($self, $buf) = @_;
    my $missing = $self->header('content-length') - length $self->{body};
    my $piece   = substr $$buf, 0, $missing, '';
    $self->{body}     .= $piece;
    $self->{raw_body} .= $piece;
    return length $self->{body} == $self->header('content-length');
}

sub _take_close {
    my ($self, $buf, $eof) = @_;
    $self->{body}     .= $$buf;
    $self->{raw_body} .= $$buf;
    $$buf = '';
    return $eof;
}

sub _take_chunked {
    my ($self, $buf) = @_;
    while ($$buf =~ /\A([0-9a-fA-F]+)\r\n/) {
        my ($size, $skip) = (hex $1, length($1) + 2);
        return $self->_take_last_chunk($buf) if $size == 0;
        return 0                             if length $$buf < $skip + $size + 2;
        my $raw = substr $$buf, 0, $skip + $size + 2, '';
        die "chunk does not end in CRLF\n" if substr($raw, -2) ne "\r\n";
        $self->{raw_body} .= $raw;
        push @{ $self->{chunks} }, substr $raw, $skip, $size;
        $self->{body} .= $self->{chunks}[-1];
    }
    die 'bad chunk size line: ' . substr($$buf, 0, 20) . "\n" if $$buf !~ /\A[0-9a-fA-F]*\r?\z/;
    return 0;
}

sub _take_last_chunk {
    my ($self, $buf) = @_;
    $$buf =~ s/\A(0\r\n((?:[^\r\n]+\r\n)*)\r\n)// or return 0;
    my ($raw, $trailers) = ($1, $2);
    $self->{raw_body} .= $raw;
    $self->{trailers} = [map { _field($_) } split /\r\n/, $trailers];
    return 1;
}

1;
