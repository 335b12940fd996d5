package Bench::Load;
use strict;
use warnings;

# The load generators, bounded in requests or time, and what they counted.
# Each returns {requests => N, rate => requests/s, errors => N, complaint => TEXT}.

use Bench::Command qw(output);
use Exporter       qw(import);

our @EXPORT_OK = qw(h2load wrk);

# Connections that a server leaves waiting (Starman serves one at a time) are not errors; wrk's
# own limit of 2 s would count them.
use constant PATIENCE => 60;

# As many requests as fit in SECONDS, of / unless another path is named; %more: scheme, header.
sub wrk {
    my ($port, $connections, $seconds, $path, %more) = @_;
    my $patience = $seconds + PATIENCE;
    my @options  = ('-t1', "-c$connections", "-d${seconds}s", '--timeout', "${patience}s");
    push @options, '-H', $more{header} if $more{header};
    my $url = ($more{scheme} // 'http') . "://127.0.0.1:$port" . ($path // '/');
    my ($status, $text) = output($patience, 'wrk', @options, $url);
    my %result;
    ($result{requests}) = $text =~ /(\d+) requests in /;
    ($result{rate})     = $text =~ m{Requests/sec:\s+([\d.]+)};
    my @complaints = $text =~ /^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$/mg;
    $result{errors} += $_ for map { /(\d+)/g } map { s/Non-2xx or 3xx/bad/r } @complaints;
    return _checked(\%result, $status, $text, @complaints);
}

# Exactly REQUESTS requests, within SECONDS; over HTTP/1 unless %more says otherwise: streams (of
# HTTP/2, at once on each connection), path, scheme, header; seconds, instead of REQUESTS.
sub h2load {
    my ($port, $connections, $requests, $seconds, %more) = @_;
    my @options = ('-t', 1, '-c', $connections, $more{streams} ? ('-m', $more{streams}) : '--h1');
    push @options, $requests ? ('-n', $requests) : ('-D', $more{seconds});
    push @options, '-H', $more{header} if $more{header};
    my $url = ($more{scheme} // 'http') . "://127.0.0.1:$port" . ($more{path} // '/');
    my ($status, $text) = output($seconds, 'h2load', @options, $url);
    my %result;
    ($result{requests}) = $text =~ /^status codes: (\d+) 2xx/m;
    ($result{rate})     = $text =~ m{^finished in .*, ([\d.]+) req/s}m;
    my ($counts) = $text =~ /^(requests: .*)$/m;
    my ($failed) = $text =~ /(\d+) failed/;
    $result{errors} = $requests ? $requests - ($result{requests} // 0) : $failed;
    return _checked(\%result, $status, $text, $result{errors} ? $counts : ());
}

sub _checked {
    my ($result, $status, $text, @complaints) = @_;
    die "the load generator failed:\n$text\n" if $status || !$result->{requests};
    $result->{errors} ||= 0;
    $result->{complaint} = join '; ', @complaints;
    return $result;
}

1;
