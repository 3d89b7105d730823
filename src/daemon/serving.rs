//! The status endpoint on a thread of its own: however long an answer takes to
//! make, the loop does not wait for it, and answers are given while the loop is
//! stuck.

use super::credentials::Keeper;
use crate::http::{self, Listener, Views};
use anyhow::Context;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The thread, until it is told to end.
pub(super) struct Serving {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Serving {
    /// Listens on the unix socket `socket` and at `addresses`, and serves `views` by what
    /// `keeper` keeps.
    ///
    /// # Errors
    /// When it cannot listen at all of them.
    pub(super) async fn start(
        socket: &Path,
        addresses: &[SocketAddr],
        views: Views,
        keeper: Keeper,
    ) -> anyhow::Result<Self> {
        let (end, ends) = oneshot::channel();
        let (say, said) = oneshot::channel();
        let (socket, addresses) = (socket.to_owned(), addresses.to_vec());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime.context("cannot begin to serve the status") {
                Ok(runtime) => runtime,
                Err(error) => return drop(say.send(Err(error))),
            };
            runtime.block_on(async {
                match listen(&socket, &addresses).await {
                    Ok(listeners) => {
                        let _ = say.send(Ok(()));
                        // Ends with the runtime.
                        tokio::spawn(keeper.run());
                        http::serve(views, listeners, async {
                            let _ = ends.await;
                        })
                        .await;
                    }
                    Err(error) => drop(say.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(work)?;
        said.await.context("the status endpoint broke off")??;
        Ok(Self { end, thread })
    }

    /// Ends it; answers under way are finished, for at most two seconds.
    pub(super) fn end(self) {
        drop(self.end);
        let _ = self.thread.join();
    }
}

async fn listen(socket: &Path, addresses: &[SocketAddr]) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = vec![Listener::unix(socket).context("cannot listen for commands")?];
    for address in addresses {
        let listener = Listener::tcp(*address).await;
        listeners.push(listener.with_context(|| format!("cannot serve the status on {address}"))?);
    }
    Ok(listeners)
}
