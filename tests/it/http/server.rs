//! A status endpoint on loopback and on a unix socket, and a bare way to ask it.

use crate::sample;
use lockgate::http::{Listener, RibQuestion, Views, serve};
use lockgate::status::Snapshot;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A running endpoint; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) ticks: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    /// Serves as the gateway does: on a thread of its own.
    served: Option<std::thread::JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(sample::snapshot(), Duration::from_secs(60))
    }

    pub(crate) fn with(snapshot: Snapshot, patience: Duration) -> Self {
        Self::made(snapshot, |views| views.with_patience(patience))
    }

    /// One whose views are made what `make` makes of them.
    pub(crate) fn made(snapshot: Snapshot, make: impl FnOnce(Views) -> Views) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("lockgate.sock");
        let (snapshots, latest) = watch::channel(Arc::new(snapshot));
        let (ticks, heartbeat) = watch::channel(0);
        let (stop, stopped) = oneshot::channel::<()>();
        let (asking, mut questions) = mpsc::channel::<RibQuestion>(2);
        let views = Views::new(latest, heartbeat)
            .with_rib(asking)
            .with_hosts(["noc.example.net".to_owned()])
            .with_patience(Duration::from_secs(60));
        let views = make(views);
        let (say, said) = std::sync::mpsc::sync_channel(1);
        let path = socket.clone();
        let served = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::spawn(async move {
                    while let Some(RibQuestion { tenant, prefix, after, answer }) =
                        questions.recv().await
                    {
                        drop(answer.send(sample::rib(&tenant, prefix, after)));
                    }
                });
                let tcp = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
                let unix = Listener::unix(&path).unwrap();
                say.send(tcp.tcp_address().unwrap()).unwrap();
                serve(views, vec![tcp, unix], async { drop(stopped.await) }).await;
            });
        });
        let address = said.recv().unwrap();
        Self {
            address,
            socket,
            snapshots,
            ticks,
            stop: Some(stop),
            served: Some(served),
            _directory: directory,
        }
    }

    /// Tells it to stop and waits until it has.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            served.join().unwrap();
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes over TCP and reads until the other end closes.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        exchange(self.connect(), bytes.as_ref())
    }

    /// The same over the unix socket.
    pub(crate) fn send_unix(&self, bytes: impl AsRef<[u8]>) -> Answer {
        exchange(UnixStream::connect(&self.socket).unwrap(), bytes.as_ref())
    }

    pub(crate) fn ask(&self, path: &str) -> Answer {
        self.ask_as("GET", path)
    }

    pub(crate) fn ask_as(&self, method: &str, path: &str) -> Answer {
        self.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> Answer {
    // It may close before it has read everything; what counts is its answer.
    drop(stream.write_all(bytes));
    drop(stream.flush());
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    Answer(String::from_utf8_lossy(&answer).into_owned())
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    /// Its status; 0 when the connection was closed without one.
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn head(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or(&self.0, |(head, _)| head)
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head().lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.body()).unwrap()
    }
}
