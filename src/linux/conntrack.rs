//! How full the connection tracking table of a namespace is: what `conntrack -S`
//! and `conntrack -C` ask.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::nf_tables::{attribute, header};
use crate::reconcile::ConntrackSample;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use std::collections::BTreeMap;

// <linux/netfilter/nfnetlink.h>, <linux/netfilter/nfnetlink_conntrack.h>
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET_STATS_CPU: u16 = 4;
const IPCTNL_MSG_CT_GET_STATS: u16 = 5;
const CTA_STATS_DROP: u16 = 10;
const CTA_STATS_EARLY_DROP: u16 = 11;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
const CTA_STATS_GLOBAL_MAX_ENTRIES: u16 = 2;

const fn message(kind: u16) -> u16 {
    (NFNL_SUBSYS_CTNETLINK << 8) | kind
}

/// The table of the namespace `netfilter` is in; `None` where the kernel cannot say
/// (`nf_conntrack_netlink` is missing, or it is older than 4.18).
pub(super) fn sample(netfilter: &mut Netlink) -> Result<Option<ConntrackSample>, NetlinkError> {
    let body = header(libc::AF_UNSPEC);
    let mut size = None;
    let asked = netfilter.dump_raw(message(IPCTNL_MSG_CT_GET_STATS), NLM_F_ACK, &body, |answer| {
        let number = |kind| number(answer, kind);
        size = number(CTA_STATS_GLOBAL_ENTRIES).zip(number(CTA_STATS_GLOBAL_MAX_ENTRIES));
    });
    match asked {
        Err(error) if error.errno() == Some(libc::EINVAL) => return Ok(None),
        asked => asked?,
    }
    let Some((entries, maximum)) = size else { return Ok(None) };
    let mut processors = BTreeMap::new();
    let kind = message(IPCTNL_MSG_CT_GET_STATS_CPU);
    netfilter.dump_raw(kind, NLM_F_DUMP, &body, |answer| {
        let count = |kind| number(answer, kind).map_or(0, u64::from);
        let counts = [CTA_STATS_DROP, CTA_STATS_EARLY_DROP].map(count);
        // `res_id` of `struct nfgenmsg` is the processor's number.
        processors.insert(answer.get(2..4).map(<[u8]>::to_vec), counts);
    })?;
    let [dropped, evicted] = [0, 1].map(|at| processors.values().map(|counts| counts[at]).sum());
    Ok(Some(ConntrackSample { entries, maximum, dropped, evicted }))
}

fn number(answer: &[u8], kind: u16) -> Option<u32> {
    let value = attribute(answer.get(4..)?, kind)?;
    Some(u32::from_be_bytes(*value.first_chunk()?))
}
