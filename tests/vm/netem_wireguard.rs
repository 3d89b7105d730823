//! A site over WireGuard whose way to us is bad: loses, doubles, turns the order
//! round, takes long, or goes one way only.

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Peer};
use crate::wireguard_flow::Stream;
use crate::wireguard_stage::{FAMILIES, PORT, SITE, Stage, TENANT, V4, documents, key, socket};
use lockgate::status::SiteState;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// A gateway, and a customer whose router has the kernel's WireGuard.
struct Way<'lab> {
    lab: &'lab Lab,
    stage: Stage<'lab>,
    gateway: Gateway<'lab>,
}

impl<'lab> Way<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let way = Self { lab, stage, gateway };
        way.dial();
        way
    }

    /// Has the customer's router dial, as for the first time.
    fn dial(&self) {
        let peer = Peer {
            key: self.gateway.public_key(TENANT),
            endpoint: Some(socket(V4.gateway, PORT)),
            allowed_ips: "10.136.40.0/24,2001:db8:40::/64",
        };
        self.lab.output("router", &["ip", "link", "delete", "wg0"]);
        self.lab.wireguard("router", "wg0", &key(CUSTOMER), 0, &[peer]);
    }

    /// Both directions are like this from now on.
    fn treat(&self, treatment: &str) {
        self.treat_from_customer(treatment);
        self.treat_to_customer(treatment);
    }

    fn treat_from_customer(&self, treatment: &str) {
        self.lab.netem("router", "uplink", treatment);
    }

    fn treat_to_customer(&self, treatment: &str) {
        self.lab.netem(At::Underlay, "up0", treatment);
    }

    /// Sends so many packets from the device to the application, and returns how
    /// many did not come.
    fn lost(&self, packets: u64) -> u64 {
        let stream = Stream::start(self.lab, "device", "app", V4.app, 400, packets);
        let (missing, sent) = stream.finish();
        assert_eq!(sent, packets);
        missing.len() as u64
    }

    fn replayed(&self) -> u64 {
        self.gateway.device_drops(TENANT, "replayed")
    }

    /// The site is up, and everything passes both ways.
    fn assert_well(&self) {
        for family in FAMILIES {
            self.stage.wait_traffic("device", "app", family.app);
            self.stage.wait_traffic("app", "device", family.device);
        }
        self.gateway.wait_state(TENANT, SITE, SiteState::Up);
    }
}

#[test]
fn a_tunnel_over_a_bad_path_loses_what_the_path_loses_and_nothing_more() {
    links::run(|lab| {
        const PACKETS: u64 = 300;
        let way = Way::new(lab);
        way.assert_well();
        assert_eq!(way.lost(PACKETS), 0);

        // Five standard deviations around what is to be expected.
        for (treatment, few, many) in
            [("loss 1%", 0, 12), ("loss 10%", 4, 56), ("loss 50%", 107, 193)]
        {
            way.treat(treatment);
            let lost = way.lost(PACKETS);
            assert!((few..=many).contains(&lost), "{treatment}: {lost} of {PACKETS}");
        }
        // Half of the beginnings of a session are lost too, and it comes to one.
        way.treat_to_customer("loss 10%");
        way.dial();
        wait_until("a session", PATIENCE * 3, || {
            let is_answered = way.stage.asks("device", "app", V4.app);
            if is_answered { Ok(()) } else { Err(way.gateway.log()) }
        });
        // What TCP carries arrives, however often it has to be sent.
        way.treat("loss 10%");
        way.stage.tcp("device", "app", V4.app, 5_000);
        way.treat("");
        way.assert_well();

        // Each comes twice, and once to the application.
        assert_eq!(way.replayed(), 0);
        way.treat("duplicate 100%");
        assert_eq!(way.lost(PACKETS), 0);
        way.gateway.wait_device_drops(TENANT, "replayed", PACKETS);
        let stream = Stream::start(lab, "app", "device", V4.device, 400, PACKETS);
        assert_eq!(stream.finish().0.len(), 0);

        // What is late is not taken for a replay.
        let replayed = |treatment: &str| {
            way.treat("");
            way.assert_well();
            way.treat(treatment);
            let before = way.replayed();
            assert_eq!(way.lost(PACKETS), 0, "{treatment}");
            assert_eq!(way.replayed(), before, "{treatment}");
        };
        replayed("delay 40ms reorder 25%");
        replayed("delay 500ms 100ms limit 10000");
        // A new session over a way that takes a second there and back.
        way.dial();
        way.stage.wait_traffic("device", "app", V4.app);
        way.stage.tcp("app", "device", V4.device, 5_000);
        way.treat("");
        way.assert_well();
    });
}

#[test]
fn a_tunnel_that_goes_one_way_only_is_said_to_be_down_and_comes_back_by_itself() {
    links::run(|lab| {
        let way = Way::new(lab);
        way.assert_well();
        let state = || way.gateway.site(TENANT, SITE).state;
        for from_customer in [true, false] {
            let treat = |treatment: &str| {
                if from_customer {
                    way.treat_from_customer(treatment);
                } else {
                    way.treat_to_customer(treatment);
                }
            };
            treat("loss 100%");
            // Somebody asks, and nobody answers.
            wait_until("the gateway to notice", PATIENCE * 2, || {
                assert!(!way.stage.asks("app", "device", V4.device));
                if state() == SiteState::Up { Err(way.gateway.log()) } else { Ok(()) }
            });
            treat("");
            way.assert_well();
        }
    });
}
