//! What came of the tenants of one set of documents, for the next: of a thousand
//! tenants one changes, and the others need not be judged again.
//!
//! Only a tenant about whom there was nothing to say is kept, and it is taken
//! over only while everything it was judged by is the same. Should it meet with
//! another tenant meanwhile, the whole set is judged anew, so that what is said
//! of it does not depend on what came before.

use super::class::CheckedClass;
use super::tenant::Draft;
use super::{Options, OwnKeys, Set};
use crate::config::document::Documents;
use crate::config::schema::{SiteAttachmentSpec, TenantGatewaySpec};
use crate::config::secrets::Secrets;
use crate::model::{Attachment, KernelFeatures, Placement, Site, Tenant};
use crate::net::{Mtu, SiteName, TenantName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of a set's judgement the next one can use.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    circumstances: Option<Circumstances>,
    classes: Arc<BTreeMap<String, Arc<CheckedClass>>>,
    tenants: Arc<BTreeMap<TenantName, Arc<Known>>>,
}

/// What every tenant is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Circumstances {
    placement: Placement,
    uplink_mtu: Option<Mtu>,
    kernel: KernelFeatures,
    secrets: [u8; 32],
}

/// A tenant about whom there was nothing to say.
#[derive(Debug)]
pub(super) struct Known {
    /// Which of the `TenantGateway` documents it is.
    document: usize,
    gateway: Arc<TenantGatewaySpec>,
    /// Its sites, each with which of the `SiteAttachment` documents it is.
    pub(super) sites: Vec<(usize, SiteName, Arc<SiteAttachmentSpec>)>,
    /// Whether it has a site on a VLAN or an interface.
    pub(super) has_links: bool,
    /// Whether its port is one it asked for.
    pub(super) asks_for_port: bool,
    pub(super) class: Arc<CheckedClass>,
    /// The keys that the daemon keeps for it.
    own_keys: Option<OwnKeys>,
    /// What came of it.
    pub(super) tenant: Arc<Tenant>,
}

impl Checked {
    /// What of this is of use under these circumstances.
    pub(super) fn under(&self, secrets: &Secrets, options: &Options) -> Self {
        let circumstances = Circumstances::new(secrets, options);
        if self.circumstances.as_ref() == Some(&circumstances) {
            return self.clone();
        }
        Self { circumstances: Some(circumstances), ..Self::default() }
    }

    /// `class`, as the very one it was before if it has not changed.
    pub(super) fn class(&self, class: CheckedClass) -> Arc<CheckedClass> {
        let same = self.classes.get(&class.class.name).filter(|before| ***before == class);
        same.map_or_else(|| Arc::new(class), Arc::clone)
    }

    /// The tenants that have none but the documents they had, each where it was.
    pub(super) fn with_the_same(
        &self,
        documents: &Documents,
    ) -> BTreeMap<&TenantName, &Arc<Known>> {
        let mut same: BTreeMap<&TenantName, &Arc<Known>> =
            self.tenants.iter().filter(|(_, known)| known.has_its_documents(documents)).collect();
        let mut is_known = vec![false; documents.sites.len()];
        for (index, ..) in same.values().flat_map(|known| &known.sites) {
            is_known[*index] = true;
        }
        let sites = documents.sites.iter().zip(is_known);
        for (document, _) in sites.filter(|(_, is_known)| !is_known) {
            let gateway = &document.spec.gateway_ref.name;
            if let Ok(name) = TenantName::new(&document.object.namespace, gateway) {
                same.remove(&name);
            }
        }
        same
    }

    /// What is of use to the next set, when this came of the present one.
    pub(super) fn next(
        self,
        classes: BTreeMap<String, Option<Arc<CheckedClass>>>,
        tenants: BTreeMap<TenantName, Arc<Known>>,
    ) -> Self {
        let classes = classes.into_iter().filter_map(|(name, class)| Some((name, class?)));
        let (classes, tenants) = (Arc::new(classes.collect()), Arc::new(tenants));
        Self { circumstances: self.circumstances, classes, tenants }
    }
}

impl Known {
    fn has_its_documents(&self, documents: &Documents) -> bool {
        let is_same = |(index, _, spec): &(usize, SiteName, Arc<SiteAttachmentSpec>)| {
            documents.sites.get(*index).is_some_and(|it| Arc::ptr_eq(&it.spec, spec))
        };
        let gateway = documents.gateways.get(self.document);
        gateway.is_some_and(|it| Arc::ptr_eq(&it.spec, &self.gateway))
            && self.sites.iter().all(is_same)
    }

    /// Whether the tenant is judged by the same class and keys as it was.
    pub(super) fn is_judged_by(&self, class: &Arc<CheckedClass>, options: &Options) -> bool {
        let own_keys = options.own_keys.get(&self.tenant.name).copied();
        Arc::ptr_eq(&self.class, class) && self.own_keys == own_keys
    }

    /// Of a draft of which `tenant` was made; `None` when there is something to
    /// say about it.
    pub(super) fn of(
        draft: &Draft,
        tenant: Arc<Tenant>,
        set: &Set<'_>,
        options: &Options,
    ) -> Option<Arc<Self>> {
        if let Some(known) = &draft.known {
            return Some(Arc::clone(known));
        }
        let gateway = draft.gateway.as_ref().filter(|_| draft.is_plain())?;
        let sites = draft.sites.iter();
        let spec = |index: usize| Arc::clone(&set.documents.sites[index].spec);
        let sites = sites.map(|(index, it)| (*index, it.site.name.clone(), spec(*index)));
        let is_link = |site: &Site| matches!(site.attachment, Attachment::Vlan(_));
        Some(Arc::new(Self {
            has_links: tenant.sites.values().any(is_link),
            document: draft.document,
            gateway: Arc::clone(&set.documents.gateways[draft.document].spec),
            sites: sites.collect(),
            asks_for_port: gateway.listen_port.is_some(),
            class: Arc::clone(&gateway.class),
            own_keys: options.own_keys.get(&draft.name).copied(),
            tenant,
        }))
    }
}

impl Circumstances {
    fn new(secrets: &Secrets, options: &Options) -> Self {
        let Options { placement, uplink_mtu, kernel, own_keys: _ } = options;
        let (placement, uplink_mtu, kernel) = (*placement, *uplink_mtu, *kernel);
        Self { placement, uplink_mtu, kernel, secrets: secrets.digest() }
    }
}
