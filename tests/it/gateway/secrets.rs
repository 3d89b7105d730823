//! A secret is in no view of the machine.

use super::world::{World, config, keyed, name, peer, with_sites};
use lockgate::gateway::Identity;
use lockgate::net::{PresharedKey, PrivateKey, TcpPassword};

const PASSWORD: &str = "a-canary-of-bgp";

#[test]
fn no_key_is_in_the_snapshot_or_in_what_is_printed() {
    let private = PrivateKey::from_random([0x5a; 32]);
    let psk = PresharedKey::from_random([0xc3; 32]);
    let mut site = keyed("hq", 1, &["192.168.1.0/24"]);
    peer(&mut site).preshared_key = Some(psk.clone());
    let mut tenant = with_sites("acme", vec![site]);
    tenant.private_key = Some(private.clone());
    let mut bgp = super::bgp::fabric_bgp();
    bgp.neighbors[0].password = Some(TcpPassword::new(PASSWORD).unwrap());
    tenant.fabric.bgp = Some(bgp);
    let config = config(vec![tenant]);

    let mut world = World::new();
    let keys = [(name("acme"), Identity::new(private.clone()))].into();
    world.gateway.handle_config(config, keys, Vec::new(), world.now);
    let mut seen = String::new();
    for _ in 0..20 {
        world.collect();
        seen += &format!("{:?}{:?}", world.gateway, world.pending);
        let Some(output) = world.pending.pop_front() else { break };
        world.act(output);
    }
    assert!(seen.contains("Attach("), "the device's config was never printed");
    assert!(seen.contains("Listen(Listening"), "nor the neighbors'");
    seen += &serde_json::to_string(&world.snapshot()).unwrap();
    seen += &format!("{:?}", world.snapshot());

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let list = |bytes: &[u8]| {
        let numbers: Vec<_> = bytes.iter().take(8).map(ToString::to_string).collect();
        numbers.join(", ")
    };
    for (bytes, text) in [
        (&private.as_bytes()[..], private.to_base64().to_string()),
        (psk.as_bytes(), psk.to_base64().to_string()),
        (PASSWORD.as_bytes(), PASSWORD.to_owned()),
    ] {
        for canary in [text, hex(bytes), list(bytes)] {
            assert!(!seen.contains(&canary), "a secret was printed");
        }
    }
}
