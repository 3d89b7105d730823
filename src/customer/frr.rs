//! The BGP part of the customer's side for FRR: what goes into frr.conf, or into vtysh.

use super::bgp::PrefixRule;
use super::page::{ConfigFile, Page, line, note};
use super::{BgpSession, Connection, advice};

pub(super) fn render(connection: &Connection<'_>, session: &BgpSession) -> ConfigFile {
    let mut page = Page::new("!");
    note!(page, "BGP for {}: the customer's side, FRR 8.4 and newer.", connection.title());
    note!(
        page,
        "Add it to /etc/frr/frr.conf, with bgpd=yes in /etc/frr/daemons; then: systemctl reload frr"
    );
    page.blank();
    advice::bgp(&mut page, session);
    for family in &session.families {
        let (ip, suffix) = if family.is_v4 { ("ip", "") } else { ("ipv6", "6") };
        for rule in PrefixRule::import(connection, family.is_v4) {
            line!(page, "{ip} prefix-list lockgate-in{suffix} {rule}");
        }
        for rule in PrefixRule::export(connection, family.is_v4) {
            line!(page, "{ip} prefix-list lockgate-out{suffix} {rule}");
        }
    }
    note!(page);
    let remote = session.remote;
    line!(page, "router bgp {}", session.local_asn);
    line!(page, " neighbor {remote} remote-as {}", session.remote_asn);
    line!(page, " neighbor {remote} description Lockgate, {}", connection.title());
    line!(
        page,
        " neighbor {remote} timers {} {}",
        session.keepalive_seconds(),
        session.hold_seconds
    );
    line!(page, " neighbor {remote} update-source {}", session.local);
    if let Some(role) = session.role_text() {
        let strict = if session.is_role_strict { " strict-mode" } else { "" };
        line!(page, " neighbor {remote} local-role {role}{strict}");
    }
    for family in &session.families {
        let (ip, suffix) = if family.is_v4 { ("ipv4", "") } else { ("ipv6", "6") };
        line!(page, " !");
        line!(page, " address-family {ip} unicast");
        for prefix in connection.networks_of(family.is_v4) {
            line!(page, "  network {prefix}");
        }
        line!(page, "  neighbor {remote} activate");
        line!(page, "  neighbor {remote} prefix-list lockgate-in{suffix} in");
        line!(page, "  neighbor {remote} prefix-list lockgate-out{suffix} out");
        line!(page, " exit-address-family");
    }
    line!(page, "exit");
    note!(page);
    note!(
        page,
        "`network` says a network that is in the table just so; of one that you have in parts,"
    );
    note!(page, "name the parts instead.");
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let (neighbor, told) = (
        format!("show bgp neighbors {remote}"),
        format!("show bgp ipv4 unicast neighbors {remote} advertised-routes"),
    );
    let looks =
        [("show bgp summary", "a number under State/PfxRcd"), (told.as_str(), "your networks")];
    advice::verify(&mut page, connection, &looks, |address| format!("ping {address}"));
    note!(page);
    note!(page, "To send back, so that the other side can compare:");
    note!(page, "  what {neighbor} says");
    page.file("lockgate.frr.conf", false)
}
