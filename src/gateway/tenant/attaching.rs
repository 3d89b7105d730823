//! When a tenant's device is attached, changed and let go: one thing at a time, behind
//! the rules that guard its link, and again a little later when it fails.

use super::{Phase, TenantMachine};
use crate::gateway::Output;
use crate::model::Backend;
use crate::net::{ManagedName, Now};
use crate::reconcile::{Device, LinkKind, Namespace};
use crate::status::EventReason;
use crate::wireguard::DeviceConfig;
use std::time::Duration;

/// How soon a device that failed is tried again.
const DEVICE_RETRY: Duration = Duration::from_millis(500);

/// The tenant's device in the datapath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DevicePhase {
    Absent,
    /// Being attached or configured. One thing is under way at a time, so that
    /// no older config can overtake a newer one.
    Attaching(DeviceConfig),
    Attached(DeviceConfig),
    Detaching,
}

impl TenantMachine {
    /// Takes what its device is to be; `None` takes the device away.
    pub(in crate::gateway) fn handle_device(&mut self, config: Option<DeviceConfig>, now: Now) {
        if self.device_wanted != config {
            self.device_wanted = config;
            self.device_retry_at = None;
        }
        self.advance(now);
    }

    /// Takes what became of attaching or configuring its device.
    pub(in crate::gateway) fn handle_attached(&mut self, result: Result<(), String>, now: Now) {
        match (result, &self.device) {
            (Ok(()), DevicePhase::Attaching(config)) => {
                self.device = DevicePhase::Attached(config.clone());
                self.carrying = true;
                self.device_failure = None;
                self.device_retry_at = None;
            }
            (Ok(()), DevicePhase::Absent | DevicePhase::Attached(_) | DevicePhase::Detaching) => {}
            (Err(error), _) => self.handle_device_failure(error, now),
        }
        self.advance(now);
    }

    /// Takes notice that its device stopped, as when its TUN went away.
    pub(in crate::gateway) fn handle_device_failure(&mut self, error: String, now: Now) {
        if self.device_failure.as_ref() != Some(&error) {
            self.history.push(EventReason::StepFailed, None, error.clone(), now.wall);
        }
        self.device_failure = Some(error);
        self.device_retry_at = Some(now.mono + DEVICE_RETRY);
        // Whatever is left of it goes before it is tried again.
        if !matches!(self.device, DevicePhase::Absent | DevicePhase::Detaching) {
            self.device = DevicePhase::Detaching;
            self.carrying = false;
            self.outputs.push_back(Output::Detach(self.name.clone()));
        }
        self.dirty = true;
        self.advance(now);
    }

    /// Takes notice that its device is gone, as was asked.
    pub(in crate::gateway) fn handle_detached(&mut self, now: Now) {
        self.device = DevicePhase::Absent;
        self.carrying = false;
        self.dirty = true;
        self.advance(now);
    }

    /// Whether its device has to stop before anything else is done: nobody wants
    /// it, or another backend is to have it, for which its link is made anew.
    pub(super) fn is_device_to_go(&self) -> bool {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.tenant.backend.backend);
        self.device != DevicePhase::Absent && wanted != Some(self.carrier)
    }

    /// Whether its device is in another place than what was `observed`: somebody removed the
    /// namespace under it, which it keeps alive, and carries nothing any more. The kernel's
    /// device goes with its namespace.
    pub(in crate::gateway) fn is_device_stranded(&self, observed: Option<&Namespace>) -> bool {
        let name = Device::Managed(ManagedName::wireguard());
        let is_here = observed.is_some_and(|it| it.links.contains_key(&name));
        let is_there = !matches!(self.device, DevicePhase::Absent | DevicePhase::Detaching);
        self.phase == Phase::Observing && self.carrier == Backend::Userspace && is_there && !is_here
    }

    /// Whether it is about to leave a namespace that somebody removed: until then that one is
    /// there, with links whose names those to be made are to have.
    pub(super) fn is_device_in_the_way(&self) -> bool {
        self.device == DevicePhase::Detaching && self.observed.is_none()
    }

    pub(super) fn advance_device(&mut self, now: Now) {
        let wanted = self.device_wanted.as_ref().filter(|_| !self.is_device_to_go());
        let backend = self.wanted.as_ref().map(|wanted| wanted.tenant.backend.backend);
        match (&self.device, wanted.filter(|_| backend.is_some())) {
            (DevicePhase::Absent, Some(config)) => {
                let waiting = self.device_retry_at.is_some_and(|at| now.mono < at);
                let carrier = backend.unwrap_or_default();
                if self.has_link(carrier) && !waiting {
                    let (name, config) = (self.name.clone(), config.clone());
                    self.device = DevicePhase::Attaching(config.clone());
                    self.outputs.push_back(Output::Attach(name, carrier, config));
                    self.carrier = carrier;
                }
            }
            (DevicePhase::Attached(old), Some(config)) if old != config => {
                self.outputs.push_back(Output::Configure(self.name.clone(), config.clone()));
                self.device = DevicePhase::Attaching(config.clone());
            }
            (DevicePhase::Attached(_), None) => {
                self.outputs.push_back(Output::Detach(self.name.clone()));
                self.device = DevicePhase::Detaching;
            }
            (DevicePhase::Absent | DevicePhase::Attaching(_) | DevicePhase::Detaching, _)
            | (DevicePhase::Attached(_), Some(_)) => {}
        }
    }

    /// Whether the link for its device is there, behind the very rules that are to
    /// guard it.
    fn has_link(&self, carrier: Backend) -> bool {
        let Some(observed) = &self.observed else { return false };
        let link = observed.links.get(&Device::Managed(ManagedName::wireguard()));
        let kind = match carrier {
            Backend::Userspace => LinkKind::Tun,
            Backend::Kernel => LinkKind::WireGuard,
        };
        self.rules_hold && link.is_some_and(|link| link.kind == kind)
    }
}
