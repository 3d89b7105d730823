//! Takes secrets out of texts.
//!
//! Twice over: what this machine keeps secret is looked for by its very letters, and
//! what stands where a secret has its place goes whatever it is.

use std::fs;
use std::path::Path;

/// What stands in a secret's place.
const LEFT_OUT: &str = "[secret left out]";

/// The shortest text that is looked for. Anything shorter would be found everywhere.
const LEAST: usize = 6;

/// Directories below that of the secrets, and of the keys.
const DEPTH: usize = 6;

/// Words after which a secret stands, in documents and configurations.
const WORDS: [&str; 6] = ["privatekey", "presharedkey", "password", "secret", "token", "psk"];

/// The secrets of this machine.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Reads those beside `documents`, and the keys kept in `state`.
    pub(super) fn read(documents: Option<&Path>, state: &Path) -> Self {
        let mut secrets = Self::default();
        if let Some(documents) = documents {
            let directory = if documents.is_dir() { Some(documents) } else { documents.parent() };
            directory.into_iter().for_each(|it| secrets.take_from(&it.join("secrets"), DEPTH));
        }
        secrets.take_from(&state.join("keys"), DEPTH);
        // The longest first: one may be a part of another.
        secrets.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    fn take_from(&mut self, directory: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                depth.checked_sub(1).into_iter().for_each(|depth| self.take_from(&path, depth));
            } else if let Ok(text) = fs::read_to_string(&path) {
                self.0.extend(
                    text.split_whitespace().filter(|word| LEAST <= word.len()).map(str::to_owned),
                );
            }
        }
    }

    /// `text` without them.
    pub(super) fn left_out_of(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret) { text.replace(secret, LEFT_OUT) } else { text }
        });
        text.split_inclusive('\n').map(without_what_follows).collect()
    }
}

/// A line without what follows a word that a secret follows: `PrivateKey = …`,
/// `password: …`, `"psk": "…"`. What names a secret instead of being one, as a
/// `SecretRef` does, stays.
fn without_what_follows(line: &str) -> String {
    let Some((name, value)) = line.split_once([':', '=']) else { return line.to_owned() };
    let name: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_secret = WORDS.iter().any(|word| name.ends_with(word));
    let value = value.trim();
    if !is_secret || value.is_empty() || value.starts_with(['{', '[', '(']) {
        return line.to_owned();
    }
    let head = line.split_inclusive([':', '=']).next().unwrap_or_default();
    let end = if line.ends_with('\n') { "\n" } else { "" };
    format!("{head} {LEFT_OUT}{end}")
}
