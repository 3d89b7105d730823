//! Documents: read, told apart by kind and name, with the place of each.

use super::error::{ConfigError, Errors, Problem};
use super::node::{Field, Node, Value};
use super::schema::{
    API_VERSION, ConnectivityClass, ConnectivityClassSpec, SiteAttachment, SiteAttachmentSpec,
    TenantGateway, TenantGatewaySpec,
};
use super::shape::{Shape, clip, nearest, unknown};
use super::yaml::{self, Tree};
use crate::net::SiteName;
use kube::core::crd::CustomResourceExt;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The namespace of a document that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `ConnectivityClass`.
    ConnectivityClass,
    /// `TenantGateway`.
    TenantGateway,
    /// `SiteAttachment`.
    SiteAttachment,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ConnectivityClass, Self::TenantGateway, Self::SiteAttachment];

    /// As a document writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectivityClass => "ConnectivityClass",
            Self::TenantGateway => "TenantGateway",
            Self::SiteAttachment => "SiteAttachment",
        }
    }

    fn shape(self) -> &'static Shape {
        static SHAPES: LazyLock<[Shape; 3]> = LazyLock::new(|| {
            [ConnectivityClass::crd(), TenantGateway::crd(), SiteAttachment::crd()].map(|crd| {
                let schema =
                    crd.spec.versions.into_iter().next().and_then(|version| version.schema);
                let schema = schema.and_then(|schema| schema.open_api_v3_schema);
                let schema = schema.and_then(|schema| schema.properties?.remove("spec"));
                let json = serde_json::to_value(schema).unwrap_or_default();
                Shape::from_schema(&json)
            })
        });
        match self {
            Self::ConnectivityClass => &SHAPES[0],
            Self::TenantGateway => &SHAPES[1],
            Self::SiteAttachment => &SHAPES[2],
        }
    }
}

/// Which document: kind, namespace and name.
///
/// Written `SiteAttachment/hq`, or `SiteAttachment/acme/hq` outside of the
/// namespace `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// What it is about.
    pub kind: Kind,
    /// The namespace; empty for a `ConnectivityClass`.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.name.is_empty() {
            return Ok(());
        }
        f.write_str("/")?;
        if !self.namespace.is_empty() && self.namespace != DEFAULT_NAMESPACE {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// One document, its shape checked, its values not.
#[derive(Clone, Debug)]
pub struct Document<S> {
    /// The file; `None` for one that came from a cluster.
    pub file: Option<Arc<str>>,
    /// Which one it is.
    pub object: ObjectName,
    /// What it asks for.
    pub spec: S,
    node: Option<Node>,
}

impl<S> Document<S> {
    /// The line `path` is on, when the document came from a file.
    pub fn line_of(&self, path: &str) -> Option<u32> {
        self.node.as_ref().map(|node| node.line_of(path))
    }

    /// The error that `path` has this problem.
    pub(super) fn error(&self, path: impl Into<String>, problem: Problem) -> ConfigError {
        let path = path.into();
        ConfigError {
            file: self.file.clone(),
            line: self.line_of(&path),
            object: Some(self.object.clone()),
            path,
            problem,
        }
    }
}

/// All documents there are, in the order given: of two that claim the same
/// thing, the earlier one has it.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    pub(super) classes: Vec<Document<ConnectivityClassSpec>>,
    pub(super) gateways: Vec<Document<TenantGatewaySpec>>,
    pub(super) sites: Vec<Document<SiteAttachmentSpec>>,
    pub(super) errors: Errors,
    seen: BTreeMap<ObjectName, (Option<Arc<str>>, u32)>,
}

impl Documents {
    /// Reads files, each by name and content, in the order given. Never fails:
    /// what is wrong is in [`Self::errors`].
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut documents = Self::default();
        for (name, bytes) in files {
            let name: Arc<str> = Arc::from(name);
            let file = yaml::read(bytes);
            for (line, problem) in file.problems {
                documents.errors.push(ConfigError {
                    file: Some(Arc::clone(&name)),
                    line: Some(line),
                    object: None,
                    path: String::new(),
                    problem,
                });
            }
            for tree in file.documents {
                documents.take(&name, tree);
            }
        }
        documents
    }

    /// What is wrong with the documents so far.
    pub const fn errors(&self) -> &Errors {
        &self.errors
    }

    /// Whether a file names this object, readable or not.
    pub(super) fn was_seen(&self, object: &ObjectName) -> bool {
        self.seen.contains_key(object)
    }

    /// The documents that `newer` does not name any more.
    pub fn gone_from<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = &'a ObjectName> {
        let classes = self.classes.iter().map(|document| &document.object);
        let gateways = self.gateways.iter().map(|document| &document.object);
        let sites = self.sites.iter().map(|document| &document.object);
        classes.chain(gateways).chain(sites).filter(|object| !newer.was_seen(object))
    }

    /// Forgets where in a file each value stands, which is most of what a
    /// document takes. Later errors name no line.
    pub fn forget_text(&mut self) {
        self.classes.iter_mut().for_each(|document| document.node = None);
        self.gateways.iter_mut().for_each(|document| document.node = None);
        self.sites.iter_mut().for_each(|document| document.node = None);
    }

    /// The `ConnectivityClass` documents.
    pub fn classes(&self) -> &[Document<ConnectivityClassSpec>] {
        &self.classes
    }

    /// The `TenantGateway` documents.
    pub fn gateways(&self) -> &[Document<TenantGatewaySpec>] {
        &self.gateways
    }

    /// The `SiteAttachment` documents.
    pub fn sites(&self) -> &[Document<SiteAttachmentSpec>] {
        &self.sites
    }

    /// Takes a class that came from a cluster.
    pub fn push_class(&mut self, class: ConnectivityClass) {
        let object = object(Kind::ConnectivityClass, None, class.metadata.name);
        self.classes.push(Document { file: None, object, spec: class.spec, node: None });
    }

    /// Takes a gateway that came from a cluster.
    pub fn push_gateway(&mut self, gateway: TenantGateway) {
        let metadata = gateway.metadata;
        let object = object(Kind::TenantGateway, metadata.namespace, metadata.name);
        self.gateways.push(Document { file: None, object, spec: gateway.spec, node: None });
    }

    /// Takes a site that came from a cluster.
    pub fn push_site(&mut self, site: SiteAttachment) {
        let metadata = site.metadata;
        let object = object(Kind::SiteAttachment, metadata.namespace, metadata.name);
        self.sites.push(Document { file: None, object, spec: site.spec, node: None });
    }

    /// Takes one document of a file.
    fn take(&mut self, file: &Arc<str>, tree: Tree) {
        let Tree { node, repeated } = tree;
        let mut head = Head { file, object: None, errors: &mut self.errors };
        let object = head.read(&node);
        for (path, line) in repeated {
            head.found(&path, line, Problem::Twice);
        }
        let Some(object) = object else { return };
        if let Some((other, line)) = self.seen.get(&object) {
            let other = other.as_deref().unwrap_or_default().to_owned();
            head.found("", node.line, Problem::DuplicateObject { file: other, line: *line });
            return;
        }
        self.seen.insert(object.clone(), (Some(Arc::clone(file)), node.line));
        let file = Some(Arc::clone(file));
        match object.kind {
            Kind::ConnectivityClass => {
                if let Some(spec) = head.spec(&node, object.kind) {
                    self.classes.push(Document { file, object, spec, node: Some(node) });
                }
            }
            Kind::TenantGateway => {
                if let Some(spec) = head.spec(&node, object.kind) {
                    self.gateways.push(Document { file, object, spec, node: Some(node) });
                }
            }
            Kind::SiteAttachment => {
                if let Some(spec) = head.spec(&node, object.kind) {
                    self.sites.push(Document { file, object, spec, node: Some(node) });
                }
            }
        }
    }
}

fn object(kind: Kind, namespace: Option<String>, name: Option<String>) -> ObjectName {
    let namespace = match kind {
        Kind::ConnectivityClass => String::new(),
        Kind::TenantGateway | Kind::SiteAttachment => {
            namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
        }
    };
    ObjectName { kind, namespace, name: name.unwrap_or_default() }
}

/// Reads what stands around a spec.
struct Head<'a> {
    file: &'a Arc<str>,
    object: Option<ObjectName>,
    errors: &'a mut Errors,
}

impl Head<'_> {
    fn found(&mut self, path: &str, line: u32, problem: Problem) {
        self.errors.push(ConfigError {
            file: Some(Arc::clone(self.file)),
            line: Some(line),
            object: self.object.clone(),
            path: path.to_owned(),
            problem,
        });
    }

    /// Reads kind and name, and refuses what is beside them.
    fn read(&mut self, node: &Node) -> Option<ObjectName> {
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
    fn spec<S: DeserializeOwned>(&mut self, node: &Node, kind: Kind) -> Option<S> {
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
            Ok(spec) => Some(spec),
            Err(error) => {
                self.found("spec", spec.line, Problem::Structure(error.to_string()));
                None
            }
        }
    }
}
