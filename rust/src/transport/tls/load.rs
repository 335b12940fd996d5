//! From files to what a handshake needs.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider, sign};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::der::{Certificate, Key};
use super::store::{Ask, Settings};
use super::{cipher, client::Clients, name};
use crate::error::io_text;

/// The certificates and keys in force, and who checks the clients'.
pub struct Live {
    hosts: Vec<Host>,
    /// Who checks certificates of clients; none where they are not asked for.
    pub clients: Option<Arc<Clients>>,
}

/// One certificate of the server's.
pub struct Host {
    names: Vec<String>,
    key: Arc<dyn SigningKey>,
    config: Arc<ServerConfig>,
    /// In PEM.
    pub pem: Arc<str>,
}

impl Host {
    /// What a client that speaks these protocols is served with. One that speaks none of ours is
    /// served all the same, without a choice: rustls would turn it away.
    pub fn config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let ours = &self.config.alpn_protocols;
        let is_strange = match hello.alpn() {
            Some(mut theirs) => {
                !ours.is_empty() && !theirs.any(|one| ours.iter().any(|o| o == one))
            }
            None => false,
        };
        if !is_strange {
            return self.config.clone();
        }
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols.clear();
        Arc::new(config)
    }

    fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => name == host,
        })
    }
}

impl Live {
    /// The certificate for the name that the client asks for, of a kind that it can check; the
    /// first one where none is.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Option<&Host> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let schemes = hello.signature_schemes();
        let is_usable = |host: &&Host| host.key.choose_scheme(schemes).is_some();
        let named = || self.hosts.iter().filter(|h| asked.as_ref().is_some_and(|n| h.is_for(n)));
        named().find(is_usable).or_else(|| named().next()).or_else(|| self.hosts.first())
    }

    /// Reads all files anew.
    pub fn load(settings: &Settings) -> Result<Live, String> {
        let provider = Arc::new(provider(settings)?);
        let clients = clients(settings, &provider)?.map(Arc::new);
        let tickets = Ticketer::new().map_err(|error| error.to_string())?;
        let common = Common { settings, provider, clients: clients.clone(), tickets };
        let hosts = settings.hosts.iter().map(|(cert, key)| common.host(cert, key));
        Ok(Live { hosts: hosts.collect::<Result<_, _>>()?, clients })
    }
}

fn provider(settings: &Settings) -> Result<CryptoProvider, String> {
    let mut provider = default_provider();
    if let Some(list) = &settings.ciphers {
        provider.cipher_suites = cipher::select(list, &provider.cipher_suites);
        if provider.cipher_suites.iter().all(|suite| suite.tls13().is_some()) {
            return Err(format!("Invalid ssl cipher_list '{list}': it selects no cipher suite"));
        }
    }
    Ok(provider)
}

fn clients(settings: &Settings, provider: &Arc<CryptoProvider>) -> Result<Option<Clients>, String> {
    let (is_required, path) = match (settings.ask, &settings.ca) {
        (Ask::Never, _) => return Ok(None),
        (Ask::Require, None) => return Err("ssl verify_client needs a ca_file".into()),
        (ask, path) => (ask == Ask::Require, path),
    };
    let roots = match path {
        Some(path) => certificates("CA", path)?,
        None => Vec::new(),
    };
    let clients = Clients::new(roots, is_required, provider);
    let path = path.as_deref().unwrap_or(Path::new(""));
    clients.map(Some).map_err(|error| format!("SSL CA file {}: {error}", path.display()))
}

/// What all certificates of a server share.
struct Common<'a> {
    settings: &'a Settings,
    provider: Arc<CryptoProvider>,
    clients: Option<Arc<Clients>>,
    tickets: Arc<dyn ProducesTickets>,
}

impl Common<'_> {
    fn host(&self, cert_file: &Path, key_file: &Path) -> Result<Host, String> {
        let chain = certificates("certificate", cert_file)?;
        let key = private_key(key_file)?;
        let leaf = chain.first().and_then(|der| Certificate::parse(der));
        let (Some(leaf), Some(der)) = (leaf, chain.first()) else {
            return Err(format!("SSL certificate file {} is malformed", cert_file.display()));
        };
        let public = key.public_key();
        let is_pair = match public.as_ref().and_then(|key| Key::parse(key)) {
            Some(public) => public.bits == leaf.key.bits,
            None => true, // a kind of key that cannot tell; the client will
        };
        if !is_pair {
            return Err(format!(
                "SSL key file {} does not belong to certificate file {}",
                key_file.display(),
                cert_file.display()
            ));
        }
        let (names, pem) = (leaf.dns_names(), name::pem(der).into());
        let config = self.config(CertifiedKey::new(chain, key.clone()));
        Ok(Host { names, key, pem, config: Arc::new(config?) })
    }

    fn config(&self, key: CertifiedKey) -> Result<ServerConfig, String> {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
        let versions = if self.settings.only_newest { NEWEST } else { BOTH };
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| format!("Cannot set up TLS: {error}"))?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.ticketer = self.tickets.clone();
        config.alpn_protocols.clone_from(&self.settings.alpn);
        // Early data could be replayed.
        config.max_early_data_size = 0;
        Ok(config)
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|e| format!("Cannot read SSL {what} file {}: {}", path.display(), io_text(&e)))
}

/// The certificates of a PEM file, one or more.
fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Err(error) => Err(format!("SSL {what} file {} is malformed: {error}", path.display())),
        Ok(found) if found.is_empty() => {
            Err(format!("SSL {what} file {} contains no PEM certificate", path.display()))
        }
        Ok(found) => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<Arc<dyn SigningKey>, String> {
    let bytes = read("key", path)?;
    let at = path.display();
    let der = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        _ if memchr::memmem::find(&bytes, b"ENCRYPTED").is_some() => {
            format!("SSL key file {at} is encrypted: please give a key without a passphrase")
        }
        pem::Error::NoItemsFound => format!("SSL key file {at} contains no PEM private key"),
        error => format!("SSL key file {at} is malformed: {error}"),
    })?;
    sign::any_supported_type(&der)
        .map_err(|_| format!("SSL key file {at} holds a key that is broken or of an unknown kind"))
}
