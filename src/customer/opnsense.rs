//! The customer's side as what to enter in OPNsense's pages, or to send to its API.
//!
//! OPNsense takes no file for a single instance. Its pages are walked in the order in
//! which they need one another; the bodies for its API have the same values, under the
//! names of its models `Wireguard/Client.xml` and `Wireguard/Server.xml`.

use super::connection::HostText;
use super::page::{ConfigFile, Page, joined, line, note};
use super::{Connection, Tunnel, advice};

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    note!(
        page,
        "WireGuard for {}: the customer's side, OPNsense 24.1 and newer.",
        connection.title()
    );
    note!(page, "What is to be entered, page by page; what is not named stays as it is.");
    page.blank();
    advice::private_key(&mut page, tunnel);
    advice::preshared_key(&mut page, tunnel);
    page.blank();
    instance(&mut page, connection, tunnel);
    peer(&mut page, connection, tunnel);
    line!(page, "3. VPN > WireGuard > Instances: edit lockgate");
    page.field("Peers", "gateway");
    line!(page, "   then Apply, with Enable WireGuard set");
    page.blank();
    line!(page, "4. Interfaces > Assignments");
    line!(page, "   add the device wg of the instance lockgate, Description LOCKGATE; on its page");
    page.field("Enable", "yes");
    line!(page, "   IPv4, IPv6 Type       None (the instance has the addresses)");
    page.field("MSS", "empty (the gateway sees to it)");
    page.blank();
    rules(&mut page, connection, tunnel);
    api(&mut page, connection, tunnel);
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    note!(page, "Firewall > NAT > Outbound in the modes Automatic and Hybrid has no rule for this");
    note!(page, "interface, as it has no gateway: leave it so.");
    advice::bgp_elsewhere(&mut page, connection);
    if connection.bgp.is_some() {
        note!(page, "The plugin os-frr has the fields for what frr shows.");
    }
    let looks = [("VPN > WireGuard > Status", "a handshake some seconds ago")];
    advice::verify(&mut page, connection, &looks, |address| {
        format!("Interfaces > Diagnostics > Ping: {address}")
    });
    let (key, endpoints) =
        ("Public key of the instance", "the endpoint that VPN > WireGuard > Status shows");
    advice::send_back(&mut page, tunnel, key, endpoints);
    page.file("opnsense.txt", connection.is_secret())
}

fn instance(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "1. VPN > WireGuard > Instances: add, with advanced mode on");
    page.field("Name", "lockgate");
    page.field("Public key", tunnel.customer_key);
    page.field("Private key", tunnel.private_key_text().as_str());
    match tunnel.listen_port {
        Some(port) => {
            page.field("Listen port", format_args!("{port} (the gateway dials you there)"))
        }
        None => page.field("Listen port", "empty"),
    }
    page.field("MTU", tunnel.mtu);
    match connection.customer.as_slice() {
        [] => page.field("Tunnel address", "empty"),
        own => page.field("Tunnel address", joined(own, ", ")),
    }
    page.field("Disable routes", "no");
    page.blank();
}

fn peer(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "2. VPN > WireGuard > Peers: add");
    page.field("Name", "gateway");
    page.field("Public key", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        page.field("Pre-shared key", key.as_str());
    }
    page.field("Allowed IPs", joined(connection.allowed_ips(), ", "));
    page.field("Endpoint address", HostText(&tunnel.endpoint.host));
    page.field("Endpoint port", tunnel.endpoint.port);
    page.field("Instances", "lockgate");
    page.field("Keepalive interval", tunnel.keepalive);
    page.blank();
}

fn rules(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "5. Firewall > Rules > LOCKGATE: add, Action Pass, Direction in");
    for (is_v4, version) in [(true, "IPv4"), (false, "IPv6")] {
        let apps = joined(connection.apps_of(is_v4), ", ");
        let networks = joined(connection.networks_of(is_v4), ", ");
        if !apps.is_empty() && !networks.is_empty() {
            line!(page, "   {version}, Protocol any, Source {apps}, Destination {networks}");
        }
        if let (Some(gateway), Some(own)) =
            (connection.gateway_of(is_v4), connection.customer_of(is_v4))
        {
            line!(
                page,
                "   {version}, Protocol any, Source {gateway}, Destination {}",
                own.address()
            );
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

fn api(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>) {
    line!(page, "Instead of 1 to 3, by the API (System > Access > Users has keys for it):");
    page.blank();
    let psk = tunnel.preshared_text();
    let psk = psk.as_ref().map_or("", |key| key.as_str());
    line!(page, "POST /api/wireguard/client/add_client");
    line!(
        page,
        "{{\"client\": {{\"enabled\": \"1\", \"name\": \"gateway\", \"pubkey\": \"{}\", \"psk\": \"{psk}\", \
         \"tunneladdress\": \"{}\", \"serveraddress\": \"{}\", \"serverport\": \"{}\", \
         \"keepalive\": \"{}\"}}}}",
        tunnel.gateway_key,
        joined(connection.allowed_ips(), ","),
        HostText(&tunnel.endpoint.host),
        tunnel.endpoint.port,
        tunnel.keepalive
    );
    let port = tunnel.listen_port.map(|port| port.to_string()).unwrap_or_default();
    line!(page, "POST /api/wireguard/server/add_server");
    line!(
        page,
        "{{\"server\": {{\"enabled\": \"1\", \"name\": \"lockgate\", \"pubkey\": \"{}\", \"privkey\": \"{}\", \
         \"port\": \"{port}\", \"mtu\": \"{}\", \"tunneladdress\": \"{}\", \
         \"peers\": \"<uuid that add_client answered>\"}}}}",
        tunnel.customer_key,
        *tunnel.private_key_text(),
        tunnel.mtu,
        joined(&connection.customer, ",")
    );
    line!(page, "POST /api/wireguard/general/set");
    line!(page, "{{\"general\": {{\"enabled\": \"1\"}}}}");
    line!(page, "POST /api/wireguard/service/reconfigure");
    line!(page, "{{}}");
    page.blank();
}
