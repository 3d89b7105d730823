//! What is advertised.

use crate::bgp_scene::tenant;
use lockgate::bgp::{
    AdjRibOut, CALICO_NORMAL, Community, Exporter, NextHopSelf, Update, Wanted, wanted_by_fabric,
    wanted_by_site,
};
use lockgate::net::{Asn, SiteName};
use std::collections::{BTreeMap, BTreeSet};

fn exporter(external: bool) -> Exporter {
    Exporter {
        local_asn: Asn::new(64_512).unwrap(),
        external,
        next_hop: NextHopSelf { v4: Some("10.1.0.20".parse().unwrap()), v6: None },
        stopping: false,
    }
}

fn to_fabric(up: &[&str], by: &Exporter) -> Wanted {
    let tenant = tenant();
    let up: BTreeSet<SiteName> = up.iter().map(|site| site.parse().unwrap()).collect();
    let mut bgp = tenant.fabric.bgp.clone().unwrap();
    bgp.export.communities = vec!["64512:140".parse().unwrap()];
    bgp.export.large_communities = vec!["64512:1:140".parse().unwrap()];
    wanted_by_fabric(&tenant, &bgp, &up, by)
}

fn prefixes(wanted: &Wanted) -> Vec<String> {
    wanted.keys().map(ToString::to_string).collect()
}

/// What a neighbor knows that heard all of `updates`.
fn replay(known: &mut Wanted, update: &Update) {
    for nlri in &update.withdrawn {
        assert!(known.remove(&nlri.prefix).is_some(), "{} was not known", nlri.prefix);
    }
    for announcement in &update.announced {
        let families: BTreeSet<bool> =
            announcement.nlri.iter().map(|nlri| nlri.prefix.is_v4()).collect();
        assert_eq!(families.len(), 1, "one announcement, one family");
        for nlri in &announcement.nlri {
            known.insert(nlri.prefix, announcement.attributes.clone());
        }
    }
}

#[test]
fn the_fabric_hears_of_sites_that_are_up_by_their_visible_names() {
    assert_eq!(prefixes(&to_fabric(&[], &exporter(true))), Vec::<String>::new());
    let wanted = to_fabric(&["hq", "lab"], &exporter(true));
    assert_eq!(prefixes(&wanted), ["10.64.0.0/16", "10.200.1.0/24", "172.20.0.0/16"]);
    let attributes = &wanted[&"10.200.1.0/24".parse().unwrap()];
    assert_eq!(attributes.as_path.to_string(), "64512");
    assert_eq!(attributes.next_hop.to_string(), "10.1.0.20");
    assert_eq!((attributes.med, attributes.local_pref), (Some(50), None));
    assert_eq!(attributes.communities, ["64512:140".parse().unwrap()]);
    assert_eq!(attributes.large_communities, ["64512:1:140".parse().unwrap()]);
}

#[test]
fn within_the_as_there_is_no_path_and_a_modest_preference() {
    let wanted = to_fabric(&["lab"], &exporter(false));
    let attributes = &wanted[&"10.64.0.0/16".parse().unwrap()];
    assert!(attributes.as_path.0.is_empty());
    assert_eq!(attributes.local_pref, Some(100));
    assert!(attributes.local_pref.unwrap() <= CALICO_NORMAL);
}

#[test]
fn a_planned_stop_is_said_beforehand() {
    let stopping = Exporter { stopping: true, ..exporter(true) };
    let mut out = AdjRibOut::new();
    out.update(&to_fabric(&["lab"], &exporter(true))).unwrap();
    let update = out.update(&to_fabric(&["lab"], &stopping)).unwrap();
    assert!(update.withdrawn.is_empty());
    let said = &update.announced[0].attributes.communities;
    assert_eq!(*said, ["64512:140".parse().unwrap(), Community::GRACEFUL_SHUTDOWN]);
}

#[test]
fn a_customer_hears_of_the_applications_and_of_nothing_else() {
    let wanted = wanted_by_site(&tenant(), &exporter(true));
    assert_eq!(prefixes(&wanted), ["192.168.0.0/16"]);
    let attributes = wanted.values().next().unwrap();
    assert_eq!((attributes.med, attributes.communities.len()), (None, 0));
}

#[test]
fn a_network_without_a_next_hop_of_its_family_is_not_said() {
    let mut tenant = tenant();
    tenant.app_prefixes =
        vec!["2001:db8:5::/48".parse().unwrap(), "192.168.0.0/16".parse().unwrap()];
    assert_eq!(prefixes(&wanted_by_site(&tenant, &exporter(true))), ["192.168.0.0/16"]);
    let mut both = exporter(true);
    both.next_hop.v6 = Some("2001:db8::20".parse().unwrap());
    assert_eq!(wanted_by_site(&tenant, &both).len(), 2);
}

#[test]
fn a_tunnel_that_goes_down_is_withdrawn_and_nothing_is_said_twice() {
    let mut out = AdjRibOut::new();
    let mut known = BTreeMap::new();
    let both = to_fabric(&["hq", "lab"], &exporter(true));
    replay(&mut known, &out.update(&both).unwrap());
    assert_eq!(out.update(&both), None);
    let one = to_fabric(&["lab"], &exporter(true));
    let update = out.update(&one).unwrap();
    assert_eq!((update.withdrawn.len(), update.announced.len()), (2, 0));
    replay(&mut known, &update);
    assert_eq!(known, one);
}

#[test]
fn what_is_said_again_does_not_hide_what_is_to_be_withdrawn() {
    let mut out = AdjRibOut::new();
    out.update(&to_fabric(&["hq", "lab"], &exporter(true)));
    out.repeat(true);
    let one = to_fabric(&["lab"], &exporter(true));
    let update = out.update(&one).unwrap();
    assert_eq!((update.withdrawn.len(), update.announced.len()), (2, 1));
    // Once.
    assert_eq!(out.update(&one), None);
    out.repeat(false);
    assert_eq!(out.update(&one), None);
}

#[test]
fn every_row_of_changes_ends_in_what_is_wanted() {
    let mut lot = crate::random_config::Lot(7);
    let mut out = AdjRibOut::new();
    let mut known = BTreeMap::new();
    for _ in 0..2_000 {
        let up = lot.some(&["hq", "lab"]);
        let mut by = exporter(lot.one_in(2));
        by.stopping = lot.one_in(3);
        if lot.one_in(4) {
            out.repeat(lot.one_in(2));
        }
        let wanted = to_fabric(&up, &by);
        if let Some(update) = out.update(&wanted) {
            replay(&mut known, &update);
        }
        assert_eq!(known, wanted);
        assert_eq!(*out.sent(), wanted);
    }
}
