package PAGI::Server::TLS;
use strict;
use warnings;

our $VERSION = '0.003000';

our $CIPHERS = 'ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:'
    . '!PSK:!aECDH:!EDH-DSS-DES-CBC3-SHA:!KRB5-DES-CBC3-SHA';

# The files of the ssl option in the order in which they are checked, and what they are called
my @FILES = ([cert_file => 'SSL certificate'], [key_file => 'SSL key'], [ca_file => 'SSL CA']);

my %VERSION_OF = (
    'TLSv1_2' => 'TLSv1_2',
    'TLSv1.2' => 'TLSv1_2',
    'TLSv1_3' => 'TLSv1_3',
    'TLSv1.3' => 'TLSv1_3',
);

# Dies where a file is missing or unreadable, or where a value cannot be meant.
sub check {
    my ($class, $ssl) = @_;

    _check_file($ssl->{ $_->[0] }, $_->[1]) for @FILES;
    _check_certificates($ssl->{certificates}) if defined $ssl->{certificates};
    my $version = $ssl->{min_version} // return;
    $VERSION_OF{$version}
        or die "Invalid ssl min_version '$version': must be TLSv1_2 or TLSv1_3\n";
}

# What the core is set up with, as a list of pairs. A cert_file opens a pair that its key_file
# closes.
sub settings {
    my ($class, $ssl, @protocols) = @_;

    my @hosts = grep { defined $_->{cert_file} || defined $_->{key_file} }
        ($ssl, @{ $ssl->{certificates} // [] });
    die "ssl needs a cert_file and a key_file\n"
        if !@hosts || grep { !defined $_->{cert_file} || !defined $_->{key_file} } @hosts;
    my $ask     = _ask($ssl->{verify_client});
    my %default = (min_version => 'TLSv1_2', cipher_list => $CIPHERS);
    my %other   = map { $_ => $ssl->{$_} // $default{$_} } keys %default;
    $other{min_version} = $VERSION_OF{ $other{min_version} };
    return [
        map({ ([cert_file => $_->{cert_file}], [key_file => $_->{key_file}]) } @hosts),
        $ask                                ? [verify_client => $ask]           : (),
        $ask && defined($ssl->{ca_file})    ? [ca_file       => $ssl->{ca_file}] : (),
        map({ [$_ => $other{$_}] } sort keys %other),
        map({ [alpn => $_] } @protocols),
    ];
}

# The option as IO::Socket::SSL would have it.
sub as_socket_options {
    my ($class, $ssl, @protocols) = @_;

    my $ask = _ask($ssl->{verify_client});
    my %config = (
        SSL_server      => 1,
        SSL_cert_file   => $ssl->{cert_file},
        SSL_key_file    => $ssl->{key_file},
        SSL_version     => $ssl->{min_version} // 'TLSv1_2',
        SSL_cipher_list => $ssl->{cipher_list} // $CIPHERS,
        SSL_verify_mode => !$ask ? 0 : $ask eq 'require' ? 3 : 1,
        SSL_reuse_ctx   => 1,
    );
    $config{SSL_ca_file}        = $ssl->{ca_file} if $ask && defined $ssl->{ca_file};
    $config{SSL_alpn_protocols} = [@protocols]    if @protocols;
    return \%config;
}

sub _ask {
    my ($value) = @_;

    return !$value ? '' : $value eq 'optional' ? 'optional' : 'require';
}

sub _check_file {
    my ($path, $what) = @_;

    return if !defined $path;
    die "$what file not found: $path\n"    unless -e $path;
    die "$what file not readable: $path\n" unless -r _;
}

sub _check_certificates {
    my ($list) = @_;

    die "ssl certificates must be an arrayref of hashrefs\n"
        if ref $list ne 'ARRAY' || grep { ref $_ ne 'HASH' } @$list;
    for my $pair (@$list) {
        die "Each of ssl certificates requires both 'cert_file' and 'key_file'\n"
            unless defined $pair->{cert_file} && defined $pair->{key_file};
        _check_file($pair->{ $_->[0] }, $_->[1]) for @FILES[0, 1];
    }
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::TLS - the ssl option: its checks, and what the core is told of it

=head1 DESCRIPTION

What the keys of the option mean is told in L<PAGI::Server/ssl>. Certificates and keys are read by
the core; here is what can be said without.

=head1 CLASS METHODS

=head2 check

    PAGI::Server::TLS->check(\%ssl);

Dies where a file is missing or unreadable, or where a value cannot be meant.

=head2 settings

    my $pairs = PAGI::Server::TLS->settings(\%ssl, @protocols);

What the core is set up with, with defaults, as an array of name and value. C<@protocols> are those
that are offered by ALPN. Dies where there is no certificate or no key.

=head2 as_socket_options

    my $config = PAGI::Server::TLS->as_socket_options(\%ssl, @protocols);

The option under the names of L<IO::Socket::SSL>, as a hash reference.

=cut
