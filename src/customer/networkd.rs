//! The customer's side as two files for systemd-networkd: the link, and what is on it.
//!
//! Routes are written as `[Route]` and not left to `RouteTable=`, which is newer than
//! the systemd of some distributions that are still served (systemd.netdev(5)).

use super::connection::EndpointText;
use super::page::{ConfigFile, Page, line, note};
use super::wg_quick::ping;
use super::{Connection, Preshared, Tunnel, advice};

/// Where the files go.
const DIRECTORY: &str = "/etc/systemd/network";

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> Vec<ConfigFile> {
    let name = connection.interface_or("lockgate");
    vec![link(connection, tunnel, name), network(connection, tunnel, name)]
}

fn link(connection: &Connection<'_>, tunnel: &Tunnel<'_>, name: &str) -> ConfigFile {
    let mut page = Page::new("#");
    note!(page, "WireGuard for {}: the customer's side.", connection.title());
    note!(page, "Save as {DIRECTORY}/{name}.netdev, owner root:systemd-network, mode 0640.");
    page.blank();
    line!(page, "[NetDev]");
    line!(page, "Name={name}");
    line!(page, "Kind=wireguard");
    line!(page, "MTUBytes={}", tunnel.mtu);
    page.blank();
    line!(page, "[WireGuard]");
    advice::private_key(&mut page, tunnel);
    if tunnel.private_key.is_some() {
        line!(page, "PrivateKey={}", *tunnel.private_key_text());
    } else {
        note!(page, "That file is root:systemd-network, mode 0640, and holds nothing else.");
        line!(page, "PrivateKeyFile={DIRECTORY}/{name}.key");
    }
    if let Some(port) = tunnel.listen_port {
        note!(page, "The gateway dials you there, so let UDP to this port in.");
        line!(page, "ListenPort={port}");
    }
    page.blank();
    line!(page, "[WireGuardPeer]");
    line!(page, "PublicKey={}", tunnel.gateway_key);
    match tunnel.preshared {
        Preshared::None => {}
        Preshared::Hidden => {
            advice::preshared_key(&mut page, tunnel);
            note!(page, "That file, too, is root:systemd-network, mode 0640.");
            line!(page, "PresharedKeyFile={DIRECTORY}/{name}.psk");
        }
        Preshared::Shown(key) => line!(page, "PresharedKey={}", *key.to_base64()),
    }
    line!(page, "Endpoint={}", EndpointText(tunnel.endpoint));
    note!(page, "What you reach through the tunnel: the applications, and the gateway itself.");
    for prefix in connection.allowed_ips() {
        line!(page, "AllowedIPs={prefix}");
    }
    line!(page, "PersistentKeepalive={}", tunnel.keepalive);
    page.file(format!("{name}.netdev"), connection.is_secret())
}

fn network(connection: &Connection<'_>, tunnel: &Tunnel<'_>, name: &str) -> ConfigFile {
    let mut page = Page::new("#");
    note!(page, "What is on that link.");
    note!(page, "Save as {DIRECTORY}/{name}.network, mode 0644; then: networkctl reload");
    page.blank();
    line!(page, "[Match]");
    line!(page, "Name={name}");
    page.blank();
    line!(page, "[Network]");
    for address in &connection.customer {
        line!(page, "Address={address}");
    }
    for prefix in connection.routes() {
        page.blank();
        line!(page, "[Route]");
        line!(page, "Destination={prefix}");
    }
    page.blank();
    advice::networks(&mut page, connection);
    advice::linux_forwarding(&mut page, connection);
    advice::bgp_elsewhere(&mut page, connection);
    let (status, handshakes) =
        (format!("networkctl status {name}"), format!("wg show {name} latest-handshakes"));
    let looks = [
        (status.as_str(), "routable (configured)"),
        (handshakes.as_str(), "a number other than 0"),
    ];
    advice::verify(&mut page, connection, &looks, ping);
    let (key, endpoints) =
        (format!("wg show {name} public-key"), format!("wg show {name} endpoints"));
    advice::send_back(&mut page, tunnel, &key, &endpoints);
    page.file(format!("{name}.network"), false)
}
