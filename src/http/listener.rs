//! Where the status endpoint listens.

use rustix::fs::Mode;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// Connections the kernel keeps until we accept them.
const BACKLOG: i32 = 128;

/// Why there is nothing to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Tcp {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The socket could not be made.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// The path asked for.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// Another gateway listens there.
    #[error("{} belongs to a gateway that is running", .0.display())]
    InUse(PathBuf),
    /// Something else is there, and it is not ours to remove.
    #[error("{} is there and is not a socket", .0.display())]
    NotASocket(PathBuf),
}

/// One place to listen.
#[derive(Debug)]
pub struct Listener(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(PrivateSocket),
}

/// A unix socket; its file is removed when it is dropped.
#[derive(Debug)]
pub(super) struct PrivateSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        // The file may be gone with its directory; nothing is left to do then.
        drop(std::fs::remove_file(&self.path));
    }
}

impl Listener {
    /// Listens on a TCP address.
    ///
    /// # Errors
    /// [`ListenError::Tcp`].
    pub async fn tcp(address: SocketAddr) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| ListenError::Tcp { address, error })?;
        Ok(Self(Kind::Tcp(listener)))
    }

    /// Listens on a unix socket that only its owner can open (0600).
    ///
    /// The socket of a gateway that is gone is removed; that of one which is
    /// running is not. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// All but [`ListenError::Tcp`].
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        make_way(path)?;
        let failed = |error| ListenError::Unix { path: path.to_owned(), error };
        let listener = bind_private(path).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self(Kind::Unix(PrivateSocket { listener, path: path.to_owned() })))
    }

    /// The TCP address in use; `None` for a unix socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }
}

/// Removes a socket nobody listens on any more.
fn make_way(path: &Path) -> Result<(), ListenError> {
    let failed = |error| ListenError::Unix { path: path.to_owned(), error };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
    }
}

/// Binds so that the file is never open to others, not even for an instant:
/// Linux takes the mode of the socket's inode at `bind` (`unix(7)`: less the
/// umask), so it is set before.
fn bind_private(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
