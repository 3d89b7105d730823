//! A conversation with the kernel over a netlink socket: ask, and read all of
//! the answer.
//!
//! It blocks and so belongs on a worker thread, in whose namespace it is
//! opened. That is why the requests of `netlink-packet-route` are sent from
//! here and not through `rtnetlink`, which would need a runtime of its own on
//! each of these threads; and here many requests go in one call.
//!
//! Answers of anyone but the kernel, and of earlier questions, are passed over.

use super::syscall;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols};
use rustix::net::sockopt;
use std::io;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// How long the kernel may take for one answer before we give up on it. It
/// answers in microseconds, or after waiting for a lock that many hold.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of one datagram from the kernel; dumps come in pieces of 32 KiB.
const DATAGRAM: usize = 64 << 10;

/// Bytes of answers that may wait. Each costs the kernel some 800 bytes, however
/// short, and an answer beyond this is lost.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Requests sent in one call, whose answers fit into [`RECEIVE_BUFFER`].
const BATCH: usize = 256;

/// How often a dump is begun anew because something changed meanwhile.
const DUMP_ATTEMPTS: usize = 20;

// <linux/netlink.h>
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const HEADER_LEN: usize = 16;

/// Why the kernel gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket cannot be opened.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The question cannot be sent.
    #[error("cannot ask the kernel over netlink")]
    Send(#[source] io::Error),
    /// There was no answer, or it could not be read.
    #[error("no answer from the kernel over netlink")]
    Receive(#[source] io::Error),
    /// The answer cannot be understood.
    #[error("the kernel's answer cannot be understood: {0}")]
    Malformed(String),
    /// Something changed during each of several attempts to list.
    #[error("the list changed each time it was read")]
    Unsteady,
    /// The kernel refused; `said` is its explanation or empty.
    #[error("the kernel refused{}{said}", if said.is_empty() { "" } else { ": " })]
    Refused {
        /// What it says of it (`NLMSGERR_ATTR_MSG`).
        said: String,
        /// The error number.
        #[source]
        source: io::Error,
    },
}

impl NetlinkError {
    /// The error number with which the kernel refused.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            Self::Open(_)
            | Self::Send(_)
            | Self::Receive(_)
            | Self::Malformed(_)
            | Self::Unsteady => None,
        }
    }
}

/// What the packet crates make of one family's messages, both ways.
pub(super) trait Message: NetlinkSerializable + NetlinkDeserializable + Clone {}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone> Message for M {}

/// One message of an answer.
struct Frame<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    /// Header and all.
    whole: &'a [u8],
}

impl<'a> Frame<'a> {
    fn payload(&self) -> &'a [u8] {
        self.whole.get(HEADER_LEN..).unwrap_or_default()
    }

    /// What an `NLMSG_ERROR` or `NLMSG_DONE` says: zero is good.
    fn verdict(&self) -> Result<(), NetlinkError> {
        let Some(code) = self.payload().first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
        else {
            return Err(NetlinkError::Malformed("an acknowledgement is cut short".to_owned()));
        };
        if code == 0 {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(code.saturating_neg());
        Err(NetlinkError::Refused { said: self.explanation().unwrap_or_default(), source })
    }

    fn explanation(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        // After the code comes the header of our request, and all of it unless capped.
        let request = self.payload().get(4..)?;
        let len = u32::from_ne_bytes(*request.first_chunk()?);
        let skip = match (self.kind, self.flags & NLM_F_CAPPED) {
            (NLMSG_DONE, _) => 0,
            (_, 0) => usize::try_from(len).ok()?.next_multiple_of(4),
            (_, _) => HEADER_LEN,
        };
        let attributes = NlasIterator::new(request.get(skip..)?);
        let text = attributes.flatten().find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)?;
        let text = String::from_utf8_lossy(text.value()).into_owned();
        Some(text.trim_end_matches('\0').to_owned())
    }
}

/// Cuts a datagram into its messages.
fn frames(mut datagram: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let header: [u8; HEADER_LEN] = *datagram.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
        let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let whole = datagram.get(..len).filter(|whole| HEADER_LEN <= whole.len())?;
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            whole,
        })
    })
}

/// A socket to one part of the kernel, in the namespace it was opened in.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Netlink {
    /// To the part with links, addresses and routes.
    pub(super) fn route() -> Result<Self, NetlinkError> {
        Self::open(protocols::NETLINK_ROUTE).map_err(NetlinkError::Open)
    }

    /// To the families that have no protocol of their own.
    pub(super) fn generic() -> Result<Self, NetlinkError> {
        Self::open(protocols::NETLINK_GENERIC).map_err(NetlinkError::Open)
    }

    /// To the part with packet filters.
    pub(super) fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(protocols::NETLINK_NETFILTER).map_err(NetlinkError::Open)
    }

    fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        // Lists are then filtered in the kernel (Linux 4.20); we filter as well.
        let _ = socket.set_netlink_get_strict_chk(true);
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// The number of the namespace the socket is in.
    pub(super) fn netns_cookie(&self) -> Result<u64, NetlinkError> {
        syscall::netns_cookie(&self.socket).map_err(|errno| NetlinkError::Open(errno.into()))
    }

    /// Wipes what was read last and gives its memory back, until it is asked again.
    pub(super) fn forget(&mut self) {
        self.datagram.zeroize();
        self.datagram = Vec::new();
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The next datagram that is the kernel's.
    fn receive(&mut self) -> Result<(), NetlinkError> {
        loop {
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            match self.socket.recv_from(&mut self.datagram, 0) {
                Ok((_, from)) if from.port_number() == 0 => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(NetlinkError::Receive(error)),
            }
        }
    }

    fn send(&self, request: &[u8]) -> Result<(), NetlinkError> {
        let kernel = SocketAddr::new(0, 0);
        self.socket.send_to(request, &kernel, 0).map_err(NetlinkError::Send)?;
        Ok(())
    }

    /// Lists: `request` makes the question of a sequence number, and `each` is
    /// given every message of the answer.
    fn list(
        &mut self,
        request: impl Fn(u32) -> Vec<u8>,
        mut each: impl FnMut(Frame<'_>) -> Result<(), NetlinkError>,
    ) -> Result<bool, NetlinkError> {
        let sequence = self.next_sequence();
        self.send(&request(sequence))?;
        let mut steady = true;
        loop {
            self.receive()?;
            for frame in frames(&self.datagram).filter(|frame| frame.sequence == sequence) {
                steady &= frame.flags & NLM_F_DUMP_INTR == 0;
                match frame.kind {
                    NLMSG_DONE => return frame.verdict().map(|()| steady),
                    NLMSG_ERROR => return frame.verdict().map(|()| steady),
                    _ => each(frame)?,
                }
            }
        }
    }

    /// Lists with `request`, anew when the kernel says that something changed
    /// meanwhile, and makes an item of each message `read` knows.
    pub(super) fn dump<M: Message, T>(
        &mut self,
        request: &M,
        read: impl FnMut(M) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        self.ask(request, NLM_F_DUMP, read)
    }

    /// Asks for one thing, and makes an item of the answer if `read` knows it.
    pub(super) fn get<M: Message, T>(
        &mut self,
        request: &M,
        read: impl FnMut(M) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        Ok(self.ask(request, NLM_F_ACK, read)?.pop())
    }

    fn ask<M: Message, T>(
        &mut self,
        request: &M,
        flags: u16,
        mut read: impl FnMut(M) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut items = Vec::new();
            let flags = NLM_F_REQUEST | flags;
            let question = |sequence| serialize(request.clone(), flags, sequence);
            let steady = self.list(question, |frame| {
                let message = NetlinkMessage::<M>::deserialize(frame.whole)
                    .map_err(|error| NetlinkError::Malformed(error.to_string()))?;
                if let NetlinkPayload::InnerMessage(message) = message.payload {
                    items.extend(read(message));
                }
                Ok(())
            })?;
            if steady {
                return Ok(items);
            }
        }
        Err(NetlinkError::Unsteady)
    }

    /// Lists with a question of a kind `netlink-packet-route` does not have;
    /// `each` is given the bytes after each message's header.
    pub(super) fn dump_raw(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let question = |sequence| serialize_raw(kind, NLM_F_REQUEST | flags, sequence, body);
            let steady = self.list(question, |frame| {
                each(frame.payload());
                Ok(())
            })?;
            if steady {
                return Ok(());
            }
        }
        Err(NetlinkError::Unsteady)
    }

    /// Asks for one change.
    pub(super) fn change(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        match self.change_all(vec![(request, flags)]).pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Asks for many changes, hundreds in one call, and returns those that were
    /// refused by their place in `requests`. The kernel does them in order and
    /// does not stop at one it refuses.
    pub(super) fn change_all(
        &mut self,
        requests: Vec<(RouteNetlinkMessage, u16)>,
    ) -> Vec<(usize, NetlinkError)> {
        let mut refused = Vec::new();
        let mut requests = requests.into_iter().peekable();
        let mut done = 0;
        while requests.peek().is_some() {
            let first = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            let mut awaited = 0;
            for (request, flags) in requests.by_ref().take(BATCH) {
                let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
                bytes.extend(serialize(request, flags, self.next_sequence()));
                awaited += 1;
            }
            if let Err(error) = self.acknowledged(&bytes, first, awaited, done, &mut refused) {
                refused.push((done, error));
                return refused;
            }
            done += awaited;
        }
        refused
    }

    /// Asks for one change with a message of a kind `netlink-packet-route` does
    /// not have, whose bytes may be secret.
    pub(super) fn change_raw(&mut self, kind: u16, body: &[u8]) -> Result<(), NetlinkError> {
        let sequence = self.next_sequence();
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let bytes = Zeroizing::new(serialize_raw(kind, flags, sequence, body));
        let mut refused = Vec::new();
        self.acknowledged(&bytes, sequence, 1, 0, &mut refused)?;
        refused.pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Sends requests `first..` and reads an acknowledgement of each.
    fn acknowledged(
        &mut self,
        requests: &[u8],
        first: u32,
        awaited: usize,
        done: usize,
        refused: &mut Vec<(usize, NetlinkError)>,
    ) -> Result<(), NetlinkError> {
        self.send(requests)?;
        let mut missing = awaited;
        while missing != 0 {
            self.receive()?;
            for frame in frames(&self.datagram).filter(|frame| frame.kind == NLMSG_ERROR) {
                let Ok(place) = usize::try_from(frame.sequence.wrapping_sub(first)) else {
                    continue;
                };
                if awaited <= place {
                    continue;
                }
                missing = missing.saturating_sub(1);
                refused.extend(frame.verdict().err().map(|error| (done + place, error)));
            }
        }
        Ok(())
    }
}

fn serialize<M: Message>(request: M, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
    message.serialize(&mut bytes);
    bytes
}

fn serialize_raw(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}
