//! Certificates of clients: asked for, and looked at.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    RootCertStore, SignatureScheme,
};

use super::der::{Certificate, Key, seconds};

/// Who checks the certificates of clients. Where one is required, a bad one ends the handshake;
/// where it is optional, the application is told what is wrong with it.
#[derive(Debug)]
pub struct Clients {
    is_required: bool,
    roots: Vec<CertificateDer<'static>>,
    hints: Vec<DistinguishedName>,
    /// None where there is nothing to trust.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// Trusts `roots`.
    pub fn new(
        roots: Vec<CertificateDer<'static>>,
        is_required: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, Error> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone())?;
        }
        let hints = store.subjects();
        let verifier = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider.clone())
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?,
            ),
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Clients { is_required, roots, hints, verifier, algorithms })
    }

    /// Whether a bad certificate ends the handshake.
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// What is wrong with a chain, in words; nothing where it is good or empty.
    pub fn complaint(&self, chain: &[CertificateDer<'_>]) -> Option<String> {
        let (leaf, others) = chain.split_first()?;
        self.check(leaf, others, UnixTime::now()).err().map(|error| words(&error))
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let verifier = self.verifier.as_ref().ok_or(unknown)?;
        match Certificate::parse(leaf) {
            Some(plain) if plain.version == 0 => self.check_plain(&plain, now),
            _ => verifier.verify_client_cert(leaf, others, now).map(|_| ()),
        }
    }

    /// A certificate of version 1, as `openssl x509 -req` makes it where nobody asks for
    /// extensions: rustls does not read those. It must come straight from a trusted root.
    fn check_plain(&self, leaf: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
        let now = now.as_secs();
        let bad = |error| Err(Error::InvalidCertificate(error));
        match (seconds(leaf.not_before), seconds(leaf.not_after)) {
            (Some(from), _) if now < from => return bad(CertificateError::NotValidYet),
            (Some(_), Some(until)) if now <= until => {}
            (Some(_), Some(_)) => return bad(CertificateError::Expired),
            _ => return bad(CertificateError::BadEncoding),
        }
        let roots = self.roots.iter().filter_map(|root| Certificate::parse(root));
        let mut issuers = roots.filter(|root| root.subject == leaf.issuer).peekable();
        if issuers.peek().is_none() {
            return bad(CertificateError::UnknownIssuer);
        }
        let is_signed_by = |root: Certificate<'_>| {
            let fitting = self.algorithms.all.iter().filter(|algorithm| {
                algorithm.signature_alg_id().as_ref() == leaf.algorithm
                    && algorithm.public_key_alg_id().as_ref() == root.key.algorithm
            });
            let mut verdicts = fitting.map(|algorithm| {
                algorithm.verify_signature(root.key.bits, leaf.signed, leaf.signature)
            });
            verdicts.any(|verdict| verdict.is_ok())
        };
        match issuers.any(is_signed_by) {
            true => Ok(()),
            false => bad(CertificateError::BadSignature),
        }
    }

    /// The proof that a client has the key of its certificate of version 1.
    fn check_proof(
        &self,
        message: &[u8],
        key: Key<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == proof.scheme);
        let (_, algorithms) =
            known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let mut fitting = algorithms
            .iter()
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm);
        match fitting.any(|a| a.verify_signature(key.bits, message, proof.signature()).is_ok()) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }
}

/// The key of a certificate of version 1.
fn plain_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<Key<'a>> {
    Certificate::parse(certificate).filter(|plain| plain.version == 0).map(|plain| plain.key)
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.is_required {
            self.check(leaf, others, now)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match plain_key(leaf) {
            Some(key) => self.check_proof(message, key, proof),
            None => verify_tls12_signature(message, leaf, proof, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
        // Only for certificates themselves in TLS 1.3, not for a handshake (RFC 8446 4.2.3).
        let is_old = [RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512].contains(&proof.scheme);
        match plain_key(leaf) {
            Some(key) if !is_old => self.check_proof(message, key, proof),
            _ => verify_tls13_signature(message, leaf, proof, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// An error in OpenSSL's words where it has some: applications know those.
fn words(error: &Error) -> String {
    use CertificateError::{
        ApplicationVerificationFailure, BadSignature, Expired, ExpiredContext, InvalidPurpose,
        InvalidPurposeContext, NotValidYet, NotValidYetContext, Revoked, UnknownIssuer,
    };
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        Expired | ExpiredContext { .. } => "certificate has expired".into(),
        NotValidYet | NotValidYetContext { .. } => "certificate is not yet valid".into(),
        Revoked => "certificate revoked".into(),
        UnknownIssuer => "unable to get local issuer certificate".into(),
        BadSignature => "certificate signature failure".into(),
        InvalidPurpose | InvalidPurposeContext { .. } => "unsuitable certificate purpose".into(),
        ApplicationVerificationFailure => "application verification failure".into(),
        other => other.to_string(),
    }
}
