//! OpenWrt's commands, read as `uci batch` reads them: what is set is in a section that
//! is there, of a package that is committed, and what is deleted first is what is made.

use super::scene::{Ask, render};
use lockgate::customer::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// Sections by `package.name`: their type, and their options by name.
#[derive(Debug, Default)]
struct Uci {
    sections: BTreeMap<String, (String, BTreeMap<String, Vec<String>>)>,
    deleted: BTreeSet<String>,
    committed: BTreeSet<String>,
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `package.section[.option]='value'`: no quote inside, and names of uci's characters.
fn split(words: &str) -> (String, Option<String>, String) {
    let (path, value) = words.split_once('=').unwrap();
    let value = value.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
    let value = value.unwrap_or_else(|| panic!("not quoted: {words}"));
    assert!(!value.contains(['\'', '\n']), "{words}");
    let parts: Vec<&str> = path.split('.').collect();
    assert!(parts.iter().all(|part| is_name(part)), "{words}");
    let (package, section, option) = match parts.as_slice() {
        [package, section] => (package, section, None),
        [package, section, option] => (package, section, Some((*option).to_owned())),
        _ => panic!("{words}"),
    };
    (format!("{package}.{section}"), option, value.to_owned())
}

fn read(text: &str) -> Uci {
    let mut uci = Uci::default();
    let (before, rest) = text.split_once("uci batch <<'EOF'\n").unwrap();
    for line in before.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let section = line.strip_prefix("uci -q delete ").unwrap_or_else(|| panic!("{line}"));
        uci.deleted.insert(section.to_owned());
    }
    let (batch, after) = rest.split_once("\nEOF\n").unwrap();
    for line in batch.lines() {
        let (verb, words) = line.split_once(' ').unwrap();
        if verb == "commit" {
            uci.committed.insert(words.to_owned());
            continue;
        }
        let (section, option, value) = split(words);
        match (verb, option) {
            ("set", None) => {
                let before = uci.sections.insert(section, (value, BTreeMap::new()));
                assert!(before.is_none(), "twice: {line}");
            }
            ("set" | "add_list", Some(option)) => {
                let (_, options) = uci.sections.get_mut(&section).unwrap_or_else(|| {
                    panic!("no section yet: {line}");
                });
                let values = options.entry(option).or_default();
                assert!(verb == "add_list" || values.is_empty(), "twice: {line}");
                values.push(value);
            }
            _ => panic!("{line}"),
        }
    }
    for line in after.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            matches!(words.as_slice(), ["service", "network" | "firewall", "reload"]),
            "{line}"
        );
    }
    uci
}

fn option<'a>(uci: &'a Uci, section: &str, name: &str) -> Vec<&'a str> {
    let (_, options) = &uci.sections[section];
    options.get(name).map_or_else(Vec::new, |it| it.iter().map(String::as_str).collect())
}

#[test]
fn openwrts_sections_are_whole_and_name_one_another() {
    for site in ["poznan", "gdansk", "hel"] {
        let files = render(site, Dialect::OpenWrt, Ask::default()).unwrap();
        let uci = read(&files[0].text);
        assert_eq!(uci.committed, BTreeSet::from(["network", "firewall"].map(str::to_owned)));
        for section in uci.sections.keys() {
            assert!(uci.deleted.contains(section), "a second paste would add to {section}");
        }
        let of_type = |wanted: &str| -> Vec<&String> {
            let found = uci.sections.iter().filter(|(_, (type_, _))| type_ == wanted);
            found.map(|(name, _)| name).collect()
        };
        let [interface] = of_type("interface")[..] else { panic!("{uci:?}") };
        let name = interface.strip_prefix("network.").unwrap();
        assert_eq!(option(&uci, interface, "proto"), ["wireguard"]);
        assert_eq!(option(&uci, interface, "mtu"), ["1380"]);
        // netifd finds peers by the type of their sections.
        assert_eq!(of_type(&format!("wireguard_{name}")), ["network.lockgate_gw"]);
        assert_eq!(option(&uci, "network.lockgate_gw", "route_allowed_ips"), ["1"]);
        let [zone] = of_type("zone")[..] else { panic!("{uci:?}") };
        let zone_name = option(&uci, zone, "name")[0];
        assert_eq!(option(&uci, zone, "network"), [name]);
        let ends: BTreeSet<_> = of_type("forwarding")
            .into_iter()
            .map(|it| (option(&uci, it, "src")[0], option(&uci, it, "dest")[0]))
            .collect();
        assert_eq!(ends, BTreeSet::from([("lan", zone_name), (zone_name, "lan")]));
        let opened: Vec<_> =
            of_type("rule").into_iter().flat_map(|it| option(&uci, it, "dest_port")).collect();
        assert_eq!(opened, option(&uci, interface, "listen_port"));
    }
}

#[test]
fn what_is_no_uci_is_found_by_this_reader() {
    for wrong in [
        "uci batch <<'EOF'\nset network.x.proto='wireguard'\nEOF\n",
        "uci batch <<'EOF'\nset network.x-y='interface'\nEOF\n",
        "uci batch <<'EOF'\nset network.x='it's'\nEOF\n",
        "uci batch <<'EOF'\nset network.x=interface\nEOF\n",
    ] {
        let read = std::panic::catch_unwind(|| read(wrong));
        assert!(read.is_err(), "{wrong}");
    }
}
