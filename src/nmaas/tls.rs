//! Whom we believe that they are NMaaS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How a certificate is judged.
#[derive(Clone)]
pub struct Tls(TlsConnector);

/// Why no certificate could be judged.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities cannot be read.
    #[error("cannot read certificates of authorities in {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is none to believe.
    #[error("{0} has no certificate of an authority that could be believed")]
    Empty(String),
    /// The library refuses.
    #[error("cannot begin TLS")]
    Rustls(#[source] rustls::Error),
}

impl Tls {
    /// Believes the authorities in `file` (PEM) and nobody else, or those of the system.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(file: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let from = match file {
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| TlsError::Read {
                    path: path.to_owned(),
                    why: error.to_string(),
                };
                let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
                for certificate in found {
                    let certificate = certificate.map_err(|error| wrong(&error))?;
                    roots.add(certificate).map_err(|error| wrong(&error))?;
                }
                path.display().to_string()
            }
            None => {
                // One of a hundred that cannot be read is no reason to believe none.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                "this system (Debian: the package ca-certificates)".to_owned()
            }
        };
        if roots.is_empty() {
            return Err(TlsError::Empty(from));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) const fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
