package Test::PAGI::PSGI;

# A PSGI application as a PAGI application, so that a test suite for PSGI servers can say something
# about this one:
#
#     PAGI::Server->new(app => psgi_app($code), ...);
#
# What PSGI has and this does not do: psgix.io and psgix.hijack (a PAGI application has no socket),
# and a writer that blocks while the client does not read (what is written is queued here).

use strict;
use warnings;

use Exporter qw(import);
use Future;
use Future::AsyncAwait;
use Plack::Util ();
use Test::PAGI::App;

our @EXPORT = qw(psgi_app);

my $PIECE = 65_536;

sub psgi_app {
    my ($psgi) = @_;
    return http_app { _call($psgi, @_) };
}

async sub _call {
    my ($psgi, $scope, $receive, $send) = @_;
    my ($body, $events) = await read_body($receive);
    return if $events->[-1]{type} eq 'http.disconnect';
    my $response = $psgi->(_env($scope, $body));
    return await _respond($send, $response) if ref $response eq 'ARRAY';

    my $through = Future->new;
    $response->(sub { _delayed($send, $through, @_) });
    return await $through;
}

# --- the request ---

sub _env {
    my ($scope, $body) = @_;
    open my $input, '<', \$body or die $!;
    return {
        REQUEST_METHOD         => $scope->{method},
        SCRIPT_NAME            => $scope->{root_path} // '',
        PATH_INFO              => $scope->{raw_path} =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger,
        QUERY_STRING           => $scope->{query_string} // '',
        REQUEST_URI            => _request_uri($scope),
        SERVER_PROTOCOL        => "HTTP/$scope->{http_version}",
        SERVER_NAME            => $scope->{server}[0],
        SERVER_PORT            => $scope->{server}[1],
        REMOTE_ADDR            => $scope->{client}[0],
        REMOTE_PORT            => $scope->{client}[1],
        'psgi.version'         => [1, 1],
        'psgi.url_scheme'      => $scope->{scheme},
        'psgi.input'           => $input,
        'psgi.errors'          => \*STDERR,
        'psgi.multithread'     => !!0,
        'psgi.multiprocess'    => !!0,
        'psgi.run_once'        => !!0,
        'psgi.streaming'       => !!1,
        'psgi.nonblocking'     => !!1,
        'psgix.input.buffered' => !!1,
        _headers($scope, length $body),
    };
}

sub _request_uri {
    my ($scope) = @_;
    my $query = $scope->{query_string} // '';
    return $scope->{raw_path} . (length $query ? "?$query" : '');
}

sub _headers {
    my ($scope, $length) = @_;
    my %env;
    for my $field (@{ $scope->{headers} }) {
        my ($name, $value) = @$field;
        my $key = uc $name =~ tr/-/_/r;
        $key = "HTTP_$key" if $key !~ /\ACONTENT_(?:LENGTH|TYPE)\z/;
        $env{$key} = defined $env{$key} ? "$env{$key}, $value" : $value;
    }
    # The chunks have been taken off: frameworks read by length.
    $env{CONTENT_LENGTH} = $length if delete $env{HTTP_TRANSFER_ENCODING};
    return %env;
}

# --- the response ---

async sub _respond {
    my ($send, $response) = @_;
    my ($status, $headers, $body) = @$response;
    await $send->(_start($status, $headers));
    return await _body($send, body => join '', @$body) if ref $body eq 'ARRAY';

    my $sent = Plack::Util::is_real_fh($body) ? _body($send, _file($body)) : _pieces($send, $body);
    await $sent;
    $body->close;
    return;
}

sub _start {
    my ($status, $headers) = @_;
    my @names  = grep { !($_ % 2) } 0 .. $#$headers;
    my @fields = map  { [lc $headers->[$_], $headers->[$_ + 1]] } @names;
    return { type => 'http.response.start', status => $status, headers => \@fields };
}

sub _body {
    my ($send, %body) = @_;
    return $send->({ type => 'http.response.body', %body });
}

# By its name where the application has given one, else by its descriptor
sub _file {
    my ($fh) = @_;
    my $path = eval { $fh->path };
    return defined $path ? (file => $path) : (fh => $fh);
}

# An object with getline
async sub _pieces {
    my ($send, $body) = @_;
    while (defined(my $piece = _line($body))) {
        await _body($send, body => $piece, more => 1);
    }
    return await _body($send, body => '');
}

# A sub of its own: a localised variable must not be in force over an await.
sub _line {
    my ($body) = @_;
    local $/ = \$PIECE;
    return $body->getline;
}

# The responder of a delayed response: with a body that is all, without one it is streamed.
sub _delayed {
    my ($send, $through, $response) = @_;
    return Test::PAGI::PSGI::Writer->new($send, $through, _start(@$response))
        if !defined $response->[2];
    _respond($send, $response)->on_ready($through)->retain;
    return;
}

package Test::PAGI::PSGI::Writer;

sub new {
    my ($class, $send, $through, $start) = @_;
    return bless { send => $send, through => $through, last => $send->($start) }, $class;
}

sub write {
    my ($self, $piece) = @_;
    return $self->_queue(body => $piece, more => 1);
}

sub close {
    my ($self) = @_;
    $self->_queue(body => '');
    $self->{last}->on_ready($self->{through})->retain;
    return;
}

# One event after the other
sub _queue {
    my ($self, %body) = @_;
    my $send = $self->{send};
    $self->{last} = $self->{last}->then(sub { $send->({ type => 'http.response.body', %body }) });
    return;
}

1;
