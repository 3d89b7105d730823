//! The protocol's numbers: those of the WireGuard paper (§6.1) and, where it
//! leaves them open, those of the Linux kernel, for the two must get on.

use std::time::Duration;

/// Age at which the side that began a session begins the next one.
pub(super) const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);

/// Age at which a session is of no use.
pub(super) const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);

/// Shortest time between two handshakes we begin with one peer.
pub(super) const REKEY_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after data received, at the end of which we say that we are there.
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most that is added to a handshake's timeout by chance, so that two sides
/// that begin together do not go on so.
pub(super) const MAX_JITTER: Duration = Duration::from_millis(333);

/// Handshakes tried before giving up: 90 s of them.
pub(super) const MAX_ATTEMPTS: u32 = 18;

/// Keys are forgotten this long after the last session began.
pub(super) const ZERO_KEYS_AFTER: Duration = Duration::from_secs(3 * 180);

/// Messages after which a session is renewed.
pub(super) const REKEY_AFTER_MESSAGES: u64 = 1 << 60;

/// Messages a session carries at most. The replay window must fit behind it.
pub(super) const REJECT_AFTER_MESSAGES: u64 = u64::MAX - super::replay::WINDOW - 1;

/// How long what comes from where a peer was, before its document said that it is
/// elsewhere, does not take it back there. Longer than anything is on its way, and as
/// long as the peer takes to begin a handshake with where we send now.
pub(super) const LATE: Duration = REKEY_TIMEOUT;

/// How long a cookie we got is used: the 120 s its maker keeps the secret, less
/// 5 s for the way.
pub(super) const COOKIE_USABLE: Duration = Duration::from_secs(115);

/// How long the secret behind our cookies lives.
pub(super) const COOKIE_SECRET_AGE: Duration = Duration::from_secs(120);

/// Shortest time between two initiations taken of one peer: 50 a second.
pub(super) const PEER_INITIATION_INTERVAL: Duration = Duration::from_millis(20);

/// How far ahead of our clock a peer's stamp may be before its clock is taken to
/// be wrong. A peer whose clock was ahead by less has to wait for as long, when
/// it is put right, before its initiations count as new.
pub(super) const CLOCK_AHEAD: Duration = Duration::from_secs(60);

/// Step of the stamps we send, 2²⁴ ns: the largest power of two that keeps 50
/// stamps a second apart. Finer ones would tell strangers of our clock's drift.
pub(super) const STAMP_STEP: u64 = 1 << 24;

/// Handshake messages in one second from which on a device asks for cookies.
///
/// The kernel goes by its queue's length, which is not seen from here. An
/// initiation costs a stranger who knows our public key one datagram and us two
/// multiplications, 0.1 ms: at this rate a tenth of a core.
pub(super) const LOADED_RATE: u32 = 1_000;

/// How long a device goes on asking for cookies.
pub(super) const LOADED_STICKY: Duration = Duration::from_secs(1);

/// Handshakes with a cookie that a device under load answers in one second: a
/// quarter of a core, so that the other tenants of that core keep theirs.
pub(super) const DEVICE_RATE: u32 = 1_000;

/// Handshakes a second one source may begin while we are under load.
pub(super) const SOURCE_RATE: u32 = 20;

/// How many of those may come at once.
pub(super) const SOURCE_BURST: u32 = 5;

/// Forged answers to one of our initiations that are looked at, at two
/// multiplications each. Who can forge one has seen the initiation pass.
pub(super) const FORGED_RESPONSES: u8 = 16;

/// Handshakes we begin together when many peers want one, before waiting for
/// [`SPREAD_INTERVAL`]: 256 of them, with their answers, keep a packet thread
/// for some 60 ms, so a restart with many peers takes a third of a core.
pub(super) const SPREAD_BATCH: usize = 256;

/// See [`SPREAD_BATCH`].
pub(super) const SPREAD_INTERVAL: Duration = Duration::from_millis(200);
