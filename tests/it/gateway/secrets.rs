//! A secret is in no view of the machine.

use super::world::{World, config, keyed, name, peer, with_sites};
use lockgate::gateway::Identity;
use lockgate::net::{PresharedKey, PrivateKey};

#[test]
fn no_key_is_in_the_snapshot_or_in_what_is_printed() {
    let private = PrivateKey::from_random([0x5a; 32]);
    let psk = PresharedKey::from_random([0xc3; 32]);
    let mut site = keyed("hq", 1, &["192.168.1.0/24"]);
    peer(&mut site).preshared_key = Some(psk.clone());
    let mut tenant = with_sites("acme", vec![site]);
    tenant.private_key = Some(private.clone());
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
    seen += &serde_json::to_string(&world.snapshot()).unwrap();
    seen += &format!("{:?}", world.snapshot());

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let list = |bytes: &[u8]| {
        let numbers: Vec<_> = bytes.iter().take(8).map(ToString::to_string).collect();
        numbers.join(", ")
    };
    for (bytes, base64) in
        [(private.as_bytes(), private.to_base64()), (psk.as_bytes(), psk.to_base64())]
    {
        for canary in [base64.to_string(), hex(bytes), list(bytes)] {
            assert!(!seen.contains(&canary), "a secret was printed");
        }
    }
}
