//! The customer's side as commands for VyOS 1.4 and newer, with its BGP.

use super::bgp::PrefixRule;
use super::connection::HostText;
use super::page::{ConfigFile, Page, line, note};
use super::{BgpSession, Connection, Tunnel, advice};
use crate::model::Host;

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    let name = connection.interface_or("wg0");
    note!(page, "WireGuard for {}: the customer's side, VyOS 1.4 and newer.", connection.title());
    note!(page, "Enter `configure` and paste it; `commit` says what is wrong, `save` keeps it.");
    if connection.interface.is_none() {
        note!(page, "If you have a {name}, take another number everywhere.");
    }
    page.blank();
    let own = format!("set interfaces wireguard {name}");
    line!(page, "{own} description 'Lockgate: {}'", connection.title());
    advice::private_key(&mut page, tunnel);
    line!(page, "{own} private-key '{}'", *tunnel.private_key_text());
    for address in &connection.customer {
        line!(page, "{own} address '{address}'");
    }
    if let Some(port) = tunnel.listen_port {
        note!(page, "The gateway dials you there, so let UDP to this port in.");
        line!(page, "{own} port '{port}'");
    }
    line!(page, "{own} mtu '{}'", tunnel.mtu);
    let peer = format!("{own} peer lockgate");
    line!(page, "{peer} public-key '{}'", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        advice::preshared_key(&mut page, tunnel);
        line!(page, "{peer} preshared-key '{}'", *key);
    }
    let host = HostText(&tunnel.endpoint.host);
    match &tunnel.endpoint.host {
        Host::Address(_) => line!(page, "{peer} address '{host}'"),
        Host::Name(_) => {
            note!(page, "VyOS 1.4 takes no name: there write `address` and the address of {host}.");
            line!(page, "{peer} host-name '{host}'");
        }
    }
    line!(page, "{peer} port '{}'", tunnel.endpoint.port);
    note!(page, "What you reach through the tunnel: the applications, and the gateway itself.");
    for prefix in connection.allowed_ips() {
        line!(page, "{peer} allowed-ips '{prefix}'");
    }
    line!(page, "{peer} persistent-keepalive '{}'", tunnel.keepalive);
    for prefix in connection.routes() {
        let route = if prefix.is_v4() { "route" } else { "route6" };
        line!(page, "set protocols static {route} {prefix} interface {name}");
    }
    if let Some(session) = &connection.bgp {
        bgp(&mut page, connection, session);
    }
    page.blank();
    line!(page, "commit");
    line!(page, "save");
    page.blank();
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let summary = format!("show interfaces wireguard {name} summary");
    let mut looks = vec![(summary.as_str(), "the latest handshake is some seconds ago")];
    if connection.bgp.is_some() {
        looks.push(("show bgp summary", "a number under State/PfxRcd"));
    }
    advice::verify(&mut page, connection, &looks, |address| format!("ping {address} count 3"));
    let (key, endpoints) = (
        format!("show interfaces wireguard {name} public-key"),
        format!("show interfaces wireguard {name} summary"),
    );
    advice::send_back(&mut page, tunnel, &key, &endpoints);
    page.file("lockgate.vyos", connection.is_secret())
}

fn bgp(page: &mut Page, connection: &Connection<'_>, session: &BgpSession) {
    page.blank();
    advice::bgp(page, session);
    for family in &session.families {
        let (list, suffix) = if family.is_v4 { ("prefix-list", "") } else { ("prefix-list6", "6") };
        let lists = [
            ("in", PrefixRule::import(connection, family.is_v4)),
            ("out", PrefixRule::export(connection, family.is_v4)),
        ];
        for (way, rules) in lists {
            for rule in rules {
                let number = rule.number;
                let own = format!("set policy {list} lockgate-{way}{suffix} rule {number}");
                line!(page, "{own} action '{}'", rule.action());
                line!(page, "{own} prefix '{}'", rule.prefix);
                if let Some(le) = rule.le {
                    line!(page, "{own} le '{le}'");
                }
            }
        }
    }
    note!(page, "Your router's AS. Leave the next line out if it has another, and add");
    note!(page, "  set protocols bgp neighbor {} local-as {}", session.remote, session.local_asn);
    line!(page, "set protocols bgp system-as '{}'", session.local_asn);
    let neighbor = format!("set protocols bgp neighbor {}", session.remote);
    line!(page, "{neighbor} description 'Lockgate: {}'", connection.title());
    line!(page, "{neighbor} remote-as '{}'", session.remote_asn);
    line!(page, "{neighbor} update-source '{}'", session.local);
    line!(page, "{neighbor} timers holdtime '{}'", session.hold_seconds);
    line!(page, "{neighbor} timers keepalive '{}'", session.keepalive_seconds());
    if let Some(role) = session.role_text() {
        let strict = if session.is_role_strict { " strict" } else { "" };
        line!(page, "{neighbor} local-role {role}{strict}");
    }
    for family in &session.families {
        let (name, suffix) =
            if family.is_v4 { ("ipv4-unicast", "") } else { ("ipv6-unicast", "6") };
        for prefix in connection.networks_of(family.is_v4) {
            line!(page, "set protocols bgp address-family {name} network '{prefix}'");
        }
        let family = format!("{neighbor} address-family {name}");
        line!(page, "{family} prefix-list import 'lockgate-in{suffix}'");
        line!(page, "{family} prefix-list export 'lockgate-out{suffix}'");
    }
}
