//! [`RawSpeaker`]: one end of a BGP session written by hand, for what no stock
//! router can be made to say. It opens a session as it should be and then sends
//! the bytes it is given.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::lab::{Lab, PATIENCE, slowness, wait_until};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The types of messages (RFC 4271 §4.1).
pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;

/// A connection to a gateway's port.
pub(crate) struct RawSpeaker {
    stream: TcpStream,
}

/// A message of this type.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// An attribute whose length takes one byte.
pub(crate) fn attribute(flags: u8, number: u8, value: &[u8]) -> Vec<u8> {
    [&[flags, number, u8::try_from(value.len()).unwrap()][..], value].concat()
}

/// An UPDATE that announces `nlri` with these attributes.
pub(crate) fn update(attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    message(UPDATE, &[&[0, 0][..], &length, &attributes, nlri].concat())
}

/// An OPEN of AS 65001 with the identifier 10.136.40.2, a hold time of 90 s, IPv4
/// and these more capabilities.
pub(crate) fn open(more: &[u8]) -> Vec<u8> {
    let capabilities = [&[1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xfd, 0xe9][..], more].concat();
    let length = u8::try_from(capabilities.len()).unwrap();
    let fixed = [4, 0xfd, 0xe9, 0, 90, 10, 136, 40, 2, length + 2, 2, length];
    message(OPEN, &[&fixed[..], &capabilities].concat())
}

impl RawSpeaker {
    /// Connects from `at` and says nothing. The first attempts may meet the end of
    /// an earlier connection, or a gateway that does not listen yet.
    pub(crate) fn connect(lab: &Lab, at: &str, gateway: &str) -> Self {
        Self::connect_from(lab, at, "0.0.0.0", gateway)
    }

    /// As [`Self::connect`], from one of several addresses.
    pub(crate) fn connect_from(lab: &Lab, at: &str, from: &str, gateway: &str) -> Self {
        let to: SocketAddr = format!("{gateway}:179").parse().unwrap();
        let from: SocketAddr = format!("{from}:0").parse().unwrap();
        let stream = wait_until("the gateway to take a connection", PATIENCE, || {
            lab.within(at, || {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                socket.bind(&from.into())?;
                socket.connect(&to.into())?;
                std::io::Result::Ok(TcpStream::from(socket))
            })
        });
        stream.set_read_timeout(Some(PATIENCE * slowness())).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Connects and says this OPEN, until the session is up.
    pub(crate) fn establish(lab: &Lab, at: &str, gateway: &str, open: &[u8]) -> Self {
        Self::establish_from(lab, at, "0.0.0.0", gateway, open)
    }

    /// As [`Self::establish`], from one of several addresses.
    pub(crate) fn establish_from(
        lab: &Lab,
        at: &str,
        from: &str,
        gateway: &str,
        open: &[u8],
    ) -> Self {
        wait_until("a session of raw bytes", PATIENCE, || {
            let mut speaker = Self::connect_from(lab, at, from, gateway);
            speaker.send(open);
            speaker.send(&message(KEEPALIVE, &[]));
            match (speaker.receive(), speaker.receive()) {
                (Some((OPEN, _)), Some((KEEPALIVE, _))) => Ok(speaker),
                // Not taken: one that ended a moment ago may still be looked at.
                other => Err(other),
            }
        })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // That the far end has closed shows when its last words are read.
        let _ = self.stream.write_all(bytes);
    }

    /// The next message: its type and its body; `None` when the connection is over.
    pub(crate) fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 19];
        self.read(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; length - 19];
        self.read(&mut body)?;
        Some((header[18], body))
    }

    /// The NOTIFICATION the session is ended with: code and subcode.
    pub(crate) fn notification(&mut self) -> Option<(u8, u8)> {
        loop {
            match self.receive()? {
                (NOTIFICATION, body) => return Some((body[0], body[1])),
                (OPEN | UPDATE | KEEPALIVE, _) => {}
                (kind, _) => panic!("a message of type {kind}"),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) => {
                let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!late, "nothing came, and the connection is not over");
                None
            }
        }
    }
}
