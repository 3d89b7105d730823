//! Whatever the dialect, the facts are the same, and every text says what one has to know.

use super::scene::{Ask, GATEWAY, config, each, render, with};
use lockgate::customer::{ConfigFile, Connection, Dialect, Link, Presharing, RenderError};
use lockgate::model::Attachment;
use lockgate::net::{PresharedKey, PrivateKey};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The text without its comments.
fn commands(files: &[ConfigFile]) -> String {
    let lines = files.iter().flat_map(|file| {
        file.text.lines().filter(|line| !line.trim_start().starts_with(file.comment))
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The numbers in a text that are in no address.
fn numbers(text: &str) -> BTreeSet<&str> {
    let tokens = text.split(|c: char| !(c.is_ascii_hexdigit() || ".:/".contains(c)));
    let tokens = tokens.map(|token| token.trim_matches(['.', ':', '/']));
    let is_address = |token: &&str| token.contains(':') || 3 <= token.matches('.').count();
    tokens.filter(|token| !is_address(token)).flat_map(|token| token.split(['.', '/'])).collect()
}

/// Whether `word` stands in `text` by itself; a number also not as a part of an address.
fn has_word(text: &str, word: &str) -> bool {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return numbers(text).contains(word);
    }
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        !before && !text[at + word.len()..].starts_with(char::is_alphanumeric)
    })
}

#[test]
fn a_tunnels_facts_are_in_every_dialect() {
    each(Ask::default(), |site, dialect, connection, files| {
        let Link::Tunnel(tunnel) = &connection.link else { return };
        if [Dialect::Qr, Dialect::Frr, Dialect::Bird].contains(&dialect) {
            return;
        }
        let text = commands(files);
        let mut wanted = vec![
            GATEWAY.to_owned(),
            "vpn.example.net".to_owned(),
            tunnel.endpoint.port.to_string(),
            tunnel.mtu.to_string(),
            tunnel.keepalive.to_string(),
        ];
        wanted.extend(tunnel.listen_port.map(|port| port.to_string()));
        wanted.extend(connection.customer.iter().map(|own| own.address().to_string()));
        wanted.extend(connection.apps.iter().map(|prefix| prefix.address().to_string()));
        wanted.extend(connection.gateway.iter().map(ToString::to_string));
        for fact in wanted {
            assert!(has_word(&text, &fact), "{site} {dialect}: {fact} is not in\n{text}");
        }
    });
}

#[test]
fn a_sessions_facts_are_in_every_dialect_that_speaks_bgp() {
    let speak = [
        Dialect::RouterOs,
        Dialect::VyOs,
        Dialect::Frr,
        Dialect::Bird,
        Dialect::IosXe,
        Dialect::Junos,
        Dialect::Eos,
    ];
    let mut seen = BTreeSet::new();
    each(Ask::default(), |site, dialect, connection, files| {
        let Some(session) = connection.bgp.as_ref().filter(|_| speak.contains(&dialect)) else {
            return;
        };
        seen.insert(dialect);
        let text = commands(files);
        let mut wanted = vec![
            session.local_asn.to_string(),
            session.remote_asn.to_string(),
            session.local.to_string(),
            session.remote.to_string(),
            session.hold_seconds.to_string(),
        ];
        wanted.extend(
            connection
                .apps
                .iter()
                .filter(|app| session.families.iter().any(|family| family.is_v4 == app.is_v4()))
                .map(|app| app.address().to_string()),
        );
        wanted.extend(connection.networks.iter().map(|network| network.real.address().to_string()));
        for fact in wanted {
            assert!(has_word(&text, &fact), "{site} {dialect}: {fact} is not in\n{text}");
        }
    });
    assert_eq!(seen, BTreeSet::from(speak));
}

#[test]
fn a_vlans_facts_are_in_every_dialect() {
    each(Ask::default(), |site, dialect, connection, files| {
        let Link::Vlan(vlan) = &connection.link else { return };
        if [Dialect::Frr, Dialect::Bird].contains(&dialect) {
            return;
        }
        let text = commands(files);
        let mut wanted: Vec<String> =
            connection.customer.iter().map(|own| own.address().to_string()).collect();
        wanted.extend(vlan.mtu.map(|mtu| mtu.to_string()));
        match vlan.tags {
            Some(tags) => {
                wanted.push(tags.id.to_string());
                wanted.extend(tags.inner_id.map(|inner| inner.to_string()));
            }
            None => assert!(text.contains("<VLAN id>"), "{site} {dialect}\n{text}"),
        }
        for app in connection.apps.iter().filter(|app| {
            connection.customer.iter().any(|own| own.address().is_ipv4() == app.is_v4())
        }) {
            wanted.push(app.address().to_string());
        }
        for fact in wanted {
            assert!(has_word(&text, &fact), "{site} {dialect}: {fact} is not in\n{text}");
        }
    });
}

#[test]
fn every_text_ends_with_how_to_verify_and_what_to_send_back() {
    each(Ask::default(), |site, dialect, connection, files| {
        let last = &files.last().unwrap().text;
        let mark = files.last().unwrap().comment;
        let verify = last.find(&format!("{mark} To verify:\n"));
        let send =
            last.find(&format!("{mark} To send back, so that the other side can compare:\n"));
        assert!(verify.is_some() && verify < send, "{site} {dialect}\n{}", last.as_str());
        let end = &last[verify.unwrap()..];
        for line in end.lines() {
            assert!(line.starts_with(mark), "{site} {dialect}: {line}");
        }
        for gateway in &connection.gateway {
            let answers = end.lines().any(|line| {
                has_word(line, &gateway.to_string()) && line.ends_with("the gateway answers")
            });
            assert!(answers, "{site} {dialect}: no ping to {gateway} in\n{end}");
        }
        if let (Link::Tunnel(tunnel), false) =
            (&connection.link, [Dialect::Frr, Dialect::Bird].contains(&dialect))
        {
            assert!(end.contains(&tunnel.customer_key.to_string()), "{site} {dialect}\n{end}");
        }
        for file in files {
            assert!(file.text.ends_with('\n') && !file.text.contains(" \n"), "{site} {dialect}");
        }
    });
}

#[test]
fn only_what_the_customer_alone_knows_is_left_to_fill_in() {
    let known = [
        "<your private key>",
        "<the preshared key>",
        "<interface>",
        "<VLAN id>",
        "<an address of this machine>",
        "<uuid that add_client answered>",
    ];
    let mut seen = BTreeSet::new();
    each(Ask::default(), |site, dialect, _, files| {
        let text = commands(files).replace("<<'EOF'", "");
        for (at, _) in text.match_indices('<') {
            let found = known.iter().find(|it| text[at..].starts_with(**it));
            seen.insert(*found.unwrap_or_else(|| panic!("{site} {dialect}: {}", &text[at..])));
        }
    });
    assert_eq!(seen, BTreeSet::from(known));
}

#[test]
fn an_interface_is_called_as_asked_within_what_the_system_takes() {
    let named = |site, dialect, name| {
        render(site, dialect, Ask { interface: Some(name), ..Ask::default() })
    };
    for (site, dialect, name) in [
        ("poznan", Dialect::WgQuick, "wg-pionier.1"),
        ("poznan", Dialect::Networkd, "fifteen-letters"),
        ("poznan", Dialect::NetworkManager, "wg9"),
        ("poznan", Dialect::RouterOs, "wg9"),
        ("poznan", Dialect::VyOs, "wg9"),
        ("poznan", Dialect::OpenWrt, "wg_pionier"),
        ("sopot", Dialect::IosXe, "TenGigabitEthernet0/0/1"),
        ("sopot", Dialect::Junos, "ge-0/0/0"),
        ("torun", Dialect::Eos, "Ethernet1/1"),
    ] {
        let files = named(site, dialect, name).unwrap();
        let text = commands(&files);
        let is_file = files.iter().any(|file| file.name == format!("{name}.conf"));
        assert!(text.contains(name) || is_file, "{dialect}\n{text}");
        assert!(!text.contains("<interface>") && !text.contains("wg0"), "{dialect}\n{text}");
    }
    for (site, dialect, name) in [
        ("poznan", Dialect::WgQuick, "sixteen-letters-"),
        ("poznan", Dialect::WgQuick, ""),
        ("poznan", Dialect::WgQuick, "../passwd"),
        ("poznan", Dialect::Networkd, "a\nb"),
        ("poznan", Dialect::NetworkManager, "a;b"),
        ("poznan", Dialect::RouterOs, "a\" b"),
        ("poznan", Dialect::VyOs, "lockgate"),
        ("poznan", Dialect::VyOs, "wg12345"),
        ("poznan", Dialect::OpenWrt, "with-dash"),
        ("poznan", Dialect::OpenWrt, "twelve_lette"),
        ("sopot", Dialect::IosXe, "Gi 0/1"),
        ("sopot", Dialect::Junos, "ge;"),
    ] {
        let refused = named(site, dialect, name);
        assert!(matches!(refused, Err(RenderError::Interface { .. })), "{dialect} {name:?}");
    }
}

/// The role the customer says is the one that goes with ours (RFC 9234 §4.2).
#[test]
fn a_customer_says_the_role_that_faces_ours() {
    for (dialect, said) in [
        (Dialect::Frr, "local-role customer strict-mode"),
        (Dialect::Bird, "local role customer;"),
        (Dialect::VyOs, "local-role customer strict"),
        (Dialect::RouterOs, "local.role=ebgp-customer"),
    ] {
        let files = render("poznan", dialect, Ask::default()).unwrap();
        assert!(commands(&files).contains(said), "{dialect}: {}", commands(&files));
    }
}

/// Many networks of applications make no dialect but the QR code too long.
#[test]
fn what_is_too_long_for_a_code_says_so() {
    let apps: Vec<String> = (0..200).map(|at| format!("10.136.{at}.0/24")).collect();
    let text = format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: pionier}}
spec: {{appPrefixes: [{}], fabric: {{veth: {{peer: apps, addresses: [10.136.0.1/24]}}}}}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hel, namespace: pionier}}
spec: {{gatewayRef: {{name: gw}}, type: WireGuard, wireGuard: {{publicKey: xtIXAjhXx3EuhTA4JrKCugEX4q1x8gKYnkBK/gE9fAY=}}, prefixes: [{{cidr: 192.168.3.0/24}}]}}
",
        apps.join(", ")
    );
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("many.yaml");
    std::fs::write(&file, text).unwrap();
    let config = config(file.to_str().unwrap());
    with(&config, ("pionier/gw", "hel"), Ask::default(), |connection| {
        let refused = Dialect::Qr.render(connection).unwrap_err();
        assert!(matches!(refused, RenderError::TooLongForQr { max: 2_953, .. }), "{refused:?}");
        assert!(refused.to_string().ends_with("use wg-quick instead"));
        assert!(Dialect::WgQuick.render(connection).is_ok());
    });
}

/// Where there is a page to test with, every text has the way to it, and else none.
#[test]
fn the_test_page_is_named_where_there_is_one() {
    each(Ask::default(), |site, dialect, connection, files| {
        let has = |files: &[ConfigFile]| files.iter().any(|file| file.text.contains("curl "));
        assert!(!has(files), "{site} {dialect}");
        let with_page = Connection { test_page: true, ..connection.clone() };
        let files = dialect.render(&with_page).unwrap();
        if dialect == Dialect::Qr {
            return;
        }
        for address in &connection.gateway {
            let url = match address {
                IpAddr::V4(address) => format!("curl http://{address}/"),
                IpAddr::V6(address) => format!("curl 'http://[{address}]/'"),
            };
            let found = files.iter().any(|file| file.text.contains(&url));
            assert!(found, "{site} {dialect}: {url}");
        }
        assert!(!commands(&files).contains("curl"), "it is a comment: {site} {dialect}");
    });
}

/// While a customer's key is changed it is sent what belongs to the next one, unless it
/// shows that it has the other.
#[test]
fn a_customer_that_changes_its_key_is_sent_the_next_one() {
    let mut config = config(super::scene::SITES);
    let name = "pionier/gw".parse().unwrap();
    let mut tenant = (*config.tenants[&name]).clone();
    let site = tenant.sites.get_mut(&"gdansk".parse().unwrap()).unwrap();
    let Attachment::WireGuard(peer) = &mut site.attachment else { panic!("a tunnel") };
    let [old, new] = [3, 4].map(|seed| PrivateKey::from_random([seed; 32]));
    peer.public_key = old.public();
    peer.next_public_key = Some(new.public());
    peer.preshared_key = Some(PresharedKey::from_random([5; 32]));
    peer.next_preshared_key = Some(PresharedKey::from_random([6; 32]));
    config.tenants.insert(name, tenant.into());
    for (given, key, psk) in [(None, &new, 6), (Some(&old), &old, 5), (Some(&new), &new, 6)] {
        let ask = Ask { presharing: Presharing::Shown, private_key: given, ..Ask::default() };
        let text = with(&config, ("pionier/gw", "gdansk"), ask, |connection| {
            Dialect::WgQuick.render(connection).unwrap().remove(0).text
        });
        let psk = PresharedKey::from_random([psk; 32]).to_base64();
        assert!(text.contains(&format!("PresharedKey = {}", psk.as_str())), "{}", text.as_str());
        let named = match given {
            Some(private) => format!("PrivateKey = {}", private.to_base64().as_str()),
            None => key.public().to_string(),
        };
        assert!(text.contains(&named), "{}", text.as_str());
    }
}
