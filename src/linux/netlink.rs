//! A conversation with the kernel over a netlink socket: ask, and read all of
//! the answer.
//!
//! It blocks and so belongs on a worker thread, in whose namespace it is
//! opened. That is why the requests of `netlink-packet-route` are sent from
//! here and not through `rtnetlink`, which would need a runtime of its own on
//! each of these threads; and here many requests go in one call.
//!
//! Answers of anyone but the kernel are passed over.

use super::answer::{Acknowledgements, Answer, HEADER_LEN, NetlinkError};
use super::syscall;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
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

/// Requests sent in one call: were all of them refused, the answers would fit into
/// [`RECEIVE_BUFFER`].
const BATCH: usize = 256;

/// How often a dump is begun anew because something changed meanwhile.
const DUMP_ATTEMPTS: usize = 20;

/// What the packet crates make of one family's messages, both ways.
pub(super) trait Message: NetlinkSerializable + NetlinkDeserializable + Clone {}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone> Message for M {}

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
        mut each: impl FnMut(&[u8]) -> Result<(), NetlinkError>,
    ) -> Result<bool, NetlinkError> {
        let sequence = self.next_sequence();
        self.send(&request(sequence))?;
        let mut answer = Answer::to(sequence);
        loop {
            self.receive()?;
            if let Some(steady) = answer.take(&self.datagram, &mut each)? {
                return Ok(steady);
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
            let steady = self.list(question, |message| {
                let message = NetlinkMessage::<M>::deserialize(message)
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
            let steady = self.list(question, |message| {
                each(message.get(HEADER_LEN..).unwrap_or_default());
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
            let mut count = 0;
            while count < BATCH
                && let Some((request, flags)) = requests.next()
            {
                count += 1;
                // An acknowledgement of each would be a datagram of its own to be read.
                let is_last = count == BATCH || requests.peek().is_none();
                let flags = NLM_F_REQUEST | if is_last { NLM_F_ACK } else { 0 } | flags;
                serialize_into(&mut bytes, request, flags, self.next_sequence());
            }
            if let Err(error) = self.acknowledged(&bytes, first, count, done, &mut refused) {
                refused.push((done, error));
                return refused;
            }
            done += count;
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

    /// Sends `count` requests from `first`, and reads what is answered up to the
    /// acknowledgement that the last of them asks for.
    fn acknowledged(
        &mut self,
        requests: &[u8],
        first: u32,
        count: usize,
        done: usize,
        refused: &mut Vec<(usize, NetlinkError)>,
    ) -> Result<(), NetlinkError> {
        self.send(requests)?;
        let mut answers = Acknowledgements::of(first, count);
        let mut of_these = Vec::new();
        let outcome = loop {
            let received = self.receive();
            match received.and_then(|()| answers.take(&self.datagram, &mut of_these)) {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        refused.extend(of_these.into_iter().map(|(place, error)| (done + place, error)));
        outcome
    }
}

fn serialize<M: Message>(request: M, flags: u16, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    serialize_into(&mut bytes, request, flags, sequence);
    bytes
}

/// Puts a request behind those before it.
fn serialize_into<M: Message>(bytes: &mut Vec<u8>, request: M, flags: u16, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let begin = bytes.len();
    bytes.resize(begin + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(bytes.get_mut(begin..).unwrap_or_default());
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
