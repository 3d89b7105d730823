//! A gateway that hears odd things: what they took away, what they left, and that
//! everybody may read why.

use crate::bgp_stage::{NETNS, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{Lab, PATIENCE, wait_until};
use lockgate::bgp::proto::Flaw;
use lockgate::status::{NeighborSnapshot, NeighborState, RibPage};

/// What must become of a route of which something odd is said (RFC 7606 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Treat as withdraw, for this reason.
    Withdrawn(&'static str),
    /// Attribute discard: the route is taken, and the reason counted.
    Discarded,
    /// There is nothing wrong with it.
    Taken,
}

impl Outcome {
    const fn flaw(self) -> Option<&'static str> {
        match self {
            Self::Withdrawn(flaw) => Some(flaw),
            Self::Discarded => Some("attribute_discarded"),
            Self::Taken => None,
        }
    }
}

/// What the gateway shows of the one neighbor.
pub(crate) fn neighbor(gateway: &Gateway<'_>) -> Box<NeighborSnapshot> {
    let bgp = gateway.tenant("acme/gw").bgp.unwrap();
    Box::new(bgp.neighbors.into_iter().next().unwrap())
}

/// How often each reason was counted.
pub(crate) fn flaws(gateway: &Gateway<'_>) -> Vec<(String, u64)> {
    let flaws = neighbor(gateway).flaws;
    flaws.into_iter().map(|flaw| (flaw.reason, flaw.count.0)).collect()
}

/// The MED of each path to `network`.
fn meds(gateway: &Gateway<'_>, network: &str) -> Vec<Option<u32>> {
    let page = gateway.page(&format!("/api/v1/tenants/acme/gw/rib?prefix={network}"));
    let page: RibPage = serde_json::from_str(&page).unwrap();
    let paths = page.networks.into_iter().flat_map(|network| network.paths);
    paths.map(|path| path.med).collect()
}

fn count(flaws: &[(String, u64)], reason: &str) -> u64 {
    flaws.iter().find(|(it, _)| it == reason).map_or(0, |(_, count)| *count)
}

/// The MED that what is said anew has, where it is to be taken: so it is known to have
/// come.
pub(crate) const MARK: u32 = 424_242;

/// Says something odd of `network`, which is learned, and of no other: checks what
/// became of it, and that nothing became of `others` and the session.
#[track_caller]
pub(crate) fn check_odd(
    lab: &Lab,
    gateway: &Gateway<'_>,
    what: &str,
    (network, others): (&str, &[&str]),
    outcome: Outcome,
    say: impl FnOnce(),
) {
    let heard = |all: usize| {
        wait_until(&format!("{what}: {all} networks to be shown"), PATIENCE, || {
            let seen = neighbor(gateway);
            if seen.prefixes.received == all as u64 { Ok(()) } else { Err(seen) }
        });
    };
    heard(1 + others.len());
    let before = flaws(gateway);
    say();
    if let Some(flaw) = outcome.flaw() {
        wait_until(&format!("{what}: {flaw} to be counted"), PATIENCE, || {
            let now = flaws(gateway);
            // No other reason may be counted with it.
            let mut expected = before.clone();
            expected.retain(|(reason, _)| reason != flaw);
            let mut rest = now.clone();
            rest.retain(|(reason, _)| reason != flaw);
            let counted = count(&now, flaw) == count(&before, flaw) + 1;
            if counted && rest == expected { Ok(()) } else { Err(neighbor(gateway)) }
        });
    }
    let is_kept = !matches!(outcome, Outcome::Withdrawn(_));
    let mut expected = others.to_vec();
    expected.extend(Some(network).filter(|_| is_kept));
    expected.sort_unstable();
    wait_learned(lab, NETNS, &expected);
    heard(expected.len());
    let expected = if is_kept { vec![Some(MARK)] } else { Vec::new() };
    wait_until(&format!("{what}: paths to {network}"), PATIENCE, || {
        let meds = meds(gateway, network);
        if meds == expected { Ok(()) } else { Err(meds) }
    });
    let page = gateway.show(&["rib", network]);
    assert_eq!(page.contains("best"), is_kept, "{what}: {page}");
    assert_eq!(page.contains("treated as withdrawn: "), !is_kept, "{what}: {page}");
    let seen = neighbor(gateway);
    assert_eq!(seen.state, NeighborState::Established, "{what}: {seen:?}");
    assert_eq!((seen.flaps.0, &seen.notifications[..]), (0, &[][..]), "{what}: {seen:?}");
    if let Outcome::Withdrawn(flaw) = outcome {
        let reason = Flaw::ALL.iter().find(|it| it.name() == flaw).unwrap().message();
        assert!(page.contains(reason), "{what}: {page}");
        // And in which attribute it is.
        let first = what.split([' ', ':']).next().filter(|it| ["ORIGIN", "AS_PATH"].contains(it));
        if let Some(attribute) = first.filter(|_| flaw == "malformed_attribute") {
            assert!(page.contains(&format!("{attribute} (attribute ")), "{what}: {page}");
        }
        let said = seen.last_error.unwrap_or_default();
        assert!(said.starts_with("UPDATE: "), "{what}: {said}");
        let metric = format!("reason=\"{flaw}\"");
        let metrics = gateway.page("/metrics");
        let is_it =
            |line: &str| line.starts_with("lockgate_bgp_flaws_total{") && line.contains(&metric);
        assert!(metrics.lines().any(is_it), "{what}: {metrics}");
    }
}
