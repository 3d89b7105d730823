//! What a customer is sent.

use expect_test::expect_file;
use lockgate::config::{Allocations, Documents, Options, Secrets, parse_host, validate};
use lockgate::customer::{Presharing, RenderError, wg_quick};
use lockgate::model::{Config, Endpoint};
use lockgate::net::PublicKey;
use std::path::Path;
use zeroize::Zeroizing;

const PSK: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";

fn config(file: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("# presharedKey", "presharedKey");
    let mut secrets = Secrets::default();
    secrets.insert("default", "poznan-psk", "psk", Zeroizing::new(format!("{PSK}\n").into_bytes()));
    let documents = Documents::parse([(file, text.as_bytes())]);
    let outcome = validate(&documents, &secrets, &Allocations::new(), &Options::default());
    assert_eq!(outcome.errors.to_string(), "");
    outcome.config
}

fn render(
    file: &str,
    tenant: &str,
    site: &str,
    host: &str,
    presharing: Presharing,
) -> Result<String, RenderError> {
    let config = config(file);
    let tenant = &config.tenants[&tenant.parse().unwrap()];
    let site = &tenant.sites[&site.parse().unwrap()];
    let gateway: PublicKey = "l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=".parse().unwrap();
    let endpoint = Endpoint { host: parse_host(host).unwrap(), port: tenant.listen_port };
    wg_quick::render(tenant, site, gateway, &endpoint, presharing)
}

#[test]
fn a_site_that_dials_in() {
    let text = render(
        "config/wireguard.yaml",
        "pionier/gw",
        "poznan",
        "vpn.example.net",
        Presharing::Hidden,
    );
    expect_file!["../data/customer/dials-in.conf"].assert_eq(&text.unwrap());
}

#[test]
fn a_site_that_is_dialled_over_ipv6() {
    let text =
        render("config/wireguard.yaml", "pionier/gw", "gdansk", "2001:db8::7", Presharing::Hidden);
    expect_file!["../data/customer/is-dialled.conf"].assert_eq(&text.unwrap());
}

#[test]
fn a_preshared_key_is_written_only_when_asked_for() {
    let hidden = render(
        "config/reference.yaml",
        "default/over-interface",
        "poznan",
        "vpn.example.net",
        Presharing::Hidden,
    )
    .unwrap();
    let shown = render(
        "config/reference.yaml",
        "default/over-interface",
        "poznan",
        "vpn.example.net",
        Presharing::Shown,
    )
    .unwrap();
    assert!(!hidden.contains(PSK));
    assert!(hidden.contains("PresharedKey = <"));
    assert!(shown.contains(&format!("PresharedKey = {PSK}\n")));
}

#[test]
fn a_vlan_site_has_no_such_file() {
    let result = render(
        "config/reference.yaml",
        "default/over-vlan",
        "gdansk",
        "vpn.example.net",
        Presharing::Hidden,
    );
    assert_eq!(result, Err(RenderError::NotWireGuard));
}
