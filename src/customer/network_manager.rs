//! The customer's side as a keyfile of NetworkManager's (nm-settings-keyfile(5)).
//!
//! It makes the routes to what the peer is allowed by itself (`peer-routes`), but in a
//! family only where the link has an address of it.

use super::connection::EndpointText;
use super::page::{ConfigFile, Page, line, note};
use super::wg_quick::ping;
use super::{Connection, Tunnel, advice};

/// Where keyfiles are.
const DIRECTORY: &str = "/etc/NetworkManager/system-connections";

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    let name = connection.interface_or("lockgate");
    let file = format!("{name}.nmconnection");
    note!(page, "WireGuard for {}: the customer's side.", connection.title());
    note!(page, "Save as {DIRECTORY}/{file},");
    note!(page, "mode 0600; then: nmcli connection reload; nmcli connection up {name}");
    page.blank();
    line!(page, "[connection]");
    line!(page, "id={name}");
    line!(page, "type=wireguard");
    line!(page, "interface-name={name}");
    page.blank();
    line!(page, "[wireguard]");
    advice::private_key(&mut page, tunnel);
    line!(page, "private-key={}", *tunnel.private_key_text());
    if let Some(port) = tunnel.listen_port {
        note!(page, "The gateway dials you there, so let UDP to this port in.");
        line!(page, "listen-port={port}");
    }
    line!(page, "mtu={}", tunnel.mtu);
    page.blank();
    line!(page, "[wireguard-peer.{}]", tunnel.gateway_key);
    line!(page, "endpoint={}", EndpointText(tunnel.endpoint));
    if let Some(key) = tunnel.preshared_text() {
        advice::preshared_key(&mut page, tunnel);
        line!(page, "preshared-key={}", *key);
        line!(page, "preshared-key-flags=0");
    }
    note!(page, "What you reach through the tunnel: the applications, and the gateway itself.");
    let allowed: String = connection.allowed_ips().map(|prefix| format!("{prefix};")).collect();
    line!(page, "allowed-ips={allowed}");
    line!(page, "persistent-keepalive={}", tunnel.keepalive);
    for (is_v4, section) in [(true, "ipv4"), (false, "ipv6")] {
        page.blank();
        line!(page, "[{section}]");
        match connection.customer_of(is_v4) {
            Some(address) => {
                line!(page, "method=manual");
                line!(page, "address1={address}");
                line!(page, "never-default=true");
            }
            None if connection.apps_of(is_v4).next().is_some() => {
                note!(
                    page,
                    "The tunnel has no address of this family, and without one there are no"
                );
                note!(page, "routes: give it one that this machine has on its own network.");
                line!(page, "method=manual");
                let length = if is_v4 { 32 } else { 128 };
                line!(page, "address1=<an address of this machine>/{length}");
                line!(page, "never-default=true");
            }
            None => line!(page, "method=disabled"),
        }
    }
    page.blank();
    advice::networks(&mut page, connection);
    advice::linux_forwarding(&mut page, connection);
    advice::bgp_elsewhere(&mut page, connection);
    let (active, handshakes) = (
        format!("nmcli -f GENERAL.STATE connection show {name}"),
        format!("wg show {name} latest-handshakes"),
    );
    let looks = [(active.as_str(), "activated"), (handshakes.as_str(), "a number other than 0")];
    advice::verify(&mut page, connection, &looks, ping);
    let (key, endpoints) =
        (format!("wg show {name} public-key"), format!("wg show {name} endpoints"));
    advice::send_back(&mut page, tunnel, &key, &endpoints);
    page.file(file, connection.is_secret())
}
