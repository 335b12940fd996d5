package PAGI::Server::TLS;
use strict;
use warnings;

use Errno ();

use PAGI::Server::Core;
use PAGI::Server::Log;
use PAGI::Server::Options;

our $VERSION = '0.003000';

our $CIPHERS = 'ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:'
    . '!PSK:!aECDH:!EDH-DSS-DES-CBC3-SHA:!KRB5-DES-CBC3-SHA';

# The files of the ssl option in the order in which they are checked, and what they are called
my @FILES = ([cert_file => 'SSL certificate'], [key_file => 'SSL key'], [ca_file => 'SSL CA']);

# What is added to the error of a file that was read with rights given up since
my $FORBIDDEN = ' (this server has given up the rights to read it: a restart reads it)';

my %VERSION_OF = (
    'TLSv1_2' => 'TLSv1_2',
    'TLSv1.2' => 'TLSv1_2',
    'TLSv1_3' => 'TLSv1_3',
    'TLSv1.3' => 'TLSv1_3',
);

# ---- what a server asks ----

# Checks an ssl option that was given, or forgets it where TLS is disabled.
sub take {
    my ($class, $server, $given) = @_;

    if ($given->{disable_tls} // $server->{disable_tls}) {
        my ($logger) = grep { ref } @{$given}{logger}, $server->{logger};
        PAGI::Server::Log->tell(
            $logger,
            warn => "PAGI::Server: TLS disabled via disable_tls option, ssl config ignored\n"
        );
        delete $given->{ssl};
        return;
    }
    PAGI::Server::Options->check(ssl => $given->{ssl});
    $class->check($given->{ssl});
}

# Reads and checks everything, before the application is started: a bad file is found out sooner.
sub set_up {
    my ($class, $server) = @_;

    $server->{_ssl_ctx} = $class->as_socket_options($server) or return;
    PAGI::Server::Core->check_tls($class->settings($server));
    $server->{tls_enabled} = 1;
    $server->{extensions}  = { tls => {}, %{ $server->{extensions} } };
    my $note = 'Note: TLS is configured but does not apply to Unix socket';
    $server->_log(info => "$note $_->{path}")
        for grep { $_->{type} eq 'unix' } @{ $server->{listeners} };
}

sub secure {
    my ($class, $server, $core) = @_;

    $core->secure($class->settings($server)) if $server->{tls_enabled};
}

# What is bad is told by the worker, which has what was good until now.
sub renew {
    my ($class, $server) = @_;

    eval { PAGI::Server::Core->check_tls($class->settings($server)) } if $server->{tls_enabled};
}

# For a process that is about to give up its rights: it, and those forked from it, will have what
# only these can read.
sub hold {
    my ($class, $server) = @_;

    return if !$server->{ssl} || $server->{disable_tls};
    PAGI::Server::Core->hold_tls($class->settings($server));
    $server->{_held_tls} = 1;
}

# A master that cannot read any more what it has held says so when it is asked to: its workers
# serve with that without a word.
sub tell_forbidden {
    my ($class, $server) = @_;

    return if !$server->{_held_tls};
    for my $path (_files($server->{ssl})) {
        next if open(my $fh, '<', $path) || !$!{EACCES};
        return $server->_log(error => 'TLS certificates not reloaded, the old ones stay: '
                . "Cannot read $path: $!$FORBIDDEN");
    }
}

sub reload {
    my ($class, $server) = @_;

    my $core  = $server->{_core} or return 0;
    my $error = $core->reload_tls;
    $error .= $FORBIDDEN if defined $error && $server->{_held_tls} && $error =~ /Permission denied/;
    $server->_log(error => "TLS certificates not reloaded, the old ones stay: $error")
        if defined $error;
    $server->_log(info => 'TLS certificates reloaded')
        if !defined $error && $server->{tls_enabled};
    return defined $error ? 0 : 1;
}

# What is advertised on every connection: only those over TLS have its extension, and their own.
sub without_own {
    my ($class, $extensions) = @_;

    my %others = %$extensions;
    delete $others{tls};
    return \%others;
}

# As the banner says it.
sub status {
    my ($class, $server) = @_;

    return 'on' if $server->{tls_enabled};
    return $server->{disable_tls} ? 'disabled' : 'available';
}

# ---- the option ----

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
    my ($class, $server) = @_;

    my $ssl   = $server->{ssl};
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
        $ask                             ? [verify_client => $ask]            : (),
        $ask && defined($ssl->{ca_file}) ? [ca_file       => $ssl->{ca_file}] : (),
        map({ [$_   => $other{$_}] } sort keys %other),
        map({ [alpn => $_] } _protocols($server)),
    ];
}

# The option as IO::Socket::SSL would have it.
sub as_socket_options {
    my ($class, $server) = @_;

    my $ssl = $server->{disable_tls} ? undef : $server->{ssl};
    return undef if !$ssl;
    my @protocols = _protocols($server);
    my $ask       = _ask($ssl->{verify_client});
    my %config    = (
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

# What is offered to clients that can choose; the first that they know counts.
sub _protocols {
    my ($server) = @_;

    return $server->{http2} ? ('h2', 'http/1.1') : ();
}

sub _ask {
    my ($value) = @_;

    return !$value ? '' : $value eq 'optional' ? 'optional' : 'require';
}

sub _files {
    my ($ssl) = @_;

    return grep { defined } map {
        @{$_}{ map { $_->[0] } @FILES }
        } $ssl,
        @{ $ssl->{certificates} // [] };
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

What the keys of the option mean is told in L<PAGI::Server/TLS>. Certificates and keys are read by
the core; here is what can be said without. C<$server> is a L<PAGI::Server>.

=head1 CLASS METHODS

=head2 take

    PAGI::Server::TLS->take($server, \%given);

Checks C<< $given->{ssl} >>; where TLS is disabled, warns and deletes it.

=head2 set_up

Reads and checks all files before the server starts, and marks the server as one with TLS. Dies
with what is wrong. Does nothing without the option.

=head2 secure

    PAGI::Server::TLS->secure($server, $core);

Tells the core.

=head2 renew

    PAGI::Server::TLS->renew($server);

For a master that is about to fork a worker: reads the files, so that the worker has them even if
they are being replaced when it begins. What cannot be read stays as it was.

=head2 hold

    PAGI::Server::TLS->hold($server);

For a process that is about to give up its rights: reads the files, and the server will serve with
what was read even if it may not read them any more. Dies with what is wrong.

=head2 tell_forbidden

Logs an error where a file that was held cannot be read any more.

=head2 reload

Has the core read the files anew; see L<PAGI::Server/reload_tls>.

=head2 without_own

    my $others = PAGI::Server::TLS->without_own(\%extensions);

A copy without the extension that only connections over TLS have.

=head2 status

C<on>, C<disabled> or C<available>, for the banner.

=head2 check

    PAGI::Server::TLS->check(\%ssl);

Dies where a file is missing or unreadable, or where a value cannot be meant.

=head2 settings

    my $pairs = PAGI::Server::TLS->settings($server);

What the core is set up with, with defaults, as an array of name and value. Dies where there is no
certificate or no key.

=head2 as_socket_options

    my $config = PAGI::Server::TLS->as_socket_options($server);

The option under the names of L<IO::Socket::SSL>, as a hash reference; undef without TLS.

=cut
