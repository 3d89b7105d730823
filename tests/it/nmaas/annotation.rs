//! The annotation by which a tenant is a domain of NMaaS.

use crate::cli::program::run;
use lockgate::config::schema::TenantGateway;
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::model::DomainId;
use std::sync::Arc;

fn document(annotation: &str) -> String {
    format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme, annotations: {{{annotation}}}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: app-acme, addresses: [10.136.40.1/24]}}}}
"
    )
}

fn domain(documents: &Documents) -> Option<u64> {
    let options = Options::default();
    let outcome = validate(documents, &Secrets::default(), &Allocations::new(), &options);
    let tenant = outcome.config.tenants.values().next().expect("the tenant is not served");
    tenant.nmaas_domain.map(DomainId::value)
}

#[test]
fn a_tenant_is_the_domain_that_its_annotation_names() {
    for (annotation, expected) in [
        ("lockgate.dev/nmaas-domain-id: \"17\"", Some(17)),
        ("lockgate.dev/nmaas-domain-id: 17", Some(17)),
        ("lockgate.dev/nmaas-domain-id: \"9223372036854775807\"", Some(9_223_372_036_854_775_807)),
        ("lockgate.dev/nmaas-domain-id: \"9223372036854775808\"", None),
        ("lockgate.dev/nmaas-domain-id: \"0\"", None),
        ("lockgate.dev/nmaas-domain-id: \"+1\"", None),
        ("other.example.org/nmaas-domain-id: \"17\"", None),
    ] {
        let text = document(annotation);
        let documents = Documents::parse([("x.yaml", text.as_bytes())]);
        assert_eq!(domain(&documents), expected, "{annotation}");
    }
}

/// A set that is read again has its other files from before.
#[test]
fn a_file_that_did_not_change_keeps_its_annotation() {
    let bytes = |text: String| -> Arc<[u8]> { Arc::from(text.into_bytes()) };
    let (first, other) =
        (bytes(document("lockgate.dev/nmaas-domain-id: \"17\"")), bytes("# one".into()));
    let changed = bytes("# two".into());
    let earlier = Documents::parse([("a.yaml", &*first), ("b.yaml", &*other)]);
    let again = Documents::parse_after([("a.yaml", &first), ("b.yaml", &changed)], &earlier);
    assert!(again.lacks_lines(), "it was read anew");
    assert_eq!(domain(&again), Some(17));
    let other = bytes(document("lockgate.dev/nmaas-domain-id: \"18\""));
    let changed = Documents::parse_after([("a.yaml", &other), ("b.yaml", &changed)], &again);
    assert_eq!(domain(&changed), Some(18));
}

/// A mistake in it costs the customer nothing, and is said.
#[test]
fn an_annotation_that_names_no_domain_is_noted_and_the_tenant_is_served() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.yaml");
    std::fs::write(&path, document("lockgate.dev/nmaas-domain-id: none")).unwrap();
    let checked = run(&["check", "-f", path.to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    let note = "x.yaml:3: TenantGateway/acme/gw: metadata.annotations.lockgate.dev/nmaas-domain-id: \"none\" is no number";
    assert!(said.contains(note), "{said}");
}

/// Objects of a cluster have it as files do.
#[test]
fn an_object_of_a_cluster_has_its_annotation() {
    let text = document("lockgate.dev/nmaas-domain-id: \"17\"");
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let object: TenantGateway = serde_json::from_value(value).unwrap();
    let mut documents = Documents::default();
    documents.push_gateway(object);
    assert_eq!(domain(&documents), Some(17));
}
