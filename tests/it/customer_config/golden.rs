//! Every format of every kind of site, as it is printed: `tests/data/customer/SITE/`.

use super::scene::{Ask, NAMES, each, render};
use expect_test::expect_file;
use lockgate::customer::{Dialect, Presharing, RenderError};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn each_site_in_each_format_that_fits_it() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/customer");
    let mut written = BTreeSet::new();
    each(Ask::default(), |site, dialect, _, files| {
        for file in files {
            let path = directory.join(site).join(&file.name);
            // Its code is another test's: pictures are not read by people.
            if dialect != Dialect::Qr {
                assert!(written.insert(path.clone()), "{} is there twice", path.display());
                expect_file![path].assert_eq(&file.text);
            }
        }
    });
    for site in NAMES {
        for file in std::fs::read_dir(directory.join(site)).unwrap() {
            let path = file.unwrap().path();
            assert!(written.contains(&path), "{}: nothing is printed as that", path.display());
        }
    }
}

#[test]
fn each_format_is_tried_with_a_site_that_it_fits() {
    let mut seen = BTreeSet::new();
    each(Ask::default(), |_, dialect, _, _| {
        seen.insert(dialect);
    });
    assert_eq!(seen, BTreeSet::from(Dialect::ALL));
}

#[test]
fn a_format_for_another_kind_of_site_is_refused_with_those_that_fit() {
    let refused = |site, dialect| match render(site, dialect, Ask::default()) {
        Err(error @ RenderError::DoesNotFit { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused("sopot", Dialect::WgQuick),
        "wg-quick is for a WireGuard site; the formats for this one are iosxe, junos, eos"
    );
    assert_eq!(
        refused("torun", Dialect::OpenWrt),
        "openwrt is for a WireGuard site; the formats for this one are frr, bird, iosxe, junos, eos"
    );
    assert_eq!(
        refused("gdansk", Dialect::Bird),
        "bird is for a site that has BGP; the formats for this one are wg-quick, qr, networkd, \
         networkmanager, routeros, vyos, openwrt, opnsense, pfsense"
    );
    assert!(refused("poznan", Dialect::Eos).starts_with("eos is for a site on a VLAN; "));
}

/// An endpoint that is an IPv6 address: brackets where a port follows, none elsewhere.
#[test]
fn an_ipv6_endpoint_is_in_brackets_only_where_the_port_follows() {
    let ask = Ask { host: "2001:db8::7", ..Ask::default() };
    each(ask, |site, dialect, _, files| {
        let text: String = files.iter().map(|file| file.text.as_str()).collect();
        let brackets = text.contains("[2001:db8::7]");
        let together = [Dialect::WgQuick, Dialect::Networkd, Dialect::NetworkManager];
        assert_eq!(brackets, together.contains(&dialect), "{site} {dialect}\n{text}");
        if dialect == Dialect::VyOs {
            assert!(text.contains(" address '2001:db8::7'") && !text.contains("host-name"));
        }
    });
}

#[test]
fn a_preshared_key_is_written_only_when_asked_for_and_is_a_secret_then() {
    each(Ask::default(), |_, dialect, _, files| {
        for file in files {
            assert!(!file.text.contains(super::scene::PSK), "{dialect}");
            assert!(!file.is_secret, "{dialect}");
        }
    });
    let ask = Ask { presharing: Presharing::Shown, ..Ask::default() };
    each(ask, |site, dialect, _, files| {
        let has = site == "gdansk" && dialect != Dialect::Qr;
        let holding = |it: &&lockgate::customer::ConfigFile| it.text.contains(super::scene::PSK);
        assert_eq!(files.iter().any(|file| holding(&file)), has, "{site} {dialect}");
        for file in files.iter().filter(holding) {
            assert!(file.is_secret, "{site} {dialect}");
        }
    });
}

#[test]
fn a_secret_is_not_in_what_debugging_shows() {
    let ask = Ask { presharing: Presharing::Shown, ..Ask::default() };
    let files = render("gdansk", Dialect::WgQuick, ask).unwrap();
    assert!(files[0].text.contains(super::scene::PSK));
    assert!(!format!("{files:?}").contains(super::scene::PSK));
}
