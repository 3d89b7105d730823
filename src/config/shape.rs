//! What fields a document may have, taken from the JSON schema of its kind.
//!
//! The schema is made from the types in [`super::schema`], so what files
//! refuse and what the API server refuses come from one place.
//! Whether a number or a text means something sensible is not asked here.

use super::error::Problem;
use super::node::{Field, Node, Value};
use serde_json::{Map, Number, Value as Json};
use std::collections::BTreeMap;

/// What a value may look like.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Text, of these values when there are any.
    Text(Vec<String>),
    /// A whole number in a range.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// A whole number, or text.
    IntegerOrText,
    /// A list.
    List(Box<Self>),
    /// Fields, each with whether it must be there.
    Object(BTreeMap<String, (Self, bool)>),
    /// Anything.
    Any,
}

impl Shape {
    /// Reads a structural schema as the API server has it.
    pub(super) fn from_schema(schema: &Json) -> Self {
        if schema.get("x-kubernetes-int-or-string").is_some() {
            return Self::IntegerOrText;
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("string") => {
                let values = schema.get("enum").and_then(Json::as_array);
                let values = values.into_iter().flatten().filter_map(Json::as_str);
                Self::Text(values.map(str::to_owned).collect())
            }
            // Every number of the schema is a `u32`; narrower ranges are the
            // validation's, which says more than "out of range".
            Some("integer") => Self::Integer(0, i64::from(u32::MAX)),
            Some("boolean") => Self::Boolean,
            Some("array") => {
                Self::List(Box::new(schema.get("items").map_or(Self::Any, Self::from_schema)))
            }
            Some("object") => Self::object_from_schema(schema),
            Some(_) | None => Self::Any,
        }
    }

    fn object_from_schema(schema: &Json) -> Self {
        let Some(fields) = schema.get("properties").and_then(Json::as_object) else {
            return Self::Any;
        };
        let required = schema.get("required").and_then(Json::as_array);
        let is_required =
            |name: &str| required.is_some_and(|list| list.iter().any(|item| item == name));
        let field = |(name, schema): (&String, &Json)| {
            (name.clone(), (Self::from_schema(schema), is_required(name)))
        };
        Self::Object(fields.iter().map(field).collect())
    }

    /// Where in it a field of this name is, the nearest to the top.
    pub(super) fn path_of(&self, name: &str) -> Option<String> {
        match self {
            Self::List(inside) => inside.path_of(name).map(|path| format!("[].{path}")),
            Self::Object(fields) => {
                let here = fields.keys().find(|known| known.eq_ignore_ascii_case(name));
                let below = |(field, (shape, _)): (&String, &(Self, bool))| {
                    let path = shape.path_of(name)?;
                    let dot = if path.starts_with('[') { "" } else { "." };
                    Some(format!("{field}{dot}{path}"))
                };
                here.cloned().or_else(|| {
                    fields.iter().filter_map(below).min_by_key(|path| path.matches('.').count())
                })
            }
            Self::Text(_) | Self::Integer(..) | Self::Boolean | Self::IntegerOrText | Self::Any => {
                None
            }
        }
    }

    /// Reads `node` as JSON of this shape and hands every problem with its
    /// path and line to `found`. What has a problem is left out.
    pub(super) fn read(
        &self,
        node: &Node,
        path: &mut String,
        found: &mut impl FnMut(&str, u32, Problem),
    ) -> Option<Json> {
        match self {
            Self::Object(shapes) => read_object(shapes, node, path, found),
            Self::List(shape) => read_list(shape, node, path, found),
            Self::Any => Some(any(node)),
            Self::Text(_) | Self::Integer(..) | Self::Boolean | Self::IntegerOrText => {
                match self.read_scalar(node) {
                    Ok(json) => Some(json),
                    Err(problem) => {
                        found(path, node.line, problem);
                        None
                    }
                }
            }
        }
    }

    fn read_scalar(&self, node: &Node) -> Result<Json, Problem> {
        let expected = self.expected();
        let Value::Scalar { text, plain } = &node.value else {
            return Err(Problem::WrongShape { expected, found: kind_of(node) });
        };
        if node.is_null() {
            return Err(Problem::WrongShape { expected, found: "nothing" });
        }
        let integer = plain.then(|| decimal(text)).flatten();
        match self {
            Self::Integer(min, max) => match integer {
                Some(number) if (*min..=*max).contains(&number) => Ok(Json::from(number)),
                Some(_) => Err(Problem::IntegerRange { text: clip(text), min: *min, max: *max }),
                None if *plain && is_long_decimal(text) => {
                    Err(Problem::IntegerRange { text: clip(text), min: *min, max: *max })
                }
                None if !*plain && decimal(text).is_some() => Err(Problem::QuotedInteger),
                None => Err(Problem::NotAnInteger { text: clip(text) }),
            },
            Self::Boolean => match (text.as_str(), plain) {
                ("true", true) => Ok(Json::Bool(true)),
                ("false", true) => Ok(Json::Bool(false)),
                _ => Err(Problem::NotABoolean { text: clip(text) }),
            },
            Self::IntegerOrText => match integer.and_then(|number| i32::try_from(number).ok()) {
                Some(number) => Ok(Json::from(number)),
                None => Ok(Json::from(text.clone())),
            },
            Self::Text(values) if *plain && is_typed_elsewhere(text) && !values.contains(text) => {
                Err(Problem::AmbiguousText { text: clip(text) })
            }
            Self::Text(values) if !values.is_empty() && !values.contains(text) => {
                let nearest = nearest(text, values.iter().map(String::as_str));
                Err(Problem::NotOneOf { found: clip(text), expected: values.clone(), nearest })
            }
            Self::Text(_) | Self::List(_) | Self::Object(_) | Self::Any => {
                Ok(Json::from(text.clone()))
            }
        }
    }

    const fn expected(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(..) => "a number",
            Self::Boolean => "`true` or `false`",
            Self::IntegerOrText => "a number or text",
            Self::List(_) => "a list",
            Self::Object(_) => "a mapping",
            Self::Any => "something",
        }
    }
}

fn read_object(
    shapes: &BTreeMap<String, (Shape, bool)>,
    node: &Node,
    path: &mut String,
    found: &mut impl FnMut(&str, u32, Problem),
) -> Option<Json> {
    let Value::Mapping(fields) = &node.value else {
        let what = if node.is_null() { "nothing" } else { kind_of(node) };
        found(path, node.line, Problem::WrongShape { expected: "a mapping", found: what });
        return None;
    };
    let mut json = Map::new();
    let mut complete = true;
    for Field { name, line, node } in fields {
        let length = path.len();
        path.push('.');
        path.push_str(&clip(name));
        match shapes.get(name) {
            None => {
                // Nobody is to be led to put a secret under another name.
                let problem = if is_secrets_name(name) {
                    Problem::SecretInDocument
                } else {
                    unknown(name, shapes.keys().map(String::as_str))
                };
                found(path, *line, problem);
                complete = false;
            }
            // Nothing written is a field left out, as the API server has it.
            Some(_) if node.is_null() => {}
            Some((shape, _)) => match shape.read(node, path, found) {
                Some(value) => {
                    json.insert(name.clone(), value);
                }
                None => complete = false,
            },
        }
        path.truncate(length);
    }
    for (name, _) in shapes.iter().filter(|(_, (_, required))| *required) {
        if node.field(name).is_none_or(|field| field.node.is_null()) {
            found(&format!("{path}.{name}"), node.line, Problem::Missing);
            complete = false;
        }
    }
    complete.then_some(Json::Object(json))
}

/// Whether people keep a secret in a field of this name.
fn is_secrets_name(name: &str) -> bool {
    let lower = name.to_lowercase().replace(['-', '_'], "");
    ["privatekey", "presharedkey", "psk", "password", "secret"].contains(&lower.as_str())
}

fn read_list(
    shape: &Shape,
    node: &Node,
    path: &mut String,
    found: &mut impl FnMut(&str, u32, Problem),
) -> Option<Json> {
    let Value::Sequence(nodes) = &node.value else {
        let what = Problem::WrongShape { expected: "a list", found: kind_of(node) };
        found(path, node.line, what);
        return None;
    };
    let mut list = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let length = path.len();
        path.push_str(&format!("[{index}]"));
        list.extend(shape.read(node, path, found));
        path.truncate(length);
    }
    (list.len() == nodes.len()).then_some(Json::Array(list))
}

/// A value whose shape nobody looks at.
fn any(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => Json::Null,
        Value::Scalar { text, plain } => match (text.as_str(), plain) {
            ("true", true) => Json::Bool(true),
            ("false", true) => Json::Bool(false),
            (text, true) => {
                decimal(text).map_or_else(|| Json::from(text), |n| Json::Number(Number::from(n)))
            }
            (text, false) => Json::from(text),
        },
        Value::Sequence(nodes) => Json::Array(nodes.iter().map(any).collect()),
        Value::Mapping(fields) => Json::Object(
            fields.iter().map(|field| (field.name.clone(), any(&field.node))).collect(),
        ),
    }
}

/// A number in the one spelling that every reader of YAML takes for the same.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || leading_zero || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn is_long_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 18
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether some reader of YAML, 1.1 or 1.2, takes this plain text for a number
/// or a boolean.
fn is_typed_elsewhere(text: &str) -> bool {
    const WORDS: [&str; 12] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", ".inf", "-.inf", "+.inf", ".nan"];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let bare = digits.replace('_', "");
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().any(|(prefix, radix)| {
        let rest = bare.strip_prefix(prefix).unwrap_or("");
        !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix))
    });
    let begins_as_number = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    radix || (begins_as_number && bare.parse::<f64>().is_ok())
}

const fn kind_of(node: &Node) -> &'static str {
    match node.value {
        Value::Scalar { .. } => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}

/// Text of a document, as much of it as belongs into a message.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 64;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut clipped: String = text.chars().take(MOST).map(clean).collect();
    if text.chars().nth(MOST).is_some() {
        clipped.push('…');
    }
    clipped
}

/// The problem that `found` is none of `names`.
pub(super) fn unknown<'a>(found: &str, names: impl Iterator<Item = &'a str> + Clone) -> Problem {
    match nearest(found, names.clone()) {
        None => Problem::NoSuchField { known: names.map(str::to_owned).collect() },
        nearest => Problem::UnknownField { nearest },
    }
}

/// The name that was likely meant.
pub(super) fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    if found.len() > 64 {
        return None;
    }
    let lower = found.to_lowercase();
    let score = |name: &&str| strsim::jaro_winkler(&lower, &name.to_lowercase());
    let scored = names.map(|name| (score(&name), name)).filter(|(score, _)| *score > 0.8);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name.to_owned())
}
