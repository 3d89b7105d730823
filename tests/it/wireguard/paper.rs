//! A WireGuard peer written from the paper's formulas (§5.4), with none of the
//! engine's code, that can also do what no honest peer does.

use blake2::digest::consts::U16;
use blake2::digest::{Digest, FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, XChaCha20Poly1305, XNonce};
use x25519_dalek::{PublicKey, StaticSecret};

type Hash = [u8; 32];

pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut hash = Blake2s256::new();
    for part in parts {
        Update::update(&mut hash, part);
    }
    hash.finalize_fixed().into()
}

pub(crate) fn mac(key: &[u8], data: &[u8]) -> [u8; 16] {
    <Blake2sMac<U16> as KeyInit>::new_from_slice(key).unwrap().chain(data).finalize_fixed().into()
}

fn hmac(key: &Hash, parts: &[&[u8]]) -> Hash {
    let mut pads = [[0x36_u8; 64], [0x5c; 64]];
    for pad in &mut pads {
        pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
    }
    let mut inner = vec![&pads[0][..]];
    inner.extend(parts);
    hash(&[&pads[1], &hash(&inner)])
}

fn kdf<const N: usize>(key: &Hash, input: &[u8]) -> [Hash; N] {
    let secret = hmac(key, &[input]);
    let mut out = [[0; 32]; N];
    for at in 0..N {
        let last = if at == 0 { vec![] } else { out[at - 1].to_vec() };
        out[at] = hmac(&secret, &[&last, &[at as u8 + 1]]);
    }
    out
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce.into()
}

fn seal(key: &Hash, counter: u64, msg: &[u8], aad: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into()).encrypt(&nonce(counter), Payload { msg, aad }).unwrap()
}

fn open(key: &Hash, counter: u64, msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into()).decrypt(&nonce(counter), Payload { msg, aad }).ok()
}

/// A TAI64N stamp of so many seconds and nanoseconds after the Unix epoch.
pub(crate) fn stamp(seconds: u64, nanoseconds: u32) -> [u8; 12] {
    let mut stamp = [0; 12];
    stamp[..8].copy_from_slice(&(0x4000_0000_0000_000a + seconds).to_be_bytes());
    stamp[8..].copy_from_slice(&nanoseconds.to_be_bytes());
    stamp
}

/// A peer by the book.
pub(crate) struct Paper {
    secret: StaticSecret,
    public: Hash,
    theirs: Hash,
    pub(crate) psk: Hash,
}

/// A handshake begun.
pub(crate) struct Begun {
    ephemeral: StaticSecret,
    chain: Hash,
    hash: Hash,
}

/// A session.
pub(crate) struct Keys {
    send: Hash,
    receive: Hash,
    remote: u32,
}

impl Paper {
    pub(crate) fn new(secret: [u8; 32], theirs: Hash) -> Self {
        let secret = StaticSecret::from(secret);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public, theirs, psk: [0; 32] }
    }

    pub(crate) fn initiation(&self, index: u32, stamp: [u8; 12]) -> (Vec<u8>, Begun) {
        let mut seed = hash(&[&stamp, &index.to_le_bytes()]);
        seed[0] &= 248;
        self.initiation_with(index, stamp, StaticSecret::from(seed))
    }

    fn initiation_with(&self, index: u32, stamp: [u8; 12], e: StaticSecret) -> (Vec<u8>, Begun) {
        let chain = hash(&[b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"]);
        let h = hash(&[&chain, b"WireGuard v1 zx2c4 Jason@zx2c4.com"]);
        let h = hash(&[&h, &self.theirs]);
        let public = PublicKey::from(&e).to_bytes();
        let [chain] = kdf(&chain, &public);
        let h = hash(&[&h, &public]);
        let [chain, key] = kdf(&chain, e.diffie_hellman(&self.theirs.into()).as_bytes());
        let sealed_static = seal(&key, 0, &self.public, &h);
        let h = hash(&[&h, &sealed_static]);
        let [chain, key] = kdf(&chain, self.secret.diffie_hellman(&self.theirs.into()).as_bytes());
        let sealed_stamp = seal(&key, 0, &stamp, &h);
        let h = hash(&[&h, &sealed_stamp]);
        let mut message = vec![1, 0, 0, 0];
        message.extend(index.to_le_bytes());
        message.extend(public);
        message.extend(sealed_static);
        message.extend(sealed_stamp);
        self.stamp_macs(&mut message, None);
        (message, Begun { ephemeral: e, chain, hash: h })
    }

    /// Appends MAC1, and MAC2 of a cookie.
    pub(crate) fn stamp_macs(&self, message: &mut Vec<u8>, cookie: Option<&[u8; 16]>) {
        let mac1 = mac(&hash(&[b"mac1----", &self.theirs]), message);
        message.extend(mac1);
        let mac2 = cookie.map_or([0; 16], |cookie| mac(cookie, message));
        message.extend(mac2);
    }

    /// The cookie in the reply to a message of ours.
    pub(crate) fn open_cookie(&self, message: &[u8], reply: &[u8]) -> [u8; 16] {
        let key = hash(&[b"cookie--", &self.theirs]);
        let mac1 = &message[message.len() - 32..message.len() - 16];
        let payload = Payload { msg: &reply[32..], aad: mac1 };
        let cookie = XChaCha20Poly1305::new((&key).into())
            .decrypt(XNonce::from_slice(&reply[8..32]), payload);
        cookie.unwrap().try_into().unwrap()
    }

    pub(crate) fn finish(&self, begun: &Begun, response: &[u8]) -> Option<Keys> {
        let theirs: Hash = response[12..44].try_into().unwrap();
        let [chain] = kdf(&begun.chain, &theirs);
        let h = hash(&[&begun.hash, &theirs]);
        let [chain] = kdf(&chain, begun.ephemeral.diffie_hellman(&theirs.into()).as_bytes());
        let [chain] = kdf(&chain, self.secret.diffie_hellman(&theirs.into()).as_bytes());
        let [chain, tau, key] = kdf(&chain, &self.psk);
        let h = hash(&[&h, &tau]);
        open(&key, 0, &response[44..60], &h)?;
        let [send, receive] = kdf(&chain, &[]);
        Some(Keys { send, receive, remote: u32::from_le_bytes(response[4..8].try_into().unwrap()) })
    }
}

impl Keys {
    pub(crate) fn seal(&self, counter: u64, packet: &[u8]) -> Vec<u8> {
        let mut message = vec![4, 0, 0, 0];
        message.extend(self.remote.to_le_bytes());
        message.extend(counter.to_le_bytes());
        message.extend(seal(&self.send, counter, packet, &[]));
        message
    }

    pub(crate) fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let counter = u64::from_le_bytes(datagram[8..16].try_into().unwrap());
        open(&self.receive, counter, &datagram[16..], &[])
    }
}
