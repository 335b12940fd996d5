package PAGI::Server::Log;
use strict;
use warnings;

use overload ();

our $VERSION = '0.003000';

my @LEVELS = qw(debug info warn error);
my %RANK   = map { $LEVELS[$_] => $_ } 0 .. $#LEVELS;

# The function that is told of an application's failures now, if there is one: set by the compiled
# half while it calls into Perl for a server with a logger.
our $LOGGER;

sub new {
    my ($class, %args) = @_;

    my $self = bless { quiet => 0, logger => $args{logger} }, $class;
    $self->level($args{level} // 'info');
    $self->quiet($args{quiet});
    return $self;
}

sub level {
    my ($self, $level) = @_;

    return $self->{level} if @_ < 2;
    $self->{level} = $self->validate($level);
    return $self;
}

sub quiet {
    my ($self, $quiet) = @_;

    return $self->{quiet} if @_ < 2;
    $self->{quiet} = $quiet ? 1 : 0;
    return $self;
}

sub is_shown {
    my ($self, $level) = @_;

    my $rank = $RANK{$level} // $RANK{error};
    return 1 if $rank == $RANK{error};
    return !$self->{quiet} && $rank >= $RANK{ $self->{level} } ? 1 : 0;
}

sub log {
    my ($self, $level, $message) = @_;

    $self->tell($self->{logger}, $level, "$message\n") if $self->is_shown($level);
    return $self;
}

# An exception as text, even if it cannot say any.
sub said {
    my ($class, $error) = @_;

    local $@;
    return eval { "$error" } // overload::StrVal($error);
}

# Whatever the level. A logger that dies has not been told: nothing is lost.
sub tell {
    my ($class, $logger, $level, $text) = @_;

    return _warn($text) unless $logger;
    local $@;
    my $line = $text =~ s/\n\z//r;
    return if eval { $logger->($level, $line); 1 };
    my $error = $@ =~ s/\n\z//r;
    _warn("$line\nlogger error: $error\n");
}

# A line must not break off what it tells of, whatever the handler of warnings makes of it.
sub _warn {
    my ($text) = @_;

    local $@;
    return if eval { warn $text; 1 };
    my $error = $@ =~ s/\n?\z/\n/r;
    no warnings 'utf8';
    print STDERR $text, $error eq $text ? () : $error;
}

sub complain {
    my ($class, $level, $text) = @_;

    $class->tell($LOGGER, $level, $text);
}

sub validate {
    my ($self, $level) = @_;

    my $shown = $level // '';
    return $level if exists $RANK{$shown};
    die "Invalid log_level '$shown' - must be one of: " . join(', ', @LEVELS) . "\n";
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Log - the server's own log lines, by level

=head1 SYNOPSIS

    my $log = PAGI::Server::Log->new(level => 'warn');

    $log->log(info  => 'PAGI Server listening on http://127.0.0.1:5000/');    # dropped
    $log->log(error => 'PAGI Server startup failed: no database');            # shown

=head1 DESCRIPTION

Every line that the server itself has to say passes through here and leaves through Perl's
C<warn>, so that a C<$SIG{__WARN__}> handler sees it: one line, without time or prefix. Where there is
a C<logger> (L<PAGI::Server/logger>), it is called instead.

The levels are, in rising order, C<debug>, C<info>, C<warn> and C<error>. A line is shown when its
level is at least the L</level> of the log. L</quiet> drops everything below C<error>. An C<error>
is therefore always shown.

The access log is none of this log's. The warnings about a failing application have no level that
could hide them (L</complain>).

=head1 METHODS

=head2 new

    my $log = PAGI::Server::Log->new(level => 'info', quiet => 0, logger => \&logger);

Takes

=over 4

=item level

A string: C<debug>, C<info>, C<warn> or C<error>. Default C<info>. Anything else dies, see
L</validate>.

=item quiet

A boolean, default 0.

=item logger

A code reference that is called with the level and the text of each line that is shown, in the place of
C<warn>. Default: none.

=back

=head2 level

    my $level = $log->level;
    $log      = $log->level('debug');

The lowest level that is shown. Setting it takes effect at once; an unknown level dies, see
L</validate>, and leaves the old one.

=head2 quiet

    my $bool = $log->quiet;
    $log     = $log->quiet(1);

Whether all lines below C<error> are dropped, 0 or 1.

=head2 is_shown

    my $bool = $log->is_shown('debug');

Whether a line of this level would be shown, 0 or 1. Ask before building an expensive line. A
level that does not exist counts as C<error>: a line too many is better than a line lost.

=head2 log

    $log = $log->log($level => $message);

Gives C<$message> to the C<logger>, or warns it with a newline added, if a line of this level
L</is_shown>. Never dies: where the C<$SIG{__WARN__}> handler does, text and error go to STDERR.

=head2 said

    my $text = PAGI::Server::Log->said($error);

An exception as text; where it is an object that cannot say any, its class and address.

=head2 tell

    PAGI::Server::Log->tell($logger, $level, $text);

Calls C<$logger> with the level and the text, without its last newline; where there is none, warns the
text. A logger that dies has not been told: the line is warned then, and C<logger error: ERROR>.

=head2 complain

    PAGI::Server::Log->complain($level, $text);

L</tell>, to the logger of the server for which the compiled half is calling into Perl: for what goes
wrong in an application.

=head2 validate

    my $level = PAGI::Server::Log->validate($level);

Returns the level it was given, or dies:

    Invalid log_level 'X' - must be one of: debug, info, warn, error

A class method as well as an object's, for those who want to know before they have a log.

=head1 SEE ALSO

L<PAGI::Server>

=cut
