//! The customer's side as commands for MikroTik RouterOS 7, with its BGP.
//!
//! RouterOS has no networks of two addresses: the end of a link is an address and a
//! `network`, which is the other end's.

use super::connection::HostText;
use super::page::{ConfigFile, Page, joined, line, note};
use super::{BgpSession, Connection, Tunnel, advice};
use crate::net::Role;

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    let name = connection.interface_or("lockgate");
    note!(page, "WireGuard for {}: the customer's side, RouterOS 7.", connection.title());
    note!(
        page,
        "Paste it into a terminal, or upload it as lockgate.rsc; then: /import lockgate.rsc"
    );
    page.blank();
    advice::private_key(&mut page, tunnel);
    line!(page, "/interface wireguard");
    let port = tunnel.listen_port.map(|port| format!(" listen-port={port}")).unwrap_or_default();
    let key = tunnel.private_key_text();
    let comment = connection.title();
    line!(
        page,
        "add name={name} mtu={}{port} private-key=\"{}\" comment=\"Lockgate: {comment}\"",
        tunnel.mtu,
        *key
    );
    page.blank();
    advice::preshared_key(&mut page, tunnel);
    note!(page, "What you reach through the tunnel: the applications, and the gateway itself.");
    line!(page, "/interface wireguard peers");
    let endpoint = HostText(&tunnel.endpoint.host);
    line!(page, "add interface={name} public-key=\"{}\" \\", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        line!(page, "    preshared-key=\"{}\" \\", *key);
    }
    line!(page, "    endpoint-address={endpoint} endpoint-port={} \\", tunnel.endpoint.port);
    line!(page, "    allowed-address={} \\", joined(connection.allowed_ips(), ","));
    line!(page, "    persistent-keepalive={}s", tunnel.keepalive);
    for is_v4 in [true, false] {
        addresses(&mut page, connection, name, is_v4);
    }
    firewall(&mut page, connection, tunnel, name);
    if let Some(session) = &connection.bgp {
        bgp(&mut page, connection, session);
    }
    page.blank();
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let peers = format!("/interface wireguard peers print detail where interface={name}");
    let mut looks = vec![(peers.as_str(), "last-handshake is some seconds ago")];
    if connection.bgp.is_some() {
        looks.push(("/routing bgp session print", "a session with the flag E: established"));
    }
    advice::verify(&mut page, connection, &looks, |address| format!("/ping {address} count=3"));
    let key = format!("/interface wireguard print where name={name}");
    advice::send_back(&mut page, tunnel, &key, "current-endpoint-address of the peer");
    page.file("lockgate.rsc", connection.is_secret())
}

fn addresses(page: &mut Page, connection: &Connection<'_>, name: &str, is_v4: bool) {
    let ip = if is_v4 { "ip" } else { "ipv6" };
    if let Some(own) = connection.customer_of(is_v4) {
        page.blank();
        line!(page, "/{ip} address");
        match (own.length(), connection.gateway_of(is_v4)) {
            (31, Some(gateway)) => {
                line!(page, "add address={}/32 network={gateway} interface={name}", own.address())
            }
            _ if is_v4 => line!(page, "add address={own} interface={name}"),
            _ => line!(page, "add address={own} interface={name} advertise=no"),
        }
    }
    let routes: Vec<_> = connection.routes().filter(|it| it.is_v4() == is_v4).collect();
    if !routes.is_empty() {
        line!(page, "/{ip} route");
    }
    for prefix in routes {
        line!(page, "add dst-address={prefix} gateway={name} comment=Lockgate");
    }
}

fn firewall(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>, name: &str) {
    page.blank();
    note!(page, "Rules are taken in order: move these above those of yours that drop.");
    if let Some(port) = tunnel.listen_port {
        note!(page, "The gateway dials you at UDP port {port}.");
    }
    for (is_v4, ip, icmp) in [(true, "ip", "icmp"), (false, "ipv6", "icmpv6")] {
        let is_dialled = tunnel.listen_port.is_some();
        let is_inside =
            connection.customer_of(is_v4).is_some() || connection.apps_of(is_v4).next().is_some();
        if !is_dialled && !is_inside {
            continue;
        }
        line!(page, "/{ip} firewall filter");
        if let Some(port) = tunnel.listen_port {
            line!(
                page,
                "add chain=input protocol=udp dst-port={port} action=accept comment=Lockgate"
            );
        }
        if is_inside {
            line!(
                page,
                "add chain=input in-interface={name} protocol={icmp} action=accept comment=Lockgate"
            );
            // This router may be what the applications look after.
            for prefix in connection.apps_of(is_v4) {
                line!(
                    page,
                    "add chain=input in-interface={name} src-address={prefix} action=accept \
                     comment=Lockgate"
                );
            }
            line!(page, "add chain=forward in-interface={name} action=accept comment=Lockgate");
        }
        if let Some(session) = connection.bgp.as_ref().filter(|it| it.local.is_ipv4() == is_v4) {
            line!(
                page,
                "add chain=input in-interface={name} protocol=tcp dst-port=179 src-address={} \
                 action=accept comment=Lockgate",
                session.remote
            );
        }
    }
}

fn bgp(page: &mut Page, connection: &Connection<'_>, session: &BgpSession) {
    page.blank();
    advice::bgp(page, session);
    for family in &session.families {
        let ip = if family.is_v4 { "ip" } else { "ipv6" };
        line!(page, "/{ip} firewall address-list");
        for prefix in connection.networks_of(family.is_v4) {
            line!(page, "add list=lockgate address={prefix}");
        }
    }
    line!(page, "/routing filter rule");
    for prefix in connection.apps {
        let length = prefix.length();
        line!(
            page,
            "add chain=lockgate-in rule=\"if (dst in {prefix} && dst-len == {length}) {{ accept }}\""
        );
    }
    // IPv4 is what there is without a word.
    let families = session.families.iter().map(|it| if it.is_v4 { "ip" } else { "ipv6" });
    let families = joined(families, ",");
    let families = if families == "ip" { String::new() } else { format!(" afi={families}") };
    let role = match session.role {
        None => "ebgp",
        Some(Role::Provider) => "ebgp-provider",
        Some(Role::RouteServer) => "ebgp-rs",
        Some(Role::RouteServerClient) => "ebgp-rs-client",
        Some(Role::Customer) => "ebgp-customer",
        Some(Role::Peer) => "ebgp-peer",
    };
    let role = if session.local_asn == session.remote_asn { "ibgp" } else { role };
    note!(
        page,
        "RouterOS 7.20 and newer. Before that there is no instance: leave it out, and write"
    );
    note!(page, "as={} and address-families= in place of instance= and afi=.", session.local_asn);
    line!(page, "/routing bgp instance");
    line!(page, "add name=lockgate as={}", session.local_asn);
    line!(page, "/routing bgp connection");
    line!(page, "add name=lockgate instance=lockgate \\");
    line!(page, "    local.address={} local.role={role} \\", session.local);
    line!(page, "    remote.address={} remote.as={} \\", session.remote, session.remote_asn);
    line!(
        page,
        "    hold-time={}s keepalive-time={}s{families} \\",
        session.hold_seconds,
        session.keepalive_seconds()
    );
    line!(page, "    input.filter=lockgate-in output.network=lockgate");
}
