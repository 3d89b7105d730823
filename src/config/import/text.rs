//! The documents of a tenant in the making, as text with comments.

use super::documents::{Choices, Note, Side};
use crate::config::schema::API_VERSION;
use crate::model::Host;
use crate::net::{InterfaceAddress, Prefix, PublicKey};
use std::fmt::{self, Display, Write};

/// A site in the making.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) public_key: PublicKey,
    pub(super) endpoint: Option<(Host, u16)>,
    pub(super) keepalive: u16,
    pub(super) has_psk: bool,
    pub(super) tunnel: Vec<InterfaceAddress>,
    pub(super) prefixes: Vec<Prefix>,
}

/// A tenant in the making.
pub(super) struct Tenant {
    pub(super) listen_port: Option<u16>,
    pub(super) mtu: Option<u16>,
    pub(super) has_key: bool,
    pub(super) apps: Vec<Prefix>,
    pub(super) sites: Vec<Draft>,
}

/// Writes the documents of a tenant, whose notes stand at the head.
pub(super) fn write_documents(
    out: &mut String,
    choices: &Choices,
    side: Side,
    tenant: &Tenant,
    fabric: &[InterfaceAddress],
    notes: &[Note],
) -> fmt::Result {
    let (namespace, name) = (choices.tenant.namespace(), choices.tenant.name());
    let whose = match side {
        Side::Gateway => "the gateway's",
        Side::Customer => "the customer's",
    };
    writeln!(out, "# From {}, {whose} file for wg-quick.", Quiet(&choices.file))?;
    for note in notes {
        match note.line {
            Some(line) => writeln!(out, "# line {line}: {}", Quiet(&note.text))?,
            None => writeln!(out, "# {}", Quiet(&note.text))?,
        }
    }
    writeln!(out, "apiVersion: {API_VERSION}\nkind: TenantGateway")?;
    writeln!(out, "metadata: {{name: {name}, namespace: {namespace}}}\nspec:")?;
    if let Some(port) = tenant.listen_port {
        writeln!(out, "  listenPort: {port}")?;
    }
    if let Some(mtu) = tenant.mtu {
        writeln!(out, "  tunnelMTU: {mtu}")?;
    }
    if tenant.has_key {
        writeln!(out, "  privateKeySecretRef: {{name: {name}-key, key: private-key}}")?;
    }
    writeln!(out, "  appPrefixes: [{}]", Joined(&tenant.apps))?;
    writeln!(out, "  fabric:")?;
    writeln!(
        out,
        "    # How the applications are reached was in no file. This is a veth pair whose"
    )?;
    writeln!(out, "    # other end is for them; an existing interface or a VLAN serves as well.")?;
    let peer: String = format!("app-{namespace}").chars().take(15).collect();
    let peer = peer.trim_end_matches('-');
    writeln!(out, "    veth: {{peer: {peer}, addresses: [{}]}}", Joined(fabric))?;
    for site in &tenant.sites {
        write_site(out, (namespace, name), site)?;
    }
    Ok(())
}

fn write_site(out: &mut String, (namespace, tenant): (&str, &str), site: &Draft) -> fmt::Result {
    let name = &site.name;
    writeln!(out, "---\napiVersion: {API_VERSION}\nkind: SiteAttachment")?;
    writeln!(out, "metadata: {{name: {name:?}, namespace: {namespace}}}\nspec:")?;
    writeln!(out, "  gatewayRef: {{name: {tenant}}}\n  type: WireGuard\n  wireGuard:")?;
    writeln!(out, "    publicKey: {}", site.public_key)?;
    if let Some((host, port)) = &site.endpoint {
        writeln!(out, "    endpoint: {{host: \"{}\", port: {port}}}", HostText(host))?;
    }
    if site.has_psk {
        writeln!(out, "    presharedKeySecretRef: {{name: \"{name}-psk\", key: psk}}")?;
    }
    if site.keepalive != 0 {
        writeln!(out, "    persistentKeepaliveSeconds: {}", site.keepalive)?;
    }
    if !site.tunnel.is_empty() {
        writeln!(out, "    tunnelAddresses: [{}]", Joined(&site.tunnel))?;
    }
    writeln!(out, "  prefixes:")?;
    for prefix in &site.prefixes {
        writeln!(out, "    - {{cidr: \"{prefix}\"}}")?;
    }
    Ok(())
}

/// Values of a list, each in quotes, for many have a colon.
pub(super) struct Joined<'a, T>(pub(super) &'a [T]);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}\"{value}\"")?;
        }
        Ok(())
    }
}

/// A text that ends no comment.
pub(super) struct Quiet<'a>(pub(super) &'a str);

impl Display for Quiet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Old readers of YAML begin a new line at these two.
        let is_break = |letter: char| matches!(letter, '\u{2028}' | '\u{2029}');
        let mut shown = self.0.chars().filter(|letter| !letter.is_control() && !is_break(*letter));
        shown.try_for_each(|letter| f.write_char(letter))
    }
}

/// A host without brackets or port.
pub(super) struct HostText<'a>(pub(super) &'a Host);

impl Display for HostText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}
