//! The control plane's side of the packet threads: start them, give them
//! tenants, ask how they are.
//!
//! Every call here waits for an answer, at most as long as a round of the
//! thread that is asked takes.

use super::command::{COMMANDS, Command};
use super::tenant::Tenant;
use super::thread::Thread;
use super::{Attach, DatapathError, Event, Options, StartError, TenantSample, clock};
use crate::net::TenantName;
use crate::wireguard::{Device, DeviceConfig};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Events that may wait to be taken; more are lost, and each can be seen in the
/// sample of its tenant, too.
const EVENTS: usize = 1_024;

/// Tenants sampled in one command, so that packets wait for a few of them, not
/// for a thousand.
const SAMPLED_AT_ONCE: usize = 32;

/// The running packet threads. Dropping it ends them.
pub struct Datapath {
    threads: Vec<Mutex<Line>>,
    /// Which thread has each tenant. Packets never wait for this lock.
    places: Mutex<BTreeMap<TenantName, usize>>,
    options: Options,
    events: SyncSender<Event>,
}

/// The line to one packet thread.
struct Line {
    bell: Arc<OwnedFd>,
    commands: SyncSender<Command>,
    join: Option<JoinHandle<()>>,
}

impl Datapath {
    /// Starts the threads in the network namespace of the calling thread, the
    /// underlay, which they never leave.
    ///
    /// # Errors
    /// When the system has no descriptors or no threads left.
    pub fn start(options: Options) -> Result<(Self, Receiver<Event>), StartError> {
        let (sender, events) = sync_channel(EVENTS);
        let count = options.threads.map_or_else(|| cores().len().max(1), NonZeroUsize::get);
        let mut datapath = Self {
            threads: Vec::with_capacity(count),
            places: Mutex::default(),
            options,
            events: sender,
        };
        for index in 0..count {
            let line = datapath.start_line(index)?;
            datapath.threads.push(Mutex::new(line));
        }
        Ok((datapath, events))
    }

    fn start_line(&self, index: usize) -> Result<Line, StartError> {
        let cores = cores();
        let core = cores.get(index % cores.len().max(1)).copied().filter(|_| self.options.pin);
        Line::start(index, core, self.events.clone())
    }

    /// Starts a thread again that broke off, in the network namespace of the
    /// calling thread, which must be the underlay; says whose packets it moved.
    /// They are detached now.
    ///
    /// # Errors
    /// When the system has no descriptors or no threads left.
    pub fn restart(&self, thread: usize) -> Result<Vec<TenantName>, StartError> {
        let line = self.start_line(thread)?;
        // Before anybody can be attached to the new one.
        let mut lost = Vec::new();
        self.places().retain(|tenant, place| {
            let stays = *place != thread;
            if !stays {
                lost.push(tenant.clone());
            }
            stays
        });
        if let Some(place) = self.threads.get(thread) {
            *lock(place) = line;
        }
        Ok(lost)
    }

    /// Makes a thread break off as by a defect, to see what becomes of its tenants.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn break_off(&self, thread: usize) -> Result<(), DatapathError> {
        self.tell(thread, Command::BreakOff)
    }

    /// What was chosen.
    pub fn options(&self) -> Options {
        self.options
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Gives a tenant to the thread that has the fewest, and says which UDP port
    /// it listens on.
    ///
    /// # Errors
    /// When the tenant is attached already, its port cannot be had, or its TUN
    /// cannot be waited for. The TUN is closed then.
    pub fn attach(&self, attach: Attach) -> Result<u16, DatapathError> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| DatapathError::Random)?;
        let Attach { tenant: name, tun, config, last_initiation } = attach;
        let thread = self.place(&name)?;
        // Made here: each peer costs a multiplication on the curve, which the
        // packets of others need not wait for.
        let device = Device::new(config, seed, last_initiation, clock::now());
        let result = Tenant::new(name.clone(), tun, device, self.options)
            .and_then(|tenant| {
                let tenant = Box::new(tenant);
                self.ask(thread, |reply| Command::Attach { tenant, reply })
            })
            .and_then(|answer| answer);
        if result.is_err() {
            self.places().remove(&name);
        }
        result
    }

    /// Makes a tenant's device what `config` says, and says which UDP port it
    /// listens on. Peers that stay as they were are not touched.
    ///
    /// # Errors
    /// When the tenant is not attached, or its new port cannot be had; the
    /// device is then as it was.
    pub fn configure(
        &self,
        tenant: &TenantName,
        config: DeviceConfig,
    ) -> Result<u16, DatapathError> {
        let thread = self.thread_of(tenant)?;
        let (tenant, config) = (tenant.clone(), Box::new(config));
        self.ask(thread, |reply| Command::Configure { tenant, config, reply })?
    }

    /// Takes a tenant away: its sessions are forgotten, its port is free, its
    /// TUN is closed when this returns.
    ///
    /// # Errors
    /// When the tenant is not attached.
    pub fn detach(&self, tenant: &TenantName) -> Result<(), DatapathError> {
        let thread = self.thread_of(tenant)?;
        let name = tenant.clone();
        let detached = self.ask(thread, |reply| Command::Detach { tenant: name, reply })?;
        self.places().remove(tenant);
        drop(detached);
        Ok(())
    }

    /// How one tenant is.
    ///
    /// # Errors
    /// When the tenant is not attached.
    pub fn sample(&self, tenant: &TenantName) -> Result<TenantSample, DatapathError> {
        let thread = self.thread_of(tenant)?;
        let tenants = vec![tenant.clone()];
        let mut samples = self.ask(thread, |reply| Command::Sample { tenants, reply })?;
        match samples.pop() {
            Some((_, sample)) => Ok(sample),
            None => Err(DatapathError::NotAttached(tenant.clone())),
        }
    }

    /// How every tenant is.
    ///
    /// # Errors
    /// When a thread has ended.
    pub fn sample_all(&self) -> Result<BTreeMap<TenantName, TenantSample>, DatapathError> {
        let mut of_thread: Vec<Vec<TenantName>> = vec![Vec::new(); self.threads.len()];
        for (tenant, &thread) in &*self.places() {
            if let Some(tenants) = of_thread.get_mut(thread) {
                tenants.push(tenant.clone());
            }
        }
        let mut all = BTreeMap::new();
        for (thread, tenants) in of_thread.iter().enumerate() {
            for some in tenants.chunks(SAMPLED_AT_ONCE) {
                let tenants = some.to_vec();
                all.extend(self.ask(thread, |reply| Command::Sample { tenants, reply })?);
            }
        }
        Ok(all)
    }

    /// Reserves a place for a tenant on the thread that has the fewest.
    fn place(&self, tenant: &TenantName) -> Result<usize, DatapathError> {
        let mut places = self.places();
        if places.contains_key(tenant) {
            return Err(DatapathError::Attached(tenant.clone()));
        }
        let mut load = vec![0_usize; self.threads.len()];
        for &thread in places.values() {
            if let Some(load) = load.get_mut(thread) {
                *load += 1;
            }
        }
        let thread =
            load.iter().enumerate().min_by_key(|&(_, load)| load).map_or(0, |(thread, _)| thread);
        places.insert(tenant.clone(), thread);
        Ok(thread)
    }

    fn thread_of(&self, tenant: &TenantName) -> Result<usize, DatapathError> {
        let place = self.places().get(tenant).copied();
        place.ok_or_else(|| DatapathError::NotAttached(tenant.clone()))
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<TenantName, usize>> {
        lock(&self.places)
    }

    fn ask<T>(
        &self,
        thread: usize,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<T, DatapathError> {
        let (reply, answer) = sync_channel(1);
        self.tell(thread, command(reply))?;
        answer.recv().map_err(|_| DatapathError::ThreadEnded(thread))
    }

    fn tell(&self, thread: usize, command: Command) -> Result<(), DatapathError> {
        let ended = || DatapathError::ThreadEnded(thread);
        let line = self.threads.get(thread).ok_or_else(ended)?;
        // Not while it is held: sending waits when the thread is behind.
        let (commands, bell) = {
            let line = lock(line);
            (line.commands.clone(), Arc::clone(&line.bell))
        };
        commands.send(command).map_err(|_| ended())?;
        ring(&bell);
        Ok(())
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        for thread in 0..self.threads.len() {
            let _ = self.tell(thread, Command::Stop);
        }
        for line in &self.threads {
            let join = lock(line).join.take();
            if let Some(join) = join {
                let _ = join.join();
            }
        }
    }
}

impl Line {
    fn start(
        index: usize,
        core: Option<usize>,
        events: SyncSender<Event>,
    ) -> Result<Self, StartError> {
        let descriptors = |error: io::Error| StartError::Descriptors { thread: index, error };
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| descriptors(error.into()))?;
        let bell = Arc::new(bell);
        let (commands, waiting) = sync_channel(COMMANDS);
        let thread =
            Thread::new(index, bell.clone(), waiting, events.clone()).map_err(descriptors)?;
        let join = std::thread::Builder::new()
            .name(format!("packets-{index}"))
            .spawn(move || {
                if let Some(core) = core {
                    stay_on(core);
                }
                // The panic's own message is in the log already.
                if !catch_unwind(AssertUnwindSafe(|| thread.run())).unwrap_or(false) {
                    let _ = events.send(Event::ThreadLost { thread: index });
                }
            })
            .map_err(|error| StartError::Thread { thread: index, error })?;
        Ok(Self { bell, commands, join: Some(join) })
    }
}

fn ring(bell: &OwnedFd) {
    // Fails only when the counter is full, and then it is ringing already.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// Nothing that can panic is done while one of these is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cores this process may run on.
fn cores() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect(),
        Err(_) => vec![0],
    }
}

fn stay_on(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "packet thread is not pinned");
    }
}
