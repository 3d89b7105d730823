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
/// `password: …`, `{psk: …, port: 1}`, `"token":"…"`, wherever in the line that is. What
/// names a secret instead of being one, as a `SecretRef` does, stays.
fn without_what_follows(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find([':', '=']) {
        let (name, value) = rest.split_at(at + 1);
        out.push_str(name);
        let blanks = value.len() - value.trim_start_matches([' ', '\t']).len();
        let (blank, after) = value.split_at(blanks);
        out.push_str(blank);
        rest = after;
        // `password: of several words` is all of a line that is no list of values.
        let is_alone = blanks != 0 && !out.contains(['{', '[']);
        let length = if is_secret_name(name) { length_of_value(after, is_alone) } else { 0 };
        if length != 0 {
            out.push_str(LEFT_OUT);
            rest = after.get(length..).unwrap_or_default();
        }
    }
    out + rest
}

/// Whether the last word before a colon or an equals sign is one that a secret follows.
fn is_secret_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let text = text.trim_end_matches(|c: char| !is_of_name(c));
    let name = text.rsplit(|c: char| !is_of_name(c)).next().unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.ends_with(word))
}

/// How long the value is that `text` begins with: up to the closing quote, to the line's
/// end where it `is_alone`, or to what separates values. A map or list is none, what is in
/// it has names of its own.
fn length_of_value(text: &str, is_alone: bool) -> usize {
    match text.chars().next() {
        Some('{' | '[' | '(') | None => 0,
        Some(quote @ ('"' | '\'')) => {
            let inside = text.get(1..).unwrap_or_default();
            inside.find(quote).map_or_else(|| inside.trim_end().len() + 1, |end| end + 2)
        }
        Some(_) if is_alone => text.trim_end().len(),
        Some(_) => {
            let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | ')');
            text.find(ends).unwrap_or(text.len())
        }
    }
}
