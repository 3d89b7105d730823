//! Documents read again: what has not changed is taken from the set before, and
//! nothing comes out otherwise for it.

use lockgate::config::{
    Allocations, Checked, ConfigError, Documents, Options, Outcome, Secrets, validate,
    validate_after,
};
use lockgate::daemon::load::{Earlier, load};
use lockgate::daemon::source::Source;
use lockgate::model::{Config, Placement, Tenant};
use lockgate::net::{Mtu, PrivateKey, TenantName};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;

const CLASS: &str = "
apiVersion: lockgate.dev/v1alpha1
kind: ConnectivityClass
metadata: {name: default}
spec: {forbiddenPrefixes: [10.42.0.0/16]}
";
const GATEWAY: &str = "
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: NAME}
spec:
  listenPort: PORT
  fabric: {veth: {peer: NAME, addresses: [10.99.0.1/24]}}
  appPrefixes: [10.99.0.0/24]
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: hq, namespace: NAME}
spec:
  gatewayRef: {name: gw}
  type: WireGuard
  wireGuard:
    publicKey: xtIXAjhXx3EuhTA4JrKCugEX4q1x8gKYnkBK/gE9fAY=
    tunnelAddresses: [10.255.30.0/31]
  prefixes: [{cidr: PREFIX}]
";

/// Texts of a file: sound ones, ones that quarrel with each other, and ones with
/// errors.
fn text(which: usize) -> String {
    let gateway = |name: &str, port: &str, prefix: &str| {
        GATEWAY.replace("NAME", name).replace("PORT", port).replace("PREFIX", prefix)
    };
    match which {
        0 => String::new(),
        1 => CLASS.to_owned(),
        2 => gateway("acme", "51820", "192.168.1.0/24"),
        3 => gateway("acme", "51821", "192.168.2.0/24"),
        4 => gateway("bolt", "51821", "192.168.1.0/24"),
        5 => gateway("bolt", "51821", "10.1.0.0/16"),
        6 => gateway("acme", "fast", "192.168.1.0/24"),
        7 => "kind: [".to_owned(),
        _ => format!("{CLASS}---{CLASS}"),
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

fn parts(documents: &Documents) -> String {
    let (classes, gateways, sites) = (documents.classes(), documents.gateways(), documents.sites());
    let classes = classes.iter().map(|it| format!("{:?} {} {:?}\n", it.file, it.object, it.spec));
    let gateways = gateways.iter().map(|it| format!("{:?} {} {:?}\n", it.file, it.object, it.spec));
    let sites = sites.iter().map(|it| format!("{:?} {} {:?}\n", it.file, it.object, it.spec));
    classes.chain(gateways).chain(sites).collect()
}

fn unplaced(error: &ConfigError) -> String {
    ConfigError { line: None, ..error.clone() }.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sets of four files, each set read after the one before it.
    #[test]
    fn what_is_taken_from_the_set_before_is_what_the_files_say(
        sets in prop::collection::vec([0..9usize, 0..9usize, 0..9usize, 0..9usize], 2..6),
    ) {
        let (mut before, mut checked) = (Documents::default(), Checked::default());
        for set in sets {
            let texts = set.map(|which| bytes(&text(which)));
            let files = || ["a", "b", "c", "d"].into_iter().zip(&texts);
            let mut again = Documents::parse_after(files(), &before);
            let anew = Documents::parse(files().map(|(name, bytes)| (name, &**bytes)));
            prop_assert!(!anew.lacks_lines());
            prop_assert_eq!(parts(&again), parts(&anew));
            let judge = |documents: &Documents, earlier: &Checked| {
                let (secrets, ports) = (Secrets::default(), Allocations::new());
                let options = Options::default();
                let outcome = validate_after(documents, &secrets, &ports, &options, earlier);
                let mut errors: Vec<String> = outcome.errors.iter().map(unplaced).collect();
                errors.sort();
                let notes: Vec<String> = outcome.notes.iter().map(unplaced).collect();
                let ports = outcome.allocations;
                let Config { tenants, refused } = outcome.config;
                ((errors, notes, ports, tenants, refused.len()), outcome.checked)
            };
            let (outcome, next) = judge(&again, &checked);
            prop_assert_eq!(outcome, judge(&anew, &Checked::default()).0);
            checked = next;
            prop_assert_eq!(again.gone_from(&before).count(), anew.gone_from(&before).count());
            again.forget_text();
            before = again;
        }
    }
}

#[test]
fn the_sound_texts_are_sound() {
    for which in 1..=5 {
        let text = text(which);
        let documents = Documents::parse([("a", text.as_bytes())]);
        let (secrets, ports) = (Secrets::default(), Allocations::new());
        let outcome = validate(&documents, &secrets, &ports, &Options::default());
        assert_eq!(outcome.errors.to_string(), "", "{which}");
    }
}

/// Of two files with the same documents the second gives none. When the first is
/// gone, it does, though it has not changed for two readings.
#[test]
fn a_file_that_had_been_a_duplicate_twice_gave_nothing_any_more() {
    let (tenant, nothing) = (text(4), String::new());
    let read = |first: &str, before: &Documents| {
        Documents::parse_after([("a", &bytes(first)), ("b", &bytes(&tenant))], before)
    };
    let alone = read(&nothing, &Documents::default());
    let twice = read(&tenant, &alone);
    assert!(!twice.errors().is_empty() && twice.gateways().len() == 1);
    let again = read(&nothing, &twice);
    assert_eq!(again.errors().to_string(), "");
    assert_eq!((again.gateways().len(), again.sites().len()), (1, 1));
}

/// The error is about a file that has not changed, which another contradicts.
#[test]
fn an_error_about_an_unchanged_file_lacked_its_line() {
    let directory = TempDir::new().unwrap();
    let (documents, state) = (directory.path().join("documents"), directory.path().join("state"));
    for made in [&documents, &state.join("keys")] {
        std::fs::create_dir_all(made).unwrap();
    }
    let write = |name: &str, text: &str| std::fs::write(documents.join(name), text).unwrap();
    write("b.yaml", &text(2));
    let source = Source::new(documents.clone(), None);
    let read = |earlier: &Earlier| load(&source, &state, Placement::PerTenant, earlier).unwrap();
    let first = read(&Earlier::default());
    assert_eq!(first.errors, Vec::<String>::new());
    let ports = BTreeMap::from_iter(first.ports);
    let earlier = Earlier {
        ports,
        identities: first.identities,
        documents: Arc::new(first.documents),
        checked: first.checked,
        ..Earlier::default()
    };
    write("a.yaml", &text(4).replace("51821", "51820"));
    let second = read(&earlier);
    let about: Vec<&String> = second.errors.iter().filter(|it| it.contains("b.yaml:")).collect();
    assert!(!about.is_empty(), "{:?}", second.errors);
    for error in about {
        let place = error.split("b.yaml:").nth(1).unwrap();
        assert!(place.starts_with(|first: char| first.is_ascii_digit()), "{error}");
    }
}

/// What a set came to after an earlier one, with these ports given and options.
fn after(texts: &[&str], before: &Documents, checked: &Checked, options: &Options) -> Outcome {
    let names = (0..texts.len()).map(|at| format!("{at}.yaml")).collect::<Vec<_>>();
    let texts: Vec<Arc<[u8]>> = texts.iter().map(|text| bytes(text)).collect();
    let documents = Documents::parse_after(names.iter().map(String::as_str).zip(&texts), before);
    validate_after(&documents, &Secrets::default(), &Allocations::new(), options, checked)
}

/// Of two tenants one changes: the other is not judged again, which is seen by its
/// being the very same value.
#[test]
fn a_tenant_that_did_not_change_is_the_same_one() {
    let (acme, bolt) = (text(2), text(4));
    let mut before = Documents::parse([("0.yaml", acme.as_bytes()), ("1.yaml", bolt.as_bytes())]);
    before.forget_text();
    let (secrets, ports, options) = (Secrets::default(), Allocations::new(), Options::default());
    let first = validate(&before, &secrets, &ports, &options);
    let changed = acme.replace("192.168.1.0/24", "192.168.77.0/24");
    let second = after(&[&changed, &bolt], &before, &first.checked, &options);
    assert_eq!(second.errors.to_string(), "");
    let same = |name: &str| {
        let name = format!("{name}/gw").parse().unwrap();
        Arc::ptr_eq(&first.config.tenants[&name], &second.config.tenants[&name])
    };
    assert!(same("bolt") && !same("acme"));
    // By another MTU, as by other Secrets, everybody is judged anew.
    let narrow = Options { uplink_mtu: Some(Mtu::new(1400).unwrap()), ..Options::default() };
    let third = after(&[&acme, &bolt], &before, &first.checked, &narrow);
    let name: TenantName = "bolt/gw".parse().unwrap();
    assert_eq!(third.config.tenants[&name].tunnel_mtu, Mtu::new(1320).unwrap());
}

/// A tenant that did not change meets one that did: the error is the same as if
/// both had been read for the first time.
#[test]
fn an_unchanged_tenant_that_a_changed_one_meets_is_judged_again() {
    let (acme, bolt) = (text(2), text(4));
    let mut before = Documents::parse([("0.yaml", acme.as_bytes()), ("1.yaml", bolt.as_bytes())]);
    before.forget_text();
    let (secrets, ports, options) = (Secrets::default(), Allocations::new(), Options::default());
    let first = validate(&before, &secrets, &ports, &options);
    // The port of the later one, by the earlier one; and its veth peer's name.
    for (from, to) in [("51820", "51821"), ("peer: acme", "peer: bolt")] {
        let changed = acme.replace(from, to);
        let again = after(&[&changed, &bolt], &before, &first.checked, &options);
        let anew = after(&[&changed, &bolt], &Documents::default(), &Checked::default(), &options);
        let unplaced = |outcome: &Outcome| outcome.errors.iter().map(unplaced).collect::<Vec<_>>();
        assert_eq!(unplaced(&again), unplaced(&anew));
        assert!(again.errors.to_string().contains("bolt"), "{}", again.errors);
        assert_eq!(again.config, anew.config);
        assert_eq!(again.config.tenants.len(), 1);
    }
}

/// With another Secret the same document is another tenant.
#[test]
fn a_changed_secret_changes_the_tenant_whose_document_did_not() {
    let text = text(4).replace(
        "spec:\n  listenPort",
        "spec:\n  privateKeySecretRef: {name: wg, key: privateKey}\n  listenPort",
    );
    let documents = Documents::parse([("0.yaml", text.as_bytes())]);
    let judge = |byte: u8, earlier: &Checked| {
        let mut secrets = Secrets::default();
        let key = PrivateKey::from_random([byte; 32]).to_base64();
        secrets.insert(
            "bolt",
            "wg",
            "privateKey",
            zeroize::Zeroizing::new(key.as_bytes().to_vec()),
        );
        let (ports, options) = (Allocations::new(), Options::default());
        validate_after(&documents, &secrets, &ports, &options, earlier)
    };
    let first = judge(1, &Checked::default());
    assert_eq!(first.errors.to_string(), "");
    let again = judge(1, &first.checked);
    assert!(Arc::ptr_eq(only(&first), only(&again)));
    let changed = judge(2, &first.checked);
    assert_ne!(only(&first).private_key, only(&changed).private_key);
}

fn only(outcome: &Outcome) -> &Arc<Tenant> {
    outcome.config.tenants.values().next().unwrap()
}
