//! Documents that ask for two keys at a time, while customers change over.

use lockgate::config::{Allocations, Documents, Options, Outcome, OwnKeys, Secrets, validate};
use lockgate::model::{Ability, Backend, KernelFeatures, Tenant};
use lockgate::net::{PrivateKey, PublicKey, TenantName};
use std::sync::Arc;
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

fn with_secrets(text: &str, wireguard: Ability, own_keys: &[(u8, Option<u8>)]) -> Outcome {
    let mut secrets = Secrets::default();
    for (name, seed) in [("one", 1), ("two", 2)] {
        let key = PrivateKey::from_random([seed; 32]);
        secrets.insert("a", name, "key", Zeroizing::new(key.to_base64().as_bytes().to_vec()));
    }
    let kernel = KernelFeatures { wireguard, ..KernelFeatures::default() };
    let own_keys = own_keys.iter().map(|(current, next)| {
        let own = OwnKeys { current: public(*current), next: next.map(public) };
        (TenantName::new("a", "gw").unwrap(), own)
    });
    let options = Options { kernel, own_keys: own_keys.collect(), ..Options::default() };
    let documents = Documents::parse([("a.yaml", text.as_bytes())]);
    validate(&documents, &secrets, &Allocations::new(), &options)
}

fn public(seed: u8) -> PublicKey {
    PrivateKey::from_random([seed; 32]).public()
}

fn site(key: PublicKey, more: &str) -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: a}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {key}{more}}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
"
    )
}

/// Both of the gateway's keys out of Secrets.
const FROM_SECRETS: &str = "  privateKeySecretRef: {name: one, key: key}
  nextPrivateKeySecretRef: {name: two, key: key}
";

/// A kernel's device has one private key. Who leaves the choice to us is served by the
/// backend that has two, and told so; who insists on the kernel's is refused.
#[test]
fn the_gateways_next_key_is_served_by_the_backend_that_can() {
    let is_served = |backend: &str, wireguard, keys: &str, own_keys: &[(u8, Option<u8>)]| {
        let text = gateway(&format!("  backend: {backend}\n{keys}")) + &site(public(7), "");
        let outcome = with_secrets(&text, wireguard, own_keys);
        let choice =
            |tenant: &Arc<Tenant>| (tenant.backend.backend, tenant.backend.reason.to_string());
        outcome.config.tenants.values().next().map(choice).ok_or_else(|| outcome.errors.to_string())
    };
    let kept = &[(1, Some(2))];
    let two = "customers change over to the gateway's next key, and the kernel's WireGuard has one";
    for (keys, own_keys) in [(FROM_SECRETS, [].as_slice()), ("", kept)] {
        for (backend, wireguard, reason) in [
            ("Auto", Ability::Present, two),
            ("Auto", Ability::Missing, "the kernel has no WireGuard (module `wireguard`)"),
            ("Userspace", Ability::Present, "asked for"),
        ] {
            let served = is_served(backend, wireguard, keys, own_keys);
            assert_eq!(served, Ok((Backend::Userspace, reason.to_owned())));
        }
    }
    // With one key it is the kernel again.
    let served = is_served("Auto", Ability::Present, "", &[(1, None)]);
    assert_eq!(served, Ok((Backend::Kernel, "the kernel has WireGuard".to_owned())));
    let told = is_served("Kernel", Ability::Present, FROM_SECRETS, &[]).unwrap_err();
    assert!(
        told.contains("TenantGateway/a/gw: spec.nextPrivateKeySecretRef: cannot be had with")
            && told.contains("set Auto or Userspace while customers change over"),
        "{told}"
    );
}

/// It was as if there were no such key: who had changed over was cut off.
#[test]
fn the_kernel_was_asked_for_while_customers_changed_over_and_the_next_key_was_dropped() {
    let text = gateway("  backend: Kernel\n") + &site(public(7), "");
    let outcome = with_secrets(&text, Ability::Present, &[(1, Some(2))]);
    let told = outcome.errors.to_string();
    assert!(told.contains("TenantGateway/a/gw: spec.backend: cannot be Kernel while"), "{told}");
    assert!(told.contains("`lockgate keys retire` first"), "{told}");
    let outcome = with_secrets(&text, Ability::Present, &[(1, None)]);
    assert_eq!(outcome.errors.to_string(), "");
}

/// Each customer has its own change over, and no backend refuses it.
#[test]
fn customers_may_change_their_keys_with_every_backend() {
    let psk = ", presharedKeySecretRef: {name: one, key: key}, nextPresharedKeySecretRef: {name: two, key: key}";
    let twins = format!("{psk}, nextPublicKey: {}", public(8));
    for backend in ["Auto", "Kernel", "Userspace"] {
        for more in [psk, &twins] {
            let text = gateway(&format!("  backend: {backend}\n")) + &site(public(7), more);
            let outcome = with_secrets(&text, Ability::Present, &[]);
            assert_eq!(outcome.errors.to_string(), "", "{backend} {more}");
        }
    }
}

/// Only the current one was known: the next one in a customer's place was let pass, and
/// that site never came up.
#[test]
fn a_customer_had_the_gateways_next_key_and_nobody_said_so() {
    let next = public(2);
    for (keys, own_keys) in [(FROM_SECRETS, [].as_slice()), ("", &[(1, Some(2))])] {
        for site in [site(next, ""), site(public(7), &format!(", nextPublicKey: {next}"))] {
            let outcome = with_secrets(&(gateway(keys) + &site), Ability::Missing, own_keys);
            let told = outcome.errors.to_string();
            assert!(told.contains("ublicKey: is the gateway's next public key"), "{told}");
        }
    }
}

#[test]
fn a_next_private_key_needs_one_that_it_follows() {
    let text = gateway("  nextPrivateKeySecretRef: {name: two, key: key}\n");
    let errors = with_secrets(&text, Ability::Missing, &[]).errors.to_string();
    assert!(errors.contains("spec.nextPrivateKeySecretRef: needs privateKeySecretRef"), "{errors}");
}
