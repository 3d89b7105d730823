//! The documents of a domain: one tenant with one site.

use super::flaw::{FormFlaw, FormProblem};
use super::form::{Form, Remark, Technology};
use super::reader::field;
use crate::config::import::documents::fabric_addresses;
use crate::config::import::text::{HostText, Joined, Quiet};
use crate::config::schema::API_VERSION;
use crate::model::{DomainId, Host};
use crate::net::{
    InterfaceAddress, LinkName, NameError, Prefix, PublicKey, SiteName, TenantName, VlanId,
    outermost,
};
use std::fmt::{self, Write};
use std::net::IpAddr;

/// What stands for a key that only the customer has; no key, so that `check` finds it.
const PLACEHOLDER: &str = "PUBLIC-KEY-OF-THE-CUSTOMERS-ROUTER";

/// A VLAN the operator has for the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The trunk.
    pub parent: LinkName,
    /// The tag.
    pub id: VlanId,
}

/// What no form says.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// What the file is called, for the comment at the head.
    pub file: String,
    /// The name of the `TenantGateway`.
    pub gateway: String,
    /// The site's name; the codename when `None`.
    pub site: Option<SiteName>,
    /// The class.
    pub class: Option<String>,
    /// The applications' networks.
    pub apps: Vec<Prefix>,
    /// The domain's number in NMaaS.
    pub domain: Option<DomainId>,
    /// The customer's public key.
    pub public_key: Option<PublicKey>,
    /// The port the customer's tunnels come to.
    pub listen_port: Option<u16>,
    /// The port at which the customer's router is dialled.
    pub endpoint_port: Option<u16>,
    /// Our addresses in the tunnel, or on the VLAN.
    pub addresses: Vec<InterfaceAddress>,
    /// The VLAN.
    pub vlan: Option<Vlan>,
    /// The customer's router on it.
    pub next_hops: Vec<IpAddr>,
}

/// Documents, and what is to be known of them.
#[derive(Clone, Debug)]
pub struct Made {
    /// Whose they are.
    pub tenant: TenantName,
    /// The documents.
    pub text: String,
    /// What was not taken over, and what is to be looked at.
    pub remarks: Vec<Remark>,
    /// Whether the customer's public key is still to be put in.
    pub lacks_key: bool,
}

/// Makes the documents of a request.
///
/// # Errors
/// Everything that is missing or does not fit, with its path or option.
pub fn documents(form: &Form, wishes: &Wishes) -> Result<Made, Vec<FormFlaw>> {
    let mut flaws = Vec::new();
    let mut flaw = |path: &str, problem| flaws.push(FormFlaw { path: path.to_owned(), problem });
    let fabric = fabric_addresses(&wishes.apps);
    if wishes.apps.is_empty() {
        flaw("--app", FormProblem::NoApps);
    } else if fabric.is_empty() {
        flaw("--app", FormProblem::NoRoom);
    }
    let mut remarks = form.remarks.clone();
    let prefixes = networks(form, &mut remarks);
    if prefixes.is_empty() {
        flaw(&field(&form.within, "userSubnets"), FormProblem::NoNetworks);
    }
    if form.technology.is_none() {
        let why = "say --technology, and WireGuard is what most have";
        flaw(&field(&form.within, "vpnTechnology"), FormProblem::Missing(why));
    }
    unfit_options(form, wishes, &mut flaw);
    let tenant = TenantName::new(&form.namespace, &wishes.gateway);
    let wrong = |_: &NameError| FormProblem::Namespace(form.namespace.clone());
    if let Err(error) = &tenant {
        flaw("", wrong(error));
    }
    let (Ok(tenant), Some(technology), true) = (tenant, form.technology, flaws.is_empty()) else {
        return Err(flaws);
    };
    let lacks_key = technology == Technology::WireGuard && wishes.public_key.is_none();
    note_dialling(form, wishes, technology, &mut remarks);
    let draft = Draft { form, wishes, technology, tenant: &tenant, prefixes: &prefixes };
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = draft.write(&mut text, &fabric, &remarks);
    Ok(Made { tenant, text, remarks, lacks_key })
}

/// The site's networks: no default route, and none that is in another.
fn networks(form: &Form, remarks: &mut Vec<Remark>) -> Vec<Prefix> {
    let mut note = |path: &str, text: String| remarks.push(Remark { path: path.to_owned(), text });
    for subnet in form.subnets.iter().filter(|subnet| subnet.prefix.length() == 0) {
        let text = format!("{} is not taken over: name the networks that are meant", subnet.prefix);
        note(&subnet.path, text);
    }
    let named = form.subnets.iter().map(|subnet| subnet.prefix);
    let kept = outermost(named.filter(|prefix| prefix.length() != 0), Prefix::covers);
    let mut first = std::collections::BTreeSet::new();
    for subnet in form.subnets.iter().filter(|subnet| subnet.prefix.length() != 0) {
        // Those that were kept are in order, and lie apart.
        let at = kept.partition_point(|wider| *wider <= subnet.prefix);
        let wider = at.checked_sub(1).and_then(|at| kept.get(at));
        match wider.filter(|wider| **wider != subnet.prefix) {
            Some(wider) => note(&subnet.path, format!("{} is in {wider}", subnet.prefix)),
            None if !first.insert(subnet.prefix) => {
                note(&subnet.path, format!("{} is there a second time", subnet.prefix));
            }
            None => {}
        }
    }
    kept
}

/// Options that the other technology has, and those that are needed.
fn unfit_options(form: &Form, wishes: &Wishes, flaw: &mut impl FnMut(&str, FormProblem)) {
    match form.technology {
        Some(Technology::WireGuard) => {
            if wishes.vlan.is_some() {
                flaw("--vlan", FormProblem::OtherTechnology("on a VLAN"));
            }
            if !wishes.next_hops.is_empty() {
                flaw("--next-hop", FormProblem::OtherTechnology("on a VLAN"));
            }
            if wishes.endpoint_port.is_some() && form.user_host.is_none() {
                flaw("--endpoint-port", FormProblem::NothingToDial("empty"));
            }
        }
        Some(Technology::Vlan) => {
            for (option, is_given) in [
                ("--public-key", wishes.public_key.is_some()),
                ("--listen-port", wishes.listen_port.is_some()),
                ("--endpoint-port", wishes.endpoint_port.is_some()),
            ] {
                if is_given {
                    flaw(option, FormProblem::OtherTechnology("with a tunnel"));
                }
            }
            if wishes.vlan.is_none() {
                flaw("--vlan", FormProblem::VlanNeeds("the trunk and the tag, as in eth2/30"));
            }
            if wishes.addresses.is_empty() {
                flaw("--address", FormProblem::VlanNeeds("the gateway's address on it"));
            }
            if wishes.next_hops.is_empty() {
                flaw("--next-hop", FormProblem::VlanNeeds("the customer's router on it"));
            }
        }
        None => {}
    }
}

/// Says who dials whom.
fn note_dialling(form: &Form, wishes: &Wishes, technology: Technology, remarks: &mut Vec<Remark>) {
    let Some(host) = &form.user_host else { return };
    let shown = HostText(host);
    let text = match technology {
        Technology::Vlan => "is of a tunnel, and not taken over".to_owned(),
        Technology::WireGuard if is_private(host) => {
            format!("{shown} is no address of the Internet: the customer has to dial")
        }
        Technology::WireGuard if wishes.endpoint_port.is_some() => return,
        Technology::WireGuard => format!(
            "the customer dials from {shown}, which WireGuard need not know beforehand; with \
             --endpoint-port the gateway dials it"
        ),
    };
    remarks.push(Remark { path: field(&form.within, "vpnUserIp"), text });
}

/// What is written.
struct Draft<'a> {
    form: &'a Form,
    wishes: &'a Wishes,
    technology: Technology,
    tenant: &'a TenantName,
    prefixes: &'a [Prefix],
}

impl Draft<'_> {
    fn write(
        &self,
        out: &mut String,
        fabric: &[InterfaceAddress],
        remarks: &[Remark],
    ) -> fmt::Result {
        let (namespace, name) = (self.tenant.namespace(), self.tenant.name());
        writeln!(out, "# From {}, a domain request of NMaaS.", Quiet(&self.wishes.file))?;
        if let Some(name) = &self.form.domain_name {
            writeln!(out, "# The domain is called {}.", Quiet(name))?;
        }
        for remark in remarks {
            writeln!(out, "# {}: {}", Quiet(&remark.path), Quiet(&remark.text))?;
        }
        writeln!(out, "apiVersion: {API_VERSION}\nkind: TenantGateway\nmetadata:")?;
        writeln!(out, "  name: {name}\n  namespace: {namespace}")?;
        if let Some(domain) = self.wishes.domain.or(self.form.domain) {
            writeln!(out, "  annotations: {{{}: \"{domain}\"}}", DomainId::ANNOTATION)?;
        }
        writeln!(out, "spec:")?;
        if let Some(class) = &self.wishes.class {
            writeln!(out, "  className: {class:?}")?;
        }
        if let Some(port) = self.wishes.listen_port {
            writeln!(out, "  listenPort: {port}")?;
        }
        writeln!(out, "  appPrefixes: [{}]", Joined(&self.wishes.apps))?;
        writeln!(out, "  fabric:")?;
        writeln!(out, "    # How the applications are reached is in no form. This is a veth pair")?;
        writeln!(out, "    # whose other end is for them; an interface or a VLAN serves as well.")?;
        let peer: String = format!("app-{}", self.form.codename).chars().take(15).collect();
        let peer = peer.trim_end_matches('-');
        writeln!(out, "    veth: {{peer: {peer}, addresses: [{}]}}", Joined(fabric))?;
        self.write_site(out)
    }

    fn write_site(&self, out: &mut String) -> fmt::Result {
        let (namespace, name) = (self.tenant.namespace(), self.tenant.name());
        let site = self.wishes.site.as_ref().map_or(self.form.codename.as_str(), SiteName::as_str);
        writeln!(out, "---\napiVersion: {API_VERSION}\nkind: SiteAttachment")?;
        writeln!(out, "metadata: {{name: {site:?}, namespace: {namespace}}}\nspec:")?;
        writeln!(out, "  gatewayRef: {{name: {name}}}")?;
        match self.technology {
            Technology::WireGuard => self.write_tunnel(out)?,
            Technology::Vlan => self.write_vlan(out)?,
        }
        writeln!(out, "  prefixes:")?;
        for prefix in self.prefixes {
            writeln!(out, "    - {{cidr: \"{prefix}\"}}")?;
        }
        Ok(())
    }

    fn write_tunnel(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "  type: WireGuard\n  wireGuard:")?;
        match &self.wishes.public_key {
            Some(key) => writeln!(out, "    publicKey: {key}")?,
            None => {
                writeln!(out, "    # What `wg show INTERFACE public-key` prints on their router;")?;
                writeln!(out, "    # a private key is not to leave it.")?;
                writeln!(out, "    publicKey: {PLACEHOLDER}")?;
            }
        }
        if let (Some(port), Some(host)) = (self.wishes.endpoint_port, &self.form.user_host) {
            writeln!(out, "    endpoint: {{host: \"{}\", port: {port}}}", HostText(host))?;
        }
        if !self.wishes.addresses.is_empty() {
            writeln!(out, "    tunnelAddresses: [{}]", Joined(&self.wishes.addresses))?;
        }
        Ok(())
    }

    fn write_vlan(&self, out: &mut String) -> fmt::Result {
        let Some(vlan) = &self.wishes.vlan else { return Ok(()) };
        writeln!(out, "  type: VLAN\n  vlan:")?;
        writeln!(out, "    parent: \"{}\"\n    id: {}", vlan.parent, vlan.id)?;
        writeln!(out, "    addresses: [{}]", Joined(&self.wishes.addresses))?;
        match self.wishes.next_hops.as_slice() {
            [only] => writeln!(out, "    nextHop: \"{only}\""),
            several => writeln!(out, "    nextHops: [{}]", Joined(several)),
        }
    }
}

/// Whether a host has an address of nobody's in the Internet (RFC 1918, RFC 6598, RFC 4193).
const fn is_private(host: &Host) -> bool {
    match host {
        Host::Name(_) => false,
        Host::Address(IpAddr::V4(v4)) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        Host::Address(IpAddr::V6(v6)) => v6.is_unique_local() || v6.is_loopback(),
    }
}
