//! Documents: read, told apart by kind and name, with the place of each.

use super::error::{ConfigError, Errors, Problem};
use super::head::Head;
use super::look::Look;
use super::node::Node;
use super::schema::{
    ConnectivityClass, ConnectivityClassSpec, SiteAttachment, SiteAttachmentSpec, TenantGateway,
    TenantGatewaySpec,
};
use super::shape::{Shape, clip};
use super::yaml::{self, Tree};
use crate::model::DomainId;
use kube::core::crd::CustomResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

/// The namespace of a document that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    pub(super) fn shape(self) -> &'static Shape {
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub object: Arc<ObjectName>,
    /// What it asks for.
    pub spec: Arc<S>,
    /// What a site's two public keys look like. That takes long to find out, so
    /// copies of the document have it too.
    pub(super) looks: Arc<[OnceLock<Look>; 2]>,
    /// What a gateway's annotation [`DomainId::ANNOTATION`] says.
    pub(super) domain: Option<Arc<str>>,
    node: Option<Node>,
}

impl<S> Document<S> {
    fn new(
        file: Option<Arc<str>>,
        object: impl Into<Arc<ObjectName>>,
        spec: Arc<S>,
        node: Option<Node>,
    ) -> Self {
        let object = object.into();
        Self { file, object, spec, looks: Arc::default(), domain: None, node }
    }

    /// The same document, without where in its file each value stands.
    pub(super) fn without_text(&self) -> Self {
        let (file, object) = (self.file.clone(), Arc::clone(&self.object));
        let (spec, looks) = (Arc::clone(&self.spec), Arc::clone(&self.looks));
        Self { file, object, spec, looks, domain: self.domain.clone(), node: None }
    }

    /// The line `path` is on, when the document came from a file.
    pub fn line_of(&self, path: &str) -> Option<u32> {
        self.node.as_ref().map(|node| node.line_of(path))
    }

    /// The domain of NMaaS that the gateway's annotation names.
    ///
    /// # Errors
    /// The text, when it names none.
    pub(super) fn domain_id(&self) -> Result<Option<DomainId>, String> {
        let Some(text) = &self.domain else { return Ok(None) };
        text.parse().map(Some).map_err(|_| clip(text))
    }

    /// The error that `path` has this problem.
    pub(super) fn error(&self, path: impl Into<String>, problem: Problem) -> ConfigError {
        let path = path.into();
        ConfigError {
            file: self.file.clone(),
            line: self.line_of(&path),
            object: Some((*self.object).clone()),
            path,
            problem,
        }
    }
}

/// The file and line that each object is named in first.
pub(super) type Seen = HashMap<Arc<ObjectName>, (Option<Arc<str>>, u32)>;

/// All documents there are, in the order given: of two that claim the same
/// thing, the earlier one has it.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    pub(super) classes: Vec<Document<ConnectivityClassSpec>>,
    pub(super) gateways: Vec<Document<TenantGatewaySpec>>,
    pub(super) sites: Vec<Document<SiteAttachmentSpec>>,
    pub(super) errors: Errors,
    pub(super) seen: Seen,
    /// What stood in each file.
    pub(super) files: BTreeMap<Arc<str>, Arc<[u8]>>,
}

impl Documents {
    /// Reads files, each by name and content, in the order given. Never fails:
    /// what is wrong is in [`Self::errors`].
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self::parse_all(files.into_iter().map(|(name, bytes)| (name, Arc::from(bytes))))
    }

    pub(super) fn parse_all<'a>(files: impl IntoIterator<Item = (&'a str, Arc<[u8]>)>) -> Self {
        let mut documents = Self::default();
        for (name, bytes) in files {
            documents.take_file(name, &bytes);
        }
        documents
    }

    pub(super) fn take_file(&mut self, name: &str, bytes: &Arc<[u8]>) {
        let name: Arc<str> = Arc::from(name);
        let file = yaml::read(bytes);
        for (line, problem) in file.problems {
            self.errors.push(ConfigError {
                file: Some(Arc::clone(&name)),
                line: Some(line),
                object: None,
                path: String::new(),
                problem,
            });
        }
        for tree in file.documents {
            self.take(&name, tree);
        }
        self.files.insert(name, Arc::clone(bytes));
    }

    /// Whether there are documents whose lines are not known any more.
    pub fn lacks_lines(&self) -> bool {
        let lost = |file: &Option<Arc<str>>, node: &Option<Node>| file.is_some() && node.is_none();
        self.classes.iter().any(|document| lost(&document.file, &document.node))
            || self.gateways.iter().any(|document| lost(&document.file, &document.node))
            || self.sites.iter().any(|document| lost(&document.file, &document.node))
    }

    /// What is wrong with the documents so far.
    pub const fn errors(&self) -> &Errors {
        &self.errors
    }

    /// Whether a file names this object, readable or not.
    pub(super) fn was_seen(&self, object: &ObjectName) -> bool {
        self.seen.contains_key(object)
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
        self.classes.push(Document::new(None, object, Arc::new(class.spec), None));
    }

    /// Takes a gateway that came from a cluster.
    pub fn push_gateway(&mut self, gateway: TenantGateway) {
        let metadata = gateway.metadata;
        let object = object(Kind::TenantGateway, metadata.namespace, metadata.name);
        let mut document = Document::new(None, object, Arc::new(gateway.spec), None);
        let annotation = metadata.annotations.and_then(|mut it| it.remove(DomainId::ANNOTATION));
        document.domain = annotation.map(Arc::from);
        self.gateways.push(document);
    }

    /// Takes a site that came from a cluster.
    pub fn push_site(&mut self, site: SiteAttachment) {
        let metadata = site.metadata;
        let object = object(Kind::SiteAttachment, metadata.namespace, metadata.name);
        self.sites.push(Document::new(None, object, Arc::new(site.spec), None));
    }

    /// Takes one document of a file.
    fn take(&mut self, file: &Arc<str>, tree: Tree) {
        let Tree { node, repeated } = tree;
        let mut head = Head::new(file, &mut self.errors);
        let object = head.read(&node);
        for (path, line) in repeated {
            head.found(&path, line, Problem::Twice);
        }
        let Some(object) = object.map(Arc::new) else { return };
        if !see(&mut self.seen, &mut self.errors, file, &object, node.line) {
            return;
        }
        let mut head = Head::of(file, (*object).clone(), &mut self.errors);
        let file = Some(Arc::clone(file));
        match object.kind {
            Kind::ConnectivityClass => {
                if let Some(spec) = head.spec(&node) {
                    self.classes.push(Document::new(file, object, spec, Some(node)));
                }
            }
            Kind::TenantGateway => {
                if let Some(spec) = head.spec(&node) {
                    let domain = annotation(&node, DomainId::ANNOTATION);
                    let document = Document::new(file, object, spec, Some(node));
                    self.gateways.push(Document { domain, ..document });
                }
            }
            Kind::SiteAttachment => {
                if let Some(spec) = head.spec(&node) {
                    self.sites.push(Document::new(file, object, spec, Some(node)));
                }
            }
        }
    }
}

/// The text of an annotation.
fn annotation(node: &Node, name: &str) -> Option<Arc<str>> {
    let annotations = node.field("metadata")?.node.field("annotations")?;
    annotations.node.field(name)?.node.text().map(Arc::from)
}

/// Takes notice that `file` names `object`. Whether it is the first to do so; if
/// not, that is an error.
fn see(
    seen: &mut Seen,
    errors: &mut Errors,
    file: &Arc<str>,
    object: &Arc<ObjectName>,
    line: u32,
) -> bool {
    let Some((other, first)) = seen.get(object) else {
        seen.insert(Arc::clone(object), (Some(Arc::clone(file)), line));
        return true;
    };
    let other = other.as_deref().unwrap_or_default().to_owned();
    errors.push(ConfigError {
        file: Some(Arc::clone(file)),
        line: Some(line),
        object: Some((**object).clone()),
        path: String::new(),
        problem: Problem::DuplicateObject { file: other, line: *first },
    });
    false
}

pub(super) fn object(kind: Kind, namespace: Option<String>, name: Option<String>) -> ObjectName {
    let namespace = match kind {
        Kind::ConnectivityClass => String::new(),
        Kind::TenantGateway | Kind::SiteAttachment => {
            namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
        }
    };
    ObjectName { kind, namespace, name: name.unwrap_or_default() }
}
