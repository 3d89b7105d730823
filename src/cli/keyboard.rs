//! Keys, as a terminal sends them.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use std::io::{self, IsTerminal, Read};
use tokio::sync::mpsc;

/// Keys that may wait for who reads them; whoever holds one down waits.
const WAITING: usize = 16;

/// A key that has a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-L: draw all again.
    Redraw,
    /// A letter, digit or sign.
    Letter(char),
}

/// The terminal's keys, one by one and without an echo until this is dropped. Ctrl-C and
/// Ctrl-Z stay signals.
#[derive(Debug)]
pub(super) struct Keyboard {
    before: Option<Termios>,
}

impl Keyboard {
    /// Takes the keys of stdin, when that is a terminal: none come when it is not.
    pub(super) fn take() -> (Self, mpsc::Receiver<Key>) {
        let (sender, keys) = mpsc::channel(WAITING);
        let stdin = io::stdin();
        let before = stdin.is_terminal().then(|| rustix::termios::tcgetattr(&stdin).ok()).flatten();
        let mut keyboard = Self { before };
        if keyboard.before.is_some() {
            keyboard.resume();
            // It waits for the next key, whenever that is; the process does not wait for it.
            std::thread::spawn(move || read(&sender));
        }
        (keyboard, keys)
    }

    /// Whether there are keys.
    pub(super) const fn is_there(&self) -> bool {
        self.before.is_some()
    }

    /// Puts the terminal back to how it was.
    pub(super) fn suspend(&mut self) {
        if let Some(before) = &self.before {
            // Nothing can be done for a terminal that is gone.
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }

    /// Takes it again.
    pub(super) fn resume(&mut self) {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            raw.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.suspend();
    }
}

fn read(to: &mpsc::Sender<Key>) {
    let mut bytes = [0; 64];
    loop {
        let read = match io::stdin().lock().read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        for key in keys(&bytes[..read]) {
            if to.blocking_send(key).is_err() {
                return;
            }
        }
    }
}

/// What was read in one piece: a terminal writes the sequence of a key at one time.
fn keys(bytes: &[u8]) -> Vec<Key> {
    const SEQUENCES: [(&[u8], Key); 16] = [
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
        (b"\x1b[H", Key::Home),
        (b"\x1bOH", Key::Home),
        (b"\x1b[1~", Key::Home),
        (b"\x1b[F", Key::End),
        (b"\x1bOF", Key::End),
        (b"\x1b[4~", Key::End),
        (b"\r", Key::Enter),
        (b"\n", Key::Enter),
        (b"\x7f", Key::Backspace),
        (b"\x08", Key::Backspace),
    ];
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some(first) = rest.first().copied() {
        let known = SEQUENCES.iter().find(|(sequence, _)| rest.starts_with(sequence));
        let (length, key) = match (known, first) {
            (Some((sequence, key)), _) => (sequence.len(), Some(*key)),
            (None, 0x1b) if rest.len() == 1 => (1, Some(Key::Escape)),
            // A key that means nothing here: its sequence ends with a letter or `~`.
            (None, 0x1b) => {
                let end = rest.iter().skip(2).position(|it| (0x40..0x7f).contains(it));
                (end.map_or(rest.len(), |at| at + 3), None)
            }
            (None, 0x0c) => (1, Some(Key::Redraw)),
            (None, 0x20..0x7f) => (1, Some(Key::Letter(char::from(first)))),
            (None, _) => (1, None),
        };
        found.extend(key);
        rest = rest.get(length..).unwrap_or_default();
    }
    found
}
