# What a manual shows first must work: every SYNOPSIS compiles, and the servers in there serve.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp;
use Test2::V0;
use Test::PAGI::Client;
use Test::PAGI::Process;
use Test::PAGI::Tree qw(files pod_of root);

# Programs as they stand; elsewhere a SYNOPSIS shows a few lines out of one.
my %WHOLE = map { $_ => 1 } qw(README.pod lib/PAGI/Server.pm);

# The commands that a manual shows.
my $COMMAND = qr{\A\s*(?:\#|\$\s|(?:perl|cpanm|pagi-server|curl|git|make|prove|script/\S+)\s)};

# The verbatim blocks of the SYNOPSIS; ordinary text separates them.
sub blocks {
    my ($path)     = @_;
    my ($synopsis) = pod_of($path) =~ /^=head1 SYNOPSIS\n(.*?)(?=^=head1|\z)/ms or return;
    my @blocks     = '';
    for my $paragraph (split /\n{2,}/, $synopsis) {
        if    ($paragraph =~ /\A\n?[ \t]/) { $blocks[-1] .= "$paragraph\n\n" }
        elsif (length $blocks[-1])         { push @blocks, '' }
    }
    return grep { length && !is_shell($_) } @blocks;
}

sub is_shell {
    my ($block) = @_;
    return !grep { /\S/ && $_ !~ $COMMAND } split /\n/, $block;
}

# A few lines as a program: in a sub that may await and return, with variables of the reader's.
# A line of dots is what is left out.
sub program {
    my ($path, $block) = @_;
    return $block if $WHOLE{$path};
    $block =~ s/^(\s*\.{3})(?=\s*(?:\#.*)?$)/$1;/mg;
    return "use Future::AsyncAwait;\nno strict;\nasync sub {\n# line 1\n$block\n};\n";
}

sub file_of {
    my ($text) = @_;
    my $file = File::Temp->new(SUFFIX => '.pl');
    print {$file} $text;
    close $file or die $!;
    return $file;
}

my @manuals = grep { blocks($_) } 'README.pod', files('lib', qr/\.pm\z/);

for my $path (sort keys %WHOLE) {
    ok scalar(grep { $_ eq $path } @manuals), "$path has a SYNOPSIS";
}

for my $path (@manuals) {
    subtest "$path compiles" => sub {
        my $number = 0;
        for my $block (blocks($path)) {
            my $file    = file_of(program($path, $block));
            my $process = Test::PAGI::Process->start(
                command => [Test::PAGI::Process::perl_command('-c', $file->filename)]);
            is $process->wait_exit, 0, 'block ' . ++$number
                or diag $process->stderr, $block;
        }
    };
}

# Starts a server, asks it for something, ends it with TERM.
sub serves {
    my ($expected, @command) = @_;
    my $process = Test::PAGI::Process->start(
        command => [Test::PAGI::Process::perl_command(@command)],
        env     => { PAGI_ENV => 'none', PERL_UNICODE => undef }
    );
    my $port     = $process->wait_for(err => qr{listening on http://127\.0\.0\.1:(\d+)/});
    my $client   = Test::PAGI::Client->connect_tcp(port => $port);
    my $response = $client->get('/synopsis');
    is $response->status, 200, 'status';
    like $response->body, $expected, 'body';
    $client->close;
    $process->signal('TERM');
    is $process->wait_exit, 0, 'exit status after TERM';
    unlike $process->stderr, qr/error|warning/i, 'no complaints';
    return;
}

my @programs = blocks('lib/PAGI/Server.pm');
is scalar @programs, 2, 'PAGI::Server shows two programs';
for my $number (1 .. @programs) {
    subtest "program $number of PAGI::Server serves" => sub {
        my $file = file_of($programs[$number - 1] =~ s/\bport\s*=>\s*\K\d+/0/gr);
        serves(qr/\AHello/, $file->filename);
    };
}

subtest 'the first application of README.pod is served' => sub {
    my ($app) = blocks('README.pod');
    my $file = file_of($app);
    serves(
        qr{\AHello from PAGI, you asked for /synopsis\n\z},
        root() . '/bin/pagi-server', '--port', 0, $file->filename
    );
};

done_testing;
