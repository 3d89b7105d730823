//! Documents that ask for two keys at a time, while customers change over.

use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::model::{Ability, KernelFeatures};
use lockgate::net::PrivateKey;
use zeroize::Zeroizing;

fn gateway(more: &str) -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: a}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: apps, addresses: [172.16.0.1/24]}}}}
{more}"
    )
}

fn with_secrets(text: &str, wireguard: Ability) -> String {
    let mut secrets = Secrets::default();
    for (name, seed) in [("one", 1), ("two", 2)] {
        let key = PrivateKey::from_random([seed; 32]);
        secrets.insert("a", name, "key", Zeroizing::new(key.to_base64().as_bytes().to_vec()));
    }
    let kernel = KernelFeatures { wireguard, ..KernelFeatures::default() };
    let options = Options { kernel, ..Options::default() };
    let documents = Documents::parse([("a.yaml", text.as_bytes())]);
    validate(&documents, &secrets, &Allocations::new(), &options).errors.to_string()
}

/// The kernel's WireGuard has one private key, and a peer of its one preshared key.
#[test]
fn two_keys_at_a_time_are_refused_where_the_kernel_carries_the_tunnels() {
    let next = "  privateKeySecretRef: {name: one, key: key}\n  nextPrivateKeySecretRef: {name: two, key: key}\n";
    let psk = "presharedKeySecretRef: {name: one, key: key}, nextPresharedKeySecretRef: {name: two, key: key}";
    let key = |seed: u8| PrivateKey::from_random([seed; 32]).public();
    let site = |more: &str| {
        format!(
            "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: a}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {}, {psk}{more}}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
",
            key(7)
        )
    };
    for (backend, wireguard, is_kernel) in [
        ("Kernel", Ability::Present, true),
        ("Auto", Ability::Present, true),
        ("Auto", Ability::Missing, false),
        ("Userspace", Ability::Present, false),
    ] {
        let backend = format!("  backend: {backend}\n");
        let both = gateway(&(backend.clone() + next)) + &site("");
        let errors = with_secrets(&both, wireguard);
        assert_eq!(errors.contains("has one private key for a tenant"), is_kernel, "{errors}");
        assert_eq!(errors.contains("one preshared key for a public key"), is_kernel, "{errors}");
        assert_eq!(errors.is_empty(), !is_kernel, "{errors}");
        // Two public keys are two peers, each with its own.
        let twins = gateway(&backend) + &site(&format!(", nextPublicKey: {}", key(8)));
        assert_eq!(with_secrets(&twins, wireguard), "");
    }
}

#[test]
fn a_next_private_key_needs_one_that_it_follows() {
    let text = gateway("  nextPrivateKeySecretRef: {name: two, key: key}\n");
    let errors = with_secrets(&text, Ability::Missing);
    assert!(errors.contains("spec.nextPrivateKeySecretRef: needs privateKeySecretRef"), "{errors}");
}
