//! One session: the keys of one handshake, the numbers used with them, and how
//! long they may be used (WireGuard paper §5.4.6, §6.2).

use super::DropReason;
use super::constants::{
    KEEPALIVE_TIMEOUT, REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME, REKEY_AFTER_MESSAGES,
    REKEY_AFTER_TIME, REKEY_TIMEOUT,
};
use super::handshake::Keys;
use super::messages::{HEADER_LEN, TAG_LEN, counter, data_header};
use super::replay::ReplayWindow;
use crate::net::Instant;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Which of the keys that are good at a time a handshake was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MadeWith {
    /// Our next private key.
    pub(super) next_key: bool,
    /// The next preshared key.
    pub(super) next_preshared_key: bool,
}

/// The keys of one handshake, in use.
pub(super) struct Session {
    pub(super) made_with: MadeWith,
    /// Our index, which the peer writes to.
    pub(super) local: u32,
    /// The peer's index, which we write to.
    remote: u32,
    sealing: LessSafeKey,
    opening: LessSafeKey,
    next: u64,
    window: ReplayWindow,
    born: Instant,
    is_initiator: bool,
}

/// An authenticated data message.
pub(super) struct Opened {
    /// Bytes of the packet; none in a keepalive.
    pub(super) len: usize,
    /// No later one of its session came before it.
    pub(super) is_newest: bool,
}

impl Session {
    /// A session of fresh `keys`; `is_initiator` when we began the handshake.
    pub(super) fn new(
        keys: &Keys,
        local: u32,
        remote: u32,
        is_initiator: bool,
        made_with: MadeWith,
        now: Instant,
    ) -> Result<Self, DropReason> {
        let key = |bytes: &[u8]| {
            let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
            key.map(LessSafeKey::new).map_err(|_| DropReason::Handshake)
        };
        Ok(Self {
            made_with,
            local,
            remote,
            sealing: key(&keys.send)?,
            opening: key(&keys.receive)?,
            next: 0,
            window: ReplayWindow::default(),
            born: now,
            is_initiator,
        })
    }

    /// Whether packets may be sealed now.
    pub(super) fn can_send(&self, now: Instant) -> bool {
        now.since(self.born) < REJECT_AFTER_TIME && self.next < REJECT_AFTER_MESSAGES
    }

    /// Whether the next handshake is due, something having been sent.
    pub(super) fn is_worn(&self, now: Instant) -> bool {
        REKEY_AFTER_MESSAGES < self.next
            || self.is_initiator && REKEY_AFTER_TIME <= now.since(self.born)
    }

    /// Whether the next handshake is due although we only receive: in time for
    /// it to be done before the session ends.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.is_initiator
            && REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT <= now.since(self.born)
    }

    /// Seals `len` bytes that stand after the header's room, and gives the
    /// datagram's length.
    pub(super) fn seal(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, DropReason> {
        if REJECT_AFTER_MESSAGES <= self.next {
            return Err(DropReason::CounterExhausted);
        }
        let end = HEADER_LEN + len;
        let Some(datagram) = buffer.get_mut(..end + TAG_LEN) else {
            return Err(DropReason::TooBig);
        };
        let number = self.next;
        // Before sealing: a number is never used twice, whatever comes of it.
        self.next += 1;
        datagram[..HEADER_LEN].copy_from_slice(&data_header(self.remote, number));
        let (packet, tag) = datagram[HEADER_LEN..].split_at_mut(len);
        let sealed = self.sealing.seal_in_place_separate_tag(nonce(number), Aad::empty(), packet);
        tag.copy_from_slice(sealed.map_err(|_| DropReason::TooBig)?.as_ref());
        Ok(end + TAG_LEN)
    }

    /// Opens a data message in place; the packet then stands after the header.
    pub(super) fn open(&mut self, datagram: &mut [u8], now: Instant) -> Result<Opened, DropReason> {
        let number = counter(datagram);
        if REJECT_AFTER_TIME <= now.since(self.born) {
            return Err(DropReason::SessionExpired);
        }
        if REJECT_AFTER_MESSAGES <= number {
            return Err(DropReason::CounterExhausted);
        }
        // Spares the work; what counts is the look after authentication.
        if !self.window.is_new(number) {
            return Err(DropReason::Replayed);
        }
        let sealed = datagram.get_mut(HEADER_LEN..).unwrap_or_default();
        let packet = self.opening.open_in_place(nonce(number), Aad::empty(), sealed);
        let len = packet.map_err(|_| DropReason::Authentication)?.len();
        if !self.window.accept(number) {
            return Err(DropReason::Replayed);
        }
        Ok(Opened { len, is_newest: self.window.highest() == number })
    }

    /// Leaves out `count` numbers.
    pub(super) const fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }
}

/// Four zero bytes and the number (paper §5.4.6).
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
