//! Who must be looked at again: the kernel tells of changes to links,
//! addresses, routes and rules, and we remember only whose they were.
//!
//! One thread waits for all namespaces, with two sockets in each. What a
//! message says is not read: whatever it was, the namespace is observed again,
//! so nothing is lost when messages are. A tenant that is already remembered
//! is not remembered twice, so the memory is bounded by the number of tenants.
//! Our own changes are told as well; looking then finds nothing to do.

use crate::net::TenantName;
use netlink_sys::{Socket, protocols};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use tokio::sync::Notify;

// <linux/rtnetlink.h>, <linux/netfilter/nfnetlink.h>
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const NFNLGRP_NFTABLES: u32 = 7;

/// Messages thrown away in one go before the other sockets have their turn.
const DRAIN: usize = 256;

/// What woke the thread, besides the sockets, which are numbered from [`FIRST`].
const STOP: u64 = 0;
const NAMES: u64 = 1;
const FIRST: u64 = 2;

/// Whose namespace may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dirty {
    /// The underlay's links or addresses.
    Underlay,
    /// A tenant's namespace, or its name in `/run/netns`.
    Tenant(TenantName),
}

/// Says whose namespace may have changed. The watching ends with it.
#[derive(Debug)]
pub struct Watch(Arc<Watcher>);

impl Watch {
    /// Waits for the next one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Dirty {
        loop {
            let dirty = self.0.state().dirty.pop_first();
            if let Some(dirty) = dirty {
                return dirty;
            }
            self.0.told.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
        // A counter that cannot take one more wakes the thread as well.
        let _ = rustix::io::write(&self.0.stop, &1_u64.to_ne_bytes());
    }
}

/// The thread's side, and the door by which namespaces come and go.
#[derive(Debug)]
pub(super) struct Watcher {
    epoll: OwnedFd,
    stop: OwnedFd,
    stopped: AtomicBool,
    told: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    dirty: BTreeSet<Dirty>,
    /// Open sockets by number. They keep their namespace alive.
    sockets: BTreeMap<u64, (Dirty, Socket)>,
    /// The namespace each tenant's sockets are in.
    tenants: BTreeMap<TenantName, u64>,
    next: u64,
}

impl Watcher {
    /// Begins to watch the calling thread's namespace as the underlay.
    pub(super) fn start() -> io::Result<(Arc<Self>, Watch)> {
        let watcher = Arc::new(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stopped: AtomicBool::new(false),
            told: Notify::new(),
            state: Mutex::new(State { next: FIRST, ..State::default() }),
        });
        let readable = epoll::EventFlags::IN;
        epoll::add(&watcher.epoll, &watcher.stop, epoll::EventData::new_u64(STOP), readable)?;
        let groups = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];
        watcher.add(Dirty::Underlay, listen(protocols::NETLINK_ROUTE, &groups)?)?;
        let names = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let seen = Arc::clone(&watcher);
        thread::Builder::new().name("netns-watch".to_owned()).spawn(move || seen.wait(&names))?;
        Ok((Arc::clone(&watcher), Watch(watcher)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant's namespace with this number is watched already.
    pub(super) fn knows(&self, tenant: &TenantName, cookie: u64) -> bool {
        self.state().tenants.get(tenant) == Some(&cookie)
    }

    /// Watches the calling thread's namespace, whose number is `cookie`, as the tenant's.
    pub(super) fn watch(&self, tenant: &TenantName, cookie: u64) -> io::Result<()> {
        self.forget(tenant);
        let groups = [
            RTNLGRP_LINK,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV6_ROUTE,
        ];
        let route = listen(protocols::NETLINK_ROUTE, &groups)?;
        let netfilter = listen(protocols::NETLINK_NETFILTER, &[NFNLGRP_NFTABLES])?;
        self.add(Dirty::Tenant(tenant.clone()), route)?;
        self.add(Dirty::Tenant(tenant.clone()), netfilter)?;
        self.state().tenants.insert(tenant.clone(), cookie);
        Ok(())
    }

    /// Closes the tenant's sockets, so that its namespace can go.
    pub(super) fn forget(&self, tenant: &TenantName) {
        let mut state = self.state();
        state.tenants.remove(tenant);
        state.sockets.retain(|_, (whose, _)| !matches!(whose, Dirty::Tenant(one) if one == tenant));
    }

    fn add(&self, whose: Dirty, socket: Socket) -> io::Result<()> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        state.sockets.insert(number, (whose, socket));
        Ok(())
    }

    fn tell(&self, dirty: Dirty) {
        if self.state().dirty.insert(dirty) {
            self.told.notify_one();
        }
    }

    fn wait(&self, names: &OwnedFd) {
        let mut names_watched = self.watch_names(names);
        let mut events = Vec::with_capacity(64);
        while !self.stopped.load(Ordering::Relaxed) {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel is no longer watched");
                    return;
                }
            }
            // `/run/netns` may come with the first namespace.
            names_watched = names_watched || self.watch_names(names);
            for event in &events {
                match event.data.u64() {
                    STOP => return,
                    NAMES => self.read_names(names),
                    number => self.drain(number),
                }
            }
        }
    }

    fn watch_names(&self, names: &OwnedFd) -> bool {
        let changes = inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
        let data = epoll::EventData::new_u64(NAMES);
        inotify::add_watch(names, super::netns::DIRECTORY, changes).is_ok()
            && epoll::add(&self.epoll, names, data, epoll::EventFlags::IN).is_ok()
    }

    fn read_names(&self, names: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(names, &mut buffer);
        while let Ok(event) = reader.next() {
            let name = event.file_name().and_then(|name| name.to_str().ok());
            if let Some(tenant) = name.and_then(TenantName::from_netns) {
                self.tell(Dirty::Tenant(tenant));
            }
        }
    }

    fn drain(&self, number: u64) {
        let whose = {
            let state = self.state();
            // Gone meanwhile, and its namespace with it.
            let Some((whose, socket)) = state.sockets.get(&number) else { return };
            let mut buffer = Vec::with_capacity(64);
            for _ in 0..DRAIN {
                buffer.clear();
                // There are no more, or some were lost (ENOBUFS); that there were some is
                // all we want to know.
                if socket.recv(&mut buffer, libc::MSG_TRUNC).is_err() {
                    break;
                }
            }
            whose.clone()
        };
        self.tell(whose);
    }
}

fn listen(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}
