//! Bytes → trees: YAML 1.2, bounded.
//!
//! Uses the event parser underneath `serde-saphyr`, because every line number
//! is wanted and no scalar may be given a type by its looks.
//! Tags and merge keys are refused: a document is plain data. Aliases are
//! copied, against a budget, so that a few lines cannot become gigabytes.

use super::error::Problem;
use super::node::{Field, Node, Value};
use super::shape::clip;
use crate::model::limits;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The documents that could be read, empty ones left out.
    pub(super) documents: Vec<Tree>,
    /// Why others could not, each with the line.
    pub(super) problems: Vec<(u32, Problem)>,
}

/// A document as it is written.
#[derive(Debug)]
pub(super) struct Tree {
    /// Its fields, of one given twice the first.
    pub(super) node: Node,
    /// The fields that are given again: path and line.
    pub(super) repeated: Vec<(String, u32)>,
}

/// Reads one file. Goes on after a document that cannot be read.
pub(super) fn read(bytes: &[u8]) -> File {
    let mut file = File::default();
    let text = match check_text(bytes) {
        Ok(text) => text,
        Err(problem) => {
            file.problems.push(problem);
            return file;
        }
    };
    let mut parser = Parser::new_from_str_with_options(text, options());
    let mut builder = Builder::default();
    loop {
        let problem = match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => match builder.take(event, &span, &mut file.documents) {
                Ok(()) => continue,
                Err(problem) => (line(&span), problem),
            },
            Some(Err(error)) => scan_problem(&error),
        };
        file.problems.push(problem);
        if limits::REPORTED_ERRORS <= file.problems.len() {
            break;
        }
        builder.abandon();
        match parser.proceed_next_document() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                file.problems.push(scan_problem(&error));
                break;
            }
        }
    }
    file
}

fn options() -> Options {
    let mut options = Options::default();
    options.emit_comments = false;
    options
}

/// The bytes as text, without a byte order mark.
fn check_text(bytes: &[u8]) -> Result<&str, (u32, Problem)> {
    if usize::try_from(limits::DOCUMENT_FILE_BYTES).is_ok_and(|most| most < bytes.len()) {
        return Err((1, Problem::FileTooLarge { bytes: bytes.len() }));
    }
    let line_at = |end: usize| {
        let breaks = bytes.iter().take(end).filter(|byte| **byte == b'\n').count();
        u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err((line_at(at), Problem::Nul));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| (line_at(error.valid_up_to()), Problem::NotUtf8))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn line(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn scan_problem(error: &ScanError) -> (u32, Problem) {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    (line, Problem::Yaml(error.info()))
}

/// Puts events together to trees.
#[derive(Debug, Default)]
struct Builder {
    /// What is open, outermost first.
    open: Vec<Open>,
    /// What aliases may name, by the parser's number.
    anchors: BTreeMap<usize, Node>,
    /// Bytes copied for aliases so far.
    copied: usize,
    /// The fields of this document that are given again.
    repeated: Vec<(String, u32)>,
}

/// A collection that has not ended.
#[derive(Debug)]
struct Open {
    line: u32,
    anchor: usize,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Sequence(Vec<Node>),
    Mapping { fields: Vec<Field>, names: BTreeSet<String>, key: Option<Key> },
}

/// The name of a field whose value comes next.
#[derive(Debug)]
struct Key {
    name: String,
    line: u32,
    is_repeated: bool,
}

impl Builder {
    /// Forgets a document that cannot be read to its end.
    fn abandon(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.repeated.clear();
    }

    /// Where what is being read stands, as `spec.prefixes[2].cidr`.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.inside {
                Inside::Mapping { key: Some(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&clip(&key.name));
                }
                Inside::Mapping { key: None, .. } => {}
                Inside::Sequence(nodes) => path.push_str(&format!("[{}]", nodes.len())),
            }
        }
        path
    }

    fn take(&mut self, event: Event<'_>, span: &Span, done: &mut Vec<Tree>) -> Result<(), Problem> {
        if event.tag().is_some() {
            return Err(Problem::Tag);
        }
        let line = line(span);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.complete(Node { line, value }, anchor, done)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(line, anchor, Inside::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                let inside =
                    Inside::Mapping { fields: Vec::new(), names: BTreeSet::new(), key: None };
                self.begin(line, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.inside {
                    Inside::Sequence(nodes) => Value::Sequence(nodes),
                    Inside::Mapping { fields, .. } => Value::Mapping(fields),
                };
                self.complete(Node { line: open.line, value }, open.anchor, done)
            }
            Event::Alias(anchor) => {
                // An alias within what it names finds nothing here: that is not complete yet.
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(Problem::AliasOfItself);
                };
                self.copied = self.copied.saturating_add(node.cost());
                if limits::ALIAS_BYTES < self.copied {
                    return Err(Problem::TooManyAliases);
                }
                let node = node.clone();
                if limits::DOCUMENT_DEPTH < self.open.len() + depth(&node) {
                    return Err(Problem::TooDeep);
                }
                self.complete(node, 0, done)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | Event::Comment(..)
            | _ => Ok(()),
        }
    }

    fn begin(&mut self, line: u32, anchor: usize, inside: Inside) -> Result<(), Problem> {
        if limits::DOCUMENT_DEPTH <= self.open.len() {
            return Err(Problem::TooDeep);
        }
        self.open.push(Open { line, anchor, inside });
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, done: &mut Vec<Tree>) -> Result<(), Problem> {
        if anchor != 0 {
            // What is kept for aliases is charged like what is copied of it.
            self.copied = self.copied.saturating_add(node.cost());
            if limits::ALIAS_BYTES < self.copied {
                return Err(Problem::TooManyAliases);
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            let repeated = std::mem::take(&mut self.repeated);
            if !node.is_null() {
                done.push(Tree { node, repeated });
            }
            return Ok(());
        };
        match &mut open.inside {
            Inside::Sequence(nodes) => nodes.push(node),
            Inside::Mapping { fields, names, key } => match key.take() {
                Some(Key { is_repeated: true, .. }) => {}
                Some(Key { name, line, .. }) => fields.push(Field { name, line, node }),
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return Err(Problem::KeyNotText);
                    };
                    if text == "<<" {
                        return Err(Problem::MergeKey);
                    }
                    let is_repeated = !names.insert(text.clone());
                    *key = Some(Key { name: text, line: node.line, is_repeated });
                    if is_repeated && self.repeated.len() < limits::REPORTED_ERRORS {
                        self.repeated.push((self.path(), node.line));
                    }
                }
            },
        }
        Ok(())
    }
}

/// Levels of collections in a node.
fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 0,
        Value::Sequence(nodes) => 1 + nodes.iter().map(depth).max().unwrap_or(0),
        Value::Mapping(fields) => 1 + fields.iter().map(|f| depth(&f.node)).max().unwrap_or(0),
    }
}
