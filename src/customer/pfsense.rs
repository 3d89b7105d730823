//! The customer's side as what to enter in pfSense's pages.
//!
//! pfSense takes no file for a single tunnel, and its own API has no WireGuard. Its
//! package makes no routes of what a peer is allowed: they are static ones by a gateway.

use super::connection::HostText;
use super::page::{ConfigFile, Page, joined, line, note};
use super::{Connection, Tunnel, advice};

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    note!(
        page,
        "WireGuard for {}: the customer's side, pfSense CE 2.7, Plus 23.05 and newer.",
        connection.title()
    );
    note!(page, "What is to be entered, page by page; what is not named stays as it is.");
    page.blank();
    advice::private_key(&mut page, tunnel);
    advice::preshared_key(&mut page, tunnel);
    page.blank();
    line!(page, "1. System > Package Manager > Available Packages: install WireGuard");
    page.blank();
    line!(page, "2. VPN > WireGuard > Tunnels > Add Tunnel");
    page.field("Enable Tunnel", "yes");
    page.field("Description", "Lockgate");
    match tunnel.listen_port {
        Some(port) => {
            page.field("Listen Port", format_args!("{port} (the gateway dials you there)"))
        }
        None => page.field("Listen Port", "as it is proposed"),
    }
    page.field("Interface Keys", format_args!("private: {}", tunnel.private_key_text().as_str()));
    page.field("", format_args!("public, which appears: {}", tunnel.customer_key));
    line!(page, "   then Save Tunnel, and on the page Settings: Enable WireGuard");
    page.blank();
    peer(&mut page, connection, tunnel);
    interface(&mut page, connection, tunnel);
    routes(&mut page, connection);
    rules(&mut page, connection, tunnel);
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    note!(page, "Firewall > NAT > Outbound in the modes Automatic and Hybrid has no rule for an");
    note!(page, "interface without upstream gateway: see 4.");
    advice::bgp_elsewhere(&mut page, connection);
    if connection.bgp.is_some() {
        note!(page, "The package frr has the fields for what frr shows.");
    }
    let looks = [("Status > WireGuard", "a latest handshake some seconds ago")];
    advice::verify(&mut page, connection, &looks, |address| {
        format!("Diagnostics > Ping: {address}, Source address LOCKGATE")
    });
    let (key, endpoints) =
        ("Public Key of the tunnel", "the endpoint that Status > WireGuard shows");
    advice::send_back(&mut page, tunnel, key, endpoints);
    page.file("pfsense.txt", connection.is_secret())
}

fn peer(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "3. VPN > WireGuard > Peers > Add Peer");
    page.field("Enable Peer", "yes");
    page.field("Tunnel", "tun_wg0 (Lockgate)");
    page.field("Description", "gateway");
    page.field("Dynamic Endpoint", "no");
    page.field("Endpoint", HostText(&tunnel.endpoint.host));
    page.field("Port", tunnel.endpoint.port);
    page.field("Keep Alive", tunnel.keepalive);
    page.field("Public Key", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        page.field("Pre-shared Key", key.as_str());
    }
    page.field("Allowed IPs", "a line each:");
    for prefix in connection.allowed_ips() {
        page.field("", format_args!("{} / {}", prefix.address(), prefix.length()));
    }
    line!(page, "   then Save Peer, Apply Changes");
    page.blank();
}

fn interface(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "4. Interfaces > Assignments: add tun_wg0; on the page of the new interface");
    page.field("Enable", "yes");
    page.field("Description", "LOCKGATE");
    for (is_v4, version) in [(true, "IPv4"), (false, "IPv6")] {
        match connection.customer_of(is_v4) {
            Some(own) => {
                page.field(
                    &format!("{version} Configuration Type"),
                    format_args!("Static {version}"),
                );
                page.field(&format!("{version} Address"), own);
                // With one it takes the interface for a WAN.
                page.field(&format!("{version} Upstream gateway"), "None, or there is NAT");
            }
            None => page.field(&format!("{version} Configuration Type"), "None"),
        }
    }
    page.field("MTU", tunnel.mtu);
    line!(page, "   then Save, Apply Changes");
    page.blank();
}

fn routes(page: &mut Page, connection: &Connection<'_>) {
    line!(page, "5. System > Routing > Gateways: add");
    for (is_v4, version) in [(true, "IPv4"), (false, "IPv6")] {
        if let Some(gateway) = connection.gateway_of(is_v4) {
            let name = if is_v4 { "LOCKGATE_GW" } else { "LOCKGATE_GW6" };
            line!(
                page,
                "   Interface LOCKGATE, Address Family {version}, Name {name}, Gateway {gateway}"
            );
        }
    }
    line!(page, "   then System > Routing > Static Routes: add");
    for prefix in connection.apps {
        let name = if prefix.is_v4() { "LOCKGATE_GW" } else { "LOCKGATE_GW6" };
        match connection.gateway_of(prefix.is_v4()) {
            Some(_) => line!(page, "   Destination network {prefix}, Gateway {name}"),
            None => line!(
                page,
                "   Destination network {prefix}, Gateway: one of LOCKGATE's, of any address"
            ),
        }
    }
    page.blank();
}

fn rules(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "6. Firewall > Rules > LOCKGATE: add, Action Pass, Protocol Any");
    for (is_v4, version) in [(true, "IPv4"), (false, "IPv6")] {
        let apps = joined(connection.apps_of(is_v4), ", ");
        let networks = joined(connection.networks_of(is_v4), ", ");
        if !apps.is_empty() && !networks.is_empty() {
            line!(page, "   {version}, Source {apps}, Destination {networks}");
        }
        if let (Some(gateway), Some(own)) =
            (connection.gateway_of(is_v4), connection.customer_of(is_v4))
        {
            line!(page, "   {version}, Source {gateway}, Destination {}", own.address());
        }
    }
    if let Some(port) = tunnel.listen_port {
        line!(
            page,
            "   and Firewall > Rules > WAN: Pass, UDP, Destination WAN address, Port {port}"
        );
    }
    page.blank();
}
