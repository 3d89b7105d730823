//! What this process may do and this machine has, asked before anything is
//! tried, so that what is missing is said at once and all of it.

use crate::model::Placement;
use rustix::thread::CapabilitySet;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is missing, with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Nothing can be changed in any namespace.
    #[error("CAP_NET_ADMIN is missing: run as root, or give the process that capability")]
    NetAdmin,
    /// No namespace can be made or entered.
    #[error("CAP_SYS_ADMIN is missing: run as root, or use `--netns current`, which does without")]
    SysAdmin,
    /// There is no TUN driver, or the container has no such device.
    #[error("/dev/net/tun is missing: `modprobe tun`, or give the container that device")]
    Tun,
    /// The rules cannot be set.
    #[error("the program `nft` is missing: install the package nftables")]
    Nft,
    /// `nft` is there but cannot be run, or the kernel answers nothing to it.
    #[error("`nft list tables` fails: the kernel may have no nf_tables support")]
    NfTables,
}

/// All that is missing to serve tenants placed so.
pub fn missing(placement: Placement) -> Vec<Missing> {
    let sets = rustix::thread::capabilities(None);
    let has = |one| sets.as_ref().is_ok_and(|sets| sets.effective.contains(one));
    let mut missing = Vec::new();
    if !has(CapabilitySet::NET_ADMIN) {
        missing.push(Missing::NetAdmin);
    }
    if placement == Placement::PerTenant && !has(CapabilitySet::SYS_ADMIN) {
        missing.push(Missing::SysAdmin);
    }
    if !Path::new("/dev/net/tun").exists() {
        missing.push(Missing::Tun);
    }
    let mut nft = Command::new("nft");
    nft.args(["list", "tables"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match nft.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(Missing::Nft),
        Err(_) => missing.push(Missing::NfTables),
        // Without the capability it fails for that reason, which is said already.
        Ok(status) if !status.success() && has(CapabilitySet::NET_ADMIN) => {
            missing.push(Missing::NfTables);
        }
        Ok(_) => {}
    }
    missing
}
