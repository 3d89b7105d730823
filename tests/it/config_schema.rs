//! The schemas: what they allow, what they say is the default, and their rules.

use expect_test::expect_file;
use kube::core::crd::CustomResourceExt;
use lockgate::config::schema::{
    ConnectivityClass, SiteAttachment, SiteAttachmentSpec, TenantGateway,
};
use lockgate::config::{Documents, check_transition, crds, json_schema};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

fn reference() -> Vec<Json> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.yaml");
    serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn spec_schemas() -> BTreeMap<&'static str, Json> {
    [
        ("ConnectivityClass", ConnectivityClass::crd()),
        ("TenantGateway", TenantGateway::crd()),
        ("SiteAttachment", SiteAttachment::crd()),
    ]
    .into_iter()
    .map(|(kind, crd)| {
        let json = serde_json::to_value(crd).unwrap();
        (
            kind,
            json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone(),
        )
    })
    .collect()
}

/// Every field of a schema by path, with its default.
fn fields(schema: &Json, path: &str, out: &mut BTreeMap<String, Option<Json>>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            let path = format!("{path}.{name}");
            out.insert(path.clone(), schema.get("default").cloned());
            fields(schema, &path, out);
        }
    }
    if !schema["items"].is_null() {
        fields(&schema["items"], path, out);
    }
}

/// Every field of a document by path, with the values it has.
fn values(json: &Json, path: &str, out: &mut BTreeMap<String, Vec<Json>>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                out.entry(path.clone()).or_default().push(value.clone());
                values(value, &path, out);
            }
        }
        Json::Array(list) => list.iter().for_each(|value| values(value, path, out)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[test]
fn the_reference_names_every_field_with_its_real_default() {
    // Their Secrets are not there when a test reads the file, so they are commented out.
    let commented = [
        "ConnectivityClass.vpnReflectors.passwordSecretRef",
        "TenantGateway.privateKeySecretRef",
        "TenantGateway.nextPrivateKeySecretRef",
        "TenantGateway.fabric.bgp.neighbors.passwordSecretRef",
        "SiteAttachment.wireGuard.presharedKeySecretRef",
        "SiteAttachment.wireGuard.nextPresharedKeySecretRef",
        "SiteAttachment.bgp.passwordSecretRef",
    ];
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.yaml"),
    )
    .unwrap();
    let mut written = BTreeMap::new();
    for document in reference() {
        values(&document["spec"], document["kind"].as_str().unwrap(), &mut written);
    }
    for (kind, schema) in spec_schemas() {
        let mut known = BTreeMap::new();
        fields(&schema, kind, &mut known);
        for (path, default) in known {
            if let Some(field) = commented.iter().find(|field| path.starts_with(**field)) {
                assert!(
                    text.contains(&format!("# {}:", field.rsplit('.').next().unwrap())),
                    "{path}"
                );
                continue;
            }
            let written =
                written.get(&path).unwrap_or_else(|| panic!("{path} is not in reference.yaml"));
            // The defaults of mappings are those of their fields.
            let Some(default) =
                default.filter(|default| !default.is_object() && !default.is_array())
            else {
                continue;
            };
            assert!(
                written.iter().all(|value| *value == default),
                "{path}: {written:?}, default {default}"
            );
        }
    }
    let ports = &written["ConnectivityClass.udpPorts"][0];
    assert_eq!(spec_schemas()["ConnectivityClass"]["properties"]["udpPorts"]["default"], *ports);
}

#[test]
fn the_definitions_for_a_cluster_are_as_committed() {
    expect_file!["../data/config/crds.yaml"].assert_eq(&crds().unwrap());
}

#[test]
fn the_definitions_can_be_read_back() {
    let kinds: Vec<Json> = serde_saphyr::from_multiple(&crds().unwrap()).unwrap();
    let names: Vec<&str> =
        kinds.iter().map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["ConnectivityClass", "TenantGateway", "SiteAttachment"]);
}

#[test]
fn the_schema_for_editors_refuses_unknown_fields_everywhere() {
    fn walk(schema: &Json, path: &str) {
        if schema["properties"].is_object() && path != "metadata" {
            for (name, inner) in schema["properties"].as_object().unwrap() {
                assert_ne!(schema["additionalProperties"], json!(true), "{path}");
                walk(inner, name);
            }
        }
    }
    let schema = json_schema();
    for kind in schema["oneOf"].as_array().unwrap() {
        assert_eq!(kind["properties"]["spec"]["additionalProperties"], json!(false));
        walk(kind, "");
    }
    assert!(
        !schema.to_string().contains("x-kubernetes"),
        "a cluster's words in an editor's schema"
    );
}

fn site(change: impl FnOnce(&mut Json)) -> Json {
    let mut spec = json!({
        "gatewayRef": {"name": "gw"},
        "type": "VLAN",
        "vlan": {"parent": "eth2", "id": 30, "protocol": "802.1Q", "addresses": ["10.1.0.7/24"], "nextHop": "10.1.0.1"},
        "prefixes": [{"cidr": "192.168.1.0/24"}],
        "priority": 100,
    });
    change(&mut spec);
    spec
}

fn rules(now: &Json, then: Option<&Json>) -> String {
    match SiteAttachmentSpec::validate_cel(now, then) {
        Ok(()) => String::new(),
        Err(errors) => errors.iter().map(|error| format!("{}\n", error.message)).collect(),
    }
}

#[test]
fn the_clusters_rules_hold_for_a_good_site() {
    assert_eq!(rules(&site(|_| ()), None), "");
    let moved = site(|spec| spec["vlan"]["nextHop"] = json!("10.1.0.2"));
    assert_eq!(rules(&moved, Some(&site(|_| ()))), "");
}

#[test]
fn the_clusters_rules_tie_type_and_member() {
    assert!(
        rules(&site(|spec| spec["type"] = json!("WireGuard")), None)
            .contains("wireGuard is there when")
    );
    let bare = site(|spec| {
        spec.as_object_mut().unwrap().remove("vlan");
    });
    assert!(rules(&bare, None).contains("vlan is there when"));
    let both = site(|spec| spec["vlan"]["interface"] = json!("net1"));
    assert!(rules(&both, None).contains("interface"));
}

#[test]
fn what_makes_a_site_that_site_cannot_be_changed() {
    let old = site(|_| ());
    for (change, field) in [
        (site(|spec| spec["gatewayRef"]["name"] = json!("other")), "gatewayRef"),
        (site(|spec| spec["vlan"]["parent"] = json!("eth3")), "vlan.parent"),
        (site(|spec| spec["vlan"]["id"] = json!(31)), "vlan.id"),
    ] {
        assert_eq!(
            rules(&change, Some(&old)),
            format!("{field} cannot be changed; make another site\n")
        );
    }
}

#[test]
fn the_same_rules_hold_between_two_sets_of_files() {
    let text = |id: u32| {
        format!(
            "apiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: hq}}\nspec:\n  \
             gatewayRef: {{name: gw}}\n  type: VLAN\n  vlan: {{parent: eth2, id: {id}, addresses: [10.1.0.7/24], \
             nextHop: 10.1.0.1}}\n  prefixes: [{{cidr: 192.168.1.0/24}}]\n"
        )
    };
    let read = |id| Documents::parse([("a.yaml", text(id).as_bytes())]);
    assert_eq!(check_transition(&read(30), &read(30)).to_string(), "");
    assert_eq!(
        check_transition(&read(30), &read(31)).to_string(),
        "a.yaml:7: SiteAttachment/hq: spec.vlan.id: cannot be changed; make another site\n"
    );
}
