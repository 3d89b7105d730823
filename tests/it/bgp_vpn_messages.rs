//! VPN routes as bytes: what a route reflector says, which we never do.

/// One network of a VPN: a distinguisher, and the third byte of 192.168.N.0/26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network(pub(crate) u8, pub(crate) u8);

impl Network {
    fn bytes(self) -> Vec<u8> {
        let Self(distinguisher, at) = self;
        // A label, the distinguisher, the network.
        let head = [24 + 64 + 26, 0, 1, 1, 0, 0, 0xfc, 0, 0, 0, 0, distinguisher];
        [&head[..], &[192, 168, at, 0]].concat()
    }
}

fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags | 0x10, kind][..], &length, value].concat()
}

fn message(attributes: &[Vec<u8>]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    let body = [&[0, 0][..], &length, &attributes].concat();
    let total = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xff; 16][..], &total, &[2], &body].concat()
}

/// An UPDATE with these networks for these targets.
pub(crate) fn say(networks: &[Network], targets: &[u32]) -> Vec<u8> {
    let said: Vec<u8> = networks.iter().flat_map(|network| network.bytes()).collect();
    let targets: Vec<u8> = targets
        .iter()
        .flat_map(|value| [&[0, 2, 0xfc, 0][..], &value.to_be_bytes()].concat())
        .collect();
    let reach = [&[0, 1, 128, 12][..], &[0; 8], &[10, 1, 0, 8], &[0], &said].concat();
    message(&[
        attribute(0x40, 1, &[0]),
        attribute(0x40, 2, &[]),
        attribute(0x40, 5, &[0, 0, 0, 100]),
        attribute(0x80, 14, &reach),
        attribute(0xc0, 16, &targets),
    ])
}

/// The same without an AS_PATH, which makes it count as withdrawn (RFC 7606 §3 d).
pub(crate) fn say_wrongly(network: Network) -> Vec<u8> {
    let reach = [&[0, 1, 128, 12][..], &[0; 8], &[10, 1, 0, 8], &[0], &network.bytes()].concat();
    message(&[
        attribute(0x40, 1, &[0]),
        attribute(0x40, 5, &[0, 0, 0, 100]),
        attribute(0x80, 14, &reach),
    ])
}

pub(crate) fn take_back(networks: &[Network]) -> Vec<u8> {
    // Withdrawn networks have a label too, which says nothing.
    let said: Vec<u8> = networks.iter().flat_map(|network| network.bytes()).collect();
    message(&[attribute(0x80, 15, &[&[0, 1, 128][..], &said].concat())])
}
