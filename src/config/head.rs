//! What stands around a spec: version, kind, name; and the spec's own shape.

use super::document::{Kind, ObjectName, object};
use super::error::{ConfigError, Errors, Problem};
use super::node::{Field, Node, Value};
use super::schema::API_VERSION;
use super::shape::{Shape, clip, nearest, unknown};
use crate::net::SiteName;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Reads what stands around a spec.
pub(super) struct Head<'a> {
    file: &'a Arc<str>,
    object: Option<ObjectName>,
    errors: &'a mut Errors,
}

impl<'a> Head<'a> {
    /// Of a document of `file`, not yet known which.
    pub(super) const fn new(file: &'a Arc<str>, errors: &'a mut Errors) -> Self {
        Self { file, object: None, errors }
    }

    /// Of the document `object` of `file`.
    pub(super) const fn of(file: &'a Arc<str>, object: ObjectName, errors: &'a mut Errors) -> Self {
        Self { file, object: Some(object), errors }
    }

    /// Takes notice of what is wrong.
    pub(super) fn found(&mut self, path: &str, line: u32, problem: Problem) {
        self.errors.push(ConfigError {
            file: Some(Arc::clone(self.file)),
            line: Some(line),
            object: self.object.clone(),
            path: path.to_owned(),
            problem,
        });
    }

    /// Reads kind and name, and refuses what is beside them.
    pub(super) fn read(&mut self, node: &Node) -> Option<ObjectName> {
        const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
        if !matches!(node.value, Value::Mapping(_)) {
            self.found("", node.line, Problem::NotADocument);
            return None;
        }
        let kind = self.kind(node);
        let metadata = node.field("metadata");
        let text = |name| {
            metadata.and_then(|field| field.node.field(name)?.node.text().map(str::to_owned))
        };
        if let Some(kind) = kind {
            let namespace = text("namespace").filter(|text| !text.is_empty());
            self.object = Some(object(
                kind,
                namespace.map(|text| clip(&text)),
                text("name").map(|text| clip(&text)),
            ));
        }
        self.api_version(node);
        for Field { name, line, .. } in node.fields() {
            if !FIELDS.contains(&name.as_str()) {
                self.found(&clip(name), *line, unknown(name, FIELDS.into_iter()));
            }
        }
        let named = self.metadata(node, kind);
        if node.field("spec").is_none_or(|field| field.node.is_null())
            && kind != Some(Kind::ConnectivityClass)
        {
            self.found("spec", node.line, Problem::Missing);
            return None;
        }
        if named { self.object.clone() } else { None }
    }

    fn kind(&mut self, node: &Node) -> Option<Kind> {
        let Some(field) = node.field("kind").filter(|field| !field.node.is_null()) else {
            self.found("kind", node.line, Problem::Missing);
            return None;
        };
        let text = field.node.text().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        if kind.is_none() {
            let nearest = nearest(text, Kind::ALL.iter().map(|kind| kind.name()));
            self.found("kind", field.line, Problem::UnknownKind { found: clip(text), nearest });
        }
        kind
    }

    fn api_version(&mut self, node: &Node) {
        match node.field("apiVersion").filter(|field| !field.node.is_null()) {
            None => self.found("apiVersion", node.line, Problem::Missing),
            Some(field) if field.node.text() == Some(API_VERSION) => {}
            Some(field) => {
                let found = clip(field.node.text().unwrap_or_default());
                self.found(
                    "apiVersion",
                    field.line,
                    Problem::ApiVersion { found, expected: API_VERSION },
                );
            }
        }
    }

    /// Checks the metadata; whether it tells which document this is.
    fn metadata(&mut self, node: &Node, kind: Option<Kind>) -> bool {
        // What the API server adds is let pass, so that an exported object is a document.
        const OTHERS: [&str; 12] = [
            "name",
            "namespace",
            "labels",
            "annotations",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
            "finalizers",
            "ownerReferences",
            "selfLink",
        ];
        let Some(field) = node.field("metadata").filter(|field| !field.node.is_null()) else {
            self.found("metadata", node.line, Problem::Missing);
            return false;
        };
        if !matches!(field.node.value, Value::Mapping(_)) {
            let problem = Problem::WrongShape { expected: "a mapping", found: "something else" };
            self.found("metadata", field.line, problem);
            return false;
        }
        let (mut named, mut sound) = (false, true);
        for Field { name, line, node } in field.node.fields() {
            let path = format!("metadata.{}", clip(name));
            match name.as_str() {
                "name" | "namespace" => {
                    let mut problems = Vec::new();
                    let text = Shape::Text(Vec::new()).read(
                        node,
                        &mut path.clone(),
                        &mut |_, line, problem| {
                            problems.push((line, problem));
                        },
                    );
                    for (line, problem) in problems {
                        self.found(&path, line, problem);
                    }
                    match kind {
                        Some(Kind::ConnectivityClass) if name == "namespace" => {
                            self.found(&path, *line, Problem::NamespaceOnCluster);
                        }
                        _ => {}
                    }
                    let text = text.and_then(|json| json.as_str().map(str::parse::<SiteName>));
                    match text {
                        Some(Err(error)) => {
                            self.found(&path, *line, Problem::Name(error));
                            sound = false;
                        }
                        Some(Ok(_)) if name == "name" => named = true,
                        Some(Ok(_)) | None => {}
                    }
                }
                other if OTHERS.contains(&other) => {}
                other => {
                    // What a person writes; the rest is the API server's.
                    let known = OTHERS.into_iter().take(4);
                    self.found(&path, *line, unknown(other, known));
                }
            }
        }
        if field.node.field("name").is_none() {
            self.found("metadata.name", field.line, Problem::Missing);
        }
        named && sound
    }

    /// Reads the spec.
    pub(super) fn spec<S: DeserializeOwned>(&mut self, node: &Node) -> Option<Arc<S>> {
        let kind = self.object.as_ref()?.kind;
        let empty = Node { line: node.line, value: Value::Mapping(Vec::new()) };
        let written = node.field("spec").map(|field| &field.node).filter(|node| !node.is_null());
        let spec = written.unwrap_or(&empty);
        let mut path = String::from("spec");
        let mut problems = Vec::new();
        let json = kind.shape().read(spec, &mut path, &mut |path, line, problem| {
            if problems.len() <= crate::model::limits::REPORTED_ERRORS {
                problems.push((path.to_owned(), line, problem));
            }
        });
        for (path, line, problem) in problems {
            // It may be known elsewhere in the document, a level higher or lower.
            let name = path.rsplit('.').next().unwrap_or_default();
            let is_unknown = matches!(problem, Problem::NoSuchField { .. });
            let place = if is_unknown { kind.shape().path_of(name) } else { None };
            let problem = match place.map(|place| format!("spec.{place}")) {
                None => problem,
                nearest => Problem::UnknownField { nearest },
            };
            self.found(&path, line, problem);
        }
        match serde_json::from_value(json?) {
            Ok(spec) => Some(Arc::new(spec)),
            Err(error) => {
                self.found("spec", spec.line, Problem::Structure(error.to_string()));
                None
            }
        }
    }
}
