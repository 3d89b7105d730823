//! `lockgate nmaas import`: domain requests into documents that `check` finds good.

use crate::cli::program::{Ended, run, run_with};
use expect_test::{ExpectFile, expect_file};
use lockgate::config::import::nmaas::{Form, Technology, Wishes, documents};
use proptest::prelude::*;
use std::path::Path;

const CUSTOMER: &str = "maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=";
const APP: [&str; 2] = ["--app", "10.136.40.0/24"];

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nmaas").join(name);
    path.to_str().unwrap().to_owned()
}

fn import(name: &str, words: &[&str]) -> Ended {
    run(&[&["nmaas", "import", &data(name)][..], words].concat())
}

/// What it printed, and then what it said, without where the file is.
fn assert_said(ended: &Ended, expected: ExpectFile) {
    let directory = data("");
    let said = format!("{}\n==== stderr, code {} ====\n{}", ended.stdout, ended.code, ended.stderr);
    expected.assert_eq(&said.replace(&directory, ""));
}

#[test]
fn a_form_becomes_a_tenant_with_a_site() {
    let words = ["--public-key", CUSTOMER, "--address", "10.255.30.0/31", "--domain", "17"];
    let ended = import("form.json", &[&APP[..], &words].concat());
    assert_said(&ended, expect_file!["../../data/nmaas/form.said"]);
    assert_eq!(ended.code, 0);
}

#[test]
fn a_mailed_form_is_read_and_what_is_odd_in_it_is_said() {
    let ended = import("mail.json", &[&APP[..], &["--public-key", CUSTOMER]].concat());
    assert_said(&ended, expect_file!["../../data/nmaas/mail.said"]);
    assert_eq!(ended.code, 0);
}

#[test]
fn a_domain_of_the_api_brings_its_number_and_namespace() {
    let words = [&APP[..], &["--technology", "wireguard", "--public-key", CUSTOMER]].concat();
    let ended = import("domain.json", &words);
    assert_said(&ended, expect_file!["../../data/nmaas/domain.said"]);
    assert_eq!(ended.code, 0);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_path() {
    let ended = import("bad.json", &APP);
    assert_said(&ended, expect_file!["../../data/nmaas/bad.said"]);
    assert_eq!(ended.code, 2);
}

#[test]
fn a_site_on_a_vlan_needs_what_the_operator_knows() {
    let needs = import("form.json", &[&APP[..], &["--technology", "vlan"]].concat());
    assert_eq!((needs.code, needs.stdout.as_str()), (2, ""));
    for option in ["--vlan:", "--address:", "--next-hop:"] {
        assert!(needs.stderr.contains(option), "{}", needs.stderr);
    }
    let words = ["--technology", "vlan", "--vlan", "eth2/30", "--address", "10.1.0.7/24"];
    let words = [&APP[..], &words, &["--next-hop", "10.1.0.1"]].concat();
    let ended = import("form.json", &words);
    assert_said(&ended, expect_file!["../../data/nmaas/vlan.said"]);
    assert_eq!(ended.code, 0);
    let mixed = import("form.json", &[&words[..], &["--listen-port", "51821"]].concat());
    assert!(
        mixed.stderr.contains("--listen-port: is for a site with a tunnel"),
        "{}",
        mixed.stderr
    );
}

/// A document that lacks the customer's key is written, and `check` says where it goes.
#[test]
fn a_key_that_is_not_known_yet_has_a_place_that_check_names() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().to_str().unwrap();
    let ended = import("form.json", &[&APP[..], &["--out", out]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("never for the private one"), "{}", ended.stderr);
    let path = format!("{out}/nmaas-ns-pcss.gw.yaml");
    assert_eq!(ended.stdout, format!("{path}\n"));
    let checked = run(&["check", "-f", &path]);
    assert_eq!(checked.code, 1);
    assert!(
        checked.stdout.contains("spec.wireGuard.publicKey: is not base64"),
        "{}",
        checked.stdout
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("PUBLIC-KEY-OF-THE-CUSTOMERS-ROUTER", CUSTOMER)).unwrap();
    let checked = run(&["check", "-f", &path, "--leaks"]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert_eq!(import("form.json", &[&APP[..], &["--out", out]].concat()).code, 2);
}

#[test]
fn the_gateway_dials_where_it_is_told_to() {
    let words = [&APP[..], &["--public-key", CUSTOMER, "--endpoint-port", "51820"]].concat();
    let ended = import("form.json", &words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("endpoint: {host: \"198.51.100.7\", port: 51820}"));
    let nobody = run_with(
        &[&["nmaas", "import", "-"][..], &words].concat(),
        r#"{"domainCodename": "ab", "vpnTechnology": "Wireguard", "userSubnets": [{"ipAddressWithMask": "192.0.2.0/24"}]}"#,
    );
    assert_eq!(nobody.code, 2);
    assert!(nobody.stderr.contains("--endpoint-port"), "{}", nobody.stderr);
}

#[test]
fn what_no_form_says_is_asked_for() {
    let ended = run_with(&["nmaas", "import", "-"], r#"{"domainCodename": "ab-"}"#);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("ends in `-`"), "{}", ended.stderr);
    let ended = run_with(&["nmaas", "import", "-"], r#"{"domainCodename": "ab"}"#);
    for words in ["--app: is needed", "userSubnets: names no network", "vpnTechnology: is missing"]
    {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    for (text, words) in
        [("[]", "is no object"), ("{", "is no JSON"), ("{}", "domainCodename: is missing")]
    {
        let ended = run_with(&[&["nmaas", "import", "-"][..], &APP].concat(), text);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let large = format!("{{\"justification\": \"{}\"}}", "x".repeat(1 << 20));
    let ended = run_with(&["nmaas", "import", "-"], &large);
    assert!(ended.stderr.contains("larger than 1 MiB"), "{}", ended.stderr);
}

proptest! {
    /// Whatever people write into the form, what comes of it are two documents and nothing
    /// that a field has smuggled in.
    #[test]
    fn words_of_a_form_stay_words(name in "\\PC{0,40}|[ -~\n\r\u{85}\u{2028}]{0,40}", key in "\\PC{1,20}") {
        let value = serde_json::json!({
            "domainCodename": "ab",
            "domainName": name,
            "vpnTechnology": "Wireguard",
            key: name,
            "userSubnets": [{"ipAddressWithMask": "192.0.2.0/24"}],
        });
        let form = Form::parse(&value.to_string(), Some(Technology::WireGuard));
        // The key may be one of the form's own.
        let Ok(form) = form else { return Ok(()) };
        let wishes = Wishes {
            file: name,
            gateway: "gw".to_owned(),
            apps: vec!["10.136.40.0/24".parse().unwrap()],
            public_key: Some(CUSTOMER.parse().unwrap()),
            ..Wishes::default()
        };
        let made = documents(&form, &wishes).unwrap();
        let read = lockgate::config::Documents::parse([("x", made.text.as_bytes())]);
        prop_assert!(read.errors().is_empty(), "{}", made.text);
        prop_assert_eq!((read.gateways().len(), read.sites().len()), (1, 1));
    }
}
