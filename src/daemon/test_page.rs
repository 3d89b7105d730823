//! The test page: a line of text by HTTP for a site's customer, from our address on its
//! link, in its tenant's namespace.
//!
//! There is one task that listens for each address and one for each conversation, of which
//! a tenant and a site have few at a time; nothing of one is kept for the next. It takes a
//! request line and answers it, whatever it asks for: there is one page.

use super::clock::Clock;
use super::task::text;
use crate::gateway::TestPage;
use crate::linux::{Kernel, tcp};
use crate::model::TEST_PAGE_PORT;
use crate::model::limits::{
    TEST_PAGE_REQUEST_BYTES, TEST_PAGES_PER_SITE_AT_ONCE, TEST_PAGES_PER_TENANT_AT_ONCE,
};
use crate::net::TenantName;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How soon it is tried again to listen: at first, and once that has failed.
const LISTEN_RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How long a whole conversation may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// After each conversation that begins comes a pause, which is nothing to a person.
const PAUSE: Duration = Duration::from_millis(10);

/// The pages of all tenants.
pub(super) struct TestPages {
    kernel: Kernel,
    clock: Clock,
    tenants: BTreeMap<TenantName, TenantPages>,
}

/// The pages of one tenant.
struct TenantPages {
    room: Arc<Semaphore>,
    listeners: BTreeMap<IpAddr, Listener>,
}

/// A task that listens, until it is dropped.
struct Listener {
    page: TestPage,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestPages {
    pub(super) const fn new(kernel: Kernel, clock: Clock) -> Self {
        Self { kernel, clock, tenants: BTreeMap::new() }
    }

    /// Serves these pages from now on, and no others.
    pub(super) fn serve(&mut self, pages: BTreeMap<TenantName, BTreeMap<IpAddr, TestPage>>) {
        self.tenants.retain(|name, _| pages.contains_key(name));
        for (name, pages) in pages {
            let tenant = self.tenants.entry(name.clone()).or_insert_with(|| TenantPages {
                room: Arc::new(Semaphore::new(TEST_PAGES_PER_TENANT_AT_ONCE)),
                listeners: BTreeMap::new(),
            });
            tenant.listeners.retain(|own, it| pages.get(own) == Some(&it.page));
            for (own, page) in pages {
                let (kernel, clock, room) = (&self.kernel, self.clock, &tenant.room);
                tenant.listeners.entry(own).or_insert_with(|| {
                    let shown = page.clone();
                    let task =
                        listen(kernel.clone(), name.clone(), own, shown, clock, Arc::clone(room));
                    Listener { page, task: tokio::spawn(task).abort_handle() }
                });
            }
        }
    }
}

/// Listens at `own` in the tenant's namespace, for as long as it is wanted.
async fn listen(
    kernel: Kernel,
    tenant: TenantName,
    own: IpAddr,
    page: TestPage,
    clock: Clock,
    room: Arc<Semaphore>,
) {
    let mut waits = LISTEN_RETRY.into_iter();
    loop {
        kernel.back(&tenant).await;
        let make = move || tcp::listen(SocketAddr::new(own, TEST_PAGE_PORT), &[]);
        let listener = match kernel.in_tenant(&tenant, make).await {
            Ok(listener) => listener.and_then(TcpListener::from_std).map_err(text),
            Err(error) => Err(text(error)),
        };
        match listener {
            Ok(listener) => {
                let left = kernel.left(&tenant, listener.as_fd());
                tokio::select! {
                    () = accept(&listener, &page, clock, &room) => {}
                    () = left => {}
                }
                drop(listener);
                waits = LISTEN_RETRY.into_iter();
                tokio::time::sleep(LISTEN_RETRY[0]).await;
            }
            Err(error) => {
                let wait = waits.next().unwrap_or_else(|| {
                    tracing::warn!(%tenant, %own, error, "cannot listen for the test page");
                    LISTEN_RETRY[1]
                });
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Takes the site's own connections; anybody else's, and one too many, is closed without a
/// word.
async fn accept(listener: &TcpListener, page: &TestPage, clock: Clock, room: &Arc<Semaphore>) {
    let of_site = Arc::new(Semaphore::new(TEST_PAGES_PER_SITE_AT_ONCE));
    loop {
        if let Ok((stream, remote)) = listener.accept().await {
            let client = remote.ip().to_canonical();
            let is_ours = page.clients.iter().any(|prefix| prefix.contains(client));
            let permits =
                (Arc::clone(&of_site).try_acquire_owned(), Arc::clone(room).try_acquire_owned());
            if let (true, (Ok(of_site), Ok(of_tenant))) = (is_ours, permits) {
                let line = line(page, client, clock);
                tokio::spawn(async move {
                    // Who is too slow for it has lost interest.
                    let _ = timeout(PATIENCE, answer(stream, &line)).await;
                    drop((of_site, of_tenant));
                });
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn line(page: &TestPage, client: IpAddr, clock: Clock) -> String {
    let link = if page.is_on_vlan { "VLAN" } else { "tunnel" };
    let (site, now) = (&page.site, clock.now().wall);
    format!("Lockgate: the {link} works. Site {site}, you are {client}, {now}\n")
}

/// Reads a request's head (RFC 9112 §2.1) and answers it.
async fn answer(mut stream: TcpStream, line: &str) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(TEST_PAGE_REQUEST_BYTES);
    let is_whole = |head: &[u8]| head.windows(4).any(|end| end == b"\r\n\r\n");
    while !is_whole(&head) && head.len() < TEST_PAGE_REQUEST_BYTES {
        let room = TEST_PAGE_REQUEST_BYTES - head.len();
        if (&mut stream).take(room as u64).read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let answer = answer_to(&head, is_whole(&head), line);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The answer to a request that begins with `head`.
fn answer_to(head: &[u8], is_whole: bool, line: &str) -> String {
    let method = head.split(|byte| *byte == b' ').next().unwrap_or_default();
    let (status, more, body) = match method {
        _ if !is_whole => ("431 Request Header Fields Too Large", "", ""),
        b"GET" => ("200 OK", "", line),
        b"HEAD" => ("200 OK", "", ""),
        _ => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", ""),
    };
    let length = if method == b"HEAD" { line.len() } else { body.len() };
    format!(
        "HTTP/1.1 {status}\r\n{more}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
    )
}
