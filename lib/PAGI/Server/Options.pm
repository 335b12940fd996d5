package PAGI::Server::Options;
use strict;
use warnings;

use Scalar::Util qw(blessed looks_like_number openhandle reftype);
use overload     ();

use PAGI::Server::Core;
use PAGI::Server::Log;

our $VERSION = '0.003000';

# The table lives in the core (rust/src/config.rs); everything here is read from its rows.
my @ROWS = PAGI::Server::Core::option_rows();
my %ROW  = map { $_->{name} => $_ } @ROWS;

# Perl writes large numbers as 1e+15, and these are whole.
my $WHOLE  = qr/\A(?:[0-9]+|[0-9](?:\.[0-9]{1,15})?e\+1[5-9])\z/;
my %NUMBER = (
    count   => [$WHOLE, 'a whole number'],
    bytes   => [$WHOLE, 'a whole number of bytes'],
    mode    => [$WHOLE, 'a file mode'],
    seconds => [qr/\A[0-9.]+(?:e[-+]?[0-9]+)?\z/i, 'a number of seconds'],
);

my %CLI_TYPE = (
    count => 'int', bytes => 'int', seconds => 'num', bool => 'bool', list => 'list',
);

# What the value of a flag is called
my %CLI_VALUE = (
    bytes => 'BYTES', seconds => 'SECONDS', count => 'N', path => 'PATH', str => 'TEXT',
    list  => 'TEXT', mode     => 'MODE',
);

# Options of which undef means none, not the default
my %MAY_BE_NONE = map { $_ => 1 } qw(access_log logger h2_rst_rate_limit);

# Options with texts of their own; most are given by the contract, word for word
my %OWN_CHECK = (
    host => sub { die "Invalid value '' for option 'host': must not be empty\n" if $_[0] eq '' },
    socket_mode => sub {
        die "Invalid value '$_[0]' for option 'socket_mode': must be a number, not octal digits\n"
            if $_[0] =~ /\A0./;
    },
    log_level         => sub { PAGI::Server::Log->validate($_[0]) },
    access_log_format => sub { PAGI::Server::Core->check_log_format($_[0]) },
    h2_rst_rate_limit => \&_check_rate_limit,
    loop_type         => sub {
        die "Invalid loop_type '$_[0]': must contain only letters, digits, and ::\n"
            unless $_[0] =~ /\A[A-Za-z0-9_]+(?:::[A-Za-z0-9_]+)*\z/;
    },
);

sub rows { @ROWS }

sub is_known { exists $ROW{ $_[1] } }

sub names {
    return map { $_->{name} } @ROWS;
}

sub may_be_none { $MAY_BE_NONE{ $_[1] } }

# What can be called: code, and an object that says that it can
sub is_code {
    my ($class, $value) = @_;

    return (reftype($value) // '') eq 'CODE'
        || (blessed $value && overload::Method($value, '&{}')) ? 1 : 0;
}

# Dies with the option's name where a value cannot be meant. Of an object that stands for a number
# the number is kept.
sub check {
    my ($class, $name, $value) = @_;

    my $row = $ROW{$name};
    $value = "$value" if $NUMBER{ $row->{kind} } && blessed $value && overload::Overloaded($value);
    _check_number($row, $value) if $NUMBER{ $row->{kind} }  && defined $value;
    _check_choice($row, $value) if $row->{kind} eq 'choice' && defined $value;
    _check_reference($row, $value);
    $OWN_CHECK{$name}->($value) if $OWN_CHECK{$name} && defined $value;
    return $value;
}

# The low watermark must lie below the high one. Where only the high one is given, the other gives
# way.
sub check_watermarks {
    my ($class, $given, $current) = @_;

    my ($low, $high) = map { $given->{$_} // $current->{$_} } my @names =
        qw(write_low_watermark write_high_watermark);
    return if $low < $high || $low == 1;
    die "Option '$names[0]' ($low) must be less than '$names[1]' ($high)\n"
        if defined $given->{ $names[0] } || !defined $given->{ $names[1] };
    $given->{ $names[0] } = int($high / 4) || 1;
}

# The value an option has when it is not given.
sub default_of {
    my ($class, $name) = @_;

    my $row = $ROW{$name};
    return undef if $row->{default} eq '';
    return $row->{kind} eq 'hash' ? { split ' ', $row->{default} } : $row->{default};
}

# The options that the core obeys, as numbers.
sub settings {
    my ($class, $options) = @_;

    return {
        _rate_limit($options->{h2_rst_rate_limit}),
        sse_idle_stream => ($options->{sse_idle_timeout_scope} // '') eq 'stream' ? 1 : 0,
        map      { $_->{name} => _number($_, $options->{ $_->{name} }) }
            grep { $_->{side} eq 'core' } @ROWS
    };
}

# Booleans are true or false by Perl's rules.
sub _number {
    my ($row, $value) = @_;

    return $value ? 1 : 0 if $row->{kind} eq 'bool';
    return 0 + ($value // 0);
}

# No burst means no limit.
sub _rate_limit {
    my ($limit) = @_;

    my $default = __PACKAGE__->default_of('h2_rst_rate_limit');
    return (h2_rst_burst => 0) unless $limit;
    return map { ("h2_rst_$_" => $limit->{$_} // $default->{$_}) } keys %$default;
}

sub cli_spec {
    my ($class) = @_;

    return map { {
        option => $_->{name},
        flags  => [_long_first(split /\|/, $_->{flags})],
        type   => $CLI_TYPE{ $_->{kind} } // 'str',
        value  => $_->{choices} =~ s/ /|/gr || $CLI_VALUE{ $_->{kind} },
        doc    => $_->{doc} . _shown_default($_),
    } } grep { $_->{flags} ne '' } @ROWS;
}

# Where it is nothing, the text says what that means.
sub _shown_default {
    my ($row) = @_;

    return '' if $row->{kind} eq 'bool' || !$row->{default};
    return " Default: $row->{default}.";
}

sub _long_first {
    my (@flags) = @_;

    return sort { length $b <=> length $a } @flags;
}

sub _check_choice {
    my ($row, $value) = @_;

    my @choices = split ' ', $row->{choices};
    die "Invalid $row->{name} '$value' - must be one of: " . join(', ', @choices) . "\n"
        unless grep { $_ eq $value } @choices;
}

sub _check_number {
    my ($row, $value) = @_;

    my ($pattern, $what) = @{ $NUMBER{ $row->{kind} } };
    return
           if !ref $value
        && looks_like_number($value)
        && $value =~ $pattern
        && $value >= $row->{min}
        && $value <= $row->{max};
    die "Invalid value '$value' for option '$row->{name}': "
        . sprintf "must be %s between %.0f and %.0f\n", $what, $row->{min}, $row->{max};
}

sub _check_rate_limit {
    my ($limit) = @_;

    return unless $limit;
    for my $name (qw(burst rate)) {
        die "Invalid $name '$limit->{$name}' in h2_rst_rate_limit: must be a whole number\n"
            if defined $limit->{$name} && $limit->{$name} !~ /\A[0-9]{1,9}\z/;
    }
}

sub _check_reference {
    my ($row, $value) = @_;

    die "Invalid value '$value' for option '$row->{name}': must be a string\n"
        if $row->{kind} =~ /\A(?:str|path|choice)\z/ && ref $value && !blessed $value;
    return if $row->{kind} eq 'code' && __PACKAGE__->is_code($value);
    my %type = (code => 'CODE', hash => 'HASH', list => 'ARRAY');
    die "Invalid value '$value' for option '$row->{name}': must be a filehandle\n"
        if $row->{kind} eq 'handle' && $value && !openhandle($value) && !blessed $value;
    my $type = $type{ $row->{kind} } or return;
    return if !$value || (reftype($value) // '') eq $type;
    die "Invalid value '$value' for option '$row->{name}': must be a"
        . ($type eq 'ARRAY' ? 'n' : '')
        . " \L$type\E reference\n";
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Options - the option table, for the constructor and the command line

=head1 SYNOPSIS

    PAGI::Server::Options->check(port => 8080);
    my @flags = PAGI::Server::Options->cli_spec;

=head1 DESCRIPTION

Each option is one row of a table in the core: name, kind, default, range, command line flags and
one sentence of documentation. The constructor and C<configure> of L<PAGI::Server>, L<pagi-server>
and the tests of the documentation read it from here.

=head1 CLASS METHODS

=head2 rows

The rows as hash references with the keys C<name kind choices default min max side flags doc>.

=head2 names

The names of all options.

=head2 is_known

    PAGI::Server::Options->is_known($name);

Whether there is such an option.

=head2 may_be_none

    my $bool = PAGI::Server::Options->may_be_none($name);

Whether C<undef> as the option's value means none. Of others it means the default.

=head2 is_code

    my $bool = PAGI::Server::Options->is_code($value);

Whether a value can be called: a code reference, or an object with an overloaded C<&{}>.

=head2 check

    PAGI::Server::Options->check($name => $value);

Returns the value, or dies with the option's name: a number that is none or out of range, a wrong
kind of reference. Of an object that stands for a number (L<Math::BigInt>) it returns that.

=head2 check_watermarks

    PAGI::Server::Options->check_watermarks(\%given, \%current);

Dies where C<write_low_watermark> is not below C<write_high_watermark>; where only the latter is
given, sets the former to a quarter of it.

=head2 default_of

The value of an option that is not given; undef where there is none.

=head2 settings

    my $settings = PAGI::Server::Options->settings(\%options);

The options that the core obeys, as numbers.

=head2 cli_spec

The options that have command line flags, as hash references with the keys
C<option flags type doc>.

=cut
