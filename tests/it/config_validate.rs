//! What comes of documents: who is served, who is refused, and why.

use lockgate::config::{Allocations, Documents, Options, Outcome, OwnKeys, Secrets, validate};
use lockgate::model::{Attachment, DomainId, FabricLink, Placement, RefusalReason};
use lockgate::net::{KeyError, Mtu, PrivateKey, PublicKey, TenantName};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use zeroize::Zeroizing;

/// Public keys, each behind a private key of `n` in every byte.
fn key(n: u8) -> String {
    PrivateKey::from_random([n; 32]).public().to_string()
}

fn gateway(namespace: &str, name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  appPrefixes: [10.136.40.0/24]\n  \
         fabric: {{veth: {{peer: {namespace}-{name}, addresses: [172.16.0.1/24]}}}}\n{more}"
    )
}

fn site(namespace: &str, gateway: &str, name: &str, n: u8, more: &str) -> String {
    format!(
        "---\napiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  gatewayRef: {{name: {gateway}}}\n  \
         type: WireGuard\n  prefixes: [{{cidr: 192.168.{n}.0/24}}]\n  wireGuard:\n    publicKey: {}\n    \
         tunnelAddresses: [10.255.{n}.0/31]\n{more}",
        key(n)
    )
}

fn run(text: &str) -> Outcome {
    run_with(text, &Secrets::default(), &Allocations::new(), &Options::default())
}

fn run_with(
    text: &str,
    secrets: &Secrets,
    allocations: &Allocations,
    options: &Options,
) -> Outcome {
    validate(&Documents::parse([("a.yaml", text.as_bytes())]), secrets, allocations, options)
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

/// Refusals as text: who and why.
fn refusals(outcome: &Outcome) -> Vec<String> {
    let site = |refusal: &lockgate::model::Refusal| {
        refusal.site.as_ref().map(|site| format!("/{site}")).unwrap_or_default()
    };
    let list = outcome.config.refused.iter();
    list.map(|refusal| format!("{}{} {}", refusal.tenant, site(refusal), refusal.reason)).collect()
}

fn served(outcome: &Outcome) -> Vec<String> {
    outcome.config.tenants.keys().map(TenantName::to_string).collect()
}

#[test]
fn a_tunnel_is_as_wide_as_the_uplink_lets_through() {
    let mtu = |more: &str, uplink: Option<u32>| {
        let text = gateway("acme", "gw", more);
        let uplink_mtu = uplink.map(|bytes| Mtu::new(bytes).unwrap());
        let options = Options { uplink_mtu, ..Options::default() };
        let outcome = run_with(&text, &Secrets::default(), &Allocations::new(), &options);
        outcome.config.tenants[&tenant("acme/gw")].tunnel_mtu.bytes()
    };
    assert_eq!(mtu("", None), 1_420);
    assert_eq!(mtu("", Some(1_500)), 1_420);
    // DSL with PPPoE.
    assert_eq!(mtu("", Some(1_492)), 1_412);
    // Jumbo frames end at the first router.
    assert_eq!(mtu("", Some(9_000)), 1_420);
    assert_eq!(mtu("", Some(1_300)), 1_280);
    assert_eq!(mtu("  tunnelMTU: 8920\n", Some(1_492)), 8_920);
}

#[test]
fn a_tenant_with_one_bad_site_is_left_out_and_the_other_is_served() {
    let bad = site("a", "gw", "bad", 2, "").replace("192.168.2.0/24", "127.0.0.0/8");
    let text =
        [gateway("a", "gw", ""), site("a", "gw", "good", 1, ""), bad, gateway("b", "gw", "")]
            .concat();
    let outcome = run(&text);
    assert_eq!(served(&outcome), ["b/gw"]);
    assert_eq!(refusals(&outcome), ["a/gw invalid"]);
    assert_eq!(outcome.errors.count(), 1);
}

#[test]
fn a_document_that_cannot_be_read_spoils_its_own_tenant_only() {
    let bad = site("a", "gw", "bad", 2, "  priority: high\n");
    let outcome = run(&[gateway("a", "gw", ""), bad, gateway("b", "gw", "")].concat());
    assert_eq!(served(&outcome), ["b/gw"]);
    let torn = ["---\nkind: [\n".to_owned(), gateway("a", "gw", "")].concat();
    let documents = Documents::parse([
        ("a.yaml", torn.as_bytes()),
        ("b.yaml", gateway("b", "gw", "").as_bytes()),
    ]);
    let outcome =
        validate(&documents, &Secrets::default(), &Allocations::new(), &Options::default());
    assert_eq!(served(&outcome), ["b/gw"]);
    assert_eq!(refusals(&outcome), ["a/gw invalid"]);
}

#[test]
fn a_site_whose_secret_is_not_right_is_left_out_alone_and_is_no_error() {
    let wants = "    presharedKeySecretRef: {name: s, key: psk}\n";
    let text =
        [gateway("a", "gw", ""), site("a", "gw", "psk", 1, wants), site("a", "gw", "plain", 2, "")]
            .concat();
    let canary = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=";
    let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let with = |value: Option<&[u8]>| {
        let mut secrets = Secrets::default();
        // A Secret of another namespace never helps.
        secrets.insert("b", "s", "psk", Zeroizing::new(canary.into()));
        if let Some(value) = value {
            secrets.insert("a", "s", "psk", Zeroizing::new(value.to_vec()));
        }
        let outcome = run_with(&text, &secrets, &Allocations::new(), &Options::default());
        assert_eq!(outcome.errors.to_string(), "");
        outcome
    };
    let short = &canary.as_bytes()[..43];
    for wrong in [
        None,
        Some(b"".as_slice()),
        Some(b" \n"),
        Some(short),
        Some(b"\xff\xfe"),
        Some(zero.as_bytes()),
    ] {
        let outcome = with(wrong);
        assert_eq!(refusals(&outcome), ["a/gw/psk secret_unresolved"]);
        let sites = &outcome.config.tenants[&tenant("a/gw")].sites;
        assert_eq!(sites.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["plain"]);
        assert!(!format!("{outcome:?}").contains("Y2FuYXJ5"), "a secret was printed");
    }
    let outcome = with(Some(format!("{canary}\n").as_bytes()));
    assert_eq!(refusals(&outcome), Vec::<String>::new());
    let Attachment::WireGuard(peer) =
        &outcome.config.tenants[&tenant("a/gw")].sites[&"psk".parse().unwrap()].attachment
    else {
        panic!("no WireGuard")
    };
    assert_eq!(*peer.preshared_key.as_ref().unwrap().to_base64(), *canary);
    assert!(!format!("{outcome:?}").contains("Y2FuYXJ5"), "a secret was printed");
}

#[test]
fn a_tenant_whose_private_key_is_not_there_is_left_out_and_keeps_its_port() {
    let text = gateway("a", "gw", "  privateKeySecretRef: {name: k, key: private-key}\n");
    let earlier = Allocations::from([(tenant("a/gw"), 51_900)]);
    let outcome = run_with(&text, &Secrets::default(), &earlier, &Options::default());
    assert_eq!(outcome.errors.to_string(), "");
    assert_eq!(refusals(&outcome), ["a/gw secret_unresolved"]);
    assert_eq!(outcome.allocations, earlier);
    let mut secrets = Secrets::default();
    let private = PrivateKey::from_random([7; 32]);
    secrets.insert(
        "a",
        "k",
        "private-key",
        Zeroizing::new(private.to_base64().as_bytes().to_vec()),
    );
    let outcome = run_with(&text, &secrets, &earlier, &Options::default());
    assert_eq!(outcome.config.tenants[&tenant("a/gw")].private_key, Some(private));
}

#[test]
fn ports_are_kept_whatever_comes_and_goes() {
    let (a, b, c) = (gateway("a", "gw", ""), gateway("b", "gw", ""), gateway("c", "gw", ""));
    let first = run(&[a.clone(), b.clone()].concat()).allocations;
    assert_eq!(first.values().copied().collect::<Vec<_>>(), [51_820, 51_821]);
    let again = |text: &str, earlier: &Allocations| {
        run_with(text, &Secrets::default(), earlier, &Options::default()).allocations
    };
    let more = again(&[c.clone(), b.clone(), a].concat(), &first);
    assert_eq!(more[&tenant("a/gw")], 51_820);
    assert_eq!(more[&tenant("b/gw")], 51_821);
    assert_eq!(more[&tenant("c/gw")], 51_822);
    let fewer = again(&[c.clone(), b.clone()].concat(), &more);
    assert_eq!(fewer.values().copied().collect::<Vec<_>>(), [51_821, 51_822]);
    // An asked-for port goes before a given one.
    let asked = gateway("a", "gw", "  listenPort: 51821\n");
    let moved = again(&[c, b, asked].concat(), &fewer);
    assert_eq!(moved[&tenant("a/gw")], 51_821);
    assert_eq!(moved[&tenant("b/gw")], 51_820);
    assert_eq!(moved[&tenant("c/gw")], 51_822);
}

#[test]
fn the_earlier_document_has_a_port_and_the_later_is_refused() {
    let text =
        [gateway("b", "gw", "  listenPort: 5000\n"), gateway("a", "gw", "  listenPort: 5000\n")]
            .concat();
    let outcome = run(&text);
    assert_eq!(served(&outcome), ["b/gw"]);
    assert_eq!(refusals(&outcome), ["a/gw conflict"]);
}

#[test]
fn a_site_that_comes_second_for_a_vlan_is_left_out_alone() {
    let vlan = |namespace: &str, name: &str| {
        format!(
            "---\napiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: {name}, namespace: \
             {namespace}}}\nspec:\n  gatewayRef: {{name: gw}}\n  type: VLAN\n  vlan: {{parent: eth2, id: 30, \
             addresses: [10.1.0.7/24], nextHop: 10.1.0.1}}\n  prefixes: [{{cidr: 10.1.0.0/24}}]\n"
        )
    };
    let text = [
        gateway("a", "gw", ""),
        gateway("b", "gw", ""),
        vlan("b", "first"),
        vlan("a", "second"),
        site("a", "gw", "wg", 1, ""),
    ];
    let outcome = run(&text.concat());
    assert_eq!(served(&outcome), ["a/gw", "b/gw"]);
    assert_eq!(refusals(&outcome), ["a/gw/second conflict"]);
    assert_eq!(outcome.config.tenants[&tenant("a/gw")].sites.len(), 1);
}

#[test]
fn a_site_without_its_gateway_is_refused_by_name() {
    let outcome = run(&site("a", "gw", "lost", 1, ""));
    assert_eq!(refusals(&outcome), ["a/gw/lost gateway_not_found"]);
}

#[test]
fn the_pods_own_link_is_for_one_tenant_in_the_current_namespace() {
    let bare = |name: &str| {
        let text = gateway("a", name, "");
        text.lines().filter(|line| !line.contains("fabric")).fold(String::new(), |mut all, line| {
            writeln!(all, "{line}").unwrap();
            all
        })
    };
    let current = Options { placement: Placement::Current, ..Options::default() };
    let outcome = run_with(&bare("gw"), &Secrets::default(), &Allocations::new(), &current);
    assert_eq!(outcome.errors.to_string(), "");
    let link = &outcome.config.tenants[&tenant("a/gw")].fabric.link;
    assert_eq!(*link, FabricLink::Pod("eth0".parse().unwrap()));
    assert_eq!(run(&bare("gw")).errors.count(), 1);
    let two = [bare("gw"), bare("other")].concat();
    let outcome = run_with(&two, &Secrets::default(), &Allocations::new(), &current);
    assert_eq!(served(&outcome), ["a/gw"]);
    assert_eq!(refusals(&outcome), ["a/other invalid"]);
}

/// Where there is one namespace its rules would keep the session out, and there is nobody
/// to share it with.
#[test]
fn a_reflector_is_shared_only_where_tenants_have_namespaces() {
    let class = "apiVersion: lockgate.dev/v1alpha1\nkind: ConnectivityClass\n\
                 metadata: {name: default}\nspec:\n  vpnReflectors:\n    \
                 - {name: rr, address: 10.1.0.113, localASN: 64512, routerID: 10.1.0.2, remoteASN: 64512}\n";
    let text = [class, &gateway("a", "gw", "")].concat();
    let outcome = run(&text);
    assert_eq!(outcome.errors.to_string(), "");
    assert_eq!(outcome.config.tenants[&tenant("a/gw")].class.vpn_reflectors[0].name, "rr");
    let current = Options { placement: Placement::Current, ..Options::default() };
    let outcome = run_with(&text, &Secrets::default(), &Allocations::new(), &current);
    let told = outcome.errors.to_string();
    assert!(
        told.contains("spec.vpnReflectors: is shared by tenants that have namespaces"),
        "{told}"
    );
}

/// In a namespace of its own a tunnel's outer packets never meet its routes.
#[test]
fn where_there_is_one_namespace_a_tunnel_cannot_be_dialled_through_itself() {
    let current = Options { placement: Placement::Current, ..Options::default() };
    let errors = |host: &str, options: &Options| {
        let endpoint = format!("    endpoint: {{host: '{host}', port: 51820}}\n");
        let text = [gateway("a", "gw", ""), site("a", "gw", "hq", 1, &endpoint)].concat();
        run_with(&text, &Secrets::default(), &Allocations::new(), options).errors.to_string()
    };
    for inside in ["192.168.1.9", "10.255.1.1"] {
        let told = errors(inside, &current);
        assert!(told.contains("spec.wireGuard.endpoint.host"), "{inside}: {told}");
        assert_eq!(errors(inside, &Options::default()), "", "{inside}");
    }
    assert_eq!(errors("198.51.100.7", &current), "");
}

#[test]
fn a_customer_cannot_have_the_gateways_own_key() {
    let [own, next] = [1, 2].map(|seed| PrivateKey::from_random([seed; 32]));
    let options = Options {
        own_keys: BTreeMap::from([(
            tenant("a/gw"),
            OwnKeys { current: own.public(), next: Some(next.public()) },
        )]),
        ..Options::default()
    };
    let with = |key: &str| {
        let text =
            [gateway("a", "gw", ""), site("a", "gw", "hq", 9, "").replace(&self::key(9), key)]
                .concat();
        run_with(&text, &Secrets::default(), &Allocations::new(), &options).errors.to_string()
    };
    for (key, role) in [(own, "own"), (next, "next")] {
        let told = with(&key.public().to_string());
        assert!(told.contains(&format!("the gateway's {role} public key")), "{told}");
        // The private key of the pair, in the public key's place.
        let told = with(&key.to_base64());
        assert!(told.contains("PRIVATE"), "{told}");
        assert!(!told.contains(&*key.to_base64()), "the secret was repeated");
    }
}

/// The seven encodings published with libsodium and in RFC 7748's errata; the
/// library's own answer is the proof that they are of low order.
#[test]
fn no_low_order_point_is_a_public_key() {
    let edge = |first, middle, last| {
        let mut bytes = [middle; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    };
    let eights = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    let parse = |hex: &str| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    };
    let mut points = eights.map(parse).to_vec();
    points.extend([
        edge(0, 0, 0),
        edge(1, 0, 0),
        edge(0xec, 0xff, 0x7f),
        edge(0xed, 0xff, 0x7f),
        edge(0xee, 0xff, 0x7f),
    ]);
    let scalar = x25519_dalek::StaticSecret::from([0x42; 32]);
    for mut point in points {
        for _ in 0..2 {
            let shared = scalar.diffie_hellman(&x25519_dalek::PublicKey::from(point));
            assert!(!shared.was_contributory(), "{point:02x?}");
            assert_eq!(PublicKey::from_bytes(point), Err(KeyError::LowOrder), "{point:02x?}");
            point[31] ^= 0x80;
        }
    }
    // Their neighbors are keys.
    for point in [edge(2, 0, 0), edge(0xeb, 0xff, 0x7f), edge(0xef, 0xff, 0x7f), edge(9, 0, 0)] {
        assert!(PublicKey::from_bytes(point).is_ok(), "{point:02x?}");
    }
}

#[test]
fn errors_beyond_the_maximum_are_counted_only() {
    let mut text = gateway("a", "gw", "");
    for index in 0..1_500 {
        text.push_str(&site("a", "gw", &format!("s{index}"), 1, ""));
    }
    let errors = run(&text).errors;
    assert_eq!(errors.iter().count(), 1_000);
    assert!(errors.more() > 0);
    assert!(errors.to_string().ends_with(&format!("and {} more\n", errors.more())));
}

#[test]
fn what_is_written_out_again_reads_as_the_same() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.yaml");
    let bytes = std::fs::read(file).unwrap();
    let first = Documents::parse([("reference.yaml", bytes.as_slice())]);
    let write = |documents: &Documents| {
        let mut text = String::new();
        let mut add = |kind: &str,
                       object: &lockgate::config::ObjectName,
                       spec: serde_json::Value| {
            let mut metadata = serde_json::json!({"name": object.name});
            if !object.namespace.is_empty() {
                metadata["namespace"] = object.namespace.clone().into();
            }
            // The one annotation that has a meaning; no spec has it.
            if object.name == "over-veth" {
                metadata["annotations"] = serde_json::json!({DomainId::ANNOTATION: "17"});
            }
            let json = serde_json::json!({
                "apiVersion": "lockgate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec,
            });
            writeln!(text, "---\n{}", serde_saphyr::to_string(&json).unwrap()).unwrap();
        };
        for document in documents.classes() {
            add(
                "ConnectivityClass",
                &document.object,
                serde_json::to_value(&*document.spec).unwrap(),
            );
        }
        for document in documents.gateways() {
            add("TenantGateway", &document.object, serde_json::to_value(&*document.spec).unwrap());
        }
        for document in documents.sites() {
            add("SiteAttachment", &document.object, serde_json::to_value(&*document.spec).unwrap());
        }
        text
    };
    let once = write(&first);
    let second = Documents::parse([("again.yaml", once.as_bytes())]);
    assert_eq!(second.errors().to_string(), "");
    assert_eq!(write(&second), once);
    let check = |documents: &Documents| {
        validate(documents, &Secrets::default(), &Allocations::new(), &Options::default()).config
    };
    assert_eq!(check(&first), check(&second));
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> =
        RefusalReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), RefusalReason::ALL.len());
}

/// A small world of prefixes, so that they meet often.
fn prefix() -> impl Strategy<Value = String> {
    (1_u8..=30, any::<u32>()).prop_map(|(length, bits)| {
        let bits = (0x0a00_0000 | (bits & 0x0000_000f) << 12) & (u32::MAX << (32 - length));
        format!("{}/{length}", std::net::Ipv4Addr::from(bits))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The sorted pass finds that something meets exactly when comparing each
    /// with each does.
    #[test]
    fn overlap_is_found_as_by_comparing_all(sites in prop::collection::vec((prefix(), 0_u32..3), 1..8)) {
        let mut text = gateway("a", "gw", "").replace("10.136.40.0/24", "203.0.113.0/24");
        for (index, (prefix, priority)) in sites.iter().enumerate() {
            let n = u8::try_from(index + 1).unwrap();
            let more = format!("  priority: {priority}\n");
            let one = site("a", "gw", &format!("s{n}"), n, &more);
            text.push_str(&one.replace(&format!("192.168.{n}.0/24"), prefix).replace("10.255.", "198.18."));
        }
        let known: Vec<(lockgate::net::Prefix, u32)> =
            sites.iter().filter_map(|(text, priority)| Some((text.parse().ok()?, *priority))).collect();
        let others: Vec<lockgate::net::Prefix> = ["203.0.113.0/24", "172.16.0.0/24", "198.18.0.0/16"]
            .iter().map(|text| text.parse().unwrap()).collect();
        let mut meets = false;
        for (at, (prefix, priority)) in known.iter().enumerate() {
            meets |= others.iter().any(|other| other.overlaps(*prefix));
            for (other, other_priority) in &known[at + 1..] {
                meets |= prefix.overlaps(*other) && !(prefix == other && priority != other_priority);
            }
        }
        let forbidden = lockgate::config::always_forbidden();
        meets |= known.iter().any(|(prefix, _)| forbidden.iter().any(|(other, _)| other.overlaps(*prefix)));
        prop_assert_eq!(!run(&text).errors.is_empty(), meets, "{:?}", sites);
    }

    /// Whatever the bytes, there is an answer, and a bounded one.
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        lockgate::config::fuzz(&bytes);
    }

    /// Shipped documents with a few bytes changed.
    #[test]
    fn damaged_documents_have_an_answer(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = include_bytes!("../../config/reference.yaml").to_vec();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        lockgate::config::fuzz(&bytes);
    }
}

/// The backend is chosen while the documents are checked.
#[test]
fn the_kernel_carries_tunnels_where_it_can_unless_something_else_is_needed() {
    use lockgate::model::Ability::{Missing, Present, Unknown};
    use lockgate::model::{Ability, Backend, BackendChoice, BackendReason, KernelFeatures};
    let class = |backend: &str| {
        format!(
            "---\napiVersion: lockgate.dev/v1alpha1\nkind: ConnectivityClass\n\
             metadata: {{name: default}}\nspec: {{backend: {backend}}}\n"
        )
    };
    let checked = |text: &str, wireguard: Ability| {
        let kernel = KernelFeatures { wireguard, ..KernelFeatures::default() };
        let options = Options { kernel, ..Options::default() };
        run_with(text, &Secrets::default(), &Allocations::new(), &options)
    };
    let chosen = |text: &str, wireguard: Ability| {
        let outcome = checked(text, wireguard);
        assert!(outcome.errors.is_empty(), "{}", outcome.errors);
        let BackendChoice { backend, reason } =
            outcome.config.tenants[&tenant("a/gw")].backend.clone();
        (backend, reason)
    };
    let with = |more: &str| [gateway("a", "gw", more), site("a", "gw", "hq", 1, "")].concat();
    let hq = || BackendReason::Alias("hq".parse().unwrap());
    assert_eq!(chosen(&with(""), Present), (Backend::Kernel, BackendReason::Present));
    assert_eq!(chosen(&with(""), Missing), (Backend::Userspace, BackendReason::Missing));
    assert_eq!(chosen(&with(""), Unknown), (Backend::Userspace, BackendReason::Unknown));
    let asked = |backend| (backend, BackendReason::Asked);
    for ability in [Present, Missing, Unknown] {
        let text = with("  backend: Userspace\n");
        assert_eq!(chosen(&text, ability), asked(Backend::Userspace));
        assert_eq!(chosen(&with("  backend: Kernel\n"), ability), asked(Backend::Kernel));
    }
    // The class speaks for those that do not.
    let text = class("Userspace") + &with("");
    assert_eq!(chosen(&text, Present), asked(Backend::Userspace));
    let text = class("Userspace") + &with("  backend: Auto\n");
    assert_eq!(chosen(&text, Present), (Backend::Kernel, BackendReason::Present));

    // The kernel renames no networks.
    let alias = |text: &str| {
        text.replace("{cidr: 192.168.1.0/24}", "{cidr: 192.168.1.0/24, alias: 10.200.1.0/24}")
    };
    assert_eq!(chosen(&alias(&with("")), Present), (Backend::Userspace, hq()));
    for text in [with("  backend: Kernel\n"), class("Kernel") + &with("")] {
        let outcome = checked(&alias(&text), Present);
        let text = outcome.errors.to_string();
        assert!(text.contains("spec.prefixes[0].alias: is possible only with backend"), "{text}");
        assert!(outcome.config.tenants.is_empty());
    }
    // That this machine could not is worth a note; it is no error.
    let notes = |ability| checked(&with("  backend: Kernel\n"), ability).notes.to_string();
    assert!(notes(Missing).contains("load the module `wireguard`"), "{}", notes(Missing));
    assert_eq!((notes(Present), notes(Unknown)), (String::new(), String::new()));
}
