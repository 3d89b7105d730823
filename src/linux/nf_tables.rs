//! The cheap questions we ask nf_tables ourselves: has anything changed, is a table
//! there, and what do the named counters say.
//!
//! Everything else goes through `nft`, which costs a process; these are asked
//! for every tenant again and again. Nothing is changed from here.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use crate::reconcile::TABLE;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NlasIterator};
use std::collections::BTreeMap;

// <linux/netfilter/nf_tables.h>, <linux/netfilter/nfnetlink.h>
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETGEN: u16 = 16;
const NFT_MSG_GETOBJ: u16 = 19;
const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;

/// The generation of a namespace in which no transaction was ever made.
pub(super) const UNTOUCHED: u32 = 1;

/// `struct nfgenmsg`: family, version 0, no resource.
pub(super) const fn header(family: i32) -> [u8; 4] {
    [family.to_ne_bytes()[if cfg!(target_endian = "little") { 0 } else { 3 }], 0, 0, 0]
}

const fn message(kind: u16) -> u16 {
    (NFNL_SUBSYS_NFTABLES << 8) | kind
}

/// A named counter's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// How many transactions the namespace has seen. Equal numbers of one
/// namespace mean equal tables; counters are not part of it.
pub(super) fn generation(netfilter: &mut Netlink) -> Result<u32, NetlinkError> {
    let mut generation = None;
    let body = header(libc::AF_UNSPEC);
    netfilter.dump_raw(message(NFT_MSG_GETGEN), NLM_F_ACK, &body, |answer| {
        let id = attribute(answer.get(4..).unwrap_or_default(), NFTA_GEN_ID);
        generation = id.and_then(|value| Some(u32::from_be_bytes(*value.first_chunk()?)));
    })?;
    generation.ok_or_else(|| NetlinkError::Malformed("no generation of nf_tables".to_owned()))
}

/// Whether there is a table of ours of a family (`NFPROTO_*`).
pub(super) fn is_there(netfilter: &mut Netlink, family: i32) -> Result<bool, NetlinkError> {
    let mut body = header(family).to_vec();
    put(&mut body, NFTA_TABLE_NAME, format!("{TABLE}\0").as_bytes());
    match netfilter.dump_raw(message(NFT_MSG_GETTABLE), NLM_F_ACK, &body, |_| ()) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The named counters of our table of a family (`NFPROTO_*`); empty when there is no
/// table.
pub(super) fn counters(
    netfilter: &mut Netlink,
    family: i32,
) -> Result<BTreeMap<String, Count>, NetlinkError> {
    let mut body = header(family).to_vec();
    put(&mut body, NFTA_OBJ_TABLE, format!("{TABLE}\0").as_bytes());
    put(&mut body, NFTA_OBJ_TYPE, &NFT_OBJECT_COUNTER.to_be_bytes());
    let mut counters = BTreeMap::new();
    let outcome = netfilter.dump_raw(message(NFT_MSG_GETOBJ), NLM_F_DUMP, &body, |answer| {
        counters.extend(counter(answer.get(4..).unwrap_or_default()));
    });
    match outcome {
        Err(error) if error.errno() != Some(libc::ENOENT) => Err(error),
        Ok(()) | Err(_) => Ok(counters),
    }
}

fn counter(object: &[u8]) -> Option<(String, Count)> {
    let text = |kind| {
        let text = String::from_utf8(attribute(object, kind)?.to_vec()).ok()?;
        Some(text.trim_end_matches('\0').to_owned())
    };
    // A kernel that does not filter lists other tables' counters too.
    if text(NFTA_OBJ_TABLE)? != TABLE {
        return None;
    }
    let value = attribute(object, NFTA_OBJ_DATA)?;
    let number = |kind| Some(u64::from_be_bytes(*attribute(value, kind)?.first_chunk()?));
    let count =
        Count { packets: number(NFTA_COUNTER_PACKETS)?, bytes: number(NFTA_COUNTER_BYTES)? };
    Some((text(NFTA_OBJ_NAME)?, count))
}

pub(super) fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes).flatten().find(|one| one.kind() == kind)?;
    let start = found.value().as_ptr().addr().checked_sub(attributes.as_ptr().addr())?;
    attributes.get(start..start.checked_add(found.value().len())?)
}

fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(len.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
