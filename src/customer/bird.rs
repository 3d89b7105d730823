//! The BGP part of the customer's side for BIRD 2: what goes into bird.conf.

use super::page::{ConfigFile, Page, joined, line, note};
use super::{BgpSession, Connection, advice};
use crate::net::Role;

pub(super) fn render(connection: &Connection<'_>, session: &BgpSession) -> ConfigFile {
    let mut page = Page::new("#");
    note!(page, "BGP for {}: the customer's side, BIRD 2.0.11 and newer.", connection.title());
    note!(
        page,
        "Save it beside /etc/bird/bird.conf and add there: include \"lockgate.bird.conf\";"
    );
    note!(
        page,
        "then: birdc configure. What is learned comes into the kernel by your protocol kernel."
    );
    page.blank();
    advice::bgp(&mut page, session);
    note!(page, "The networks of this machine's own links; routes of your other protocols are");
    note!(page, "said, too.");
    line!(page, "protocol direct lockgate_links {{");
    for family in &session.families {
        line!(page, "  {};", if family.is_v4 { "ipv4" } else { "ipv6" });
    }
    line!(page, "}}");
    page.blank();
    line!(page, "protocol bgp lockgate {{");
    line!(page, "  description \"Lockgate, {}\";", connection.title());
    line!(page, "  local {} as {};", session.local, session.local_asn);
    line!(page, "  neighbor {} as {};", session.remote, session.remote_asn);
    line!(page, "  hold time {};", session.hold_seconds);
    line!(page, "  keepalive time {};", session.keepalive_seconds());
    if let Some(role) = session.role {
        line!(page, "  local role {};", role_name(role));
        if session.is_role_strict {
            line!(page, "  require roles yes;");
        }
    }
    for family in &session.families {
        let name = if family.is_v4 { "ipv4" } else { "ipv6" };
        let parts = connection.networks_of(family.is_v4).map(|prefix| format!("{prefix}+"));
        line!(page, "  {name} {{");
        line!(page, "    import {};", among(connection.apps_of(family.is_v4)));
        line!(page, "    export {};", among(parts));
        match family.next_hop {
            Some(address) => line!(page, "    next hop address {address};"),
            None => line!(page, "    next hop self;"),
        }
        line!(page, "  }};");
    }
    line!(page, "}}");
    page.blank();
    advice::networks(&mut page, connection);
    advice::forwarding(&mut page, connection);
    let looks = [
        ("birdc show protocols lockgate", "Established"),
        ("birdc show route protocol lockgate", "where the applications are"),
        ("birdc show route export lockgate", "your networks"),
    ];
    advice::verify(&mut page, connection, &looks, super::wg_quick::ping);
    note!(page);
    note!(page, "To send back, so that the other side can compare:");
    note!(page, "  what birdc show protocols all lockgate says");
    page.file("lockgate.bird.conf", false)
}

/// Which routes pass. A set of BIRD's has a member or more.
fn among<T: std::fmt::Display>(prefixes: impl Iterator<Item = T>) -> String {
    let all = joined(prefixes, ", ");
    if all.is_empty() { "none".to_owned() } else { format!("where net ~ [ {all} ]") }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "rs_server",
        Role::RouteServerClient => "rs_client",
        Role::Customer => "customer",
        Role::Peer => "peer",
    }
}
