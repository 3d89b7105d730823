//! What every dialect says in its comments, in words of its own where they differ.

use super::page::{Page, joined, note};
use super::{BgpSession, Connection, Handover, Link, Preshared, Tunnel};
use crate::net::Prefix;
use std::fmt::Display;
use std::net::IpAddr;

/// A command of the customer's system, and what one is to see of it.
pub(super) type Look<'a> = (&'a str, &'a str);

/// Whose the private key is.
pub(super) fn private_key(page: &mut Page, tunnel: &Tunnel<'_>) {
    note!(page, "The private key that belongs to the public key");
    note!(page, "  {}", tunnel.customer_key);
    note!(page, "It is yours alone: never send it to anyone.");
}

/// How the preshared key comes, where it does not stand here.
pub(super) fn preshared_key(page: &mut Page, tunnel: &Tunnel<'_>) {
    match tunnel.preshared {
        Preshared::Hidden => {
            note!(page, "The preshared key comes to you another way than this file.")
        }
        Preshared::None | Preshared::Shown(_) => {}
    }
}

/// The customer's networks, as both sides are to have them.
pub(super) fn networks(page: &mut Page, connection: &Connection<'_>) {
    note!(page, "Your networks that the applications reach, and from which you reach them:");
    for prefix in connection.networks {
        match prefix.alias {
            Some(alias) => note!(page, "  {} (the applications see it as {alias})", prefix.real),
            None => note!(page, "  {}", prefix.real),
        }
    }
}

/// What a router has to do with packets between the networks and the tunnel.
pub(super) fn forwarding(page: &mut Page, connection: &Connection<'_>) {
    let apps = joined(connection.apps, ", ");
    note!(page, "Do not NAT what goes between them and the gateway, and let devices there send");
    note!(page, "what is for {apps} to this router.");
}

/// The same on Linux, where forwarding has to be asked for.
pub(super) fn linux_forwarding(page: &mut Page, connection: &Connection<'_>) {
    note!(page, "Forward packets between them and the tunnel (sysctl net.ipv4.ip_forward=1, for");
    note!(
        page,
        "IPv6 net.ipv6.conf.all.forwarding=1), do not NAT them, and let devices there send"
    );
    note!(page, "what is for {} to this machine.", joined(connection.apps, ", "));
}

/// How to see that it works: `looks`, and a ping to the gateway as `ping` has it.
pub(super) fn verify<Ping: Display>(
    page: &mut Page,
    connection: &Connection<'_>,
    looks: &[Look<'_>],
    ping: impl Fn(IpAddr) -> Ping,
) {
    note!(page);
    note!(page, "To verify:");
    for (command, meaning) in looks {
        note!(page, "  {command}    {meaning}");
    }
    for address in &connection.gateway {
        note!(page, "  {}    the gateway answers", ping(*address));
    }
    if connection.test_page {
        note!(page, "Or from a computer, which gets a line that says so:");
        for address in &connection.gateway {
            match address {
                IpAddr::V4(address) => note!(page, "  curl http://{address}/"),
                IpAddr::V6(address) => note!(page, "  curl 'http://[{address}]/'"),
            }
        }
    }
}

/// What to send back of a tunnel, so that the other side can compare.
pub(super) fn send_back(page: &mut Page, tunnel: &Tunnel<'_>, public_key: &str, endpoints: &str) {
    note!(page);
    note!(page, "To send back, so that the other side can compare:");
    note!(page, "  {public_key}    it has to be {}", tunnel.customer_key);
    note!(page, "  {endpoints}, and the time of the last handshake");
}

/// What to send back of a VLAN: whom the customer's router sees on it, by the commands
/// that show that for IPv4 and for IPv6.
pub(super) fn send_back_vlan(page: &mut Page, connection: &Connection<'_>, [v4, v6]: [&str; 2]) {
    note!(page);
    note!(page, "To send back, so that the other side can compare:");
    for (command, is_v4) in [(v4, true), (v6, false)] {
        if connection.customer_of(is_v4).is_some() {
            note!(page, "  what {command} says");
        }
    }
}

/// What is said over BGP, and where to find the session where `here` has none of it.
pub(super) fn bgp(page: &mut Page, session: &BgpSession) {
    note!(page, "You say those of your networks that are in your router's table, at most");
    note!(
        page,
        "{} of them: more end the session. You hear where the applications are.",
        session.maximum_prefixes
    );
    if session.is_signed {
        note!(
            page,
            "The session is signed with a password (TCP-MD5, RFC 2385), which comes to you"
        );
        note!(page, "another way than this file: set it for this neighbor, or nobody answers.");
    }
    if let Some(role) = session.role_text() {
        let strict = if session.is_role_strict { ", and has no session without it" } else { "" };
        note!(page, "The gateway takes you for its {role} (RFC 9234){strict}.");
    }
}

/// That the BGP part is a text of its own.
pub(super) fn bgp_elsewhere(page: &mut Page, connection: &Connection<'_>) {
    if let Some(session) = &connection.bgp {
        note!(page);
        note!(
            page,
            "Over it the gateway, {} of AS {}, speaks BGP with you,",
            session.remote,
            session.remote_asn
        );
        note!(
            page,
            "{} of AS {}: the formats frr and bird have that part.",
            session.local,
            session.local_asn
        );
    }
}

/// An address and mask as old command lines write them: `10.0.0.1 255.255.255.0`.
pub(super) fn mask(length: u8) -> IpAddr {
    let bits = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    IpAddr::V4(bits.into())
}

/// A prefix with a mask in place of its length.
pub(super) fn masked(prefix: Prefix) -> String {
    format!("{} {}", prefix.address(), mask(prefix.length()))
}

/// Which port is meant, where it is not said: the customer's own, towards the gateway.
pub(super) fn port(page: &mut Page, connection: &Connection<'_>) {
    if connection.interface.is_none() {
        note!(page, "<interface> is your port towards the gateway's side.");
    }
    if let Link::Vlan(Handover { tags: None, .. }) = connection.link {
        note!(
            page,
            "<VLAN id> is what was agreed on with who hands the VLAN over: it is not in the"
        );
        note!(page, "gateway's documents.");
    }
}

/// The tags of a VLAN as text, or what stands for them.
pub(super) struct Tags {
    /// The outer tag.
    pub(super) outer: String,
    /// The inner one, if there is one.
    pub(super) inner: Option<String>,
}

impl Tags {
    pub(super) fn of(vlan: &Handover<'_>) -> Self {
        match vlan.tags {
            Some(tags) => Self {
                outer: tags.id.to_string(),
                inner: tags.inner_id.map(|inner| inner.to_string()),
            },
            None => Self { outer: "<VLAN id>".to_owned(), inner: None },
        }
    }

    /// The tag that a frame has last, by which subinterfaces are numbered.
    pub(super) fn last(&self) -> &str {
        self.inner.as_ref().unwrap_or(&self.outer)
    }
}
