//! A small NMaaS: answers what it is told to, and remembers what it was asked.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

/// What it does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this head and body.
    Answer(&'static str),
    /// Closes it without an answer.
    Hang,
    /// Says nothing for as long as it is asked.
    Silence,
}

pub(crate) const OK: Act = Act::Answer(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"id\":42}",
);

/// A running NMaaS; it ends with the process.
pub(crate) struct Nmaas {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// The authority its certificate is of.
    pub(crate) ca_file: Option<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Nmaas {
    /// Without TLS; does `acts` in turn, and the last one again and again.
    pub(crate) fn start(acts: Vec<Act>) -> Self {
        Self::serve(acts, None, None)
    }

    /// With a certificate for `localhost` of an authority of its own.
    pub(crate) fn start_tls(acts: Vec<Act>) -> Self {
        let authority = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&authority).unwrap();
        let issuer = Issuer::new(params, authority);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        Self::serve(acts, Some(Arc::new(config)), Some(ca.pem()))
    }

    fn serve(acts: Vec<Act>, tls: Option<Arc<ServerConfig>>, ca: Option<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca_file = ca.map(|pem| {
            let path = directory.path().join("ca.pem");
            std::fs::write(&path, pem).unwrap();
            path
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let act = acts.get(at).or_else(|| acts.last()).unwrap().clone();
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                match &tls {
                    None => answer(stream, &act, &notes),
                    Some(config) => {
                        let session = ServerConnection::new(Arc::clone(config)).unwrap();
                        answer(StreamOwned::<_, TcpStream>::new(session, stream), &act, &notes);
                    }
                }
            }
        });
        Self { address, asked, ca_file, _directory: directory }
    }

    /// The requests so far, whole heads.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The first line of each request.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn url(&self) -> String {
        match self.ca_file {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }
}

fn answer(mut stream: impl Read + Write, act: &Act, notes: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => break,
        }
    }
    if !head.is_empty() {
        notes.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    }
    match act {
        Act::Answer(text) => {
            drop(stream.write_all(text.as_bytes()));
            drop(stream.flush());
        }
        Act::Hang => {}
        Act::Silence => drop(stream.read(&mut byte)),
    }
}
