package Test::PAGI::Certificates;

# Certificates for tests, made by the openssl command when they are asked for and gone with the
# test: none that expires lies in the repository.
#
#     my $made = Test::PAGI::Certificates->new;
#     my $ca   = $made->authority('Test CA');
#     my $pair = $made->issue($ca, 'localhost', names => ['localhost', '*.example.com']);
#     # $pair->{cert_file}, $pair->{key_file}
#
# Keys are ECDSA, unless key => 'rsa:2048' or 'ed25519' says otherwise; days may be negative.

use strict;
use warnings;

use Carp       qw(croak);
use File::Temp qw(tempdir);

sub new {
    my ($class) = @_;
    return bless { dir => tempdir(CLEANUP => 1), count => 0 }, $class;
}

# One pair for tests that only want TLS.
sub shared { return our $shared //= __PACKAGE__->new->self_signed('localhost') }

sub self_signed {
    my ($self, $name, %options) = @_;
    my $pair  = $self->_pair;
    my @names = @{ $options{names} // [$name] };
    $self->_key($pair, $options{key});
    $self->_openssl(
        qw(req -x509 -new -nodes -days), $options{days} // 2,
        -subj   => $options{subject} // "/CN=$name",
        -addext => 'subjectAltName=' . join(',', map { "DNS:$_" } @names),
        -key    => $pair->{key_file}, -out => $pair->{cert_file},
    );
    return $pair;
}

sub authority {
    my ($self, $name) = @_;
    my $pair = $self->_pair;
    $self->_key($pair);
    $self->_openssl(
        qw(req -x509 -new -nodes -days 2), -subj => "/CN=$name",
        -key                                     => $pair->{key_file}, -out => $pair->{cert_file},
    );
    return $pair;
}

# Signed by an authority. version1 => 1 leaves out all extensions. is_ca => 1 makes another
# authority; the chain of what that one issues has its certificate, too.
sub issue {
    my ($self, $ca, $name, %options) = @_;
    my $pair    = $self->_pair;
    my $request = "$pair->{key_file}.csr";
    $self->_key($pair, $options{key});
    $self->_openssl(
        qw(req -new -subj), $options{subject} // "/CN=$name",
        -key => $pair->{key_file}, -out => $request,
        $options{is_utf8} ? '-utf8' : (),
    );
    $self->_sign($ca, $pair, $request, $name, %options);
    _append($pair->{cert_file}, $ca->{cert_file}) if $ca->{is_intermediate};
    $pair->{is_intermediate} = $options{is_ca};
    return $pair;
}

sub _sign {
    my ($self, $ca, $pair, $request, $name, %options) = @_;
    my $extensions = "$pair->{key_file}.ext";
    _write(
        $extensions, $options{is_ca}
        ? "basicConstraints=critical,CA:TRUE\n"
        : 'subjectAltName=' . join(',', map { "DNS:$_" } @{ $options{names} // [$name] }) . "\n"
    );
    # A validity in the past is beyond "openssl x509 -days"; "openssl ca" wants a directory.
    my @days = (-days => 2);
    @days = (-days => 0) if ($options{days} // 1) <= 0;
    $self->_openssl(
        qw(x509 -req), -in => $request, -CA => $ca->{cert_file}, -CAkey => $ca->{key_file},
        -set_serial        => 1000 + $self->{count}, -out => $pair->{cert_file}, @days,
        $options{version1} ? () : (-extfile => $extensions),
    );
    return;
}

sub _pair {
    my ($self) = @_;
    my $stem = "$self->{dir}/" . ++$self->{count};
    return { cert_file => "$stem.crt", key_file => "$stem.key" };
}

sub _key {
    my ($self, $pair, $kind) = @_;
    my @kind = (-algorithm => 'EC', -pkeyopt => 'ec_paramgen_curve:prime256v1');
    @kind = (-algorithm => 'RSA', -pkeyopt => "rsa_keygen_bits:$1")
        if ($kind // '') =~ /\Arsa:(\d+)\z/;
    @kind = (-algorithm => 'ED25519') if ($kind // '') eq 'ed25519';
    $self->_openssl('genpkey', @kind, -out => $pair->{key_file});
    return;
}

sub _openssl {
    my ($self, @arguments) = @_;
    my $log = "$self->{dir}/log";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', @arguments or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return if !$?;
    open my $fh, '<', $log;
    local $/;
    croak "openssl @arguments: " . <$fh>;
}

sub _write {
    my ($file, $text) = @_;
    open my $fh, '>', $file or croak "$file: $!";
    print {$fh} $text;
    close $fh;
    return;
}

sub _append {
    my ($file, $other) = @_;
    open my $in, '<', $other  or croak "$other: $!";
    open my $out, '>>', $file or croak "$file: $!";
    local $/;
    print {$out} <$in>;
    close $out;
    return;
}

1;
