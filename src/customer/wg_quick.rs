//! The customer's side as a file for `wg-quick`.
//!
//! Also read by the WireGuard apps, NetworkManager, and most routers' import.

use super::{Presharing, RenderError};
use crate::model::{Attachment, Endpoint, Host, Site, Tenant, WireGuardPeer};
use crate::net::{Prefix, PublicKey};
use std::fmt::{self, Write};
use std::net::IpAddr;

/// What NATs and firewalls on the way are kept open with, when the site's
/// document says nothing: a UDP mapping lives 30 s in most of them, and
/// RFC 4787 asks for two minutes.
const KEEPALIVE_SECONDS: u64 = 25;

/// Writes the file. `endpoint` is where the customer is to dial, `gateway` the
/// tenant's public key.
///
/// # Errors
/// [`RenderError::NotWireGuard`].
pub fn render(
    tenant: &Tenant,
    site: &Site,
    gateway: PublicKey,
    endpoint: &Endpoint,
    presharing: Presharing,
) -> Result<String, RenderError> {
    let Attachment::WireGuard(peer) = &site.attachment else {
        return Err(RenderError::NotWireGuard);
    };
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write(&mut text, &Sheet { tenant, site, peer, gateway, endpoint, presharing });
    Ok(text)
}

struct Sheet<'a> {
    tenant: &'a Tenant,
    site: &'a Site,
    peer: &'a WireGuardPeer,
    gateway: PublicKey,
    endpoint: &'a Endpoint,
    presharing: Presharing,
}

fn write(out: &mut String, sheet: &Sheet<'_>) -> fmt::Result {
    let Sheet { tenant, site, peer, gateway, endpoint, presharing } = sheet;
    writeln!(out, "# WireGuard for site {} of {}: the customer's side.", site.name, tenant.name)?;
    writeln!(out, "# Save as /etc/wireguard/lockgate.conf, mode 0600; then: wg-quick up lockgate")?;
    writeln!(out)?;
    writeln!(out, "[Interface]")?;
    writeln!(out, "# The private key that belongs to the public key")?;
    writeln!(out, "#   {}", peer.public_key)?;
    writeln!(out, "# It is yours alone: never send it to anyone.")?;
    writeln!(out, "PrivateKey = <your private key>")?;
    let ours = peer.tunnel_addresses.iter();
    let far = ours.filter_map(|own| Some(format!("{}/{}", own.other_end()?, own.length())));
    let far: Vec<String> = far.collect();
    if !far.is_empty() {
        writeln!(out, "Address = {}", far.join(", "))?;
    }
    if let Some(dialled) = &peer.endpoint {
        writeln!(out, "# The gateway dials you there, so let UDP to this port in.")?;
        writeln!(out, "ListenPort = {}", dialled.port)?;
    }
    writeln!(out, "MTU = {}", tenant.tunnel_mtu)?;
    writeln!(out)?;
    writeln!(out, "[Peer]")?;
    writeln!(out, "PublicKey = {gateway}")?;
    match (&peer.preshared_key, presharing) {
        (None, _) => {}
        (Some(key), Presharing::Shown) => writeln!(out, "PresharedKey = {}", *key.to_base64())?,
        (Some(_), Presharing::Hidden) => {
            writeln!(out, "# It comes to you another way than this file.")?;
            writeln!(out, "PresharedKey = <the preshared key>")?;
        }
    }
    writeln!(out, "Endpoint = {}", EndpointText(endpoint))?;
    writeln!(
        out,
        "# What you reach through the tunnel: the applications, and the gateway itself."
    )?;
    let gateways = peer.tunnel_addresses.iter().map(|own| Prefix::host(own.address()));
    let allowed: Vec<String> = tenant
        .app_prefixes
        .iter()
        .copied()
        .chain(gateways)
        .map(|prefix| prefix.to_string())
        .collect();
    writeln!(out, "AllowedIPs = {}", allowed.join(", "))?;
    let keepalive = peer.keepalive.map_or(KEEPALIVE_SECONDS, |keepalive| keepalive.as_secs());
    writeln!(out, "PersistentKeepalive = {keepalive}")?;
    writeln!(out)?;
    write_advice(out, sheet)
}

fn write_advice(out: &mut String, sheet: &Sheet<'_>) -> fmt::Result {
    let Sheet { tenant, site, peer, .. } = sheet;
    writeln!(out, "# Your networks that the applications reach, and from which you reach them:")?;
    for prefix in &site.prefixes {
        match prefix.alias {
            Some(alias) => {
                writeln!(out, "#   {} (the applications see it as {alias})", prefix.real)?
            }
            None => writeln!(out, "#   {}", prefix.real)?,
        }
    }
    writeln!(
        out,
        "# Forward packets between them and the tunnel (sysctl net.ipv4.ip_forward=1, for"
    )?;
    writeln!(
        out,
        "# IPv6 net.ipv6.conf.all.forwarding=1), do not NAT them, and let devices there send"
    )?;
    let apps: Vec<String> = tenant.app_prefixes.iter().map(Prefix::to_string).collect();
    writeln!(out, "# what is for {} to this machine.", apps.join(", "))?;
    writeln!(out, "#")?;
    writeln!(out, "# To verify:")?;
    writeln!(out, "#   wg show lockgate latest-handshakes    a number other than 0")?;
    for own in &peer.tunnel_addresses {
        let command = match own.address() {
            IpAddr::V4(_) => "ping",
            IpAddr::V6(_) => "ping -6",
        };
        writeln!(out, "#   {command} -c 3 {}    the gateway answers", own.address())?;
    }
    writeln!(out, "#")?;
    writeln!(out, "# To send back, so that the other side can compare:")?;
    writeln!(out, "#   wg show lockgate public-key    it has to be {}", peer.public_key)?;
    writeln!(out, "#   wg show lockgate endpoints, and the time of the last handshake")
}

/// `host:port`, an IPv6 address in brackets.
struct EndpointText<'a>(&'a Endpoint);

impl fmt::Display for EndpointText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.0.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.0.port),
            Host::Name(name) => write!(f, "{name}:{}", self.0.port),
        }
    }
}
