//! The customer's side of a VLAN for Arista EOS: a subinterface, and static routes or
//! BGP.

use super::bgp::PrefixRule;
use super::page::{ConfigFile, Page, line, note};
use super::{BgpSession, Connection, Handover, advice};
use crate::model::VlanProtocol;

pub(super) fn render(connection: &Connection<'_>, vlan: &Handover<'_>) -> ConfigFile {
    let mut page = Page::new("!");
    note!(page, "A VLAN for {}: the customer's side, Arista EOS.", connection.title());
    note!(page, "Enter `configure session lockgate` and paste it; then `commit` and `write`.");
    advice::port(&mut page, connection);
    note!(page);
    let port = connection.interface_or("<interface>");
    let tags = advice::Tags::of(vlan);
    if vlan.tags.is_some_and(|tags| tags.protocol == VlanProtocol::Dot1ad) {
        note!(
            page,
            "The outer tag's ethertype is 0x88a8 (802.1ad): set this port's TPID to it, where"
        );
        note!(page, "the platform has that.");
    }
    line!(page, "interface {port}");
    line!(page, "   no switchport");
    line!(page, "interface {port}.{}", tags.last());
    line!(page, "   description Lockgate, {}", connection.title());
    match &tags.inner {
        Some(inner) => line!(page, "   encapsulation dot1q vlan {} inner {inner}", tags.outer),
        None => line!(page, "   encapsulation dot1q vlan {}", tags.outer),
    }
    if let Some(mtu) = vlan.mtu {
        line!(page, "   mtu {mtu}");
    }
    for own in &connection.customer {
        let ip = if own.address().is_ipv4() { "ip" } else { "ipv6" };
        line!(page, "   {ip} address {own}");
    }
    line!(page, "   no shutdown");
    note!(page);
    line!(page, "ip routing");
    if connection.customer_of(false).is_some() {
        line!(page, "ipv6 unicast-routing");
    }
    match &connection.bgp {
        Some(session) => bgp(&mut page, connection, session),
        None => routes(&mut page, connection),
    }
    note!(page);
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let mut looks = vec![("show ip interface brief", "the subinterface is up, up")];
    if connection.bgp.is_some() {
        looks.push(("show bgp summary", "Established"));
    }
    advice::verify(&mut page, connection, &looks, |address| {
        if address.is_ipv4() { format!("ping {address}") } else { format!("ping ipv6 {address}") }
    });
    advice::send_back_vlan(&mut page, connection, ["show arp", "show ipv6 neighbors"]);
    page.file("lockgate.eos", false)
}

fn routes(page: &mut Page, connection: &Connection<'_>) {
    for prefix in connection.apps {
        let Some(gateway) = connection.gateway_of(prefix.is_v4()) else { continue };
        let ip = if prefix.is_v4() { "ip" } else { "ipv6" };
        line!(page, "{ip} route {prefix} {gateway} name Lockgate");
    }
}

fn bgp(page: &mut Page, connection: &Connection<'_>, session: &BgpSession) {
    advice::bgp(page, session);
    let remote = session.remote;
    for family in &session.families {
        list(page, connection, family.is_v4);
        if let Some(next_hop) = family.next_hop {
            let (ip, suffix) = if family.is_v4 { ("ip", "") } else { ("ipv6", "6") };
            line!(page, "route-map lockgate-out{suffix} permit 10");
            line!(page, "   match {ip} address prefix-list lockgate-out{suffix}");
            line!(page, "   set {ip} next-hop {next_hop}");
        }
    }
    line!(page, "router bgp {}", session.local_asn);
    line!(page, "   neighbor {remote} remote-as {}", session.remote_asn);
    line!(page, "   neighbor {remote} description Lockgate, {}", connection.title());
    line!(
        page,
        "   neighbor {remote} timers {} {}",
        session.keepalive_seconds(),
        session.hold_seconds
    );
    for family in &session.families {
        let (ip, suffix) = if family.is_v4 { ("ipv4", "") } else { ("ipv6", "6") };
        line!(page, "   address-family {ip}");
        line!(page, "      neighbor {remote} activate");
        line!(page, "      neighbor {remote} prefix-list lockgate-in{suffix} in");
        match family.next_hop {
            Some(_) => line!(page, "      neighbor {remote} route-map lockgate-out{suffix} out"),
            None => line!(page, "      neighbor {remote} prefix-list lockgate-out{suffix} out"),
        }
        for prefix in connection.networks_of(family.is_v4) {
            line!(page, "      network {prefix}");
        }
    }
}

/// The lists of a family: IPv6's are written as blocks.
fn list(page: &mut Page, connection: &Connection<'_>, is_v4: bool) {
    let lists = [
        ("in", PrefixRule::import(connection, is_v4)),
        ("out", PrefixRule::export(connection, is_v4)),
    ];
    for (way, rules) in lists {
        if !is_v4 {
            line!(page, "ipv6 prefix-list lockgate-{way}6");
        }
        for rule in rules {
            if is_v4 {
                line!(page, "ip prefix-list lockgate-{way} {rule}");
            } else {
                line!(page, "   {rule}");
            }
        }
    }
}
