package Bench::Callgrind;
use strict;
use warnings;

# User instructions per request, from two runs of a server under callgrind: what the second run
# spent more than the first, divided by the requests that it had more. Start, connections and end
# cancel out.

use Bench::Command qw(output);
use Bench::Home    qw(WORK);
use Bench::Load    qw(h2load);
use Bench::Servers ();
use File::Path     qw(make_path);
use List::Util     qw(max);

use constant {
    SLOW       => 120,    # seconds to come up under valgrind
    LOAD_TIME  => 600,    # seconds for all requests of one run
    ANNOTATION => 120,    # seconds for callgrind_annotate
};

# The same hash order in every run, or the same work costs more or less by chance.
my %ENV_FOR_REPEATING = (
    PERL_HASH_SEED => 0, PERL_PERTURB_KEYS => 0,

    # Under callgrind a request takes as long as a batch may: the server ends its batches where a
    # processor would.
    PAGI_BENCH_SLOWDOWN => 1000,
);

# new(row => row of Bench::Servers, requests => [few, many], connections => N, say => sub
#     [, load => sub { my ($port, $connections, $requests, $seconds) = @_ }])
sub new {
    my ($class, %args) = @_;
    make_path(WORK . '/callgrind');
    return bless { load => \&h2load, %args }, $class;
}

# Both runs. Dies when a request failed or no profile was written.
sub run {
    my ($self) = @_;
    $self->{runs} = [map { $self->_run($_) } @{ $self->{requests} }];
    return $self;
}

# Wait status of the server in both runs; 0 is a clean end.
sub statuses {
    return map { $_->{status} } @{ $_[0]{runs} };
}

# [thread, instructions per request], by thread number; 1 is the process's first thread.
sub threads {
    my ($self) = @_;
    my ($few, $many) = map { $_->{threads} } @{ $self->{runs} };
    my %seen = (%$few, %$many);
    return map { [$_, $self->_per_request(_total($few->{$_}), _total($many->{$_}))] }
        sort { $a <=> $b } keys %seen;
}

# The $count dearest functions of a thread: [instructions per request, function, object].
sub functions {
    my ($self, $thread, $count, $inclusive) = @_;
    my ($few, $many) = map { _functions($_->{threads}{$thread}, $inclusive) } @{ $self->{runs} };
    my @costs =
        map { [$self->_per_request($few->{$_} || 0, $many->{$_}), split /\0/, $_, -1] } keys %$many;
    @costs = sort { $b->[0] <=> $a->[0] || $a->[1] cmp $b->[1] } @costs;
    return @costs[0 .. ($count < @costs ? $count : @costs) - 1];
}

sub _per_request {
    my ($self, $few, $many) = @_;
    return ($many - $few) / ($self->{requests}[1] - $self->{requests}[0]);
}

sub _run {
    my ($self, $requests) = @_;
    my $base = WORK . "/callgrind/$self->{row}{name}.$requests";
    unlink glob "$base*";
    my $server = Bench::Servers::start(
        $self->{row},
        wrapper    => _valgrind($base),
        env        => \%ENV_FOR_REPEATING,
        ready_time => SLOW,
        stop_time  => SLOW,
    );
    my $load   = $self->{load}->($server->port, $self->{connections}, $requests, LOAD_TIME);
    my $status = $server->stop;
    die "$requests requests: $load->{complaint}\n" if $load->{errors};
    my %threads = map { m{-(\d+)$} ? ($1 + 0 => $_) : () } glob "$base-*";
    die "callgrind wrote no profile $base-01; the server ended with status $status\n"
        if !%threads;
    $self->{say}->("$requests requests: @{[scalar keys %threads]} threads, status $status");
    return { status => $status, threads => \%threads };
}

sub _valgrind {
    my ($base) = @_;
    return [
        qw(valgrind --quiet --tool=callgrind --separate-threads=yes --fair-sched=yes),
        "--callgrind-out-file=$base"
    ];
}

sub _total {
    my ($file) = @_;
    open my $profile, '<', $file // '/dev/null' or die "$file: $!\n";
    while (my $line = <$profile>) {
        return $1 if $line =~ /^(?:totals|summary):\s*(\d+)/;
    }
    return 0;
}

# function NUL object => instructions. A function that calls itself is listed by depth as well
# (NAME'2): its own costs add up, the cost with what it calls is that of one of them.
sub _functions {
    my ($file, $inclusive) = @_;
    return {} if !defined $file;
    my @options = qw(--threshold=100 --auto=no --show-percs=no);
    push @options, '--inclusive=yes' if $inclusive;
    my ($status, $text) = output(ANNOTATION, 'callgrind_annotate', @options, $file);
    die "callgrind_annotate failed: $text\n" if $status;
    my %costs;
    while ($text =~ /^\s*([\d,]+)\s+\S*?:(\S.*?)(?: \[(\S+)\])?\s*$/mg) {
        my ($cost, $function, $object) = ($1, $2, $3 // '');
        $object   =~ s{.*/}{};
        $function =~ s/'\d+$//;
        $cost     =~ tr/,//d;
        my $sum = \($costs{"$function\0$object"} //= 0);
        $$sum = $inclusive ? max($$sum, $cost) : $$sum + $cost;
    }
    return \%costs;
}

1;
