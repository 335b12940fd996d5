package Test::PAGI::Strictness;

# The rules of RFC 9110 and 9112 as tables: one row is a section, a name, the bytes and the
# answers that must come back, over every transport.
#
#     check_table([
#         ['9112 3', 'two spaces', line('GET  / HTTP/1.1'), refused(400)],
#         ['9112 9.3', 'pipelining', get() . next_request(), served(), served(path => '/next')],
#     ]);
#
# Each row runs on a connection of its own, written at once; then again in single bytes, all rows
# of a file side by side. After the last answer the connection must serve another request, or be
# closed and silent: behind refused, broken, ended, cut, and where closed => 1 says so. How often
# the application was called is part of the verdict: one call too many is a smuggled request.
#
# Bytes may be a list of pieces: each waits for one more answer. Options follow the answers:
#     drip => 0           the verdict holds for bytes that come together
#     over => 'tcp'       the verdict holds on this carrier only

use strict;
use warnings;

use Exporter   qw(import);
use List::Util qw(max sum0);
use Test2::V0  qw(is ok);
use Test::PAGI::App;
use Test::PAGI::Loop qw(turn);
use Test::PAGI::Matrix;
use Test::PAGI::Server;

use Future::AsyncAwait;

our @EXPORT = qw(
    check_table served refused broken ended cut interim
    request line get post chunked next_request with_body
);

# Rows longer than this are not written byte by byte.
use constant MAX_DRIP => 300;

# --- verdicts ---

# The application runs and answers. What it must have seen: method, path, raw_path, query,
# version, body, host, headers => the whole list, header => { name => value, undef, or [values] }.
# closed => 1: the server closes. connection => the value of that field in the response, or undef.
sub served { return { kind => 'served', calls => [1, 1], @_ } }

# The server answers for itself (one status or a list of them), the application never runs.
sub refused {
    my ($status, $text) = @_;
    return { kind => 'refused', calls => [0, 0], closed => 1, status => $status, text => $text };
}

# As refused, but the fault lies in the body: the application may be waiting for it.
sub broken { return { %{ refused(@_) }, calls => [0, 1] } }

# The client ends its side here: no answer at all. calls => 1: the head had been complete.
sub cut {
    my (%want) = @_;
    return { kind => 'cut', closed => 1, calls => [($want{calls} // 0) x 2] };
}

# One answer, whoever gives it, and the end of the connection.
sub ended { return { kind => 'ended', closed => 1, calls => [0, 1] } }

# 100 Continue.
sub interim { return { kind => 'interim', calls => [0, 0] } }

# --- bytes ---

sub request      { return join "\r\n", @_, '', '' }
sub line         { return request($_[0], 'Host: x') }
sub get          { return request('GET / HTTP/1.1', 'Host: x', @_) }
sub next_request { return request('GET /next HTTP/1.1', 'Host: x') }

# A body, then the fields of its request.
sub post {
    my ($body, @fields) = @_;
    return request('POST /front HTTP/1.1', 'Host: x', @fields) . $body;
}

# A request whose Content-Length fits its body.
sub with_body {
    my ($body, @fields) = @_;
    return post($body, @fields, 'Content-Length: ' . length $body);
}

# A request whose body is in chunks, framing included in the argument.
sub chunked { return post($_[0], 'Transfer-Encoding: chunked') }

# --- the run ---

sub check_table {
    my ($table, %server) = @_;
    my @rows = map { _row(@$_) } @$table;
    for_each_transport {
        my ($on) = @_;
        my @here = grep { !$_->{over} || $_->{over} eq $on->carrier } @rows;
        my @seen;
        with_server {
            my ($t) = @_;
            my $self = bless { t => $t, on => $on, seen => \@seen }, __PACKAGE__;
            $self->_check_whole($_) for @here;
            my @drip     = grep { _can_drip($_) } @here;
            my $miscount = _miscount($self->_drip(@drip), @drip);
            ok(!$miscount, 'all of them, byte by byte: nothing else was served', $miscount);
        }
        on => $on, app => _app(\@seen), %server;
    }
    protocol => 'h1';
    return;
}

sub _row {
    my ($section, $name, $bytes, @rest) = @_;
    my @answers;
    push @answers, shift @rest while ref $rest[0];
    my @pieces = ref $bytes ? @$bytes : $bytes;
    return { name => "RFC $section: $name", pieces => \@pieces, answers => \@answers, @rest };
}

sub _can_drip {
    my ($row) = @_;
    return ($row->{drip} // 1) && MAX_DRIP > length join '', @{ $row->{pieces} };
}

# Answers with the number of the call, under which @$seen knows what the application saw. Under
# /unread it does not ask for the body.
sub _app {
    my ($seen) = @_;
    return http_app {
        my ($scope, $receive, $send) = @_;
        push @$seen, { scope => $scope, body => '' };
        return _answer($seen, $#$seen, $receive, $send);
    };
}

async sub _answer {
    my ($seen, $n, $receive, $send) = @_;
    my $call = $seen->[$n];
    if ($call->{scope}{path} ne '/unread') {
        ($call->{body}, my $events) = await read_body($receive);
        return if $events->[-1]{type} ne 'http.request';
    }
    await reply($send, "call $n", headers => [['x-call' => $n]]);
    return;
}

sub _check_whole {
    my ($self, $row) = @_;
    my $before = @{ $self->{seen} };
    my $client = $self->{on}->connect($self->{t});
    $client->write($row->{pieces}[0]);
    my @problems = $self->_verify($client, $row, sub { $client->write($_[0]) });
    $client->close;
    push @problems, _miscount($self->_count_since($before), $row) if !@problems;
    _report($row, 'at once', @problems);
    return;
}

# One byte to each connection in turn, so that the server has long read it when the next comes.
# Returns how often the application was called.
sub _drip {
    my ($self, @rows) = @_;
    my $before = @{ $self->{seen} };
    $_->{client} = $self->{on}->connect($self->{t}) for @rows;
    for my $at (0 .. max(0, map { length $_->{pieces}[0] } @rows) - 1) {
        for my $row (grep { $at < length $_->{pieces}[0] } @rows) {
            my $client = $row->{client};
            $client->write(substr $row->{pieces}[0], $at, 1) if !$client->is_eof;
        }
        turn(0.0005);
    }
    $self->_finish_drip($_) for @rows;
    return $self->_count_since($before);
}

sub _finish_drip {
    my ($self, $row) = @_;
    my $client   = delete $row->{client};
    my @problems = $self->_verify($client, $row, sub { $client->drip($_[0]) });
    $client->close;
    _report($row, 'byte by byte', @problems);
    return;
}

sub _report {
    my ($row, $mode, @problems) = @_;
    my $bytes = join ' ... ', map { _shown($_) } @{ $row->{pieces} };
    ok(!@problems, "$row->{name}, $mode", @problems ? ("sent: $bytes", @problems) : ());
    return;
}

sub _count_since { return @{ $_[0]{seen} } - $_[1] }

sub _miscount {
    my ($count, @rows) = @_;
    my @answers = map  { @{ $_->{answers} } } @rows;
    my $probes  = grep { !$_->{answers}[-1]{closed} } @rows;
    my ($least, $most) = map {
        my $at = $_;
        $probes + sum0 map { $_->{calls}[$at] } @answers
    } 0, 1;
    return if $count >= $least && $count <= $most;
    return "the application was called $count times, expected $least to $most";
}

# --- one connection ---

# What is wrong with the answers; nothing if all is well.
sub _verify {
    my ($self, $client, $row, $write) = @_;
    my @pieces   = @{ $row->{pieces} };
    my @problems = eval {
        my @found;
        for my $answer (@{ $row->{answers} }) {
            shift @pieces;
            push @found, $self->_verify_answer($client, $answer);
            $write->($pieces[0]) if @pieces && !@found;
            last                 if @found;
        }
        push @found, $self->_verify_end($client, $row) if !@found;
        return @found;
    };
    return $@ ? ($@) : @problems;
}

sub _verify_answer {
    my ($self, $client, $answer) = @_;
    if ($answer->{kind} eq 'cut') {
        $client->half_close;
        return;
    }
    my $response = $client->read_response(method => $answer->{method} // 'GET')
        or return "closed without the answer '$answer->{kind}'";
    return 'the answer broke off' if $response->is_truncated;
    my $check = "_verify_$answer->{kind}";
    return map { "$_, in the answer: " . _shown($response->raw) } $self->$check($answer, $response);
}

sub _verify_refused {
    my ($self, $want, $got) = @_;
    my @statuses = ref $want->{status} ? @{ $want->{status} } : $want->{status};
    return (
        (!grep { $_ == $got->status } @statuses) ? "expected status @statuses" : (),
        defined $got->header('x-call')           ? 'the application answered'  : (),
        _differs('text', $got->body, $want->{text}),
    );
}

sub _verify_ended { return }

sub _verify_interim {
    my ($self, $want, $got) = @_;
    return $got->raw eq "HTTP/1.1 100 Continue\r\n\r\n" ? () : 'expected 100 Continue';
}

sub _verify_served {
    my ($self, $want, $got) = @_;
    my $n = $got->header('x-call') // return 'not an answer of the application';
    my ($scope, $body) = @{ $self->{seen}[$n] }{qw(scope body)};
    my %saw = (
        %$scope{qw(method path raw_path)},
        query   => $scope->{query_string},
        version => $scope->{http_version},
        host    => scalar _field($scope, 'host'),
        body    => $body,
    );
    my @problems = map { _differs($_, $saw{$_}, $want->{$_}) } sort keys %saw;
    push @problems, _differs('version in the answer', $got->version, $saw{version});
    push @problems, _differs(
        'connection', $got->header('connection') // 'none',
        $want->{connection} // 'none'
    ) if exists $want->{connection};
    push @problems,
        _differs('headers', _listed(@{ $scope->{headers} }), _listed(@{ $want->{headers} }))
        if $want->{headers};
    for my $name (sort keys %{ $want->{header} // {} }) {
        my $value = $want->{header}{$name};
        my @want  = ref $value ? @$value : $value // ();
        push @problems, _differs($name, join('|', _fields($scope, $name)), join '|', @want);
    }
    return @problems;
}

sub _fields {
    my ($scope, $name) = @_;
    return map { $_->[1] } grep { $_->[0] eq $name } @{ $scope->{headers} };
}

sub _field { return (_fields(@_))[0] }

sub _listed {
    return join '|', map { "$_->[0]=$_->[1]" } @_;
}

sub _differs {
    my ($what, $got, $want) = @_;
    return if !defined $want || defined $got && $got eq $want;
    return
          "$what is "
        . (defined $got ? _shown($got) : 'undefined')
        . ', expected '
        . _shown($want);
}

sub _verify_end {
    my ($self, $client, $row) = @_;
    if ($row->{answers}[-1]{closed}) {
        my $rest = $client->read_until_eof;
        return length $rest ? 'then came ' . _shown($rest) : ();
    }
    my $response = $client->get('/probe') or return 'closed after the answer';
    my @problems = $self->_verify_served({ path => '/probe', body => '' }, $response);
    return map { "the next request: $_" } @problems;
}

sub _shown {
    my ($bytes) = @_;
    my $text = substr $bytes, 0, 400;
    $text =~ s/([^ -~])/$1 eq "\n" ? '\n' : $1 eq "\r" ? '\r' : sprintf '\x%02x', ord $1/ge;
    return length $bytes > 400 ? $text . '... (' . length($bytes) . ' bytes)' : "'$text'";
}

1;
