//! `lockgate import`: files of wg-quick's into documents that `check` finds good.

use crate::cli::program::{Ended, run, run_with};
use expect_test::{ExpectFile, expect_file};
use lockgate::config::import::WgQuickFile;
use lockgate::net::{Prefix, outermost};
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PRIVATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHl8=";
const PSK: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
const CUSTOMER: &str = "maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=";

const FROM_GATEWAY: [&str; 6] =
    ["--tenant", "pionier/gw", "--app", "10.136.40.0/24", "--app", "2001:db8:40::/64"];
const FROM_CUSTOMER: [&str; 8] = [
    "--tenant",
    "pionier/gw",
    "--site",
    "poznan",
    "--public-key",
    CUSTOMER,
    "--prefix",
    "192.168.1.0/24",
];

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name);
    path.to_str().unwrap().to_owned()
}

fn import(name: &str, words: &[&str]) -> Ended {
    run(&[&["import", &data(name)][..], words].concat())
}

/// What it printed, and then what it said, without where the file is.
fn assert_said(ended: &Ended, expected: ExpectFile) {
    let directory = data("");
    let said = format!("{}\n==== stderr, code {} ====\n{}", ended.stdout, ended.code, ended.stderr);
    expected.assert_eq(&said.replace(&directory, ""));
}

#[test]
fn a_gateways_peers_become_sites() {
    let ended = import("gateway.conf", &FROM_GATEWAY);
    assert_said(&ended, expect_file!["../data/import/gateway.said"]);
}

#[test]
fn a_customers_peer_is_the_gateway() {
    let ended = import("customer.conf", &FROM_CUSTOMER);
    assert_said(&ended, expect_file!["../data/import/customer.said"]);
}

#[test]
fn every_flaw_of_a_file_is_said_at_once_with_its_line() {
    let ended = import("bad.conf", &FROM_GATEWAY);
    assert_said(&ended, expect_file!["../data/import/bad.said"]);
}

#[test]
fn what_is_written_passes_check_with_its_secrets() {
    for (name, words, count) in
        [("gateway.conf", &FROM_GATEWAY[..], 3), ("customer.conf", &FROM_CUSTOMER[..], 2)]
    {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("new");
        let out = out.to_str().unwrap();
        let ended = import(name, &[words, &["--out", out]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let paths: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(paths.len(), count, "{paths:?}");
        assert_eq!(paths[0], format!("{out}/pionier.gw.yaml"));
        let documents = std::fs::read_to_string(paths[0]).unwrap();
        for secret in [PRIVATE, PSK] {
            assert!(!documents.contains(secret) && !ended.stderr.contains(secret));
        }
        for path in &paths[1..] {
            let text = std::fs::read_to_string(path).unwrap();
            assert!([PRIVATE, PSK].contains(&text.trim()), "{path}");
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let checked = run(&["check", "-f", out, "--leaks"]);
        assert_eq!(checked.code, 0, "{}", checked.stdout);
        let again = import(name, &[words, &["--out", out]].concat());
        assert_eq!(again.code, 2);
        assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
    }
}

/// The gateway keeps who it was: its customers change nothing.
#[test]
fn the_gateways_own_key_is_kept_as_a_secret() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().to_str().unwrap();
    import("gateway.conf", &[&FROM_GATEWAY[..], &["--out", out]].concat());
    let text = std::fs::read_to_string(home.path().join("secrets/pionier/gw-key/private-key"));
    assert_eq!(text.unwrap(), format!("{PRIVATE}\n"));
    let public = run_with(&["keys", "public"], PRIVATE).stdout;
    let words = ["customer-config", "site-3", "-f", out, "--host", "vpn.example.net"];
    let printed = run(&words).stdout;
    assert!(printed.contains(&format!("\nPublicKey = {public}")), "{printed}");
}

/// What is printed for a customer, imported again, prints the same.
#[test]
fn a_printed_file_comes_back_as_the_same_site() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().to_str().unwrap();
    let words = [&FROM_CUSTOMER[..], &["--prefix", "2001:db8:aa::/48", "--out", out]].concat();
    let ended = import("customer.conf", &words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let gateway = "l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=";
    let printed = run(&[
        "customer-config",
        "poznan",
        "-f",
        out,
        "--host",
        "vpn.example.net",
        "--gateway-key",
        gateway,
        "--with-psk",
    ]);
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#'));
        let kept = ["DNS", "Table", "PostUp", "PrivateKey"];
        lines
            .filter(|line| !kept.iter().any(|key| line.starts_with(key)))
            .map(str::to_owned)
            .collect()
    };
    let written = std::fs::read_to_string(data("customer.conf")).unwrap();
    assert_eq!(settings(&printed.stdout), settings(&written), "{}", printed.stderr);
}

#[test]
fn a_customers_private_key_is_refused_and_shown_nowhere() {
    let text = std::fs::read_to_string(data("customer.conf")).unwrap();
    let text = text.replace("[Interface]\n", &format!("[Interface]\nPrivateKey = {PRIVATE}\n"));
    let ended = run_with(&[&["import", "-"][..], &FROM_CUSTOMER].concat(), &text);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.contains("line 2: the PrivateKey of the customer's side"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--public-key"));
    assert!(!ended.stderr.contains(PRIVATE));
}

#[test]
fn everything_that_is_not_said_is_asked_for_at_once() {
    let customer = import("customer.conf", &[]);
    assert_eq!(customer.code, 2);
    for option in ["--public-key", "--prefix"] {
        assert!(customer.stderr.contains(option), "{}", customer.stderr);
    }
    let gateway = import("gateway.conf", &["--site", "one", "--public-key", CUSTOMER]);
    assert_eq!(gateway.code, 2);
    for words in ["say --app", "--site names one site; there are 4", "--public-key is for"] {
        assert!(gateway.stderr.contains(words), "{}", gateway.stderr);
    }
    let small = import("gateway.conf", &["--app", "10.136.40.7/32"]);
    assert!(small.stderr.contains("has room"), "{}", small.stderr);
}

/// A network of the applications that a site has, too, is found as `check` finds it.
#[test]
fn documents_with_an_error_are_printed_with_it() {
    let ended = import("gateway.conf", &["--app", "192.168.1.0/24"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("kind: TenantGateway"));
    assert!(ended.stderr.contains("192.168.1.0/24 overlaps"), "{}", ended.stderr);
}

/// A file whose one peer is dialled and that listens, too, can be either side's.
#[test]
fn the_side_can_be_said() {
    let text = std::fs::read_to_string(data("customer.conf")).unwrap();
    let text = text.replace("[Interface]\n", "[Interface]\nListenPort = 51820\n");
    let taken = run_with(&[&["import", "-"][..], &FROM_CUSTOMER].concat(), &text);
    assert!(
        taken.stderr.contains("--public-key is for the file of a customer"),
        "{}",
        taken.stderr
    );
    let said = [&["import", "-", "--side", "customer"][..], &FROM_CUSTOMER].concat();
    let said = run_with(&said, &text);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("the customer listens at port 51820"), "{}", said.stderr);
}

/// Every network was once held against every other: a file of 4 MiB took minutes.
#[test]
fn networks_within_others_are_found_without_comparing_each_with_each() {
    let wide = |at: u32| Prefix::containing_address(Ipv4Addr::from(at << 16).into(), 16).unwrap();
    let narrow = |at: u32| {
        let address = Ipv4Addr::from(((at % 200) << 16) | ((at / 200) << 8));
        Prefix::containing_address(address.into(), 24).unwrap()
    };
    // 200 wide ones, a hundred narrow ones within each, and 100 beside them.
    let inside = (0..20_000_u32).map(narrow);
    let beside = (0..100_u32).map(|at| Prefix::host(Ipv4Addr::new(203, 0, 113, at as u8).into()));
    let all: Vec<Prefix> = inside.chain((0..200).map(wide)).chain(beside).collect();
    let mut asked = 0;
    let outer = outermost(all.iter().copied(), |wider, prefix| {
        asked += 1;
        wider.covers(prefix)
    });
    assert_eq!(outer.len(), 300);
    assert!(outer.is_sorted());
    assert!(asked <= all.len(), "{asked} comparisons of {} networks", all.len());
}

proptest! {
    /// The same as holding each against each.
    #[test]
    fn the_outermost_are_those_in_no_other(networks in prop::collection::vec((any::<u8>(), 0_u8..=8), 0..40)) {
        let prefix = |(top, length): &(u8, u8)| {
            Prefix::containing_address(Ipv4Addr::new(*top, 0, 0, 0).into(), *length).unwrap()
        };
        let all: std::collections::BTreeSet<Prefix> = networks.iter().map(prefix).collect();
        let is_inner = |it: &Prefix| all.iter().any(|other| other != it && other.covers(*it));
        let expected: Vec<Prefix> = all.iter().copied().filter(|it| !is_inner(it)).collect();
        prop_assert_eq!(outermost(all.iter().copied(), Prefix::covers), expected);
    }
}

/// Peers of one name were once counted through from the first.
#[test]
fn peers_of_one_name_are_numbered() {
    let mut text = "[Interface]\nAddress = 10.9.0.1/16\n".to_owned();
    for at in 1..=3_u8 {
        let mut key = [9; 32];
        key[0] = at;
        let key = lockgate::net::PublicKey::from_bytes(key).unwrap();
        text += &format!("[Peer]\n# hq\nPublicKey = {key}\nAllowedIPs = 10.{at}.0.0/16\n");
    }
    let ended =
        run_with(&[&["import", "-", "--side", "gateway"][..], &FROM_GATEWAY].concat(), &text);
    for name in ["\"hq\"", "\"hq-2\"", "\"hq-3\""] {
        assert!(ended.stdout.contains(&format!("name: {name},")), "{}", ended.stdout);
    }
}

#[test]
fn more_addresses_than_a_link_has_are_a_flaw() {
    let addresses: Vec<String> = (0..17).map(|at| format!("10.9.{at}.1/24")).collect();
    let text = format!("[Interface]\nAddress = {}\n", addresses.join(", "));
    let ended = run_with(&[&["import", "-"][..], &FROM_GATEWAY].concat(), &text);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("there are more than 16 addresses"), "{}", ended.stderr);
}

proptest! {
    /// Whatever is in a file, it is read to its end, and what is wrong is within it.
    #[test]
    fn any_lines_are_read(lines in prop::collection::vec(line(), 0..40)) {
        let text = lines.join("\n");
        if let Err(flaws) = WgQuickFile::parse(&text) {
            prop_assert!(!flaws.is_empty());
            prop_assert!(flaws.is_sorted_by_key(|flaw| flaw.line));
            let last = u32::try_from(lines.len().max(1)).unwrap();
            prop_assert!(flaws.iter().all(|flaw| (1..=last).contains(&flaw.line)));
        }
    }
}

/// A line that is often nearly right.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[Interface]".to_owned()),
        Just("[Peer]".to_owned()),
        Just(format!("PublicKey = {CUSTOMER}")),
        Just(format!("PrivateKey = {PRIVATE}")),
        "[A-Za-z]{1,12} ?= ?[ -~]{0,30}",
        "(AllowedIPs|Address) = [0-9a-f.:/, ]{0,40}",
        "(Endpoint|ListenPort|MTU|PersistentKeepalive) = [0-9a-z.:\\[\\]]{0,20}",
        "\\PC{0,30}",
    ]
}
