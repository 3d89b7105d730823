//! One packet thread: it waits for its tenants' descriptors, lets each do a
//! bounded piece of work in turn, and wakes them when they are due.
//!
//! It owns its tenants outright. Readiness is level-triggered: who has more to
//! do than its share comes again in the next round, after all the others.

use super::buffer::Buffers;
use super::command::Command;
use super::deadline::Deadlines;
use super::tenant::{Tenant, TunLost};
use super::{DatapathError, Event, TenantSample, clock};
use crate::net::{Now, TenantName};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

/// Descriptors looked at in one round.
const EVENTS: usize = 64;

/// What is ready, in the low bits of an event's number; the slot is above them.
const TUN: u64 = 0;
const UDP: u64 = 1;
const BELL: u64 = 2;

/// One packet thread and all it owns.
pub(super) struct Thread {
    index: usize,
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    commands: Receiver<Command>,
    events: SyncSender<Event>,
    tenants: Vec<Option<Box<Tenant>>>,
    slots: BTreeMap<TenantName, usize>,
    deadlines: Deadlines,
}

impl Thread {
    /// A thread without tenants, woken by `bell` when there are `commands`.
    pub(super) fn new(
        index: usize,
        bell: Arc<OwnedFd>,
        commands: Receiver<Command>,
        events: SyncSender<Event>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*bell, EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Self {
            index,
            epoll,
            bell,
            commands,
            events,
            tenants: Vec::new(),
            slots: BTreeMap::new(),
            deadlines: Deadlines::default(),
        })
    }

    /// Moves packets until told to stop, or until nobody can tell it anything;
    /// false when it can go on no more before that.
    pub(super) fn run(mut self) -> bool {
        let mut buffers = Buffers::new();
        let mut ready = Vec::with_capacity(EVENTS);
        let mut now = clock::now();
        loop {
            let timeout = self.deadlines.next().map(|at| timespec(at.since(now.mono)));
            ready.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut ready),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(thread = self.index, %error, "packet thread cannot wait");
                    return false;
                }
            }
            now = clock::now();
            let mut called = false;
            for event in &ready {
                let number = event.data.u64();
                match number & 3 {
                    BELL => called = true,
                    kind => self.work((number >> 2) as usize, kind, &mut buffers, now),
                }
            }
            while let Some(slot) = self.deadlines.pop_due(now.mono) {
                if let Some(Some(tenant)) = self.tenants.get_mut(slot) {
                    tenant.handle_timeout(&mut buffers, now);
                    self.deadlines.arm(slot, tenant.poll_timeout());
                }
            }
            // Last, for a command may put another tenant into a slot that an
            // event of this round was for.
            if called && !self.obey(&mut buffers, now) {
                return true;
            }
        }
    }

    fn work(&mut self, slot: usize, kind: u64, buffers: &mut Buffers, now: Now) {
        let Some(Some(tenant)) = self.tenants.get_mut(slot) else { return };
        let gso = tenant.gso();
        let result = match kind {
            TUN => tenant.handle_tun(buffers, now),
            _ => tenant.handle_udp(buffers, now),
        };
        self.deadlines.arm(slot, tenant.poll_timeout());
        if gso && !tenant.gso() {
            let _ = self.events.try_send(Event::UdpGsoOff { tenant: tenant.name().clone() });
        }
        let Err(TunLost(error)) = result else { return };
        if tenant.lose_tun() {
            let _ = epoll::delete(&self.epoll, tenant.tun());
            let tenant = tenant.name().clone();
            let _ = self.events.try_send(Event::TunLost { tenant, error });
        }
    }

    /// Obeys what is asked; false is the end.
    fn obey(&mut self, buffers: &mut Buffers, now: Now) -> bool {
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
                Ok(Command::BreakOff) => std::panic::resume_unwind(Box::new("told to")),
                Ok(Command::Attach { tenant, reply }) => {
                    let _ = reply.send(self.attach(tenant, buffers, now));
                }
                Ok(Command::Configure { tenant, config, reply }) => {
                    let result = match self.find(&tenant) {
                        Some((slot, found)) => {
                            let result = found.configure(*config, buffers, now);
                            let due = found.poll_timeout();
                            self.deadlines.arm(slot, due);
                            self.watch_again(slot, result)
                        }
                        None => Err(DatapathError::NotAttached(tenant)),
                    };
                    let _ = reply.send(result);
                }
                Ok(Command::Detach { tenant, reply }) => {
                    let _ = reply.send(self.detach(&tenant));
                }
                Ok(Command::Sample { tenants, reply }) => {
                    let _ = reply.send(self.sample(tenants, now));
                    buffers.give_back();
                }
            }
        }
    }

    fn find(&mut self, name: &TenantName) -> Option<(usize, &mut Tenant)> {
        let slot = *self.slots.get(name)?;
        Some((slot, self.tenants.get_mut(slot)?.as_deref_mut()?))
    }

    fn attach(
        &mut self,
        mut tenant: Box<Tenant>,
        buffers: &mut Buffers,
        now: Now,
    ) -> Result<u16, DatapathError> {
        let name = tenant.name().clone();
        if self.slots.contains_key(&name) {
            return Err(DatapathError::Attached(name));
        }
        // Here and not where the tenant was made: this thread has never left the
        // underlay.
        tenant.listen()?;
        let slot = match self.tenants.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                self.tenants.push(None);
                self.tenants.len() - 1
            }
        };
        let watch = |fd: BorrowedFd<'_>, kind| {
            let number = EventData::new_u64((slot as u64) << 2 | kind);
            epoll::add(&self.epoll, fd, number, EventFlags::IN)
                .map_err(|error| DatapathError::Watch { tenant: name.clone(), error: error.into() })
        };
        watch(tenant.tun(), TUN)?;
        if let Some(udp) = tenant.udp() {
            watch(udp, UDP)?;
        }
        tenant.finish(buffers, now);
        self.deadlines.arm(slot, tenant.poll_timeout());
        let port = tenant.port();
        self.slots.insert(name, slot);
        if let Some(place) = self.tenants.get_mut(slot) {
            *place = Some(tenant);
        }
        Ok(port)
    }

    /// Waits for the socket of `slot`, when configuring brought another one.
    fn watch_again(
        &self,
        slot: usize,
        result: Result<bool, DatapathError>,
    ) -> Result<u16, DatapathError> {
        let moved = result?;
        let Some(Some(tenant)) = self.tenants.get(slot) else { return Ok(0) };
        if let (true, Some(udp)) = (moved, tenant.udp()) {
            // The one before left the set when it was closed.
            let number = EventData::new_u64((slot as u64) << 2 | UDP);
            epoll::add(&self.epoll, udp, number, EventFlags::IN).map_err(|error| {
                DatapathError::Watch { tenant: tenant.name().clone(), error: error.into() }
            })?;
        }
        Ok(tenant.port())
    }

    fn detach(&mut self, name: &TenantName) -> Option<Box<Tenant>> {
        let slot = self.slots.remove(name)?;
        self.deadlines.disarm(slot);
        let tenant = self.tenants.get_mut(slot)?.take()?;
        let _ = epoll::delete(&self.epoll, tenant.tun());
        if let Some(udp) = tenant.udp() {
            let _ = epoll::delete(&self.epoll, udp);
        }
        Some(tenant)
    }

    fn sample(&self, tenants: Vec<TenantName>, now: Now) -> Vec<(TenantName, TenantSample)> {
        let sample = |name: TenantName| {
            let tenant = self.tenants.get(*self.slots.get(&name)?)?.as_ref()?;
            let mut sample = tenant.sample(now);
            sample.path.thread = self.index;
            Some((name, sample))
        };
        tenants.into_iter().filter_map(sample).collect()
    }
}

fn timespec(duration: std::time::Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
