//! The customer's side of a VLAN for Juniper Junos: a unit of an interface, and static
//! routes or BGP, as `set` commands.

use super::page::{ConfigFile, Page, line, note};
use super::{BgpSession, Connection, Handover, advice};
use crate::model::VlanProtocol;

pub(super) fn render(connection: &Connection<'_>, vlan: &Handover<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    note!(page, "A VLAN for {}: the customer's side, Juniper Junos.", connection.title());
    note!(
        page,
        "Enter `configure`, then `load set terminal`, paste it and press Ctrl-D; `commit check`"
    );
    note!(page, "says what is wrong, `commit confirmed` puts it in force.");
    advice::port(&mut page, connection);
    page.blank();
    let port = connection.interface_or("<interface>");
    let tags = advice::Tags::of(vlan);
    let is_dot1ad = vlan.tags.is_some_and(|tags| tags.protocol == VlanProtocol::Dot1ad);
    let unit = format!("set interfaces {port} unit {}", tags.last());
    // With both kinds of units on it a port is flexible; one tag needs no more.
    if tags.inner.is_some() || is_dot1ad {
        line!(page, "set interfaces {port} flexible-vlan-tagging");
    } else {
        line!(page, "set interfaces {port} vlan-tagging");
    }
    line!(page, "{unit} description \"Lockgate, {}\"", connection.title());
    let outer = if is_dot1ad { format!("0x88a8.{}", tags.outer) } else { tags.outer.clone() };
    match &tags.inner {
        Some(inner) => line!(page, "{unit} vlan-tags outer {outer} inner {inner}"),
        None if is_dot1ad => line!(page, "{unit} vlan-tags outer {outer}"),
        None => line!(page, "{unit} vlan-id {outer}"),
    }
    for own in &connection.customer {
        let inet = if own.address().is_ipv4() { "inet" } else { "inet6" };
        if let Some(mtu) = vlan.mtu {
            line!(page, "{unit} family {inet} mtu {mtu}");
        }
        line!(page, "{unit} family {inet} address {own}");
    }
    match &connection.bgp {
        Some(session) => bgp(&mut page, connection, session),
        None => routes(&mut page, connection),
    }
    page.blank();
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let terse = format!("show interfaces terse {port}.{}", tags.last());
    let mut looks = vec![(terse.as_str(), "up, up")];
    if connection.bgp.is_some() {
        looks.push(("show bgp summary", "Establ"));
    }
    advice::verify(&mut page, connection, &looks, |address| format!("ping {address} count 3"));
    advice::send_back_vlan(&mut page, connection, ["show arp no-resolve", "show ipv6 neighbors"]);
    page.file("lockgate.junos", false)
}

fn routes(page: &mut Page, connection: &Connection<'_>) {
    for prefix in connection.apps {
        let Some(gateway) = connection.gateway_of(prefix.is_v4()) else { continue };
        let rib = if prefix.is_v4() { "" } else { "rib inet6.0 " };
        line!(page, "set routing-options {rib}static route {prefix} next-hop {gateway}");
    }
}

fn bgp(page: &mut Page, connection: &Connection<'_>, session: &BgpSession) {
    page.blank();
    advice::bgp(page, session);
    let policy = "set policy-options policy-statement lockgate";
    for family in &session.families {
        let inet = if family.is_v4 { "inet" } else { "inet6" };
        let (into, out) = (format!("{policy}-in term {inet}"), format!("{policy}-out term {inet}"));
        // A term without a filter would let everything pass.
        if connection.apps_of(family.is_v4).next().is_some() {
            line!(page, "{into} from family {inet}");
            for prefix in connection.apps_of(family.is_v4) {
                line!(page, "{into} from route-filter {prefix} exact");
            }
            line!(page, "{into} then accept");
        }
        if connection.networks_of(family.is_v4).next().is_some() {
            line!(page, "{out} from family {inet}");
            for prefix in connection.networks_of(family.is_v4) {
                line!(page, "{out} from route-filter {prefix} orlonger");
            }
            if let Some(next_hop) = family.next_hop {
                line!(page, "{out} then next-hop {next_hop}");
            }
            line!(page, "{out} then accept");
        }
    }
    line!(page, "{policy}-in then reject");
    line!(page, "{policy}-out then reject");
    let group = "set protocols bgp group lockgate";
    let is_internal = session.local_asn == session.remote_asn;
    line!(page, "{group} type {}", if is_internal { "internal" } else { "external" });
    line!(page, "{group} description \"Lockgate, {}\"", connection.title());
    line!(page, "{group} local-address {}", session.local);
    line!(page, "{group} local-as {}", session.local_asn);
    if !is_internal {
        line!(page, "{group} peer-as {}", session.remote_asn);
    }
    line!(page, "{group} hold-time {}", session.hold_seconds);
    for family in &session.families {
        line!(page, "{group} family {} unicast", if family.is_v4 { "inet" } else { "inet6" });
    }
    line!(page, "{group} import lockgate-in");
    line!(page, "{group} export lockgate-out");
    line!(page, "{group} neighbor {}", session.remote);
}
