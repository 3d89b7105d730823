//! Documents that are shipped, good ones and bad ones: read and checked.

use lockgate::config::{Allocations, Documents, Options, Outcome, Problem, Secrets, validate};
use lockgate::model::{Placement, limits};
use lockgate::net::PublicKey;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn yaml_files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{name} holds no documents");
    files
}

fn check(file: &Path, placement: Placement) -> Outcome {
    let bytes = std::fs::read(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let documents = Documents::parse([(name, bytes.as_slice())]);
    let options = Options { placement, ..Options::default() };
    validate(&documents, &Secrets::default(), &Allocations::new(), &options)
}

#[test]
fn every_shipped_config_is_accepted_whole() {
    for file in yaml_files("config") {
        let outcome = check(&file, Placement::PerTenant);
        assert_eq!(outcome.errors.to_string(), "", "{}", file.display());
        assert!(!outcome.config.tenants.is_empty(), "{}", file.display());
    }
}

#[test]
fn every_good_document_is_accepted() {
    for file in yaml_files("tests/data/config/good") {
        let outcome = check(&file, Placement::PerTenant);
        assert_eq!(outcome.errors.to_string(), "", "{}", file.display());
    }
}

/// Each bad file has its errors in a file beside it.
#[test]
fn every_bad_document_is_refused_with_the_expected_errors() {
    for file in yaml_files("tests/data/config/bad") {
        let outcome = check(&file, Placement::PerTenant);
        assert!(!outcome.errors.is_empty(), "{} was accepted", file.display());
        expect_test::expect_file![file.with_extension("errors")]
            .assert_eq(&outcome.errors.to_string());
    }
}

#[test]
fn a_file_too_large_is_refused_whatever_is_in_it() {
    let bytes = vec![b'#'; usize::try_from(limits::DOCUMENT_FILE_BYTES).unwrap() + 1];
    let documents = Documents::parse([("a.yaml", bytes.as_slice())]);
    let errors: Vec<&Problem> = documents.errors().iter().map(|error| &error.problem).collect();
    assert_eq!(errors, [&Problem::FileTooLarge { bytes: bytes.len() }]);
}

/// As many as a tenant may have, with ten networks each.
#[test]
fn ten_thousand_sites_of_ten_networks_are_taken() {
    let mut text = String::from(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [172.16.0.0/24]
  fabric: {veth: {peer: apps, addresses: [172.16.0.1/24]}}
",
    );
    let sites = limits::SITES_PER_TENANT;
    for site in 0..sites {
        let mut key = [0x15; 32];
        key[..2].copy_from_slice(&u16::try_from(site).unwrap().to_be_bytes());
        let key = PublicKey::from_bytes(key).unwrap();
        let (a, b) = (site / 250, site % 250);
        text += &format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: s{site}, namespace: acme}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {key}, tunnelAddresses: [100.{a}.{b}.0/31]}}
  prefixes:
"
        );
        for network in 0..10 {
            text += &format!("    - {{cidr: 10.{a}.{b}.{}/28}}\n", network * 16);
        }
    }
    let documents = Documents::parse([("a.yaml", text.as_bytes())]);
    let (secrets, ports) = (Secrets::default(), Allocations::new());
    let outcome = validate(&documents, &secrets, &ports, &Options::default());
    assert_eq!(outcome.errors.to_string(), "");
    let tenant = outcome.config.tenants.values().next().unwrap();
    assert_eq!(tenant.sites.len(), sites);
    let networks: usize = tenant.sites.values().map(|site| site.prefixes.len()).sum();
    assert_eq!(networks, 10 * sites);
}
