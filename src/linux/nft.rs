//! A tenant's tables in the kernel, by way of the program `nft`.
//!
//! `nft` is started in the namespace the calling thread is in, and only when it
//! must be: a namespace whose generation is that of the last reading, or the next
//! one after a transaction of ours, is not read again, and one that never saw a
//! transaction has no table.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::nf_tables::{self, UNTOUCHED};
use super::{nft_arp, nft_parse, nft_render};
use crate::model::Ability;
use crate::reconcile::{Ruleset, TABLE};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// What could not be done with a table.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no program `nft`.
    #[error("the program `nft` is not installed; install the package nftables")]
    Missing,
    /// It could not be started or spoken with.
    #[error("cannot run `nft`")]
    Run(#[source] io::Error),
    /// It refused, and says why.
    #[error("`nft` refused to {what}: {said}")]
    Refused {
        /// What it was to do.
        what: &'static str,
        /// Its first lines.
        said: String,
    },
    /// What it lists cannot be read.
    #[error("cannot read what `nft` lists of the tables {TABLE}")]
    Listing,
    /// The kernel's generation or counters cannot be asked for.
    #[error("cannot ask the kernel about its packet filter; it may have no nf_tables support")]
    Kernel(#[from] NetlinkError),
}

/// What was read or put there, and how to know that it is still so.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Which namespace; never reused.
    pub(super) cookie: u64,
    generation: u32,
    pub(super) ruleset: Option<Arc<Ruleset>>,
}

fn run(arguments: &[&str], input: Option<&str>) -> Result<Output, NftError> {
    let mut command = Command::new("nft");
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            NftError::Missing
        } else {
            NftError::Run(error)
        }
    })?;
    let written = match (child.stdin.take(), input) {
        (Some(mut stdin), Some(input)) => stdin.write_all(input.as_bytes()),
        (Some(_) | None, _) => Ok(()),
    };
    let output = child.wait_with_output().map_err(NftError::Run)?;
    // A program that has refused reads no further; what it said counts.
    if output.status.success() {
        written.map_err(NftError::Run)?;
    }
    Ok(output)
}

/// Whether the kernel takes a table of ARP, tried without making one.
pub(super) fn takes_arp() -> Ability {
    let chain = "chain trial { type filter hook input priority 0; }";
    let trial = format!("table arp {TABLE} {{ {chain} }}\n");
    match run(&["--check", "-f", "-"], Some(&trial)) {
        Ok(output) if output.status.success() => Ability::Present,
        // EOPNOTSUPP (nf_tables_newtable) of a family that it was built without.
        Ok(output) if output.stderr.windows(UNSUPPORTED.len()).any(|it| it == UNSUPPORTED) => {
            Ability::Missing
        }
        Ok(_) | Err(_) => Ability::Unknown,
    }
}

/// What `nft` says of EOPNOTSUPP.
const UNSUPPORTED: &[u8] = b"Operation not supported";

fn refused(what: &'static str, output: &Output) -> NftError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().take(3).collect::<Vec<_>>().join("; ");
    NftError::Refused { what, said }
}

/// Our tables in the calling thread's namespace; `before` is an earlier reading.
pub(super) fn observe(
    netfilter: &mut Netlink,
    before: Option<&Reading>,
) -> Result<Reading, NftError> {
    let cookie = netfilter.netns_cookie()?;
    loop {
        let generation = nf_tables::generation(netfilter)?;
        let same = before.filter(|one| (one.cookie, one.generation) == (cookie, generation));
        if let Some(before) = same {
            return Ok(before.clone());
        }
        let ruleset = if generation == UNTOUCHED { None } else { list(netfilter)? };
        // A transaction in between: what was read may be of either side of it.
        if nf_tables::generation(netfilter)? == generation {
            return Ok(Reading { cookie, generation, ruleset: ruleset.map(Arc::new) });
        }
    }
}

fn list(netfilter: &mut Netlink) -> Result<Option<Ruleset>, NftError> {
    let table = list_table(netfilter, libc::NFPROTO_INET, "inet")?;
    let table = table.map(|text| nft_parse::parse(&text).ok_or(NftError::Listing)).transpose()?;
    let Some(arp) = list_table(netfilter, libc::NFPROTO_ARP, "arp")? else { return Ok(table) };
    let mut ruleset = table.unwrap_or_default();
    nft_arp::parse(&arp, &mut ruleset).ok_or(NftError::Listing)?;
    Ok(Some(ruleset))
}

/// What `nft` lists of our table of a family; `None` when there is none.
fn list_table(
    netfilter: &mut Netlink,
    family: i32,
    name: &str,
) -> Result<Option<Vec<u8>>, NftError> {
    if !nf_tables::is_there(netfilter, family)? {
        return Ok(None);
    }
    let output = run(&["-j", "list", "table", name, TABLE], None)?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    // It may have been removed meanwhile.
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No such file or directory") {
        Ok(None)
    } else {
        Err(refused("list", &output))
    }
}

/// Puts `desired` in the place of our tables, in one transaction.
///
/// What stands there now is known, unless somebody else's transaction came between.
///
/// # Errors
/// [`NftError`]; what was there then stands as it was.
pub(super) fn replace(
    netfilter: &mut Netlink,
    desired: &Ruleset,
    before: Option<&Reading>,
) -> Result<Option<Reading>, NftError> {
    let Reading { cookie, generation, ruleset: present } = observe(netfilter, before)?;
    // Refilling is refused when somebody made a chain or set into another kind meanwhile.
    let refill = present.as_ref().and_then(|there| nft_render::refill(desired, there));
    if let Some(text) = refill
        && run(&["-f", "-"], Some(&text))?.status.success()
    {
        return put(netfilter, cookie, generation, desired);
    }
    let counts = match present {
        Some(_) => nf_tables::counters(netfilter, libc::NFPROTO_INET)?,
        None => BTreeMap::new(),
    };
    let has_arp = nf_tables::is_there(netfilter, libc::NFPROTO_ARP)?;
    let output = run(&["-f", "-"], Some(&nft_render::anew(desired, &counts, has_arp)))?;
    if !output.status.success() {
        return Err(refused("replace the rules", &output));
    }
    put(netfilter, cookie, generation, desired)
}

/// What stands there after a transaction that the kernel took, if none but that one
/// was made since `before`.
fn put(
    netfilter: &mut Netlink,
    cookie: u64,
    before: u32,
    ruleset: &Ruleset,
) -> Result<Option<Reading>, NftError> {
    let generation = nf_tables::generation(netfilter)?;
    let ruleset = Some(Arc::new(ruleset.clone()));
    let is_ours = before.checked_add(1) == Some(generation);
    Ok(is_ours.then_some(Reading { cookie, generation, ruleset }))
}

/// Removes our tables, as far as they are there.
pub(super) fn delete(netfilter: &mut Netlink) -> Result<(), NftError> {
    let has_arp = nf_tables::is_there(netfilter, libc::NFPROTO_ARP)?;
    let output = run(&["-f", "-"], Some(&nft_render::delete(has_arp)))?;
    if output.status.success() { Ok(()) } else { Err(refused("delete the rules", &output)) }
}
