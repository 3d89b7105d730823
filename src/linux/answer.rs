//! What the kernel answers over netlink, taken apart: datagrams in, messages and
//! verdicts out. No socket is touched here.
//!
//! A datagram that is not cut as it says is an error at once, and not something
//! to wait for the rest of. Answers to earlier questions are passed over.

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NlasIterator};
use std::io;

// <linux/netlink.h>
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Bytes of a message's header, `struct nlmsghdr`.
pub(super) const HEADER_LEN: usize = 16;

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

/// Cuts a datagram into its messages; ends with the first that is cut wrongly.
fn frames(mut datagram: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, NetlinkError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let cut = cut(datagram);
        datagram = cut.as_ref().map_or(&[], |(_, rest)| rest);
        let cut_short = || NetlinkError::Malformed("a message is cut short".to_owned());
        Some(cut.map(|(frame, _)| frame).ok_or_else(cut_short))
    })
}

/// The first message of a datagram, and the rest.
fn cut(datagram: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let header: [u8; HEADER_LEN] = *datagram.first_chunk()?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
    let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let whole = datagram.get(..len).filter(|whole| HEADER_LEN <= whole.len())?;
    let frame = Frame {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        whole,
    };
    Some((frame, datagram.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// The answer to one question.
#[derive(Debug)]
pub struct Answer {
    sequence: u32,
    steady: bool,
}

impl Answer {
    /// To the question with this number.
    pub const fn to(sequence: u32) -> Self {
        Self { sequence, steady: true }
    }

    /// Takes a datagram, and gives `each` every message in it that is an answer,
    /// header and all. `Some` when that was the last: whether nothing changed
    /// while it was listed.
    ///
    /// # Errors
    /// When the kernel refused, or a datagram is not cut as it says; or what
    /// `each` says.
    pub fn take(
        &mut self,
        datagram: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), NetlinkError>,
    ) -> Result<Option<bool>, NetlinkError> {
        for frame in frames(datagram) {
            let frame = frame?;
            if frame.sequence != self.sequence {
                continue;
            }
            self.steady &= frame.flags & NLM_F_DUMP_INTR == 0;
            match frame.kind {
                NLMSG_DONE | NLMSG_ERROR => return frame.verdict().map(|()| Some(self.steady)),
                _ => each(frame.whole)?,
            }
        }
        Ok(None)
    }
}

/// What is answered to requests that were sent together, of which the last alone asks
/// for an acknowledgement: the kernel does them in order and says of each other only
/// that it was refused.
#[derive(Debug)]
pub struct Acknowledgements {
    first: u32,
    /// Of each request, whether nothing was answered to it.
    open: Vec<bool>,
}

impl Acknowledgements {
    /// Of `count` requests numbered from `first`.
    pub fn of(first: u32, count: usize) -> Self {
        Self { first, open: vec![true; count] }
    }

    /// Takes a datagram, and puts the requests that were refused into `refused`, by
    /// their place. Whether there is nothing more to come.
    ///
    /// # Errors
    /// When a datagram is not cut as it says.
    pub fn take(
        &mut self,
        datagram: &[u8],
        refused: &mut Vec<(usize, NetlinkError)>,
    ) -> Result<bool, NetlinkError> {
        for frame in frames(datagram) {
            let frame = frame?;
            let place = usize::try_from(frame.sequence.wrapping_sub(self.first));
            let place = place.ok().filter(|_| frame.kind == NLMSG_ERROR);
            let Some(place) = place else { continue };
            let Some(open) = self.open.get_mut(place).filter(|open| **open) else { continue };
            *open = false;
            refused.extend(frame.verdict().err().map(|error| (place, error)));
        }
        Ok(self.open.last() != Some(&true))
    }
}
