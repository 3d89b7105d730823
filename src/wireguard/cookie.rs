//! The two MACs of handshake messages, and cookies (WireGuard paper §5.3, §5.4.4,
//! §5.4.7): who does not know our public key gets no answer at all, and under
//! load, who has not shown that it gets what is sent to its address.

use super::constants::{COOKIE_SECRET_AGE, COOKIE_USABLE};
use super::messages::{COOKIE_LEN, TAG_LEN, sender, start_cookie};
use super::random::Random;
use crate::net::{Instant, PublicKey};
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Mac, Update};
use blake2::{Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

type ShortMac = Blake2sMac<U16>;

/// A cookie: what we say of a sender's address that it cannot say itself.
type Cookie = [u8; 16];

/// The keys derived from one public key.
#[derive(Clone)]
struct MacKeys {
    mac1: [u8; 32],
    cookie: [u8; 32],
}

impl MacKeys {
    fn of(public: &PublicKey) -> Self {
        let derive = |label: &[u8]| {
            let hash = <Blake2s256 as Digest>::new().chain_update(label);
            hash.chain_update(public.as_bytes()).finalize().into()
        };
        Self { mac1: derive(b"mac1----"), cookie: derive(b"cookie--") }
    }
}

fn mac(key: &[u8], data: &[u8]) -> Option<ShortMac> {
    Some(<ShortMac as KeyInit>::new_from_slice(key).ok()?.chain(data))
}

fn mac_bytes(key: &[u8], data: &[u8]) -> [u8; 16] {
    mac(key, data).map(|mac| mac.finalize_fixed().into()).unwrap_or_default()
}

/// Whether `tag` is the MAC of `data`, told in constant time.
fn is_mac(key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    mac(key, data).is_some_and(|mac| mac.verify_slice(tag).is_ok())
}

/// Splits a handshake message before its `count` last MACs.
fn split(message: &[u8], count: usize) -> (&[u8], &[u8]) {
    let (covered, rest) = message.split_at(message.len().saturating_sub(count * TAG_LEN));
    (covered, &rest[..rest.len().min(TAG_LEN)])
}

/// The receiving side: checks MACs, makes cookies.
pub(super) struct Checker {
    keys: MacKeys,
    secret: Zeroizing<[u8; 32]>,
    born: Option<Instant>,
}

impl Checker {
    pub(super) fn new(ours: &PublicKey) -> Self {
        Self { keys: MacKeys::of(ours), secret: Zeroizing::default(), born: None }
    }

    /// Whether the sender knows our public key.
    pub(super) fn is_mac1_right(&self, message: &[u8]) -> bool {
        let (covered, tag) = split(message, 2);
        is_mac(&self.keys.mac1, covered, tag)
    }

    /// Whether the sender has a cookie of ours made for where it sends from.
    pub(super) fn is_mac2_right(
        &mut self,
        message: &[u8],
        from: SocketAddr,
        random: &mut Random,
        now: Instant,
    ) -> bool {
        let cookie = self.cookie(from, random, now);
        let (covered, tag) = split(message, 1);
        is_mac(&cookie, covered, tag)
    }

    /// The cookie reply to a handshake message whose MAC1 was right.
    pub(super) fn reply(
        &mut self,
        message: &[u8],
        from: SocketAddr,
        random: &mut Random,
        now: Instant,
    ) -> Option<[u8; COOKIE_LEN]> {
        let mut cookie = self.cookie(from, random, now);
        let bytes = random.bytes();
        let nonce = bytes.first_chunk::<24>()?;
        let mut reply = start_cookie(sender(message), nonce);
        let tag = XChaCha20Poly1305::new(Key::from_slice(&self.keys.cookie))
            .encrypt_in_place_detached(XNonce::from_slice(nonce), split(message, 2).1, &mut cookie)
            .ok()?;
        reply[32..48].copy_from_slice(&cookie);
        reply[48..].copy_from_slice(&tag);
        Some(reply)
    }

    fn cookie(&mut self, from: SocketAddr, random: &mut Random, now: Instant) -> Cookie {
        if self.born.is_none_or(|born| COOKIE_SECRET_AGE <= now.since(born)) {
            self.secret = random.bytes();
            self.born = Some(now);
        }
        let mut source = [0; 18];
        let length = match from.ip() {
            IpAddr::V4(address) => put(&mut source, &address.octets()),
            IpAddr::V6(address) => put(&mut source, &address.octets()),
        };
        // With the port: behind one address there may be many, and not all of
        // them get what is sent to one.
        source[length..length + 2].copy_from_slice(&from.port().to_be_bytes());
        mac_bytes(&*self.secret, &source[..length + 2])
    }
}

fn put(out: &mut [u8], bytes: &[u8]) -> usize {
    out[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

/// The sending side, one for each peer: makes MACs, keeps the peer's cookie.
#[derive(Default)]
pub(super) struct Stamper {
    /// MAC1 of the last message, until a cookie was taken for it.
    last_mac1: Option<[u8; 16]>,
    cookie: Option<(Cookie, Instant)>,
}

impl Stamper {
    /// Writes both MACs at the end of a handshake message.
    pub(super) fn stamp(&mut self, theirs: &PublicKey, message: &mut [u8], now: Instant) {
        let keys = MacKeys::of(theirs);
        let Some(mac1_at) = message.len().checked_sub(2 * TAG_LEN) else { return };
        let mac2_at = mac1_at + TAG_LEN;
        let mac1 = mac_bytes(&keys.mac1, &message[..mac1_at]);
        message[mac1_at..mac2_at].copy_from_slice(&mac1);
        self.last_mac1 = Some(mac1);
        self.cookie = self.cookie.filter(|(_, got)| now.since(*got) < COOKIE_USABLE);
        if let Some((cookie, _)) = &self.cookie {
            let mac2 = mac_bytes(cookie, &message[..mac2_at]);
            message[mac2_at..].copy_from_slice(&mac2);
        }
    }

    /// Takes the cookie out of a reply, and says whether there was one for us.
    pub(super) fn take_reply(&mut self, theirs: &PublicKey, reply: &[u8], now: Instant) -> bool {
        let (Some(mac1), Some(nonce), Some(sealed), Some(tag)) =
            (self.last_mac1, reply.get(8..32), reply.get(32..48), reply.get(48..64))
        else {
            return false;
        };
        let Ok(mut cookie) = Cookie::try_from(sealed) else { return false };
        let opened = XChaCha20Poly1305::new(Key::from_slice(&MacKeys::of(theirs).cookie))
            .decrypt_in_place_detached(XNonce::from_slice(nonce), &mac1, &mut cookie, tag.into());
        if opened.is_err() {
            return false;
        }
        self.last_mac1 = None;
        self.cookie = Some((cookie, now));
        true
    }
}
