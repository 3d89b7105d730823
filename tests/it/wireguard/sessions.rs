//! How sessions come to be, are renewed, and end.

use super::net::{Net, packet, secs};

#[test]
fn a_packet_without_a_session_brings_one_about_and_arrives() {
    let mut net = Net::pair();
    let there = packet("10.1.0.1", "10.0.0.1", 100, 7);
    net.send(1, &there);
    net.settle();
    assert_eq!(net.take_inbox(0), [there]);
    let back = packet("10.0.0.1", "10.1.0.1", 1_420, 9);
    net.send(0, &back);
    net.settle();
    assert_eq!(net.take_inbox(1), [back]);
    assert_eq!(net.drops(0).len() + net.drops(1).len(), 0);
    for (node, peer) in [(0, 2), (1, 1)] {
        let sample = net.sample(node, peer);
        assert_eq!((sample.handshakes, sample.handshake_timeouts), (1, 0));
        assert_eq!((sample.sent_packets, sample.received_packets), (1, 1));
        assert_eq!(sample.last_handshake, Some(net.now.wall));
    }
    // Initiation, the packet of 100 bytes padded to 112; response, the packet of 1,420.
    assert_eq!(net.sample(1, 1).sent_bytes, 148 + 112 + 32);
    assert_eq!(net.sample(1, 1).received_bytes, 92 + 1_420 + 32);
    net.pass(secs(1));
}
