package PAGI::Server::Runner::Flags;
use strict;
use warnings;

use Getopt::Long ();
use Scalar::Util qw(looks_like_number);
use Text::Wrap   ();

our $VERSION = '0.003000';

my @CONFIG = qw(default permute pass_through no_auto_abbrev no_ignore_case);

# Type => what Getopt::Long is told. Numbers are strings to it: it would pass a bad one through.
my %GETOPT = (bool => '', int  => '=s', num => '=s', str     => '=s', list => '=s@');
my %VALUE  = (int  => 'N', num => 'N', str  => 'VALUE', list => 'VALUE');
my %VALID  = (int  => sub { $_[0] =~ /\A[+-]?[0-9]+\z/ }, num => sub { looks_like_number($_[0]) });

sub new {
    my ($class, @rows) = @_;

    my %by_flag = map {
        my $row = $_;
        map { $_ => $row } @{ $row->{flags} };
    } @rows;
    return bless { rows => \@rows, by_flag => \%by_flag }, $class;
}

sub parse {
    my ($self, @argv) = @_;

    my $parser = Getopt::Long::Parser->new(config => [@CONFIG]);
    my %given;
    $parser->getoptionsfromarray(\@argv, \%given, map { _getopt($_) } @{ $self->{rows} })
        or _refuse();
    $self->_refuse_incomplete(@argv);
    return ($self->_values(\%given), @argv);
}

sub help {
    my ($self) = @_;

    return join '', map { _help($_) } @{ $self->{rows} };
}

# The names of what still looks like a flag before any "--"
sub unknown {
    my ($class, @words) = @_;

    my @names;
    for my $word (@words) {
        last            if $word eq '--';
        push @names, $1 if $word =~ /\A(-[^=]+)/;
    }
    return @names;
}

sub _getopt {
    my ($row) = @_;

    return join('|', @{ $row->{flags} }) . ($row->{negatable} ? '!' : $GETOPT{ $row->{type} });
}

sub _values {
    my ($self, $given) = @_;

    my %values;
    for my $row (@{ $self->{rows} }) {
        my $flag = $row->{flags}[0];
        $values{ $row->{option} } = _value($row, $given->{$flag}) if exists $given->{$flag};
    }
    return \%values;
}

sub _value {
    my ($row, $value) = @_;

    my $is_valid = $VALID{ $row->{type} } or return $value;
    return 0 + $value if $is_valid->($value);
    _refuse(qq{Value "$value" invalid for option $row->{flags}[0] (number expected)});
}

# A flag of ours that was left over is one that came last, without its value
sub _refuse_incomplete {
    my ($self, @rest) = @_;

    for my $name (map { s/\A--?//r } $self->unknown(@rest)) {
        my $row  = $self->{by_flag}{$name} or next;
        my $what = $row->{type} eq 'bool' ? 'does not take' : 'requires';
        _refuse("Option $name $what an argument");
    }
}

sub _refuse {
    my ($why) = @_;

    warn "$why\n" if defined $why;
    die "Error parsing options\n";
}

sub _help {
    my ($row) = @_;

    my @flags = map { length > 1 ? "--$_" : "-$_" } sort { length $a <=> length $b } _shown($row);
    my $value = $row->{value} // $VALUE{ $row->{type} };
    my $left  = join(', ', @flags) . (defined $value ? " $value" : '');

    local $Text::Wrap::columns  = 80;
    local $Text::Wrap::unexpand = 0;
    my $indent = ' ' x 32;
    my $gap    = length $left > 28 ? "\n$indent" : ' ' x (30 - length $left);
    my $doc    = Text::Wrap::wrap($indent, $indent, $row->{doc} // '') =~ s/\A\s+//r;
    return "  $left$gap$doc\n";
}

sub _shown {
    my ($row) = @_;

    return @{ $row->{flags} } unless $row->{negatable};
    return map { length > 1 ? "[no-]$_" : $_ } @{ $row->{flags} };
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Flags - command line flags as a table

=head1 SYNOPSIS

    my $flags = PAGI::Server::Runner::Flags->new(
        { option => 'port',  flags => ['port', 'p'],  type => 'int',  doc => 'Port to listen on' },
        { option => 'quiet', flags => ['quiet', 'q'], type => 'bool', doc => 'Say less' },
    );

    my ($values, @rest) = $flags->parse('-p', 8080, 'app.pl');    # { port => 8080 }, 'app.pl'
    print $flags->help;

=head1 DESCRIPTION

Two parsers look at the arguments of C<pagi-server>, one after the other: L<the server's
flags|PAGI::Server::Runner::ServerFlags> first, then the runner's. Each takes what it knows,
wherever it stands before a C<-->, and leaves the rest in order. Names are case-sensitive, are not
abbreviated and not bundled: C<-w 4> or C<--workers=4>, but not C<-w4>.

=head1 METHODS

=head2 new

    my $flags = PAGI::Server::Runner::Flags->new(@rows);

A row is a hash reference with

=over 4

=item option

The key of the value.

=item flags

An array reference: the names of the flag without dashes, the main one first. A name of one letter
is written with one dash.

=item type

C<bool> (no value), C<int>, C<num>, C<str>, or C<list> (a string, may be repeated).

=item negatable

Whether a C<bool> knows C<--no-NAME> too. Default 0.

=item value

What L</help> calls the value. Default C<N> or C<VALUE>.

=item doc

A sentence for L</help>.

=back

=head2 parse

    my ($values, @rest) = $flags->parse(@argv);

Returns a hash reference with a key for each flag that was given (and none for the others), then the
arguments that it does not know. Numbers are numbers, a C<list> is an array reference, a C<bool> is
1 or, negated, 0. The last one of a repeated flag wins.

Dies with C<Error parsing options> and a newline if a value is missing or not a number, after a
warning that says which:

    Value "X" invalid for option NAME (number expected)
    Option NAME requires an argument
    Option NAME does not take an argument

=head2 help

    my $text = $flags->help;

The table for people: a line or more for each row, 80 columns wide.

=head2 unknown

    my @names = PAGI::Server::Runner::Flags->unknown(@rest);

Of the arguments that nobody took: the names, with their dashes, of those before a C<--> that look
like a flag.

=head1 SEE ALSO

L<PAGI::Server::Runner>, L<Getopt::Long>

=cut
