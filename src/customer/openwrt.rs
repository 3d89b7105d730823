//! The customer's side as commands for OpenWrt: its network and its firewall, in UCI.
//!
//! The sections have names, so that a second paste replaces the first.

use super::connection::HostText;
use super::page::{ConfigFile, Page, line, note};
use super::{Connection, Tunnel, advice};
use std::net::IpAddr;

pub(super) fn render(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    let name = connection.interface_or("lockgate");
    note!(page, "WireGuard for {}: the customer's side, OpenWrt.", connection.title());
    note!(
        page,
        "Install it first: opkg install wireguard-tools (apk add from 25.12 on); then paste"
    );
    note!(page, "this into a shell on the router.");
    page.blank();
    let peer = format!("{name}_gw");
    let rules = [format!("{name}_in"), format!("{name}_out"), format!("{name}_dial")];
    for section in
        [format!("network.{name}"), format!("network.{peer}"), format!("firewall.{name}")]
    {
        line!(page, "uci -q delete {section}");
    }
    for rule in &rules {
        line!(page, "uci -q delete firewall.{rule}");
    }
    line!(page, "uci batch <<'EOF'");
    interface(&mut page, connection, tunnel, name);
    gateway(&mut page, connection, tunnel, name, &peer);
    firewall(&mut page, tunnel, name, &rules);
    line!(page, "commit network");
    line!(page, "commit firewall");
    line!(page, "EOF");
    line!(page, "service network reload");
    line!(page, "service firewall reload");
    page.blank();
    advice::private_key(&mut page, tunnel);
    advice::preshared_key(&mut page, tunnel);
    note!(page);
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    note!(
        page,
        "They are taken to be in the firewall's zone lan; name another in the forwardings."
    );
    advice::bgp_elsewhere(&mut page, connection);
    let (status, handshakes) =
        (format!("ifstatus {name}"), format!("wg show {name} latest-handshakes"));
    let looks = [(status.as_str(), "\"up\": true"), (handshakes.as_str(), "a number other than 0")];
    advice::verify(&mut page, connection, &looks, |address| match address {
        IpAddr::V4(_) => format!("ping -c 3 {address}"),
        IpAddr::V6(_) => format!("ping6 -c 3 {address}"),
    });
    let (key, endpoints) =
        (format!("wg show {name} public-key"), format!("wg show {name} endpoints"));
    advice::send_back(&mut page, tunnel, &key, &endpoints);
    page.file("lockgate.sh", connection.is_secret())
}

fn interface(page: &mut Page, connection: &Connection<'_>, tunnel: &Tunnel<'_>, name: &str) {
    line!(page, "set network.{name}='interface'");
    line!(page, "set network.{name}.proto='wireguard'");
    line!(page, "set network.{name}.private_key='{}'", *tunnel.private_key_text());
    if let Some(port) = tunnel.listen_port {
        line!(page, "set network.{name}.listen_port='{port}'");
    }
    line!(page, "set network.{name}.mtu='{}'", tunnel.mtu);
    for address in &connection.customer {
        line!(page, "add_list network.{name}.addresses='{address}'");
    }
}

fn gateway(
    page: &mut Page,
    connection: &Connection<'_>,
    tunnel: &Tunnel<'_>,
    name: &str,
    peer: &str,
) {
    line!(page, "set network.{peer}='wireguard_{name}'");
    line!(page, "set network.{peer}.description='Lockgate: {}'", connection.title());
    line!(page, "set network.{peer}.public_key='{}'", tunnel.gateway_key);
    if let Some(key) = tunnel.preshared_text() {
        line!(page, "set network.{peer}.preshared_key='{}'", *key);
    }
    line!(page, "set network.{peer}.endpoint_host='{}'", HostText(&tunnel.endpoint.host));
    line!(page, "set network.{peer}.endpoint_port='{}'", tunnel.endpoint.port);
    line!(page, "set network.{peer}.persistent_keepalive='{}'", tunnel.keepalive);
    line!(page, "set network.{peer}.route_allowed_ips='1'");
    for prefix in connection.allowed_ips() {
        line!(page, "add_list network.{peer}.allowed_ips='{prefix}'");
    }
}

/// A zone of its own: what comes in is answered, and passed between it and the zone lan.
fn firewall(page: &mut Page, tunnel: &Tunnel<'_>, name: &str, rules: &[String; 3]) {
    let [into, out, dial] = rules;
    line!(page, "set firewall.{name}='zone'");
    line!(page, "set firewall.{name}.name='{name}'");
    line!(page, "add_list firewall.{name}.network='{name}'");
    for (chain, verdict) in [("input", "ACCEPT"), ("output", "ACCEPT"), ("forward", "REJECT")] {
        line!(page, "set firewall.{name}.{chain}='{verdict}'");
    }
    line!(page, "set firewall.{name}.masq='0'");
    for (rule, from, to) in [(into, name, "lan"), (out, "lan", name)] {
        line!(page, "set firewall.{rule}='forwarding'");
        line!(page, "set firewall.{rule}.src='{from}'");
        line!(page, "set firewall.{rule}.dest='{to}'");
    }
    if let Some(port) = tunnel.listen_port {
        line!(page, "set firewall.{dial}='rule'");
        line!(page, "set firewall.{dial}.name='Lockgate dials in'");
        line!(page, "set firewall.{dial}.src='wan'");
        line!(page, "set firewall.{dial}.proto='udp'");
        line!(page, "set firewall.{dial}.dest_port='{port}'");
        line!(page, "set firewall.{dial}.target='ACCEPT'");
    }
}
