//! The customer's side as a file for `wg-quick`.
//!
//! Also read by the WireGuard apps, NetworkManager, and most routers' import.

use super::connection::EndpointText;
use super::page::{ConfigFile, Page, joined, line, note};
use super::{Connection, Tunnel, advice};
use std::net::IpAddr;

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    let name = connection.interface_or("lockgate");
    note!(page, "WireGuard for {}: the customer's side.", connection.title());
    note!(page, "Save as /etc/wireguard/{name}.conf, mode 0600; then: wg-quick up {name}");
    page.blank();
    line!(page, "[Interface]");
    advice::private_key(&mut page, tunnel);
    line!(page, "PrivateKey = {}", *tunnel.private_key_text());
    if !connection.customer.is_empty() {
        line!(page, "Address = {}", joined(&connection.customer, ", "));
    }
    if let Some(port) = tunnel.listen_port {
        note!(page, "The gateway dials you there, so let UDP to this port in.");
        line!(page, "ListenPort = {port}");
    }
    line!(page, "MTU = {}", tunnel.mtu);
    page.blank();
    line!(page, "[Peer]");
    line!(page, "PublicKey = {}", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        advice::preshared_key(&mut page, tunnel);
        line!(page, "PresharedKey = {}", *key);
    }
    line!(page, "Endpoint = {}", EndpointText(tunnel.endpoint));
    note!(page, "What you reach through the tunnel: the applications, and the gateway itself.");
    line!(page, "AllowedIPs = {}", joined(connection.allowed_ips(), ", "));
    line!(page, "PersistentKeepalive = {}", tunnel.keepalive);
    page.blank();
    advice::networks(&mut page, connection);
    advice::linux_forwarding(&mut page, connection);
    advice::bgp_elsewhere(&mut page, connection);
    let handshakes = format!("wg show {name} latest-handshakes");
    advice::verify(&mut page, connection, &[(&handshakes, "a number other than 0")], ping);
    let (key, endpoints) =
        (format!("wg show {name} public-key"), format!("wg show {name} endpoints"));
    advice::send_back(&mut page, tunnel, &key, &endpoints);
    page.file(format!("{name}.conf"), connection.is_secret())
}

/// The same without a word too many, as it goes into a QR code.
pub(super) fn bare(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    line!(page, "[Interface]");
    line!(page, "PrivateKey={}", *tunnel.private_key_text());
    if !connection.customer.is_empty() {
        line!(page, "Address={}", joined(&connection.customer, ","));
    }
    if let Some(port) = tunnel.listen_port {
        line!(page, "ListenPort={port}");
    }
    line!(page, "MTU={}", tunnel.mtu);
    line!(page, "[Peer]");
    line!(page, "PublicKey={}", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        line!(page, "PresharedKey={}", *key);
    }
    line!(page, "Endpoint={}", EndpointText(tunnel.endpoint));
    line!(page, "AllowedIPs={}", joined(connection.allowed_ips(), ","));
    line!(page, "PersistentKeepalive={}", tunnel.keepalive);
    page.file("lockgate.conf", connection.is_secret())
}

/// A ping as iputils has it.
pub(super) fn ping(address: IpAddr) -> String {
    match address {
        IpAddr::V4(_) => format!("ping -c 3 {address}"),
        IpAddr::V6(_) => format!("ping -6 -c 3 {address}"),
    }
}
