package PAGI::Server::Runner::ServerFlags;
use strict;
use warnings;

use PAGI::Server::Runner::Flags;

our $VERSION = '0.003000';

# The flags that are not simply the option of the same name
my @OWN = (
    {
        option => 'workers',
        flags  => ['workers', 'w'],
        type   => 'int',
        doc    => 'Number of worker processes; 0 or 1: a single process.',
    },
    {
        option => 'listen',
        flags  => ['listen'],
        type   => 'list',
        value  => 'SPEC',
        doc    => 'HOST:PORT, [IPV6]:PORT or the path of a Unix socket. May be repeated.',
    },
    {
        option => 'socket_mode',
        flags  => ['socket-mode'],
        type   => 'str',
        value  => 'MODE',
        doc    => 'Permissions of the Unix sockets, in octal, like 0660.',
    },
    {
        option => 'ssl_cert',
        flags  => ['ssl-cert'],
        type   => 'list',
        value  => 'FILE',
        doc    => 'TLS certificate chain (PEM). Needs --ssl-key. May be repeated with it.',
    },
    {
        option => 'ssl_key',
        flags  => ['ssl-key'],
        type   => 'list',
        value  => 'FILE',
        doc    => 'TLS private key (PEM). Needs --ssl-cert.',
    },
    {
        option => 'ssl_ca',
        flags  => ['ssl-ca'],
        type   => 'str',
        value  => 'FILE',
        doc    => 'Certificates (PEM) of those who may sign certificates of clients.',
    },
    {
        option => 'ssl_verify_client',
        flags  => ['ssl-verify-client'],
        type   => 'str',
        value  => 'WORD',
        doc    => 'Whether clients need a certificate: require, optional or none.',
    },
    {
        option => 'ssl_min_version',
        flags  => ['ssl-min-version'],
        type   => 'str',
        value  => 'VERSION',
        doc    => 'Least version of TLS: TLSv1_2 (default) or TLSv1_3.',
    },
    {
        option => 'ssl_ciphers',
        flags  => ['ssl-ciphers'],
        type   => 'str',
        value  => 'LIST',
        doc    => 'Cipher suites for TLS 1.2, in the syntax of OpenSSL.',
    },
);

my %VERIFY = (require => 1, optional => 'optional', none => 0);

# Rows of the option table that are taken here, or by the runner
my %NOT_TAKEN = map { $_ => 1 } qw(
    app host port quiet loop_type access_log
    workers listen socket_mode ssl
);

sub new {
    my ($class, @table) = @_;

    my @rows = map { +{ %$_, negatable => $_->{type} eq 'bool' } }
        grep { !$NOT_TAKEN{ $_->{option} } } @table ? @table : _table();
    return bless { flags => PAGI::Server::Runner::Flags->new(@OWN, @rows) }, $class;
}

sub parse {
    my ($self, @argv) = @_;

    my ($options, @rest) = $self->{flags}->parse(@argv);
    $options->{workers} = 0 if ($options->{workers} // 0) == 1;
    _socket_mode($options);
    _listen($options);
    _ssl($options);
    return ($options, @rest);
}

sub help {
    my ($self) = @_;

    return $self->{flags}->help;
}

sub _table {
    require PAGI::Server::Options;
    return PAGI::Server::Options->cli_spec;
}

sub _socket_mode {
    my ($options) = @_;

    my $mode = $options->{socket_mode} // return;
    $mode =~ /\A0[0-7]{3}\z/
        or die "--socket-mode must be an octal value like 0660, got: $mode\n";
    $options->{socket_mode} = oct $mode;
}

sub _listen {
    my ($options) = @_;

    my $specs = $options->{listen} or return;
    my @mode =
        exists $options->{socket_mode} ? (socket_mode => delete $options->{socket_mode}) : ();
    $options->{listen} = [map { $_->{socket} ? { %$_, @mode } : $_ } map { _listener($_) } @$specs];
}

sub _listener {
    my ($spec) = @_;

    return { socket => $spec } if $spec =~ m{\A[/.]};
    return { host   => $1, port => 0 + $2 } if $spec =~ /\A\[(.+)\]:([0-9]+)\z/;
    return { host   => $1, port => 0 + $2 } if $spec =~ /\A(.+):([0-9]+)\z/;
    return { socket => $spec };
}

sub _ssl {
    my ($options) = @_;

    my ($certs, $keys) = map { $_ // [] } delete @{$options}{qw(ssl_cert ssl_key)};
    my %other = _ssl_details($options);
    return if !@$certs && !@$keys && !%other;
    @$certs == @$keys && @$certs
        or die "--ssl-cert and --ssl-key must be specified together\n";
    for my $at (0 .. $#$certs) {
        -e $certs->[$at] or die "SSL cert not found: $certs->[$at]\n";
        -e $keys->[$at]  or die "SSL key not found: $keys->[$at]\n";
    }
    my ($first, @more) =
        map { { cert_file => $certs->[$_], key_file => $keys->[$_] } } 0 .. $#$certs;
    $options->{ssl} = { %$first, %other, @more ? (certificates => \@more) : () };
}

sub _ssl_details {
    my ($options) = @_;

    my %given  = map { $_ => delete $options->{"ssl_$_"} } qw(ca verify_client min_version ciphers);
    my $verify = $given{verify_client};
    die "--ssl-verify-client must be one of: require, optional, none; got: $verify\n"
        if defined $verify && !exists $VERIFY{$verify};
    my %ssl = (
        ca_file       => $given{ca},
        verify_client => defined $verify ? $VERIFY{$verify} : undef,
        min_version   => $given{min_version},
        cipher_list   => $given{ciphers},
    );
    return map { $_ => $ssl{$_} } grep { defined $ssl{$_} } keys %ssl;
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner::ServerFlags - the command line flags of PAGI::Server itself

=head1 SYNOPSIS

    my ($options, @rest) = PAGI::Server::Runner::ServerFlags->new->parse(@ARGV);

    PAGI::Server::Runner->run(@rest, server_options => $options);

=head1 DESCRIPTION

Turns the flags that only mean something to L<PAGI::Server> into options for its constructor. Most
come from the option table, L<PAGI::Server::Options/cli_spec>: C<--max-body-size 1000> is
C<< max_body_size => 1000 >>. A few are more than that:

=over 4

=item --workers N, -w N

C<workers>. N below 2 becomes 0: one process, without a master.

=item --listen SPEC

C<listen>, an array reference of C<< { host => $host, port => $port } >> and
C<< { socket => $path } >>. A SPEC that begins with C</> or C<.> is a path; C<[IPV6]:PORT> and
C<ANYTHING:DIGITS> are host and port; whatever else is a path.

=item --socket-mode MODE

C<socket_mode>, as a number. With C<--listen> it goes to each Unix socket there instead.

=item --ssl-cert FILE, --ssl-key FILE

C<ssl>, a hash reference with C<cert_file> and C<key_file>. The files must exist. Given more than
once, the pairs after the first are its C<certificates>.

=item --ssl-ca FILE, --ssl-verify-client WORD, --ssl-min-version VERSION, --ssl-ciphers LIST

C<ca_file>, C<verify_client>, C<min_version> and C<cipher_list> of C<ssl>. WORD is C<require>,
C<optional> or C<none>.

=back

=head1 METHODS

=head2 new

    my $flags = PAGI::Server::Runner::ServerFlags->new;
    my $flags = PAGI::Server::Runner::ServerFlags->new(@rows);

Takes the rows of the option table; default is L<PAGI::Server::Options/cli_spec>, which is loaded
for that.

=head2 parse

    my ($options, @rest) = $flags->parse(@argv);

Returns a hash reference with the options that were given, and no others, then the arguments that
are not the server's. Dies with one of

    Error parsing options
    --socket-mode must be an octal value like 0660, got: X
    --ssl-cert and --ssl-key must be specified together
    SSL cert not found: FILE
    SSL key not found: FILE
    --ssl-verify-client must be one of: require, optional, none; got: X

and a newline.

=head2 help

    my $text = $flags->help;

The flags for people, see L<PAGI::Server::Runner::Flags/help>.

=head1 SEE ALSO

L<PAGI::Server::Runner>, L<PAGI::Server::Options>

=cut
