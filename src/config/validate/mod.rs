//! Documents → [`Config`]: every check, every error at once.
//!
//! All or nothing for each tenant: one with an error in any of its documents
//! is left out and the others are not touched by it. Two things leave out one
//! site only: a Secret that is not as it has to be, and a VLAN or interface
//! that an older document has claimed.
//!
//! In reading order: [`validate`], `class`, `gateway`, `fabric`, `site` (one
//! document each), `tenant` (a tenant's sites together), `claims` (all tenants
//! together), `finding` (what a value means), `checked` (what the next set need
//! not be judged by again).

mod checked;
mod claims;
mod class;
mod fabric;
mod finding;
mod gateway;
mod neighbors;
mod policy;
mod probes;
mod reflectors;
mod site;
mod tenant;
mod vlan;

use super::document::{Document, Documents, Kind, ObjectName};
use super::error::{ConfigError, Errors, Problem};
use super::schema::{ConnectivityClassSpec, SecretKeyRef};
use super::secrets::Secrets;
use crate::model::{Ability, Config, KernelFeatures, Placement, Refusal, RefusalReason, limits};
use crate::net::{KeyError, Mtu, PasswordError, PublicKey, SiteName, TenantName};
pub use checked::Checked;
use checked::Known;
use class::CheckedClass;
use finding::Findings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenant::Draft;
use zeroize::Zeroizing;

/// The class of a gateway that names none.
const DEFAULT_CLASS: &str = "default";

/// The UDP ports that tenants have been given, so that they keep them.
pub type Allocations = BTreeMap<TenantName, u16>;

/// What the checks have to know beside the documents.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where tenants are put.
    pub placement: Placement,
    /// Who the gateway is to customers of tenants whose private key the daemon made.
    pub own_keys: BTreeMap<TenantName, OwnKeys>,
    /// The largest packet that leaves by the uplink whole; `None` where that is
    /// not known.
    pub uplink_mtu: Option<Mtu>,
    /// What the kernel can do that not every kernel can.
    pub kernel: KernelFeatures,
}

/// Who the gateway is to one tenant's customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnKeys {
    /// The key they all had.
    pub current: PublicKey,
    /// The key they change over to.
    pub next: Option<PublicKey>,
}

/// What came of the documents.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The tenants without errors, and what was refused.
    pub config: Config,
    /// What is wrong, those errors included that were found while reading.
    pub errors: Errors,
    /// What is no error and may be a mistake.
    pub notes: Errors,
    /// The ports given, to be handed in the next time.
    pub allocations: Allocations,
    /// What of this the next time need not be found out again.
    pub checked: Checked,
}

/// Why a Secret does not help. Nothing of what it holds is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("Secret `{name}` has no key `{key}`, or is not there")]
    Missing { name: String, key: String },
    #[error("Secret `{name}` has nothing in `{key}`")]
    Empty { name: String, key: String },
    #[error("Secret `{name}` holds no text in `{key}`")]
    NotText { name: String, key: String },
    #[error("what the Secret holds {0}")]
    NotAKey(KeyError),
    #[error("what the Secret holds {0}")]
    Password(PasswordError),
    #[error("what the Secret holds is all zero, which is no key")]
    AllZero,
}

/// What is given beside the documents.
pub(super) struct Inputs<'a> {
    secrets: &'a Secrets,
    options: &'a Options,
}

impl Inputs<'_> {
    /// The text of a Secret, blanks around it left out: files end in a newline.
    fn secret(
        &self,
        namespace: &str,
        secret: &SecretKeyRef,
    ) -> Result<Zeroizing<String>, Unresolved> {
        let (name, key) = (secret.name.clone(), secret.key.clone());
        let Some(bytes) = self.secrets.find(namespace, &name, &key) else {
            return Err(Unresolved::Missing { name, key });
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Unresolved::NotText { name, key });
        };
        match text.trim() {
            "" => Err(Unresolved::Empty { name, key }),
            text => Ok(Zeroizing::new(text.to_owned())),
        }
    }
}

/// Checks documents and makes a config of those without errors.
///
/// Given the same arguments it gives the same outcome. The caller decides what
/// errors mean: from files, a set with errors is not to be applied at all.
pub fn validate(
    documents: &Documents,
    secrets: &Secrets,
    allocations: &Allocations,
    options: &Options,
) -> Outcome {
    validate_after(documents, secrets, allocations, options, &Checked::default())
}

/// Does what [`validate`] does, to the same outcome. Tenants none of whose
/// documents changed since `earlier` are not judged again, and are then the very
/// same [`Arc`]s. For documents of [`Documents::parse_after`].
pub fn validate_after(
    documents: &Documents,
    secrets: &Secrets,
    allocations: &Allocations,
    options: &Options,
    earlier: &Checked,
) -> Outcome {
    let inputs = Inputs { secrets, options };
    let earlier = earlier.under(secrets, options);
    judge(documents, &inputs, allocations, earlier)
}

/// Judges the documents; once more, and all of them, when a tenant that was taken
/// over from `earlier` turns out to be not as it was.
fn judge(
    documents: &Documents,
    inputs: &Inputs<'_>,
    given: &Allocations,
    earlier: Checked,
) -> Outcome {
    let errors = documents.errors.clone();
    let options = inputs.options;
    let notes = Errors::default();
    let mut set = Set { documents, kernel: options.kernel, errors, notes, refused: Vec::new() };
    let classes = set.check_classes(inputs, &earlier);
    let mut drafts = set.check_gateways(&classes, inputs, &earlier);
    set.check_sites(&mut drafts, inputs);
    set.spoil_by_reading_errors(&mut drafts);
    for draft in drafts.values_mut() {
        tenant::check(draft, documents, &mut set);
    }
    let allocations = claims::check(&mut drafts, documents, given, &mut set);
    if drafts.values().any(|draft| draft.is_outdated(&allocations)) {
        let nothing = Checked::default().under(inputs.secrets, options);
        return judge(documents, inputs, given, nothing);
    }
    let mut config = Config { refused: std::mem::take(&mut set.refused), ..Config::default() };
    let mut known = BTreeMap::new();
    for (name, draft) in drafts {
        match draft.to_tenant(&allocations) {
            Ok((tenant, refused)) => {
                let kept = Known::of(&draft, Arc::clone(&tenant), &set, options);
                known.extend(kept.map(|kept| (name.clone(), kept)));
                config.refused.extend(refused);
                config.tenants.insert(name, tenant);
            }
            Err(refusals) => config.refused.extend(refusals),
        }
    }
    set.note_what_the_kernel_lacks(&config);
    set.errors.sort();
    config.refused.sort();
    config.refused.dedup();
    let checked = earlier.next(classes, known);
    Outcome { config, errors: set.errors, notes: set.notes, allocations, checked }
}

/// The documents while they are checked.
struct Set<'a> {
    documents: &'a Documents,
    kernel: KernelFeatures,
    errors: Errors,
    notes: Errors,
    refused: Vec<Refusal>,
}

impl Set<'_> {
    /// Takes over what was found in one document. Whether there was anything.
    fn report<S>(&mut self, document: &Document<S>, found: Findings) -> Option<String> {
        let first = found
            .0
            .first()
            .map(|(path, problem)| format!("{}: {path}: {problem}", document.object));
        for (path, problem) in found.0 {
            self.errors.push(document.error(path, problem));
        }
        first
    }

    /// The classes by name; `None` for one with errors.
    fn check_classes(
        &mut self,
        inputs: &Inputs<'_>,
        earlier: &Checked,
    ) -> BTreeMap<String, Option<Arc<CheckedClass>>> {
        let mut classes = BTreeMap::new();
        let documents = self.documents;
        for document in &documents.classes {
            let mut found = Findings::default();
            let class = class::check(&document.object.name, &document.spec, inputs, &mut found);
            let sound = self.report(document, found).is_none();
            let class = class.filter(|_| sound).map(|class| earlier.class(class));
            classes.insert(document.object.name.clone(), class);
        }
        let default = ObjectName {
            kind: Kind::ConnectivityClass,
            namespace: String::new(),
            name: DEFAULT_CLASS.to_owned(),
        };
        if documents.was_seen(&default) {
            // It was there and could not be read.
            classes.entry(default.name).or_insert(None);
        } else if !classes.contains_key(DEFAULT_CLASS) {
            let spec = ConnectivityClassSpec::default();
            let class = class::check(DEFAULT_CLASS, &spec, inputs, &mut Findings::default());
            classes.insert(DEFAULT_CLASS.to_owned(), class.map(|class| earlier.class(class)));
        }
        classes
    }

    fn check_gateways(
        &mut self,
        classes: &BTreeMap<String, Option<Arc<CheckedClass>>>,
        inputs: &Inputs<'_>,
        earlier: &Checked,
    ) -> BTreeMap<TenantName, Draft> {
        let mut drafts: BTreeMap<TenantName, Draft> = BTreeMap::new();
        let mut first = None;
        let documents = self.documents;
        let same_documents = earlier.with_the_same(documents);
        for (index, document) in documents.gateways.iter().enumerate() {
            let mut found = Findings::default();
            let object = &document.object;
            let name = match TenantName::new(&object.namespace, &object.name) {
                Ok(name) => name,
                Err(error) => {
                    self.errors.push(document.error("metadata.name", Problem::Name(error)));
                    continue;
                }
            };
            if limits::TENANTS <= drafts.len() {
                let problem = Problem::TooManyTenants { max: limits::TENANTS };
                self.errors.push(document.error("", problem));
                break;
            }
            if inputs.options.placement == Placement::Current {
                match &first {
                    Some(other) => found.note("", Problem::OnlyOneTenant(String::clone(other))),
                    None => first = Some(object.to_string()),
                }
            }
            let mut draft = Draft::new(name.clone(), index);
            draft.nmaas_domain = document.domain_id().ok().flatten();
            let class_name = &document.spec.class_name;
            match classes.get(class_name) {
                None => {
                    let problem = Problem::ClassNotFound(super::shape::clip(class_name));
                    draft.refuse(RefusalReason::ClassNotFound, problem.to_string());
                    found.note("spec.className", problem);
                }
                Some(None) => {
                    let problem = Problem::ClassInvalid(class_name.clone());
                    draft.refuse(RefusalReason::Invalid, problem.to_string());
                    found.note("spec.className", problem);
                }
                Some(Some(class)) => {
                    let same = |known: &&&Arc<Known>| known.is_judged_by(class, inputs.options);
                    let same = same_documents.get(&name).filter(same);
                    draft.known = same.filter(|_| found.0.is_empty()).map(|it| Arc::clone(it));
                    if draft.known.is_some() {
                        drafts.insert(name, draft);
                        continue;
                    }
                    draft.gateway = gateway::check(
                        name.clone(),
                        &document.spec,
                        Arc::clone(class),
                        inputs,
                        &mut found,
                    );
                }
            }
            if let Some(why) = draft.gateway.as_ref().and_then(|gateway| gateway.unresolved.clone())
            {
                draft.refuse(RefusalReason::SecretUnresolved, why.to_string());
            }
            if let Some(first) = self.report(document, found) {
                draft.refuse(RefusalReason::Invalid, first);
            }
            drafts.insert(name, draft);
        }
        drafts
    }

    fn check_sites(&mut self, drafts: &mut BTreeMap<TenantName, Draft>, inputs: &Inputs<'_>) {
        let documents = self.documents;
        let known = drafts.values().filter_map(|draft| draft.known.as_deref());
        let mut done = vec![false; documents.sites.len()];
        for (index, ..) in known.flat_map(|known| &known.sites) {
            done[*index] = true;
        }
        for (index, document) in documents.sites.iter().enumerate() {
            if done[index] {
                continue;
            }
            let (object, gateway_name) = (&document.object, &document.spec.gateway_ref.name);
            let path = "spec.gatewayRef.name";
            let names =
                (TenantName::new(&object.namespace, gateway_name), object.name.parse::<SiteName>());
            let (tenant, name) = match names {
                (Ok(tenant), Ok(name)) => (tenant, name),
                (Err(error), _) => {
                    self.errors.push(document.error(path, Problem::Name(error)));
                    continue;
                }
                (_, Err(error)) => {
                    self.errors.push(document.error("metadata.name", Problem::Name(error)));
                    continue;
                }
            };
            let Some(draft) = drafts.get_mut(&tenant) else {
                self.refuse_without_gateway(document, tenant, name);
                continue;
            };
            if limits::SITES_PER_TENANT <= draft.sites.len() {
                let problem = Problem::TooManySites { max: limits::SITES_PER_TENANT };
                draft.refuse(RefusalReason::Invalid, problem.to_string());
                self.errors.push(document.error("", problem));
                continue;
            }
            // Without its gateway's values a site cannot be judged, and the
            // gateway's own error is the one to repair first.
            let Some(gateway) = &draft.gateway else { continue };
            let mut found = Findings::default();
            let site = site::check(name, &document.spec, gateway, inputs, &mut found);
            if let Some(first) = self.report(document, found) {
                draft.refuse(RefusalReason::Invalid, first);
            }
            if let Some(site) = site {
                draft.sites.push((index, site));
            }
        }
    }

    /// What the kernel cannot do for any tenant is said once, of the first of them.
    fn note_what_the_kernel_lacks(&mut self, config: &Config) {
        let hears_arp = config.tenants.values().any(|tenant| tenant.hears_arp());
        if let (Ability::Missing, true, [first, ..]) =
            (self.kernel.arp, hears_arp, self.documents.gateways.as_slice())
        {
            self.notes.push(first.error("spec", Problem::NoKernelArp));
        }
        let with_ipip = config.tenants.values().find(|tenant| tenant.fabric.ipip.is_some());
        if let (Ability::Missing, Some(tenant)) = (self.kernel.ipip, with_ipip) {
            let is_its = |object: &ObjectName| {
                object.namespace == tenant.name.namespace() && object.name == tenant.name.name()
            };
            let mut documents = self.documents.gateways.iter();
            let document = documents.find(|document| is_its(&document.object));
            if let Some(document) = document {
                self.notes.push(document.error("spec.fabric.ipip", Problem::NoKernelIpip));
            }
        }
    }

    fn refuse_without_gateway<S>(
        &mut self,
        document: &Document<S>,
        tenant: TenantName,
        site: SiteName,
    ) {
        let gateway = ObjectName {
            kind: Kind::TenantGateway,
            namespace: tenant.namespace().to_owned(),
            name: tenant.name().to_owned(),
        };
        let problem = Problem::GatewayNotFound(tenant.name().to_owned());
        // It may be the document that nobody could read; that is the error to repair.
        let is_unreadable = |error: &ConfigError| error.object.is_none();
        let (reason, message) = if self.documents.was_seen(&gateway)
            || self.documents.errors.iter().any(is_unreadable)
        {
            (RefusalReason::Invalid, format!("{gateway} could not be read"))
        } else {
            (RefusalReason::GatewayNotFound, problem.to_string())
        };
        if reason == RefusalReason::GatewayNotFound {
            self.errors.push(document.error("spec.gatewayRef.name", problem));
        }
        self.refused.push(Refusal { tenant, site: Some(site), reason, message });
    }

    /// Leaves out tenants of which a document could not be read. Where nobody
    /// can tell whose it is, they are those with a document in the same file;
    /// a site that cannot be read is its namespace's.
    fn spoil_by_reading_errors(&self, drafts: &mut BTreeMap<TenantName, Draft>) {
        let mut files: BTreeMap<&Arc<str>, String> = BTreeMap::new();
        let mut namespaces: BTreeMap<&str, String> = BTreeMap::new();
        for error in &self.documents.errors {
            match (&error.object, &error.file) {
                (Some(object), _) => {
                    namespaces.entry(&object.namespace).or_insert_with(|| error.to_string());
                }
                (None, Some(file)) => {
                    files.entry(file).or_insert_with(|| error.to_string());
                }
                (None, None) => {}
            }
        }
        if files.is_empty() && namespaces.is_empty() {
            return;
        }
        let mut in_files: BTreeSet<(TenantName, &Arc<str>)> = BTreeSet::new();
        for document in &self.documents.gateways {
            let object = &document.object;
            if let (Ok(name), Some(file)) =
                (TenantName::new(&object.namespace, &object.name), &document.file)
            {
                in_files.insert((name, file));
            }
        }
        for document in &self.documents.sites {
            let gateway = &document.spec.gateway_ref.name;
            let name = TenantName::new(&document.object.namespace, gateway);
            if let (Ok(name), Some(file)) = (name, &document.file) {
                in_files.insert((name, file));
            }
        }
        for (tenant, file) in in_files {
            if let (Some(why), Some(draft)) = (files.get(file), drafts.get_mut(&tenant)) {
                draft.refuse(RefusalReason::Invalid, why.clone());
            }
        }
        for (tenant, draft) in drafts {
            if let Some(why) = namespaces.get(tenant.namespace()) {
                draft.refuse(RefusalReason::Invalid, why.clone());
            }
        }
    }
}
