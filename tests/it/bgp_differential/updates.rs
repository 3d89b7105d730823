//! UPDATEs that are as they should be: whoever writes them, everybody reads the
//! same.

use super::scene::{attributes, networks, session};
use super::{Said, bgpkit, netgauze};
use bgpkit_parser::models::BgpMessage as Bgpkit;
use lockgate::bgp::proto::{decode_update, encode_next};
use lockgate::bgp::{Announcement, Attributes, Update};
use netgauze_bgp_pkt::BgpMessage as Netgauze;
use proptest::prelude::*;
use std::sync::Arc;

fn by_netgauze(message: &[u8], several_paths: bool) -> Said {
    match netgauze::parse(message, several_paths).unwrap() {
        Netgauze::Update(update) => netgauze::said(&update),
        other => panic!("{other:?}"),
    }
}

fn by_bgpkit(message: &[u8], several_paths: bool) -> Said {
    match bgpkit::parse(message, several_paths).unwrap() {
        Bgpkit::Update(update) => {
            assert_eq!(update.attributes.validation_warnings(), []);
            bgpkit::said(&update)
        }
        other => panic!("{other:?}"),
    }
}

/// See [`bgpkit::said`].
fn without_extended(mut said: Said) -> Said {
    for attributes in said.announced.values_mut() {
        attributes.extended_communities.clear();
    }
    said
}

/// A next hop of IPv4 takes no IPv6 networks along.
fn fits(attributes: &Attributes, nlri: &lockgate::bgp::Nlri) -> bool {
    attributes.next_hop.is_ipv6() || nlri.prefix.is_v4()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_we_write_the_others_read(
        attributes in attributes(),
        announced in networks(false),
        withdrawn in networks(false),
        long in any::<bool>(),
    ) {
        let mut session = session(false);
        session.maximum_message = if long { 65_535 } else { 4_096 };
        let attributes = Arc::new(attributes);
        let announced: Vec<_> =
            announced.into_iter().filter(|nlri| fits(&attributes, nlri)).collect();
        let withdrawn: Vec<_> =
            withdrawn.into_iter().filter(|nlri| !announced.contains(nlri)).collect();
        let mut update = Update {
            withdrawn,
            announced: vec![Announcement { attributes, nlri: announced }],
        };
        let expected = Said::from(update.clone());
        let (mut first, mut second) = (Said::default(), Said::default());
        while let Some(message) = encode_next(&mut update, &session).unwrap() {
            for (said, one) in [
                (&mut first, by_netgauze(&message, false)),
                (&mut second, by_bgpkit(&message, false)),
            ] {
                said.withdrawn.extend(one.withdrawn);
                said.announced.extend(one.announced);
            }
        }
        // A link-local next hop goes where there is room for it: beside an IPv6 one.
        prop_assert_eq!(&first, &expected);
        prop_assert_eq!(second, without_extended(expected));
    }

    #[test]
    fn what_netgauze_writes_we_read(
        attributes in attributes(),
        (several_paths, announced, withdrawn) in any::<bool>().prop_flat_map(|several| {
            (Just(several), networks(several), networks(several))
        }),
    ) {
        let session = session(several_paths);
        let is_v6 = announced.iter().any(|nlri| !nlri.prefix.is_v4());
        // The one attribute carries one family.
        let in_one = |nlri: &lockgate::bgp::Nlri| {
            fits(&attributes, nlri)
                && !(attributes.next_hop.is_ipv6() && is_v6 && nlri.prefix.is_v4())
        };
        let announced: std::collections::BTreeSet<_> =
            announced.into_iter().filter(in_one).collect();
        let withdrawn = withdrawn.difference(&announced).copied().collect();
        let message = netgauze::update(&attributes, &announced, &withdrawn, several_paths);
        let message = netgauze::write(&message);
        let received = decode_update(&message, &session).unwrap();
        prop_assert_eq!(&received.flaws, &[], "{:?}", received.complaint);
        let read = Said::from(received.update);
        let expected = Said {
            withdrawn,
            announced: announced.into_iter().map(|nlri| (nlri, attributes.clone())).collect(),
        };
        prop_assert_eq!(&read, &expected);
        // And the third agrees.
        prop_assert_eq!(by_bgpkit(&message, several_paths), without_extended(read));
    }
}
