//! Certificates made on the spot, and a client that shows and judges them.

use lockgate::http::{Authorities, Credentials, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::net::TcpStream;
use std::sync::Arc;

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A server's certificate for localhost that expires in `year`.
    pub(crate) fn server(&self, year: i32) -> Pair {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        self.sign(&params)
    }

    /// A client's certificate.
    pub(crate) fn client(&self, common: &str, uri: Option<&str>) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names =
            uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// TLS with `pair`, and clients' certificates of `clients`.
pub(crate) fn credentials(pair: &Pair, clients: Option<&Authority>) -> Credentials {
    let authorities = clients.map(|it| Authorities::from_pem(it.certificate.as_bytes()).unwrap());
    let tls = Tls::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes(), authorities.as_ref());
    Credentials { tls: Some(tls.unwrap()), takes_certificates: clients.is_some(), access: None }
}

/// A client that believes `authority`.
pub(crate) struct Client {
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
    shows: Option<Pair>,
}

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub(crate) fn new(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
        roots.add(der).unwrap();
        Self { roots, versions: rustls::ALL_VERSIONS.to_vec(), shows: None }
    }

    pub(crate) fn only(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub(crate) fn showing(mut self, pair: &Pair) -> Self {
        self.shows = Some(pair.clone());
        self
    }

    /// Shakes hands on `stream` with who is to be `name`; an address is not said to it.
    pub(crate) fn shake(&self, stream: TcpStream, name: &str) -> std::io::Result<Secured> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(&self.versions).unwrap();
        let config = config.with_root_certificates(self.roots.clone());
        let mut config = match &self.shows {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let chain =
                    vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut secured = StreamOwned::new(connection, stream);
        secured.conn.complete_io(&mut secured.sock)?;
        Ok(secured)
    }
}
