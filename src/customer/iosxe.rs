//! The customer's side of a VLAN for Cisco IOS XE: a subinterface, and static routes or
//! BGP.

use super::advice::{self, mask, masked};
use super::bgp::PrefixRule;
use super::page::{ConfigFile, Page, line, note};
use super::{BgpSession, Connection, Handover};
use crate::model::VlanProtocol;

pub(super) fn render(connection: &Connection<'_>, vlan: &Handover<'_>) -> ConfigFile {
    let mut page = Page::new("!");
    note!(page, "A VLAN for {}: the customer's side, Cisco IOS XE.", connection.title());
    note!(page, "Enter `configure terminal` and paste it; `write memory` keeps it.");
    advice::port(&mut page, connection);
    note!(page);
    let port = connection.interface_or("<interface>");
    let tags = advice::Tags::of(vlan);
    if vlan.tags.is_some_and(|tags| tags.protocol == VlanProtocol::Dot1ad) {
        note!(page, "The outer tag's ethertype is 0x88a8 (802.1ad), for all of this port.");
        line!(page, "interface {port}");
        line!(page, " dot1q tunneling ethertype 0x88A8");
    }
    line!(page, "interface {port}.{}", tags.last());
    line!(page, " description Lockgate, {}", connection.title());
    match &tags.inner {
        Some(inner) => line!(page, " encapsulation dot1Q {} second-dot1q {inner}", tags.outer),
        None => line!(page, " encapsulation dot1Q {}", tags.outer),
    }
    for own in &connection.customer {
        if own.address().is_ipv4() {
            line!(page, " ip address {} {}", own.address(), mask(own.length()));
        } else {
            line!(page, " ipv6 address {own}");
        }
        if let Some(mtu) = vlan.mtu {
            line!(page, " {} mtu {mtu}", if own.address().is_ipv4() { "ip" } else { "ipv6" });
        }
    }
    line!(page, " no shutdown");
    line!(page, "exit");
    match &connection.bgp {
        Some(session) => bgp(&mut page, connection, session),
        None => routes(&mut page, connection),
    }
    note!(page);
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let mut looks = vec![("show ip interface brief", "the subinterface is up, up")];
    if connection.bgp.is_some() {
        looks.push(("show bgp all summary", "a number under State/PfxRcd"));
    }
    advice::verify(&mut page, connection, &looks, |address| format!("ping {address}"));
    advice::send_back_vlan(&mut page, connection, ["show arp", "show ipv6 neighbors"]);
    page.file("lockgate.iosxe", false)
}

fn routes(page: &mut Page, connection: &Connection<'_>) {
    for prefix in connection.apps {
        let Some(gateway) = connection.gateway_of(prefix.is_v4()) else { continue };
        if prefix.is_v4() {
            line!(page, "ip route {} {gateway} name Lockgate", masked(*prefix));
        } else {
            line!(page, "ipv6 route {prefix} {gateway}");
        }
    }
}

fn bgp(page: &mut Page, connection: &Connection<'_>, session: &BgpSession) {
    advice::bgp(page, session);
    let remote = session.remote;
    for family in &session.families {
        let (ip, suffix) = if family.is_v4 { ("ip", "") } else { ("ipv6", "6") };
        for rule in PrefixRule::import(connection, family.is_v4) {
            line!(page, "{ip} prefix-list lockgate-in{suffix} {rule}");
        }
        for rule in PrefixRule::export(connection, family.is_v4) {
            line!(page, "{ip} prefix-list lockgate-out{suffix} {rule}");
        }
        if let Some(next_hop) = family.next_hop {
            line!(page, "route-map lockgate-out{suffix} permit 10");
            line!(page, " match {} address prefix-list lockgate-out{suffix}", ip);
            line!(page, " set {ip} next-hop {next_hop}");
            line!(page, "exit");
        }
    }
    line!(page, "router bgp {}", session.local_asn);
    line!(page, " neighbor {remote} remote-as {}", session.remote_asn);
    line!(page, " neighbor {remote} description Lockgate, {}", connection.title());
    line!(
        page,
        " neighbor {remote} timers {} {}",
        session.keepalive_seconds(),
        session.hold_seconds
    );
    for family in &session.families {
        let (ip, suffix) = if family.is_v4 { ("ipv4", "") } else { ("ipv6", "6") };
        line!(page, " address-family {ip}");
        for prefix in connection.networks_of(family.is_v4) {
            if prefix.is_v4() {
                let network = mask(prefix.length());
                line!(page, "  network {} mask {network}", prefix.address());
            } else {
                line!(page, "  network {prefix}");
            }
        }
        line!(page, "  neighbor {remote} activate");
        line!(page, "  neighbor {remote} prefix-list lockgate-in{suffix} in");
        match family.next_hop {
            Some(_) => line!(page, "  neighbor {remote} route-map lockgate-out{suffix} out"),
            None => line!(page, "  neighbor {remote} prefix-list lockgate-out{suffix} out"),
        }
        line!(page, " exit-address-family");
    }
    line!(page, "exit");
}
