//! Whatever comes in whatever order, it ends as was asked for last.

use super::world::{World, peer};
use crate::random_config::{Lot, random_config};
use crate::sim_kernel::vandalize;
use lockgate::model::{Attachment, Config, Placement};
use lockgate::net::PrivateKey;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn any_row_of_events_ends_settled() {
    for seed in 0..100 {
        let mut lot = Lot(seed);
        let mut world = World::new();
        let mut last = Config::default();
        world.load(&last);
        for _ in 0..12 {
            match lot.below(8) {
                0 | 1 => {
                    last = random(&mut lot);
                    world.load(&last);
                }
                2 => {
                    // Hands are at work only while nothing is under way here:
                    // the simulated kernel panics where Linux says EEXIST.
                    world.drain();
                    vandalize(&mut world.kernel, &mut lot);
                    world.lose_tuns();
                    for tenant in last.tenants.keys() {
                        world.gateway.handle_dirty(tenant, world.now);
                    }
                }
                3 => {
                    let tenants: Vec<_> = last.tenants.keys().cloned().collect();
                    if !tenants.is_empty() {
                        world.broken.insert(lot.pick(&tenants));
                    }
                }
                4 => world.broken.clear(),
                5 => world.pass(Duration::from_millis(lot.below(3_000) as u64)),
                6 => world.gateway.handle_refused_config(vec!["no".to_owned()], world.now),
                _ => {
                    // Some of what is to be done, in an order of its own.
                    world.collect();
                    for _ in 0..lot.below(4) {
                        if !world.pending.is_empty() {
                            let at = lot.below(world.pending.len());
                            let output = world.pending.remove(at).unwrap();
                            world.act(output);
                        }
                    }
                }
            }
        }
        world.broken.clear();
        world.pass(Duration::from_secs(120));
        world.assert_settled(&last);

        world.gateway.stop(world.now);
        world.pass(Duration::from_secs(60));
        assert!(world.gateway.is_done(), "seed {seed}");
        assert!(world.kernel.state.tenants.is_empty(), "seed {seed}");
    }
}

/// A config by lot in which every site has a key of its own.
fn random(lot: &mut Lot) -> Config {
    let mut config = random_config(lot, Placement::PerTenant);
    for tenant in config.tenants.values_mut() {
        for (number, site) in (1..).zip(Arc::make_mut(tenant).sites.values_mut()) {
            if matches!(site.attachment, Attachment::WireGuard(_)) {
                peer(site).public_key = PrivateKey::from_random([number; 32]).public();
            }
        }
    }
    config
}
