//! The status page where a browser can reach it: the gateway plays in a network
//! of its own, so bytes are carried between a port of this machine and its
//! unix socket.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

/// Connections carried at once; a browser opens six.
const CONNECTIONS: usize = 32;

/// A port of this machine, taken before the stage is entered.
pub(super) struct Page {
    listener: TcpListener,
    /// Where it can be opened.
    pub(super) address: SocketAddr,
}

impl Page {
    /// Takes `wanted`, or any free port when somebody has it.
    pub(super) fn open(wanted: SocketAddr) -> io::Result<Self> {
        let any = SocketAddr::new(wanted.ip(), 0);
        let listener = TcpListener::bind(wanted).or_else(|_| TcpListener::bind(any))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Carries connections to `socket` from now on.
    pub(super) fn serve(self, socket: PathBuf) {
        let slots = std::sync::Arc::new(());
        thread::spawn(move || {
            for outside in self.listener.incoming().flatten() {
                if std::sync::Arc::strong_count(&slots) > CONNECTIONS {
                    continue;
                }
                let (socket, slot) = (socket.clone(), std::sync::Arc::clone(&slots));
                thread::spawn(move || {
                    let _slot = slot;
                    if let Ok(inside) = UnixStream::connect(&socket) {
                        let _ = carry(outside, inside);
                    }
                });
            }
        });
    }
}

fn carry(outside: TcpStream, inside: UnixStream) -> io::Result<()> {
    let (mut from_outside, mut to_inside) = (outside.try_clone()?, inside.try_clone()?);
    let there = thread::spawn(move || {
        let _ = io::copy(&mut from_outside, &mut to_inside);
        let _ = to_inside.shutdown(Shutdown::Write);
    });
    let (mut from_inside, mut to_outside) = (inside, outside);
    let _ = io::copy(&mut from_inside, &mut to_outside);
    let _ = to_outside.shutdown(Shutdown::Both);
    let _ = there.join();
    Ok(())
}
