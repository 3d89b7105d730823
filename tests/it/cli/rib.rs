//! `lockgate show rib` of a network that is not there: why that may be.

use super::program::ask;
use crate::http::server::Server;
use expect_test::expect;

#[test]
fn a_network_that_nobody_says_comes_with_who_could_not_have_said_it() {
    let server = Server::start();
    let ended = ask(&server.socket, &["show", "rib", "10.9.0.0/16"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    expect![[r#"
        TENANT  NETWORK  NEIGHBOR  VIA  PATH  PREF  MED  COMMUNITIES  BECAME
        acme/gw: no neighbor says 10.9.0.0/16
          nodes/172.16.130.201 is not up, but Active
          site/poznan is not up, but Active: cannot connect: Connection refused (os error 111)
        beta/gw: no neighbor says 10.9.0.0/16
          nodes/172.16.130.201 is not up, but Active
          site/poznan is not up, but Active: cannot connect: Connection refused (os error 111)
        rr1, which tenants of class default share, said 17 VPN routes for none of their route targets; none is held
    "#]]
    .assert_eq(&ended.stdout);
    // What programs read has rows alone.
    let ended = ask(&server.socket, &["show", "rib", "10.9.0.0/16", "-o", "yaml"]);
    assert_eq!(ended.stdout.trim(), "[]");
}

/// An engineer asks for the address that cannot be reached; the route is a wider one, or of
/// a family that a session does not carry.
#[test]
fn a_network_inside_one_that_is_said_was_said_by_nobody_and_that_was_all() {
    let server = Server::start();
    let ended = ask(&server.socket, &["show", "rib", "10.140.1.5/32", "-t", "acme/gw"]);
    expect![[r#"
        TENANT  NETWORK  NEIGHBOR  VIA  PATH  PREF  MED  COMMUNITIES  BECAME
        acme/gw: no neighbor says 10.140.1.5/32
          it lies in 10.140.1.0/24, of which something was said
          nodes/172.16.130.201 is not up, but Active
          site/poznan is not up, but Active: cannot connect: Connection refused (os error 111)
        rr1, which tenants of class default share, said 17 VPN routes for none of their route targets; none is held
    "#]]
    .assert_eq(&ended.stdout);
    let ended = ask(&server.socket, &["show", "rib", "2001:db8::/48", "-t", "acme/gw"]);
    expect![[r#"
        TENANT  NETWORK  NEIGHBOR  VIA  PATH  PREF  MED  COMMUNITIES  BECAME
        acme/gw: no neighbor says 2001:db8::/48
          tor is up and could not say it: its session carries IPv4
          nodes/172.16.130.201 is not up, but Active
          site/poznan is not up, but Active: cannot connect: Connection refused (os error 111)
        rr1, which tenants of class default share, said 17 VPN routes for none of their route targets; none is held
    "#]]
    .assert_eq(&ended.stdout);
}
