//! A document as a tree of text with line numbers.
//!
//! What a scalar means is not decided here: that takes the field it is for.
//! So `no`, `0777` and `1_000` stay as they were written, and nothing is guessed.

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The line it begins on, from 1.
    pub(super) line: u32,
    /// The value.
    pub(super) value: Value,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Text.
    Scalar {
        /// As written, escapes resolved.
        text: String,
        /// Whether it stands without quotes, so that other readers of YAML
        /// give it a type by its looks.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Fields in the order written, no name twice.
    Mapping(Vec<Field>),
}

/// A field of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: String,
    /// The line its name is on.
    pub(super) line: u32,
    /// What it holds.
    pub(super) node: Node,
}

impl Node {
    /// Whether nothing is written, or that nothing is meant.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::Sequence(_) | Value::Mapping(_) => false,
        }
    }

    /// The fields; none when it is no mapping.
    pub(super) fn fields(&self) -> &[Field] {
        match &self.value {
            Value::Mapping(fields) => fields,
            Value::Scalar { .. } | Value::Sequence(_) => &[],
        }
    }

    /// The field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The text, when it is a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// What a copy of it costs, in bytes, roughly.
    pub(super) fn cost(&self) -> usize {
        let inside = match &self.value {
            Value::Scalar { text, .. } => text.len(),
            Value::Sequence(nodes) => nodes.iter().map(Self::cost).sum(),
            Value::Mapping(fields) => {
                fields.iter().map(|field| field.name.len() + field.node.cost()).sum()
            }
        };
        size_of::<Field>() + inside
    }

    /// The line of what `path` (`spec.prefixes[2].cidr`) names, or of the
    /// nearest thing above it that is written.
    pub(super) fn line_of(&self, path: &str) -> u32 {
        let (mut node, mut line) = (self, self.line);
        for step in path.split('.') {
            let (name, indexes) = step.split_once('[').unwrap_or((step, ""));
            let Some(field) = node.field(name) else { return line };
            (node, line) = (&field.node, field.line);
            for index in indexes.split('[').filter_map(|text| text.strip_suffix(']')?.parse().ok())
            {
                let Value::Sequence(nodes) = &node.value else { return line };
                let index: usize = index;
                let Some(next) = nodes.get(index) else { return line };
                (node, line) = (next, next.line);
            }
        }
        line
    }
}
