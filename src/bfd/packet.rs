//! A BFD Control packet on the wire (RFC 5880 §4.1), and what makes bytes none.

use std::fmt;
use std::time::Duration;

/// Bytes of a packet without authentication.
pub const PACKET_LENGTH: usize = 24;

/// The version of the protocol (RFC 5880 §4.1).
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// Where a session stands (RFC 5880 §6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Someone at this end has it down; that says nothing about the path.
    AdminDown,
    /// The other end is not heard.
    #[default]
    Down,
    /// The other end is heard, and is not known to hear us.
    Init,
    /// Each end hears the other.
    Up,
}

impl State {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }

    const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a session changed its state last (RFC 5880 §4.1): a number of 0 to 31, for
/// whoever has newer ones than these says them too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing is to be said.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// The other end said that it is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// Someone took it down.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    /// Its number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "diagnostic {other}"),
        })
    }
}

/// What one packet says. Times are whole microseconds, up to 2³²−1 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session changed its state last.
    pub diagnostic: Diagnostic,
    /// Where the sender's session stands.
    pub state: State,
    /// The sender wants an answer with `is_final` at once.
    pub poll: bool,
    /// This is that answer.
    pub is_final: bool,
    /// The sender's BFD does not die with its control plane (the C bit).
    pub control_plane_independent: bool,
    /// The sender wants no periodic packets while the session is up (RFC 5880 §6.6).
    pub demand: bool,
    /// So many packets in a row that do not come are a failure; not 0.
    pub detect_multiplier: u8,
    /// The sender's number of the session; not 0.
    pub my_discriminator: u32,
    /// The receiver's number of it, 0 while the sender does not know it.
    pub your_discriminator: u32,
    /// The sender would send no more often than this.
    pub desired_min_tx: Duration,
    /// The sender wants packets no more often than this; zero wants none.
    pub required_min_rx: Duration,
    /// The sender returns echoes no more often than this; zero returns none.
    pub required_min_echo_rx: Duration,
}

/// Why bytes are not a packet that may be looked at further (RFC 5880 §6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Malformed {
    /// It says another version than 1.
    #[error("another version than 1")]
    Version,
    /// It says fewer bytes than a packet has, or more than came.
    #[error("a length that cannot be")]
    Length,
    /// The detection multiplier is 0.
    #[error("a detection multiplier of 0")]
    DetectMultiplier,
    /// The multipoint bit, which is for later versions, is set.
    #[error("the multipoint bit is set")]
    Multipoint,
    /// The sender's discriminator is 0.
    #[error("a discriminator of 0")]
    Discriminator,
    /// It names no session of ours, which only who is down may.
    #[error("no session is named by one that is not down")]
    State,
    /// It is authenticated, which we are not to be.
    #[error("it is authenticated, and no authentication is agreed on")]
    Authentication,
}

impl Packet {
    /// Reads what came in one datagram, in the order of RFC 5880 §6.8.6. Bytes after
    /// the packet are no concern of it.
    ///
    /// # Errors
    /// When the packet is to be discarded.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((head, _)) = bytes.split_first_chunk::<PACKET_LENGTH>() else {
            // A version may be told of less, but nothing hangs on which is.
            return Err(Malformed::Length);
        };
        let [version_and_diagnostic, flags, detect_multiplier, length, words @ ..] = *head;
        if version_and_diagnostic >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        let is_authenticated = flags & AUTHENTICATION != 0;
        let least = if is_authenticated { PACKET_LENGTH + 2 } else { PACKET_LENGTH };
        if usize::from(length) < least || bytes.len() < usize::from(length) {
            return Err(Malformed::Length);
        }
        if detect_multiplier == 0 {
            return Err(Malformed::DetectMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let (words, _) = words.as_chunks::<4>();
        let &[mine, yours, tx, rx, echo] = words else { return Err(Malformed::Length) };
        let [mine, yours, tx, rx, echo] = [mine, yours, tx, rx, echo].map(u32::from_be_bytes);
        if mine == 0 {
            return Err(Malformed::Discriminator);
        }
        let state = State::of(flags >> 6);
        if yours == 0 && matches!(state, State::Init | State::Up) {
            return Err(Malformed::State);
        }
        if is_authenticated {
            return Err(Malformed::Authentication);
        }
        let time = |microseconds: u32| Duration::from_micros(microseconds.into());
        Ok(Self {
            diagnostic: Diagnostic(version_and_diagnostic & 0x1f),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_multiplier,
            my_discriminator: mine,
            your_discriminator: yours,
            desired_min_tx: time(tx),
            required_min_rx: time(rx),
            required_min_echo_rx: time(echo),
        })
    }

    /// Its bytes. Longer times than there is room for become the longest.
    pub fn encode(&self) -> [u8; PACKET_LENGTH] {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = self.state.bits() << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(self.demand, DEMAND);
        let time = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let [m0, m1, m2, m3] = self.my_discriminator.to_be_bytes();
        let [y0, y1, y2, y3] = self.your_discriminator.to_be_bytes();
        let [t0, t1, t2, t3] = time(self.desired_min_tx).to_be_bytes();
        let [r0, r1, r2, r3] = time(self.required_min_rx).to_be_bytes();
        let [e0, e1, e2, e3] = time(self.required_min_echo_rx).to_be_bytes();
        let first = VERSION << 5 | (self.diagnostic.code() & 0x1f);
        [
            first,
            flags,
            self.detect_multiplier,
            PACKET_LENGTH as u8,
            m0,
            m1,
            m2,
            m3,
            y0,
            y1,
            y2,
            y3,
            t0,
            t1,
            t2,
            t3,
            r0,
            r1,
            r2,
            r3,
            e0,
            e1,
            e2,
            e3,
        ]
    }
}
