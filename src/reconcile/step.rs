//! The smallest things we ask of the kernel, and lists of them.

use super::{Device, LinkKind, Route, RouteKey, Ruleset, Scope, Sysctl};
use crate::net::{InterfaceAddress, LinkName, ManagedName, Mtu, TenantName};
use std::collections::BTreeMap;
use std::fmt;

/// One kernel call, in the tenant's namespace unless it says otherwise.
///
/// Each may be repeated without harm: what is already so, or already gone, is
/// done and no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the namespace and its name.
    CreateNetns,
    /// Removes the namespace and all of ours in it.
    DeleteNetns,
    /// Puts this table in the place of whatever table of our name there is, in
    /// one transaction. Counters that were there go on counting.
    ReplaceRuleset(Box<Ruleset>),
    /// Removes the table.
    DeleteRuleset,
    /// Brings the loopback up.
    SetLoopbackUp,
    /// Makes a link, down, with its alias: a persistent TUN, a WireGuard device
    /// whose datagrams leave by the underlay, a VLAN, or a veth pair, whose other
    /// end is made in the underlay by the same call.
    CreateLink(ManagedName, LinkKind),
    /// Removes the link, and in the kernel its addresses and routes with it.
    DeleteLink(ManagedName),
    /// Moves a link in from the underlay and gives it our alias, in one call.
    /// One that is already here only gets the alias.
    TakeLink(LinkName),
    /// Moves a link back to the underlay and clears its alias, in one call.
    ReturnLink(LinkName),
    /// Writes a setting.
    SetSysctl(Sysctl, i32),
    /// Sets a link's MTU.
    SetMtu(Device, Mtu),
    /// Sets a link up.
    SetUp(Device),
    /// Adds an address (without duplicate address detection: `IFA_F_NODAD`).
    AddAddress(Device, InterfaceAddress),
    /// Removes an address.
    RemoveAddress(Device, InterfaceAddress),
    /// Makes the route or, in one call, puts it in the place of the one with the
    /// same key (`NLM_F_REPLACE | NLM_F_CREATE`).
    ReplaceRoute(RouteKey, Route),
    /// Removes the route.
    RemoveRoute(RouteKey),
}

impl Step {
    /// The link it is about, when it is about one.
    pub fn device(&self) -> Option<Device> {
        match self {
            Self::CreateLink(name, _) | Self::DeleteLink(name) => {
                Some(Device::Managed(name.clone()))
            }
            Self::TakeLink(name) | Self::ReturnLink(name) => Some(Device::Foreign(name.clone())),
            Self::SetMtu(device, _)
            | Self::SetUp(device)
            | Self::AddAddress(device, _)
            | Self::RemoveAddress(device, _) => Some(device.clone()),
            Self::SetSysctl(sysctl, _) => match &sysctl.scope {
                Scope::Link(device) => Some(device.clone()),
                Scope::All | Scope::Default => None,
            },
            Self::ReplaceRoute(_, route) => route.device().cloned(),
            Self::CreateNetns
            | Self::DeleteNetns
            | Self::ReplaceRuleset(_)
            | Self::DeleteRuleset
            | Self::SetLoopbackUp
            | Self::RemoveRoute(_) => None,
        }
    }
}

/// A step that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// The link it is about. When that could not be made, taken or guarded, other
    /// steps about it were not tried; all others were, unless this one is about none.
    pub device: Option<Device>,
    /// The step and why, for a person.
    pub message: String,
}

/// What to do, in order, for each tenant that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps by tenant. A tenant that is in order is absent.
    pub tenants: BTreeMap<TenantName, Vec<Step>>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tenant, steps) in &self.tenants {
            writeln!(f, "netns {tenant}")?;
            for step in steps {
                writeln!(f, "  {step}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    /// `+` makes, `-` removes, `~` changes or puts in another's place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetns => f.write_str("+ netns"),
            Self::DeleteNetns => f.write_str("- netns"),
            Self::ReplaceRuleset(_) => f.write_str("~ ruleset"),
            Self::DeleteRuleset => f.write_str("- ruleset"),
            Self::SetLoopbackUp => f.write_str("~ loopback up"),
            Self::CreateLink(name, kind) => write!(f, "+ link {name} {kind}"),
            Self::DeleteLink(name) => write!(f, "- link {name}"),
            Self::TakeLink(name) => write!(f, "+ link {name} moved"),
            Self::ReturnLink(name) => write!(f, "- link {name} moved"),
            Self::SetSysctl(sysctl, value) => write!(f, "~ sysctl {sysctl} = {value}"),
            Self::SetMtu(device, mtu) => write!(f, "~ link {device} mtu {mtu}"),
            Self::SetUp(device) => write!(f, "~ link {device} up"),
            Self::AddAddress(device, address) => write!(f, "+ address {device} {address}"),
            Self::RemoveAddress(device, address) => write!(f, "- address {device} {address}"),
            Self::ReplaceRoute(key, route) => write!(f, "~ route {key} {route}"),
            Self::RemoveRoute(key) => write!(f, "- route {key}"),
        }
    }
}
