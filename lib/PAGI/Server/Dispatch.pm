package PAGI::Server::Dispatch;
use strict;
use warnings;

use IO::Handle;
use overload     ();
use Scalar::Util qw(blessed reftype);

# The compiled half calls these as well.
use PAGI::Server::ConnectionState;
use PAGI::Server::EventValidator;
use PAGI::Server::FileHandle;
use PAGI::Server::Log;
use PAGI::Server::TransportState;

our $VERSION = '0.003000';

# What the compiled half calls where a request leaves the fast path.

my %WARNING = (
    'no response'         => 'PAGI application returned without starting a response',
    'unfinished'          => 'PAGI application returned with an incomplete response',
    'failed before start' => 'PAGI application error',
    'failed after start'  => 'PAGI application error (after response started)',
    'failed after end'    => 'PAGI application error (after response started)',
    'client gone'         => 'PAGI application error (after the client had gone)',
);

# Over HTTP/2, which tells the stream, one of them is worded otherwise.
my %WARNING_H2 = (
    %WARNING,
    'failed after start' => 'PAGI application error after response started',
    'failed after end'   => 'PAGI application error after response started',
);

# Scopes that have one text for every failure of their applications.
my %LABEL = (websocket => 'WebSocket', sse => 'SSE');

# The application's call ended otherwise than with a complete response.
sub ended {
    my ($how, $error, $scope, $id) = @_;

    $error = PAGI::Server::Log->said($error) =~ s/\s+\z//r if defined $error;
    my $label = $LABEL{ $scope // '' };
    return _complain("PAGI application error ($label): $error") if defined $error && $label;
    my $text = ($id ? \%WARNING_H2 : \%WARNING)->{$how} // return;
    return if $how eq 'client gone' && !defined $error;
    $text .= " (HTTP/2 stream $id)" if $id;
    $text .= ": $error"             if defined $error;
    _complain($text);
}

sub _complain {
    my ($text) = @_;

    PAGI::Server::Log->complain(error => "$text\n");
}

# A warning of the compiled half.
sub warning {
    my ($before, $what) = @_;

    PAGI::Server::Log->complain(
        warn => $before . (defined $what ? PAGI::Server::Log->said($what) : ''));
}

# Its Future is pending, failed or cancelled.
sub wait {
    my ($future, $finished) = @_;

    $future->on_ready(sub { _outcome($_[0], $finished) });
}

sub _outcome {
    my ($future, $finished) = @_;

    return $finished->(1)                             if $future->is_done;
    return $finished->(0, "its Future was cancelled") if $future->is_cancelled;
    return $finished->(0, scalar $future->failure);
}

# The kinds of the fields of each event, by their names
my $KINDS;

# How a reference becomes plain data, by the kind of its field. Of the others an object is what it
# converts to; what is none stays, to be refused.
my %PLAIN = (flag => sub { $_[0] ? 1 : 0 }, handle => sub { $_[0] }, pairs => \&_plain_pairs);

# An event that may have ties or overloads as plain data, so that reading it runs nobody's code.
# Fields that its type does not have are nobody's.
sub plain {
    my ($event) = @_;

    my %given = %$event;
    my $type  = $given{type} // return {};
    $KINDS //= { map { $_->{name} => $_->{kinds} } PAGI::Server::Core::event_rows() };
    my %plain = (type => "$type");
    my $kinds = $KINDS->{ $plain{type} } // {};
    for my $field (grep { exists $given{$_} } keys %$kinds) {
        my $value = $given{$field};
        $plain{$field} = ref $value ? ($PLAIN{ $kinds->{$field} } // \&_plain)->($value) : $value;
    }
    return \%plain;
}

sub _plain {
    my ($value) = @_;

    my $converts = grep { overload::Method($value, $_) } '""', '0+', 'bool';
    return $converts ? "$value" : $value;
}

sub _plain_pairs {
    my ($list) = @_;

    return $list unless _is_list($list);
    return [
        map {
            my $tuple = $_;
            _is_list($tuple) ? [map { ref $_ ? "$_" : $_ } @$tuple] : $tuple
        } @$list
    ];
}

sub _is_list {
    my ($value) = @_;

    return ref $value && (reftype $value eq 'ARRAY' || overload::Method($value, '@{}'));
}

# Lines of the access log; whole and at once, so that a reader of the file sees them.
sub access {
    my ($handle, $lines) = @_;

    if   (_is_printer($handle)) { $handle->print($lines) }
    else                        { print {$handle} $lines }
    eval { $handle->flush };    # a tied handle need not have it
}

# An object that is no filehandle, but prints
sub _is_printer {
    my ($handle) = @_;

    return blessed $handle && reftype($handle) !~ /\A(?:GLOB|IO)\z/ && $handle->can('print');
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Dispatch - where a request leaves the fast path

=head1 DESCRIPTION

Functions that the compiled half of L<PAGI::Server> calls for what is rare: an application that
failed, a Future that is pending, lines for the access log. Nothing here is meant for applications.

=head1 FUNCTIONS

=head2 ended

    ended($how, $error, $scope, $id);

Warns of an application's call that ended otherwise than with a complete response. C<$how> is one of
C<no response>, C<unfinished>, C<failed before start>, C<failed after start>, C<failed after end>
and C<client gone>; C<$scope> is the type of the scope, C<$id> the number of the stream over HTTP/2,
else 0.

=head2 warning

    warning($text, $error);

Warns.

=head2 wait

    wait($future, $finished);

Calls C<$finished> with 1, or with 0 and the error, once the Future is ready.

=head2 plain

    my $copy = plain($event);

A copy of an event whose values may carry ties or overloads, as plain data: flags are true or false by
Perl's rules, other objects are the text that they convert to. Objects that convert to nothing stay
as they are, and so does a filehandle.

=head2 access

    access($handle, $lines);

Prints and flushes lines of the access log.

=cut
