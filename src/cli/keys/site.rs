//! The change of a customer's key. It stands in the site's document, which is the NOC's:
//! nothing here writes to it, what is printed is to be put there.

use super::rotation::{RetireArguments, RotateArguments, handshake, key, site_of};
use crate::cli::args::Directories;
use crate::cli::verdict::{Failure, Verdict};
use crate::cli::{client, terminal};
use crate::net::{PublicKey, SiteName};
use crate::status::{Backend, KeyRole, SiteSnapshot};
use anyhow::anyhow;

pub(super) fn rotate(
    arguments: &RotateArguments,
    name: &SiteName,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let snapshot = client::ask(&directories.socket())?.snapshot;
    let (tenant, site) = site_of(&snapshot, &arguments.tenant, name)?;
    let current = current(site)?;
    let namespace = arguments.tenant.namespace();
    if let Some(next) = key(site, KeyRole::CustomerNext) {
        if arguments.public_key.is_some_and(|asked| asked != next) {
            Err(anyhow!(
                "site {name} changes over to {next} already; end that first (`lockgate keys retire \
                 {} --site {name}`)",
                arguments.tenant
            ))?;
        }
        let used = if site.public_key == Some(next) { "the next" } else { "the old" };
        terminal::print(&format!(
            "Site {name} changes over already, and uses {used} key, {}.\n  now   {current}\n  next  {next}\n",
            handshake(&snapshot, site)
        ))?;
        return Ok(Verdict::Good);
    }
    if arguments.public_key == Some(current) {
        Err(anyhow!("{current} is the key that site {name} has"))?;
    }
    let next = match arguments.public_key {
        Some(next) => next.to_string(),
        None => "<the customer's next public key>".to_owned(),
    };
    terminal::print(&format!(
        "In the document of SiteAttachment {namespace}/{name}, beside publicKey:\n\n\
         spec:\n  wireGuard:\n    publicKey: {current}\n    nextPublicKey: {next}\n\n\
         Both are good from then on, and the one that shook hands last is served. The customer puts\n\
         the private key that belongs to the next one into its router, and changes nothing else.\n\
         Then `lockgate keys retire {} --site {name}`.\n\n\
         The preshared key, where there is one, stays. For the next key to have another:\n\n    \
         nextPresharedKeySecretRef: {{name: {name}-psk-next, key: psk}}\n",
        arguments.tenant
    ))?;
    if tenant.backend == Backend::Kernel {
        terminal::print(
            "\nThe kernel's WireGuard carries this tenant's tunnels: packets may be lost for up to a\n\
             second when the customer changes over, until its networks are given to the other key.\n\
             Of two preshared keys it has one at a time: a customer that starts anew with the other\n\
             one is connected at its second attempt, after five seconds.\n",
        )?;
    }
    Ok(Verdict::Good)
}

pub(super) fn retire(
    arguments: &RetireArguments,
    name: &SiteName,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let snapshot = client::ask(&directories.socket())?.snapshot;
    let (_, site) = site_of(&snapshot, &arguments.tenant, name)?;
    let current = current(site)?;
    let next = key(site, KeyRole::CustomerNext);
    let handshake = handshake(&snapshot, site);
    let uses_old = match next {
        Some(next) => site.public_key != Some(next) || site.last_handshake_time.is_none(),
        None => site.uses_next_preshared_key == Some(false) || site.last_handshake_time.is_none(),
    };
    if next.is_none() && site.uses_next_preshared_key.is_none() {
        terminal::print(&format!("Site {name} has no next key: there is nothing to retire.\n"))?;
        return Ok(Verdict::Good);
    }
    if uses_old && !arguments.force {
        terminal::print(&format!(
            "Site {name} still uses its old key, {handshake}: leave its document as it is.\n\
             --force prints what to write all the same, which cuts it off.\n"
        ))?;
        return Ok(Verdict::Finding);
    }
    let namespace = arguments.tenant.namespace();
    terminal::print(&match next {
        Some(next) => format!(
            "Site {name} uses its next key, {handshake}. In the document of SiteAttachment \
             {namespace}/{name}\n\n\
             take out\n    publicKey: {current}\n    nextPublicKey: {next}\nand write\n    publicKey: {next}\n\n\
             Where nextPresharedKeySecretRef is there, presharedKeySecretRef becomes what it says.\n\
             The session goes on over it.\n"
        ),
        None => format!(
            "Site {name} uses its next preshared key, {handshake}. In the document of \
             SiteAttachment {namespace}/{name}\npresharedKeySecretRef becomes what \
             nextPresharedKeySecretRef says, and the latter is taken out.\n\
             The session goes on over it.\n"
        ),
    })?;
    Ok(Verdict::Good)
}

fn current(site: &SiteSnapshot) -> anyhow::Result<PublicKey> {
    let name = &site.name;
    key(site, KeyRole::Customer)
        .ok_or_else(|| anyhow!("site {name} is on a VLAN, which has no key"))
}
