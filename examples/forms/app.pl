use strict;
use warnings;

use Encode qw(decode encode FB_CROAK);
use Future::AsyncAwait;

# A form, in the manner of PSGI: an application that takes %env and returns [status, headers, body],
# and the few lines that make it one for PAGI.
# Served by: pagi-server examples/forms/app.pl

use constant MOST_BYTES => 64 * 1024;    # of a body; it is held in memory

# ---- the application: knows nothing of PAGI ----

my %METHOD = (GET => \&blank, POST => \&greet);

sub guestbook {
    my ($env) = @_;

    return text(404, "Nothing here. Try /\n") if $env->{PATH_INFO} ne '/';
    my $method  = $env->{REQUEST_METHOD} eq 'HEAD' ? 'GET' : $env->{REQUEST_METHOD};
    my $handler = $METHOD{$method}
        or return text(405, "Use GET or POST\n", Allow => 'GET, HEAD, POST');
    return $handler->($env);
}

sub blank {
    return html(200, form('', ''));
}

sub greet {
    my ($env) = @_;

    return text(415, "Send application/x-www-form-urlencoded\n")
        if lc(($env->{CONTENT_TYPE} // '') =~ s/\s*;.*//sr) ne 'application/x-www-form-urlencoded';
    my $field = fields(do { local $/; readline $env->{'psgi.input'} });
    my ($name, $words) = map { $field->{$_}[-1] // '' } qw(name words);
    return html(422, form($name, $words, 'Please tell your name.')) if $name !~ /\S/;

    my $count  = () = $words =~ /\S+/g;
    my $thanks = 'Thank you, <b>' . escape($name) . "</b>, for $count words:";
    return html(200, "<p>$thanks</p><p>" . escape($words) =~ s/\r?\n/<br>/gr . '</p>');
}

# name => [values], as characters
sub fields {
    my ($body) = @_;

    my %field;
    for my $pair (split /[&;]/, $body // '') {
        my ($name, $value) = map { characters($_) } split(/=/, $pair, 2), '';
        push @{ $field{$name} }, $value;
    }
    return \%field;
}

# Bytes that are not UTF-8 are taken for Latin-1.
sub characters {
    my ($text) = @_;

    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return eval { decode('UTF-8', $text, FB_CROAK | Encode::LEAVE_SRC) } // $text;
}

sub escape {
    my ($text) = @_;

    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#39;');
    return $text =~ s/([&<>"'])/$entity{$1}/gr;
}

sub form {
    my ($name, $words, $complaint) = @_;

    ($name, $words) = map { escape($_) } $name, $words;
    my $said = defined $complaint ? "<p><strong>$complaint</strong></p>\n" : '';
    return <<"END";
$said<form method="post" action="/">
  <p><label>Your name <input name="name" value="$name"></label></p>
  <p><label>Your words <textarea name="words" rows="4" cols="40">$words</textarea></label></p>
  <p><button>Sign</button></p>
</form>
END
}

sub html {
    my ($status, $content) = @_;

    return answer($status, 'text/html; charset=utf-8', <<"END");
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Guestbook</title></head>
<body><h1>Guestbook</h1>
$content
</body>
</html>
END
}

sub text {
    my ($status, $text, @headers) = @_;

    return answer($status, 'text/plain; charset=utf-8', $text, @headers);
}

sub answer {
    my ($status, $type, $content, @headers) = @_;

    return [$status, ['Content-Type' => $type, @headers], [encode('UTF-8', $content)]];
}

# ---- what makes it one for PAGI ----

my $app = async sub {
    my ($scope, $receive, $send) = @_;

    die "Unsupported scope type: $scope->{type}\n" if $scope->{type} ne 'http';
    my $body = await read_body($receive);
    return if !defined $body;    # the client has gone
    my $answer =
        length $body > MOST_BYTES
        ? text(413, "At most @{[ MOST_BYTES ]} bytes\n")
        : guestbook(env_of($scope, $body));
    return await respond($send, @$answer);
};

# All of it, or a little more than we want; undef if the client left before its end
async sub read_body {
    my ($receive) = @_;

    my $body = '';
    while (length $body <= MOST_BYTES) {
        my $event = await $receive->();
        return if $event->{type} ne 'http.request';
        $body .= $event->{body};
        last if !$event->{more};
    }
    return $body;
}

sub env_of {
    my ($scope, $body) = @_;

    my %env = (
        REQUEST_METHOD    => $scope->{method},
        SCRIPT_NAME       => $scope->{root_path},
        PATH_INFO         => $scope->{raw_path} =~ s/%(..)/chr hex $1/ger,
        QUERY_STRING      => $scope->{query_string},
        SERVER_PROTOCOL   => "HTTP/$scope->{http_version}",
        'psgi.url_scheme' => $scope->{scheme},
    );
    for my $header (@{ $scope->{headers} }) {
        my ($name, $value) = @$header;
        my $key = uc($name =~ tr/-/_/r);
        $key = "HTTP_$key" if $key !~ /\ACONTENT_(?:TYPE|LENGTH)\z/;
        $env{$key} = defined $env{$key} ? "$env{$key}, $value" : $value;
    }
    open $env{'psgi.input'}, '<', \$body or die "Cannot read a string: $!\n";
    return \%env;
}

async sub respond {
    my ($send, $status, $headers, $pieces) = @_;

    my $body  = join '', @$pieces;
    my @pairs = map { [@{$headers}[2 * $_, 2 * $_ + 1]] } 0 .. @$headers / 2 - 1;
    await $send->({
        type    => 'http.response.start',
        status  => $status,
        headers => [@pairs, ['Content-Length', length $body]],
    });
    return await $send->({ type => 'http.response.body', body => $body });
}

$app;
