//! Bytes on their way out of one connection.

/// Whole messages, of the first of which part may be written.
#[derive(Debug, Default)]
pub(super) struct OutQueue {
    bytes: Vec<u8>,
    /// Where the message begins that is not written in full.
    head: usize,
    /// How much is written.
    written: usize,
}

impl OutQueue {
    /// What is left to write.
    pub(super) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent().is_empty()
    }

    /// Puts a whole message behind the others.
    pub(super) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
    }

    /// Some of it was written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.bytes.len());
        while let Some(length) = self.message_length()
            && self.head + length <= self.written
        {
            self.head += length;
        }
        // Moving what is left costs as much as it frees.
        if self.bytes.len() <= self.head * 2 {
            self.bytes.drain(..self.head);
            self.written -= self.head;
            self.head = 0;
        }
    }

    /// The rest of the message that was begun, if one was: whatever is written next
    /// must stand behind it.
    pub(super) fn rest_of_message(&self) -> &[u8] {
        if self.written <= self.head {
            return &[];
        }
        let end = self.message_length().map_or(self.bytes.len(), |length| self.head + length);
        self.bytes.get(self.written..end).unwrap_or_default()
    }

    /// Bytes of the message at the head, out of its header (RFC 4271 §4.1).
    fn message_length(&self) -> Option<usize> {
        match self.bytes.get(self.head + 16..self.head + 18) {
            Some([high, low]) => Some(usize::from(u16::from_be_bytes([*high, *low]))),
            Some(_) | None => None,
        }
    }
}
