//! JSON taken apart, with the path of everything that is wrong.

use super::flaw::{FormFlaw, FormProblem};
use crate::config::parse_host;
use crate::model::Host;
use crate::net::{Prefix, PrefixError};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

/// Characters of what was found that are shown.
const SHOWN: usize = 64;

/// What was found wrong so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) flaws: Vec<FormFlaw>,
}

/// The part of `text` that is shown.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// The path of a field of the object at `of`.
pub(super) fn field(of: &str, name: &str) -> String {
    if of.is_empty() { name.to_owned() } else { format!("{of}.{name}") }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Reader {
    pub(super) fn found(&mut self, path: String, problem: FormProblem) {
        self.flaws.push(FormFlaw { path, problem });
    }

    fn shape(&mut self, path: String, value: &Value, expected: &'static str) {
        self.found(path, FormProblem::Shape { found: kind(value), expected });
    }

    /// The text of a field; an empty one is none.
    pub(super) fn text(
        &mut self,
        object: &Map<String, Value>,
        of: &str,
        name: &str,
    ) -> Option<String> {
        match object.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.shape(field(of, name), other, "text");
                None
            }
        }
    }

    /// The object in a field.
    pub(super) fn object<'a>(
        &mut self,
        object: &'a Map<String, Value>,
        of: &str,
        name: &str,
    ) -> Option<&'a Map<String, Value>> {
        match object.get(name)? {
            Value::Null => None,
            Value::Object(inner) => Some(inner),
            other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                self.shape(field(of, name), other, "an object");
                None
            }
        }
    }

    /// The objects of a list in a field, each with its path.
    pub(super) fn rows<'a>(
        &mut self,
        object: &'a Map<String, Value>,
        of: &str,
        name: &str,
    ) -> Vec<(String, &'a Map<String, Value>)> {
        let path = field(of, name);
        let rows = match object.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(rows)) => rows,
            Some(other) => {
                self.shape(path, other, "a list");
                return Vec::new();
            }
        };
        let mut found = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let path = format!("{path}[{at}]");
            match row {
                Value::Null => {}
                Value::Object(row) => found.push((path, row)),
                other
                @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                    self.shape(path, other, "an object");
                }
            }
        }
        found
    }

    /// A network, as people write it: with a length or with a mask.
    pub(super) fn prefix(&mut self, path: &str, text: &str) -> Option<Prefix> {
        let with_length = match text.split_once('/') {
            Some((address, mask)) if mask.contains('.') => {
                let Some(length) = length_of(mask.trim()) else {
                    self.found(path.to_owned(), FormProblem::Mask(clip(text)));
                    return None;
                };
                format!("{}/{length}", address.trim())
            }
            Some((address, length)) => format!("{}/{}", address.trim(), length.trim()),
            None => text.to_owned(),
        };
        match with_length.parse() {
            Ok(prefix) => Some(prefix),
            Err(problem) => {
                let text = clip(text);
                self.found(path.to_owned(), FormProblem::Prefix { text, problem });
                None
            }
        }
    }

    /// The network of an address and a length that stand apart.
    pub(super) fn network(&mut self, path: &str, address: &str, length: u64) -> Option<Prefix> {
        let wrong = |problem| FormProblem::Prefix { text: format!("{address}/{length}"), problem };
        let Ok(address) = address.parse::<IpAddr>() else {
            self.found(path.to_owned(), wrong(PrefixError::Malformed));
            return None;
        };
        let found = match u8::try_from(length) {
            Ok(length) => Prefix::containing_address(address, length),
            Err(_) => Err(PrefixError::Malformed),
        };
        found.map_err(|problem| self.found(path.to_owned(), wrong(problem))).ok()
    }

    /// A host.
    pub(super) fn host(&mut self, path: &str, text: &str) -> Option<Host> {
        match parse_host(text) {
            Ok(host) => Some(host),
            Err(problem) => {
                let text = clip(text);
                self.found(path.to_owned(), FormProblem::Host { text, problem });
                None
            }
        }
    }
}

/// The length a mask says, 255.255.255.0 as 24.
fn length_of(mask: &str) -> Option<u32> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    let length = bits.leading_ones();
    (bits.count_ones() == length).then_some(length)
}
