//! What an application is told of a TLS connection, found out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConnection;

use super::der::Certificate;
use super::load::{Host, Live};
use super::{cipher, name};

/// The values of `extensions.tls`.
//= PAGI::Spec::Tls "extensions"
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Another one for each connection, and never 0.
    pub number: u64,
    /// The certificate that the server presented, in PEM; none where nobody can tell.
    pub server_cert: Option<Arc<str>>,
    /// What the client presented, leaf first, in PEM.
    pub client_cert_chain: Vec<String>,
    /// The subject of the client's certificate.
    pub client_cert_name: Option<String>,
    /// Why the client's certificate is not to be trusted.
    pub client_cert_error: Option<String>,
    /// The protocol version as it is on the wire.
    pub tls_version: Option<u16>,
    /// The registered number of the cipher suite.
    pub cipher_suite: Option<u16>,
}

static COUNT: AtomicU64 = AtomicU64::new(1);

impl Facts {
    /// What is known after a handshake.
    pub fn new(session: &ServerConnection, live: &Live, host: &Host) -> Facts {
        let chain = session.peer_certificates().unwrap_or_default();
        // Looked at anew: a resumed session brings its certificate along, not the verdict on it.
        let error = live.clients.as_ref().and_then(|clients| clients.complaint(chain));
        let leaf = chain.first().and_then(|der| Certificate::parse(der));
        Facts {
            server_cert: Some(host.pem.clone()),
            client_cert_chain: chain.iter().map(|der| name::pem(der)).collect(),
            client_cert_name: leaf.and_then(|leaf| name::text(leaf.subject)),
            client_cert_error: error,
            tls_version: session.protocol_version().map(u16::from),
            cipher_suite: session.negotiated_cipher_suite().map(|suite| suite.suite().into()),
            ..Facts::none()
        }
    }

    /// Nothing is known of a connection, as long as nothing is [set](Facts::set).
    pub fn none() -> Facts {
        Facts { number: COUNT.fetch_add(1, Ordering::Relaxed), ..Facts::default() }
    }

    /// Takes over what is known of somebody else's handshake, value by value. Certificates are in
    /// DER, the client's leaf first; the suite has OpenSSL's name.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(value);
        match name {
            "server_cert" => self.server_cert = Some(name::pem(value).into()),
            "client_cert" => {
                if self.client_cert_chain.is_empty() {
                    let leaf = Certificate::parse(value);
                    self.client_cert_name = leaf.and_then(|leaf| name::text(leaf.subject));
                }
                self.client_cert_chain.push(name::pem(value));
            }
            "client_cert_error" => self.client_cert_error = Some(text.into_owned()),
            "tls_version" => self.tls_version = text.parse().ok(),
            "cipher_suite" => self.cipher_suite = cipher::number(&text),
            _ => return Err(format!("Invalid fact '{name}' of a connection over TLS")),
        }
        Ok(())
    }
}
