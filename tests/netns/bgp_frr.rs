//! A stock FRR as the fabric's router: its defaults, and its own words for what it
//! was told.
#![allow(clippy::print_stdout, reason = "a skip is said")]

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, learned, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use std::fs;
use std::path::Path;

const BGPD: &str = "/usr/lib/frr/bgpd";

#[test]
fn frr_and_the_gateway_tell_each_other_what_they_have() {
    if !Path::new(BGPD).exists() {
        println!("skipped: FRR is not installed ({BGPD})");
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let neighbor = ", ttlSecurity: 1, passwordSecretRef: {name: bgp, key: tor}";
        let ask = Ask { neighbor, ..Ask::default() };
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &(class_document() + &tenant_document(&ask) + LAB));
        gateway.secret("acme", "bgp", "tor", "s3cret");
        gateway.spawn();
        gateway.wait_programmed();
        let at = attach(lab, "acme");
        let home = tempfile::Builder::new().prefix("frr-").tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        let config = format!(
            "log file {}
router bgp 65001
 bgp router-id {BIRD}
 no bgp network import-check
 neighbor {GATEWAY} remote-as 64600
 neighbor {GATEWAY} password s3cret
 neighbor {GATEWAY} ttl-security hops 1
 neighbor {GATEWAY} timers connect 2
 address-family ipv4 unicast
  network 10.140.1.0/24
  network 10.99.0.0/24
  neighbor {GATEWAY} route-map all in
  neighbor {GATEWAY} route-map all out
 exit-address-family
route-map all permit 10
",
            path("log"),
        );
        fs::write(path("conf"), config).unwrap();
        let (conf, pid, sockets) = (path("conf"), path("pid"), path(""));
        let words = [BGPD, "-f", &conf, "-i", &pid, "--vty_socket", &sockets, "-z", &path("zebra")];
        let words = [&words[..], &["-n", "-Z", "-S", "-P", "0"]].concat();
        let _bgpd = lab.spawn(at.as_str(), &words);
        let say = |words: &str| {
            let output = lab.output(
                at.as_str(),
                &["vtysh", "--vty_socket", &sockets, "-d", "bgpd", "-c", words],
            );
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            text(output.stdout) + &text(output.stderr)
        };
        wait_until("FRR to have heard of the site", PATIENCE, || {
            let table = say("show bgp ipv4 unicast 10.64.0.0/16");
            if table.contains("64600") {
                return Ok(());
            }
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            Err(table + &say("show bgp summary") + &log + &gateway.show(&["neighbors"]))
        });
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert!(learned(lab, NETNS)[0].contains(&format!("via {BIRD} dev lg-fabric")));
        // FRR says what it has not any more, and what it has anew.
        say(
            "configure terminal\nrouter bgp 65001\naddress-family ipv4 unicast\nno network 10.140.1.0/24\nnetwork 10.140.2.0/24",
        );
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
    });
}
