//! TLS 1.2 and 1.3 for the status endpoint: what it shows to be itself, and whose
//! certificates it takes.
//!
//! Sessions are not resumed: a connection lives a minute at most and handshakes are few,
//! and so what a client shows is looked at each time. No protocol but HTTP/1.1 is offered
//! (RFC 7301), and no client is told which names there are (RFC 6066 §3 asks for none).

use super::Identity;
use crate::net::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Why certificates or a key are not taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in PEM, or one that cannot be read.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// A certificate is not as RFC 5280 has it.
    #[error("its certificate {0} cannot be read")]
    Certificate(usize),
    /// There is no private key in PEM that is not encrypted.
    #[error("it holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted)")]
    NoKey,
    /// The key is not that of the first certificate, or of a kind that is not known.
    #[error("the private key and the certificate do not belong together")]
    Pair(#[source] rustls::Error),
    /// Certificates of clients cannot be judged by it.
    #[error("it holds no certificate authority that certificates can be judged by")]
    Authority(#[source] VerifierBuilderError),
}

/// What TLS is spoken with.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    own: CertificateDer<'static>,
    clients: Option<Authorities>,
    expires: Timestamp,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Certificate authorities whose clients' certificates are taken.
#[derive(Clone, Debug)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// Reads one or more certificates in PEM.
    ///
    /// # Errors
    /// When there is none, or one cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for (place, certificate) in (1..).zip(certificates(pem)?) {
            roots.add(certificate).map_err(|_| TlsError::Certificate(place))?;
        }
        Ok(Self(Arc::new(roots)))
    }
}

impl Tls {
    /// Speaks with the certificates (its own first) and the private key of these texts in
    /// PEM. With `clients` a client may show a certificate of theirs; one that shows
    /// another is not spoken with.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together. An expired
    /// certificate is none here: a client may see it and decide.
    pub fn from_pem(
        pem: &[u8],
        key: &[u8],
        clients: Option<&Authorities>,
    ) -> Result<Self, TlsError> {
        let chain = certificates(pem)?;
        let own = chain.first().ok_or(TlsError::NoCertificate)?;
        let own = own.clone();
        let read = Certificate::from_der(&own).map_err(|_| TlsError::Certificate(1))?;
        let expires = read.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(Authorities(roots)) => {
                let judge =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider)
                        // Who shows none may have a token, or ask for /livez.
                        .allow_unauthenticated();
                builder.with_client_cert_verifier(judge.build().map_err(TlsError::Authority)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let (clients, expires) = (clients.cloned(), Timestamp::new(expires, 0));
        Ok(Self { config: Arc::new(config), own, clients, expires })
    }

    /// Whether both show the same certificate.
    pub fn shows_what(&self, other: &Self) -> bool {
        self.own == other.own
    }

    /// Whether both take the same clients' certificates.
    pub(super) fn takes_what(&self, other: &Self) -> bool {
        match (&self.clients, &other.clients) {
            (Some(Authorities(one)), Some(Authorities(other))) => one.roots == other.roots,
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// When its own certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate),
    }
}

/// The names of a client's certificate, which was judged before.
pub(super) fn identities(certificate: &CertificateDer<'_>) -> Vec<Identity> {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Vec::new() };
    let certificate = certificate.tbs_certificate();
    let mut names = Vec::new();
    if let Ok(Some((_, SubjectAltName(alternatives)))) = certificate.get_extension() {
        for name in alternatives {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => {
                    names.push(Identity::Uri(uri.to_string()));
                }
                GeneralName::DnsName(dns) => {
                    names.push(Identity::Dns(dns.to_string().to_ascii_lowercase()));
                }
                GeneralName::OtherName(_)
                | GeneralName::Rfc822Name(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::IpAddress(_)
                | GeneralName::RegisteredId(_) => {}
            }
        }
    }
    if let Ok(Some(common)) = certificate.subject().common_name() {
        names.push(Identity::CommonName(common.value().into_owned()));
    }
    names
}
