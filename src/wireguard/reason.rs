//! Why a packet or a datagram went no further.
//!
//! The names are what metrics, logs and the page show; none of them ever
//! carries an address or a key.

/// Declares the reasons once, so that the list, the names and the texts cannot
/// part.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal, $message:literal;)+) => {
        /// Why a packet or a datagram was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason in snake_case: a metric's label, a key in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The reason as a person reads it.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

reasons! {
    /// Its length is none that a message of its type can have.
    DatagramLength => "datagram_length", "the datagram's length fits no message of its type";
    /// Its first byte is none of 1–4.
    MessageType => "message_type", "the datagram is of no known type";
    /// Its reserved bytes are not zero.
    ReservedBytes => "reserved_bytes", "the datagram's reserved bytes are not zero";
    /// A handshake message by someone who does not know our public key.
    Mac1 => "mac1", "the handshake message was not made for our public key";
    /// Answered with a cookie, for there is much to do.
    UnderLoad => "under_load", "under load: the sender was asked to prove its address first";
    /// Under load, and more cookies are to be sent than are kept.
    CookieBacklog => "cookie_backlog", "under load: too many cookie replies wait to be sent";
    /// This source begins too many handshakes.
    SourceRate => "source_rate", "too many handshakes from one address";
    /// All sources together begin too many handshakes.
    DeviceRate => "device_rate", "too many handshakes in all";
    /// It could not be opened with our key, or its sender's preshared key is another.
    Handshake => "handshake", "the handshake message cannot be opened";
    /// It was opened, and its sender is no peer.
    UnknownPeer => "unknown_peer", "the handshake is of a key that is no peer's";
    /// Its stamp is not after the last one of this peer.
    InitiationReplayed => "initiation_replayed", "the initiation is a replay or older than the last one";
    /// This peer begins handshakes faster than 50 a second.
    PeerRate => "peer_rate", "too many handshakes of one peer";
    /// No session, or no handshake, has this index.
    UnknownIndex => "unknown_index", "the datagram is for a session that does not exist";
    /// A cookie nobody asked for, or a forged one.
    CookieReply => "cookie_reply", "the cookie reply is forged or was not asked for";
    /// The session is older than 180 s.
    SessionExpired => "session_expired", "the session is older than 180 s";
    /// The session's numbers are used up.
    CounterExhausted => "counter_exhausted", "the session's message numbers are used up";
    /// It came before, or is too old to tell.
    Replayed => "replayed", "the datagram came before or is too old to tell";
    /// It is not what the peer sent.
    Authentication => "authentication", "the datagram was changed on its way or forged";
    /// The inner packet is neither IPv4 nor IPv6.
    InnerVersion => "inner_version", "the inner packet is neither IPv4 nor IPv6";
    /// The inner packet is shorter than its header says.
    InnerLength => "inner_length", "the inner packet is shorter than its header says";
    /// The inner packet's header contradicts itself.
    InnerHeader => "inner_header", "the inner packet's header contradicts itself";
    /// The inner packet's source is not this peer's.
    SourceNotAllowed => "source_not_allowed", "the inner source is not among this peer's allowed IPs";
    /// The inner packet's addresses could not be translated.
    Translation => "translation", "the packet's addresses cannot be translated";
    /// No peer has the destination among its allowed IPs.
    NoRoute => "no_route", "no peer's allowed IPs hold the destination";
    /// Where the peer is, is not known.
    NoEndpoint => "no_endpoint", "the peer's endpoint is not known";
    /// There is no session to send it in.
    NoSession => "no_session", "there is no session to send in";
    /// Newer packets took its place while a handshake ran.
    StagingFull => "staging_full", "too many packets wait for the handshake; the oldest went";
    /// No answer to any handshake for 90 s.
    HandshakeGaveUp => "handshake_gave_up", "no handshake was answered for 90 s";
    /// It is longer than the tunnel's MTU or than the buffer it was given.
    TooBig => "too_big", "the packet is longer than the tunnel's MTU";
    /// The peer it was for is no more.
    PeerGone => "peer_gone", "the peer was removed";
}

/// How many reasons there are.
pub(super) const COUNT: usize = DropReason::ALL.len();
