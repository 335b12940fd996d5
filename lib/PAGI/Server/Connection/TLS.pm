package PAGI::Server::Connection::TLS;
use strict;
use warnings;

use MIME::Base64 qw(decode_base64);
use Scalar::Util qw(blessed);

our $VERSION = '0.003000';

# What can go wrong by itself, and what that is called
my @PARTS = (
    [\&_session, 'session'], [\&_server, 'server certificate'],
    [\&_client, 'client certificate']
);

# What both sides agreed upon by ALPN, where the handle can tell
sub protocol {
    my ($class, $handle) = @_;

    return unless blessed $handle && $handle->isa('IO::Socket::SSL');
    return scalar eval { $handle->alpn_selected };
}

sub facts {
    my ($class, $handle, $log) = @_;

    return [] unless blessed $handle && $handle->isa('IO::Socket::SSL');
    my @facts;
    for my $part (@PARTS) {
        my ($read, $what) = @$part;
        next if eval { push @facts, $read->($handle); 1 };
        $log->('warn', "TLS $what extraction error: " . $@ =~ s/\n\z//r);
    }
    return [grep { defined $_->[1] } @facts];
}

sub _session {
    my ($handle) = @_;

    return (
        [tls_version  => scalar $handle->get_sslversion_int],
        [cipher_suite => scalar $handle->get_cipher],
    );
}

sub _server {
    my ($handle) = @_;

    my $certificate = $handle->sock_certificate or return;
    return [server_cert => _der($certificate)];
}

sub _client {
    my ($handle) = @_;

    my @chain  = map { [client_cert => _der($_)] } $handle->peer_certificates or return;
    my $result = Net::SSLeay::get_verify_result($handle->_get_ssl_object);
    return @chain if !$result;
    return (@chain, [client_cert_error => Net::SSLeay::X509_verify_cert_error_string($result)]);
}

sub _der {
    my ($certificate) = @_;

    my $pem = Net::SSLeay::PEM_get_string_X509($certificate) or die "it has no encoding\n";
    return decode_base64($pem =~ s/^-----.*//gmr);
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Connection::TLS - what the handle of a stream tells of its TLS

=head1 DESCRIPTION

For connections whose TLS is an L<IO::Socket::SSL>'s; see L<PAGI::Server::Connection/TLS>. Nothing
here is meant for applications, and nothing is loaded for it.

=head1 CLASS METHODS

=head2 protocol

    my $protocol = PAGI::Server::Connection::TLS->protocol($handle);

What was agreed upon by ALPN, such as C<h2>; undef where nothing was, where the handle is no
L<IO::Socket::SSL>, or where its OpenSSL has no ALPN.

=head2 facts

    my $facts = PAGI::Server::Connection::TLS->facts($handle, $log);

What the core is told, as an array of name and value: C<tls_version> (as on the wire),
C<cipher_suite> (OpenSSL's name), C<server_cert>, a C<client_cert> for each of the client's
certificates, leaf first (in DER), and C<client_cert_error>. What the handle does not know is left
out; empty for a handle that is no L<IO::Socket::SSL>. What goes wrong is told to
C<< $log->('warn', $text) >>, and left out as well: C<TLS WHAT extraction error: ERROR>, where the error
is IO::Socket::SSL's, or C<it has no encoding>.

=cut
