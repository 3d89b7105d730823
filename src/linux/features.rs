//! What this kernel can do, asked without changing anything.
//!
//! Asking the kernel itself is best, for it loads a module on the way; where
//! that is not allowed, the modules that are loaded and those that could be
//! are looked at.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::nft;
use super::rtnl;
use super::wireguard;
use crate::model::{Ability, KernelFeatures};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What the kernel can do, as far as this process may find out.
pub fn features() -> KernelFeatures {
    let asked = Netlink::route().and_then(|mut route| rtnl::knows_vlan(&mut route));
    let vlan = known(asked);
    // Anybody may ask for a family and have its module loaded. That is for who
    // may make links; from others nothing on this machine changes.
    let wireguard = vlan.and_then(|_| {
        let family = Netlink::generic().and_then(|mut generic| wireguard::family(&mut generic));
        known(family.map(|family| family.is_some()))
    });
    KernelFeatures {
        vlan: vlan.unwrap_or_else(|| module("8021q")),
        wireguard: wireguard.unwrap_or_else(|| module("wireguard")),
        ipip: ipip(),
        arp: arp(),
    }
}

/// Whether there may be rules about ARP. It stays as it is while the kernel runs, and
/// costs a process to find out.
fn arp() -> Ability {
    static KNOWN: OnceLock<Ability> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return *known;
    }
    let found = nft::takes_arp();
    if found != Ability::Unknown {
        KNOWN.get_or_init(|| found);
    }
    found
}

/// Whether there is IPIP. Asked for, it would put a link of its own into every namespace,
/// and what could be loaded is a long list that stays as it is.
fn ipip() -> Ability {
    static LISTED: OnceLock<Ability> = OnceLock::new();
    if is_loaded("ipip") { Ability::Present } else { *LISTED.get_or_init(|| module("ipip")) }
}

fn known(asked: Result<bool, NetlinkError>) -> Option<Ability> {
    match asked {
        Ok(true) => Some(Ability::Present),
        Ok(false) => Some(Ability::Missing),
        Err(_) => None,
    }
}

fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

/// Whether there is a module of that name: loaded, built in, or to be loaded.
fn module(name: &str) -> Ability {
    if is_loaded(name) {
        return Ability::Present;
    }
    let release = rustix::system::uname();
    let Ok(release) = release.release().to_str() else { return Ability::Unknown };
    let directory = Path::new("/lib/modules").join(release);
    let file = format!("/{name}.ko");
    let lists = |list: &str| {
        let listed = fs::read_to_string(directory.join(list)).ok()?;
        // `modules.dep` has a colon and what is needed first after each.
        let names = listed.lines().map(|line| line.split(':').next().unwrap_or_default());
        Some(names.into_iter().any(|path| path.contains(&file)))
    };
    match (lists("modules.builtin"), lists("modules.dep")) {
        (Some(true), _) | (_, Some(true)) => Ability::Present,
        (Some(false), Some(false)) => Ability::Missing,
        // A container that has not been given its host's modules.
        (_, _) => Ability::Unknown,
    }
}
