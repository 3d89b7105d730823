//! The change of the gateway's own key for a tenant.

use super::random;
use super::rotation::{RetireArguments, handshake, running};
use crate::cli::args::Directories;
use crate::cli::terminal;
use crate::cli::verdict::{Failure, Verdict};
use crate::daemon::key_rotation::{self, Rotated};
use crate::daemon::keys;
use crate::model::BackendReason;
use crate::net::{PublicKey, TenantName};
use crate::status::{AttachmentKind, Backend, SiteSnapshot, Snapshot, TenantSnapshot};
use anyhow::{Context, anyhow};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How long a running gateway may take to take up other keys before that is said.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn rotate(name: &TenantName, directories: &Directories) -> Result<Verdict, Failure> {
    let snapshot = running(directories)?;
    let tenant = snapshot.as_ref().and_then(|snapshot| snapshot.tenant(name));
    if let Some(tenant) = tenant {
        check(tenant, directories)?;
    }
    let state = &directories.state_dir;
    let rotated = key_rotation::rotate(state, name, random()?).map_err(anyhow::Error::new)?;
    let Rotated { current, next, was_there } = rotated;
    let made = if was_there { "was made before" } else { "is made" };
    let path = keys::next_path(state, name);
    terminal::print(&format!(
        "The next key of {name} {made}: {}\n  now   {current}\n  next  {next}\n",
        path.display()
    ))?;
    let is_taken_up = match tenant {
        Some(_) => wait(name, directories, |tenant| tenant.next_public_key == Some(next))?,
        None => true,
    };
    if tenant.is_some_and(|tenant| tenant.backend == Backend::Kernel) && is_taken_up {
        terminal::print(
            "The kernel's WireGuard, which carried this tenant's tunnels, has one private key: until\n\
             the old one is retired Lockgate's own carries them. Each shakes hands anew, now and then again.\n",
        )?;
    }
    terminal::print(match (tenant.is_some(), is_taken_up) {
        (true, true) => "Both are good from now on.\n",
        (true, false) => {
            "The running gateway has not taken it up yet: see its log, or send SIGHUP.\n"
        }
        (false, _) => {
            "No gateway that runs here serves this tenant; both are good when one does.\n"
        }
    })?;
    terminal::print(&format!(
        "\nEach customer changes over in its own time: it replaces the gateway's public key by the\n\
         next one, and nothing else (`lockgate customer-config SITE` prints it from now on).\n\
         Then `lockgate keys retire {name}`, which names the sites that have not, if there are any.\n"
    ))?;
    Ok(Verdict::finding_if(!is_taken_up))
}

/// Whether the tenant's key is one that can be rotated here.
fn check(tenant: &TenantSnapshot, directories: &Directories) -> anyhow::Result<()> {
    let name = &tenant.name;
    if tenant.backend == Backend::Kernel
        && tenant.backend_reason == BackendReason::Asked.to_string()
    {
        return Err(anyhow!(
            "the documents want the kernel's WireGuard for {name}, which has one private key for a \
             tenant: set `backend: Auto` or `Userspace` in its TenantGateway, or its class, for as \
             long as customers change over"
        ));
    }
    let path = keys::path(&directories.state_dir, name);
    let kept = keys::load(&path)?.map(|key| key.public());
    if kept != tenant.public_key {
        return Err(anyhow!(
            "the key of {name} is not the one in {}: it comes from a Secret. Put the next one into \
             a Secret too, and name that in nextPrivateKeySecretRef of its TenantGateway",
            path.display()
        ));
    }
    Ok(())
}

pub(super) fn retire(
    arguments: &RetireArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let (name, state) = (&arguments.tenant, &directories.state_dir);
    let next = keys::load(&keys::next_path(state, name)).map_err(anyhow::Error::new)?;
    let Some(next) = next.map(|next| next.public()) else {
        terminal::print(&format!("{name} has no next key: there is nothing to retire.\n"))?;
        return Ok(Verdict::Good);
    };
    let snapshot = running(directories)?;
    let tenant = snapshot.as_ref().and_then(|it| Some((it, it.tenant(name)?)));
    let left = match tenant {
        Some((snapshot, tenant)) => left(snapshot, tenant, next),
        None => {
            "  no gateway that runs here serves it: nobody knows which sites use it\n".to_owned()
        }
    };
    if !left.is_empty() && !arguments.force {
        terminal::print(&format!(
            "The old key of {name} is not retired, for it is still needed:\n{left}\
             Nothing has changed. --force does it all the same, and cuts off who has not changed over.\n"
        ))?;
        return Ok(Verdict::Finding);
    }
    let retired = key_rotation::retire(state, name).map_err(anyhow::Error::new)?;
    let Rotated { current, next, .. } = retired.context("somebody else retires this key")?;
    let kept = key_rotation::retired_path(state, name);
    terminal::print(&format!(
        "The old key of {name} is retired:\n  was  {current}\n  now  {next}\n\
         It is kept as {}, for nobody's use: delete it when you are sure.\n",
        kept.display()
    ))?;
    let is_taken_up = tenant.is_none()
        || wait(name, directories, |it| {
            it.public_key == Some(next) && it.next_public_key.is_none()
        })?;
    if !is_taken_up {
        terminal::print(
            "The running gateway has not taken note yet: see its log, or send SIGHUP.\n",
        )?;
    }
    Ok(Verdict::finding_if(!is_taken_up))
}

/// Who would be cut off, a line each.
fn left(snapshot: &Snapshot, tenant: &TenantSnapshot, next: PublicKey) -> String {
    if tenant.next_public_key != Some(next) {
        return "  the running gateway has not taken up the next key\n".to_owned();
    }
    let mut out = String::new();
    let is_left = |site: &&SiteSnapshot| {
        site.kind == AttachmentKind::WireGuard && site.gateway_public_key != Some(next)
    };
    for site in tenant.sites.iter().filter(is_left) {
        let what = match site.gateway_public_key {
            Some(_) => "uses the old key",
            None => "may have the old key",
        };
        let _ = writeln!(out, "  site {} {what}, {}", site.name, handshake(snapshot, site));
    }
    out
}

/// Waits until the running gateway is as `is_so` says; whether it came to be.
#[allow(clippy::disallowed_methods, reason = "a person waits for this, and nothing else does")]
fn wait(
    name: &TenantName,
    directories: &Directories,
    is_so: impl Fn(&TenantSnapshot) -> bool,
) -> Result<bool, Failure> {
    let until = Instant::now() + TAKEN_UP_WITHIN;
    loop {
        let snapshot = running(directories)?;
        if snapshot.is_some_and(|it| it.tenant(name).is_some_and(&is_so)) {
            return Ok(true);
        }
        if until <= Instant::now() {
            return Ok(false);
        }
        std::thread::sleep(ASK_EVERY);
    }
}
