//! The sites of `tests/data/customer/sites.yaml`, and others, as their customers see them.

use lockgate::config::{Allocations, Documents, Options, Secrets, parse_host, validate};
use lockgate::customer::{ConfigFile, Connection, Dial, Dialect, Presharing, RenderError};
use lockgate::model::{Attachment, Config, Endpoint};
use lockgate::net::{PrivateKey, PublicKey};
use std::path::Path;
use zeroize::Zeroizing;

/// The preshared key of every site that has one.
pub(super) const PSK: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";

/// Documents of a site of each kind.
pub(super) const SITES: &str = "tests/data/customer/sites.yaml";

/// The gateway's public key.
pub(super) const GATEWAY: &str = "l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=";

/// The names of the sites in [`SITES`].
pub(super) const NAMES: [&str; 6] = ["poznan", "gdansk", "hel", "sopot", "torun", "lodz"];

/// A file of documents, validated.
pub(super) fn config(file: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("# presharedKey", "presharedKey");
    let mut secrets = Secrets::default();
    for (namespace, name) in [("default", "poznan-psk"), ("pionier", "gdansk-psk")] {
        let key = Zeroizing::new(format!("{PSK}\n").into_bytes());
        secrets.insert(namespace, name, "psk", key);
    }
    let documents = Documents::parse([(file, text.as_bytes())]);
    let outcome = validate(&documents, &secrets, &Allocations::new(), &Options::default());
    assert_eq!(outcome.errors.to_string(), "");
    outcome.config
}

/// What may be asked for beside the site and the dialect.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) host: &'a str,
    pub(super) presharing: Presharing,
    pub(super) private_key: Option<&'a PrivateKey>,
    pub(super) interface: Option<&'a str>,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Ask {
            host: "vpn.example.net",
            presharing: Presharing::Hidden,
            private_key: None,
            interface: None,
        }
    }
}

/// Does something with the customer's end of a site.
pub(super) fn with<T>(
    config: &Config,
    (tenant, site): (&str, &str),
    ask: Ask<'_>,
    what: impl FnOnce(&Connection<'_>) -> T,
) -> T {
    let tenant = &config.tenants[&tenant.parse().unwrap()];
    let site = &tenant.sites[&site.parse().unwrap()];
    let gateway_key: PublicKey = GATEWAY.parse().unwrap();
    let endpoint = Endpoint { host: parse_host(ask.host).unwrap(), port: tenant.listen_port };
    let Ask { presharing, private_key, interface, .. } = ask;
    let dial = Dial { gateway_key, endpoint: &endpoint, presharing, private_key };
    let connection = match &site.attachment {
        Attachment::WireGuard(peer) => Connection::tunnel(tenant, site, peer, &dial),
        Attachment::Vlan(vlan) => Connection::vlan(tenant, site, vlan),
    };
    what(&Connection { interface, ..connection })
}

/// A site of [`SITES`] in a dialect.
pub(super) fn render(
    site: &str,
    dialect: Dialect,
    ask: Ask<'_>,
) -> Result<Vec<ConfigFile>, RenderError> {
    with(&config(SITES), ("pionier/gw", site), ask, |connection| dialect.render(connection))
}

/// Each site of [`SITES`] in each dialect that fits it, with what was asked.
pub(super) fn each(
    ask: Ask<'_>,
    mut look: impl FnMut(&str, Dialect, &Connection<'_>, &[ConfigFile]),
) {
    let config = config(SITES);
    for site in NAMES {
        with(&config, ("pionier/gw", site), ask, |connection| {
            for dialect in Dialect::ALL.into_iter().filter(|it| it.fits(connection)) {
                look(site, dialect, connection, &dialect.render(connection).unwrap());
            }
        });
    }
}
