//! The fuzzers' corpus, replayed: every input as it is, cut off at every
//! length, and with bits turned over, in the same order on every machine.
//! Looking for new inputs is `cargo fuzz`'s work, in `tests/fuzz`.

mod bgp;
mod bgp_messages;
mod harness;

use std::fs;
use std::path::Path;

/// Damaged copies made of each input.
const COPIES: usize = 200;

#[test]
fn documents_of_the_corpus_do_no_harm() {
    replay("documents", harness::documents);
}

#[test]
fn datagrams_of_the_corpus_do_no_harm() {
    replay("datagram", harness::datagram);
}

#[test]
fn inner_packets_of_the_corpus_do_no_harm() {
    replay("inner_packet", harness::inner_packet);
}

#[test]
fn bgp_sessions_of_the_corpus_do_no_harm() {
    replay("bgp_session", bgp::session);
}

#[test]
fn bgp_opens_of_the_corpus_do_no_harm() {
    replay("bgp_open", bgp_messages::open);
}

#[test]
fn bgp_updates_of_the_corpus_do_no_harm() {
    replay("bgp_update", bgp_messages::update);
}

/// The corpus says something: what is sound of it is taken.
#[test]
fn the_bgp_corpus_has_a_session_with_routes() {
    for (file, routes) in [("update", 2), ("multiprotocol", 1), ("withdrawn", 0)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus/bgp_session");
        assert_eq!(bgp::routes(&fs::read(path.join(file)).unwrap()), routes, "{file}");
    }
}

#[test]
fn the_bgp_corpus_has_messages_of_every_kind() {
    let input = |target: &str, file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(target);
        fs::read(path.join(file)).unwrap()
    };
    let families = |file: &str| {
        bgp_messages::agreed(&input("bgp_open", file)).map(|agreed| agreed.families.len())
    };
    for (file, expected) in [
        ("everything", Some(4)),
        ("a-parameter-each", Some(1)),
        ("nothing", Some(1)),
        ("extended-parameters", Some(4)),
        ("unknown-families", None),
        ("lengths-that-lie", None),
        ("another-system", None),
        ("hold-of-two", None),
    ] {
        assert_eq!(families(file), expected, "{file}");
    }
    for (file, expected) in [
        ("plain", Some((1, 3, 0))),
        ("internal", Some((0, 1, 0))),
        ("both-families", Some((1, 2, 0))),
        ("ipv6-next-hop", Some((0, 1, 0))),
        ("several-paths", Some((1, 4, 0))),
        ("two-byte-systems", Some((0, 1, 0))),
        ("vpn", Some((0, 1, 0))),
        ("end-of-rib", Some((0, 0, 0))),
        ("malformed-without-networks", None),
        ("odd-attributes", Some((1, 0, 3))),
        ("a-set", Some((1, 0, 1))),
        ("unknown-family", Some((0, 1, 1))),
    ] {
        let heard = bgp_messages::heard(&input("bgp_update", file)).map(|received| {
            let announced = received.update.announced.iter().map(|routes| routes.nlri.len());
            (received.update.withdrawn.len(), announced.sum::<usize>(), received.flaws.len())
        });
        assert_eq!(heard, expected, "{file}");
    }
}

fn replay(target: &str, feed: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    let mut state: u64 = 1;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for file in files {
        let input = fs::read(&file).unwrap();
        feed(&input);
        for _ in 0..COPIES {
            let mut damaged = input.clone();
            damaged.truncate(draw(input.len() + 1));
            for _ in 0..draw(8) {
                let at = draw(damaged.len());
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << draw(8);
                }
            }
            feed(&damaged);
        }
    }
}
