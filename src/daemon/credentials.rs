//! The files of the status endpoint's certificate, key and tokens: read at the start, and
//! again when they change, on SIGHUP, and once a minute.
//!
//! TLS and tokens are taken each for itself: a certificate that cannot be read keeps no
//! token from being taken back. What cannot be used leaves what was in force, says so in
//! the log once, and stays among the problems in the status until it can.
//!
//! Who may see what is in files of mode 0600 for the reason keys are: who can change one
//! decides who sees every tenant.

use super::Clock;
use super::source;
use crate::http::{Access, AccessError, Authorities, Credentials, Tls, TlsError};
use crate::model::limits;
use crate::net::Timestamp;
use crate::status::EndpointSnapshot;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

/// How long after a change files are read: certificate and key are two, and the second
/// comes a little later.
const SETTLE: Duration = Duration::from_millis(500);

/// How often they are read without a notice: not every file system gives any, and a
/// certificate expires without one.
const PERIOD: Duration = Duration::from_secs(60);

/// Where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFiles {
    /// Certificates in PEM, the endpoint's own first, and its private key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Authorities in PEM whose clients' certificates are taken.
    pub client_ca: Option<PathBuf>,
    /// Who may see what ([`Access`]).
    pub tokens: Option<PathBuf>,
}

/// Why one cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is none, or larger than any such file.
    #[error("{} is no file of at most {limit} MiB", .0.display(), limit = limits::CREDENTIAL_FILE_BYTES >> 20)]
    NotAFile(PathBuf),
    /// Others than the owner may read or write it.
    #[error("{} may be read or written by others; `chmod 600` it", .0.display())]
    Permissions(PathBuf),
    /// A certificate or key is not taken.
    #[error("cannot use {}", .0.display())]
    Tls(PathBuf, #[source] TlsError),
    /// Who may see what is not understood.
    #[error("cannot use {}", .0.display())]
    Access(PathBuf, #[source] AccessError),
    /// It is no text.
    #[error("{} is no text in UTF-8", .0.display())]
    NoText(PathBuf),
}

impl CredentialFiles {
    /// All of them.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let pair = self.tls.iter().flat_map(|(certificate, key)| [certificate, key]);
        pair.chain(&self.client_ca).chain(&self.tokens)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.paths().next().is_none()
    }

    fn read_tls(&self) -> Result<Option<Tls>, CredentialError> {
        let Some((certificate, key)) = &self.tls else { return Ok(None) };
        let authorities = match &self.client_ca {
            None => None,
            Some(path) => {
                let read = Authorities::from_pem(&read(path)?);
                Some(read.map_err(|error| CredentialError::Tls(path.clone(), error))?)
            }
        };
        let chain = read(certificate)?;
        let secret = read_private(key)?;
        let tls = Tls::from_pem(&chain, &secret, authorities.as_ref());
        tls.map(Some).map_err(|error| {
            let is_keys = matches!(error, TlsError::NoKey | TlsError::Pair(_));
            let path = if is_keys { key } else { certificate };
            CredentialError::Tls(path.clone(), error)
        })
    }

    fn read_access(&self) -> Result<Option<Access>, CredentialError> {
        let Some(path) = &self.tokens else { return Ok(None) };
        let bytes = read_private(path)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| CredentialError::NoText(path.clone()))?;
        let access = Access::parse(text);
        access.map(Some).map_err(|error| CredentialError::Access(path.clone(), error))
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn read(&self) -> Result<Credentials, CredentialError> {
        Ok(Credentials {
            tls: self.read_tls()?,
            takes_certificates: self.client_ca.is_some(),
            access: self.read_access()?,
        })
    }

    /// What goes wrong with them when the status is served at `addresses`.
    pub fn exposure(&self, addresses: &[SocketAddr]) -> Option<Exposure> {
        let mut others = addresses.iter().filter(|address| !address.ip().is_loopback());
        let address = *others.next()?;
        let asks = self.tokens.is_some() || self.client_ca.is_some();
        match (&self.tls, asks) {
            (Some(_), true) => None,
            (None, true) => Some(Exposure::Plain(address)),
            (Some(_) | None, false) => Some(Exposure::Everybody(address)),
        }
    }

    /// Watches for changes, as far as that can be done; each is told by a message.
    fn watch(&self, notices: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
        let tell = move |event: notify::Result<notify::Event>| {
            if event.as_ref().map_or(true, source::is_change) {
                // A full channel has a notice in it already.
                let _ = notices.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(tell)?;
        // What is renewed gets another file in its place, or a link leads elsewhere.
        for path in self.paths() {
            let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
            watcher
                .watch(directory.unwrap_or_else(|| Path::new(".")), RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// What others than this machine could see or hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// Everybody who reaches it sees every tenant.
    #[error(
        "whoever reaches {0} sees the status of every tenant; give --status-tokens, or serve it \
         on 127.0.0.1 only"
    )]
    Everybody(SocketAddr),
    /// Tokens can be read on their way.
    #[error(
        "tokens would come to {0} as plain text; give --status-tls-cert and --status-tls-key, or \
         --status-plaintext where something before it speaks TLS"
    )]
    Plain(SocketAddr),
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    read_if(path, |_| true)
}

/// Reads what is nobody else's business.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    read_if(path, |mode| mode & 0o077 == 0)
}

fn read_if(
    path: &Path,
    is_right: impl Fn(u32) -> bool,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let failed = |error| CredentialError::Read(path.to_owned(), error);
    // Opening a pipe might never end.
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() || limits::CREDENTIAL_FILE_BYTES < found.len() {
        return Err(CredentialError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if !is_right(mode) {
        return Err(CredentialError::Permissions(path.to_owned()));
    }
    // All the room at once, for a buffer that grows leaves its bytes behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(limits::CREDENTIAL_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Keeps what is in force true to the files.
#[derive(Debug)]
pub struct Keeper {
    files: CredentialFiles,
    clock: Clock,
    in_force: watch::Sender<Arc<Credentials>>,
    shown: watch::Sender<EndpointSnapshot>,
}

/// What others are told by a [`Keeper`].
#[derive(Clone, Debug)]
pub struct Kept {
    /// What is in force.
    pub credentials: watch::Receiver<Arc<Credentials>>,
    /// How that is.
    pub endpoint: watch::Receiver<EndpointSnapshot>,
}

impl Keeper {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn start(files: CredentialFiles, clock: Clock) -> Result<(Self, Kept), CredentialError> {
        let (in_force, credentials) = watch::channel(Arc::new(files.read()?));
        let (shown, endpoint) = watch::channel(EndpointSnapshot::default());
        let keeper = Self { files, clock, in_force, shown };
        keeper.tell(Vec::new());
        Ok((keeper, Kept { credentials, endpoint }))
    }

    /// Reads them again whenever that may be worth it. Ends with its runtime.
    pub async fn run(self) {
        if self.files.is_empty() {
            return;
        }
        let (tell, mut notices) = mpsc::channel(1);
        let watcher = self.files.watch(tell);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the status endpoint's files are read once a minute only");
        }
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let noticed = async {
                // Without a watcher there is nobody to send any.
                if notices.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(SETTLE).await;
            };
            tokio::select! {
                _ = asked => {}
                () = noticed => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
            let _ = notices.try_recv();
            self.again();
        }
    }

    /// Reads them again.
    fn again(&self) {
        let before = Arc::clone(&self.in_force.borrow());
        let mut problems = Vec::new();
        let mut complain = |error: CredentialError| {
            problems
                .push(format!("{:#}; what was in force stays in force", anyhow::Error::new(error)));
        };
        let tls = self.files.read_tls().unwrap_or_else(|error| {
            complain(error);
            before.tls.clone()
        });
        let access = self.files.read_access().unwrap_or_else(|error| {
            complain(error);
            before.access.clone()
        });
        if let (Some(tls), Some(before)) = (&tls, &before.tls)
            && !tls.shows_what(before)
        {
            let expires = tls.expires();
            tracing::info!(%expires, "the status endpoint shows another certificate");
        }
        self.in_force.send_replace(Arc::new(Credentials { tls, access, ..*before }));
        self.tell(problems);
    }

    /// Shows how it is; says in the log what is new of it.
    fn tell(&self, mut problems: Vec<String>) {
        let expires = self.in_force.borrow().tls.as_ref().map(Tls::expires);
        problems.extend(expired(expires, self.clock.now().wall));
        let endpoint = EndpointSnapshot { certificate_expires: expires, problems };
        let before = self.shown.send_replace(endpoint.clone());
        for problem in &endpoint.problems {
            if !before.problems.contains(problem) {
                tracing::warn!("{problem}");
            }
        }
        if endpoint.problems.is_empty() && !before.problems.is_empty() {
            tracing::info!("the status endpoint's files are as they should be again");
        }
    }
}

/// Clients refuse it, but it is better than nothing: who ignores that sees what happens.
fn expired(expires: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let expires = expires.filter(|expires| *expires <= now)?;
    Some(format!("the status endpoint's certificate expired at {expires}; renew it"))
}
