//! A domain request, read.

use super::flaw::{FormFlaw, FormProblem};
use super::reader::{Reader, clip, field};
use crate::model::{DomainId, Host};
use crate::net::{Prefix, TenantName};
use serde_json::{Map, Value};

/// Fewest and most characters of a codename (`nmaas.portal.domains.codename.pattern`).
const CODENAME: std::ops::RangeInclusive<usize> = 2..=12;

/// What NMaaS' own deployment puts before the codename for the namespace.
const NAMESPACE: &str = "nmaas-ns-";

/// Fields of the form that the gateway makes something of.
const TAKEN: [&str; 6] = [
    "domainCodename",
    "domainName",
    "vpnTechnology",
    "vpnUserIp",
    "userSubnets",
    "additionalSubnets",
];

/// Fields of the form that are for people.
const FOR_PEOPLE: [&str; 5] = ["justification", "techContact", "name", "email", "institution"];

/// What the portal puts beside the fields, and nobody wrote.
const SILENT: [&str; 2] = ["subType", "submit"];

/// Fields of a domain in NMaaS' API, as far as it has them today.
const OF_DOMAIN: [&str; 11] = [
    "id",
    "codename",
    "name",
    "active",
    "deleted",
    "annotations",
    "domainAnnotations",
    "domainDcnDetails",
    "domainTechDetails",
    "applicationStatePerDomain",
    "groups",
];

/// How the customer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technology {
    /// By a WireGuard tunnel.
    WireGuard,
    /// On a VLAN.
    Vlan,
}

/// A network of the customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Where it stands.
    pub path: String,
    /// The network.
    pub prefix: Prefix,
}

/// Something to know, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The JSON path.
    pub path: String,
    /// What to know.
    pub text: String,
}

/// What of a request a gateway has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The path of the object its fields are in; empty for the whole.
    pub within: String,
    /// What the domain is called by programs.
    pub codename: String,
    /// The namespace it has in the cluster.
    pub namespace: String,
    /// The number NMaaS gave it; no form has one, for it is given later.
    pub domain: Option<DomainId>,
    /// What the domain is called by people.
    pub domain_name: Option<String>,
    /// How the customer comes; `None` where that is not said.
    pub technology: Option<Technology>,
    /// The address the customer's router has in the Internet.
    pub user_host: Option<Host>,
    /// The customer's networks.
    pub subnets: Vec<Subnet>,
    /// What is not taken over, and why.
    pub remarks: Vec<Remark>,
}

impl Form {
    /// Reads a request: the form's fields, alone or as the portal sends them
    /// (`otherAttributes` of a mail, `data` of a submission), or a domain of NMaaS' own API
    /// (`GET /api/domains/{id}`). `technology` is what was agreed on with the customer, whatever
    /// is written.
    ///
    /// # Errors
    /// Everything that is wrong, with its path.
    pub fn parse(text: &str, technology: Option<Technology>) -> Result<Self, Vec<FormFlaw>> {
        let whole = |problem| vec![FormFlaw { path: String::new(), problem }];
        let value: Value = serde_json::from_str(text)
            .map_err(|error| whole(FormProblem::Json(error.to_string())))?;
        let Value::Object(root) = &value else {
            let (found, expected) = ("no object", "a domain request");
            return Err(whole(FormProblem::Shape { found, expected }));
        };
        let wrapped = ["otherAttributes", "data"].into_iter().find_map(|name| {
            let Some(Value::Object(inner)) = root.get(name) else { return None };
            Some((name, inner))
        });
        let (of, object) = wrapped.unwrap_or(("", root));
        let mut reader = Reader::default();
        let form = if object.contains_key("codename") && !object.contains_key("domainCodename") {
            reader.domain(of, object, technology)
        } else {
            reader.form(of, object, technology)
        };
        form.filter(|_| reader.flaws.is_empty()).ok_or(reader.flaws)
    }
}

impl Reader {
    /// The fields of the portal's form.
    fn form(
        &mut self,
        of: &str,
        object: &Map<String, Value>,
        agreed: Option<Technology>,
    ) -> Option<Form> {
        let mut remarks = unknown(of, object, &[&TAKEN[..], &FOR_PEOPLE[..]].concat());
        let is_there = |name: &&str| !matches!(object.get(*name), None | Some(Value::Null));
        let there: Vec<&str> = FOR_PEOPLE.into_iter().filter(|name| is_there(name)).collect();
        if !there.is_empty() {
            let text = "for people, and not taken over".to_owned();
            remarks.push(Remark { path: field(of, &there.join(", ")), text });
        }
        let codename = self.codename(object, of, "domainCodename");
        let domain_name = self.text(object, of, "domainName");
        let written = self.text(object, of, "vpnTechnology");
        let technology = self.technology(of, written.as_deref(), agreed, &mut remarks);
        let user_host = self.text(object, of, "vpnUserIp");
        let user_host = user_host.and_then(|text| self.host(&field(of, "vpnUserIp"), &text));
        let mut subnets = Vec::new();
        for name in ["userSubnets", "additionalSubnets"] {
            for (path, row) in self.rows(object, of, name) {
                // The form begins with a row that nobody need fill in.
                let Some(text) = self.text(row, &path, "ipAddressWithMask") else { continue };
                let path = field(&path, "ipAddressWithMask");
                let prefix = self.prefix(&path, &text);
                subnets.extend(prefix.map(|prefix| Subnet { path, prefix }));
            }
        }
        let codename = codename?;
        let namespace = format!("{NAMESPACE}{codename}");
        let domain = None;
        Some(Form {
            within: of.to_owned(),
            codename,
            namespace,
            domain,
            domain_name,
            technology,
            user_host,
            subnets,
            remarks,
        })
    }

    /// A domain, as NMaaS' own API shows it.
    fn domain(
        &mut self,
        of: &str,
        object: &Map<String, Value>,
        technology: Option<Technology>,
    ) -> Option<Form> {
        let remarks = unknown(of, object, &OF_DOMAIN);
        let codename = self.codename(object, of, "codename");
        let domain_name = self.text(object, of, "name");
        let domain = match object.get("id") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let id = value.as_u64().and_then(|id| DomainId::new(id).ok());
                if id.is_none() {
                    let text = clip(&value.to_string());
                    self.found(field(of, "id"), FormProblem::DomainId(text));
                }
                id
            }
        };
        let namespace = self
            .object(object, of, "domainTechDetails")
            .and_then(|inner| self.text(inner, "domainTechDetails", "kubernetesNamespace"));
        if let Some(namespace) = &namespace
            && TenantName::new(namespace, "gw").is_err()
        {
            let path = field(of, "domainTechDetails.kubernetesNamespace");
            self.found(path, FormProblem::Namespace(clip(namespace)));
        }
        let mut subnets = Vec::new();
        let path = field(of, "domainDcnDetails");
        if let Some(details) = self.object(object, of, "domainDcnDetails") {
            for (path, row) in self.rows(details, &path, "customerNetworks") {
                let Some(address) = self.text(row, &path, "customerIp") else { continue };
                let Some(length) = row.get("maskLength").and_then(Value::as_u64) else {
                    let path = field(&path, "maskLength");
                    self.found(path, FormProblem::Missing("a number of bits is wanted"));
                    continue;
                };
                let prefix = self.network(&path, &address, length);
                subnets.extend(prefix.map(|prefix| Subnet { path, prefix }));
            }
        }
        let codename = codename?;
        let namespace = namespace.unwrap_or_else(|| format!("{NAMESPACE}{codename}"));
        let user_host = None;
        Some(Form {
            within: of.to_owned(),
            codename,
            namespace,
            domain,
            domain_name,
            technology,
            user_host,
            subnets,
            remarks,
        })
    }

    fn codename(&mut self, object: &Map<String, Value>, of: &str, name: &str) -> Option<String> {
        let before = self.flaws.len();
        let Some(text) = self.text(object, of, name) else {
            if self.flaws.len() == before {
                let why = "the namespace is called by it";
                self.found(field(of, name), FormProblem::Missing(why));
            }
            return None;
        };
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !CODENAME.contains(&text.len()) || !text.bytes().all(inside) {
            self.found(field(of, name), FormProblem::Codename(clip(&text)));
            return None;
        }
        if text.ends_with('-') {
            self.found(field(of, name), FormProblem::Hyphen(text));
            return None;
        }
        Some(text)
    }

    fn technology(
        &mut self,
        of: &str,
        written: Option<&str>,
        agreed: Option<Technology>,
        remarks: &mut Vec<Remark>,
    ) -> Option<Technology> {
        let path = || field(of, "vpnTechnology");
        let named = written.map(|text| match text.to_ascii_lowercase().as_str() {
            "wireguard" => Ok(Technology::WireGuard),
            "vlan" => Ok(Technology::Vlan),
            _ => Err(text),
        });
        match (agreed, named) {
            (Some(agreed), Some(named)) => {
                if named != Ok(agreed) {
                    let text = format!("{:?} is not what was agreed on", clip(written?));
                    remarks.push(Remark { path: path(), text });
                }
                Some(agreed)
            }
            (None, Some(Ok(named))) => Some(named),
            (None, Some(Err(text))) => {
                self.found(path(), FormProblem::Technology(clip(text)));
                None
            }
            (agreed, None) => agreed,
        }
    }
}

/// Says of fields that nobody knows that they are left out.
fn unknown(of: &str, object: &Map<String, Value>, known: &[&str]) -> Vec<Remark> {
    let names = object.keys().filter(|name| !known.contains(&name.as_str()));
    let names = names.filter(|name| !SILENT.contains(&name.as_str()));
    let text = || "is not known and not taken over".to_owned();
    names.map(|name| Remark { path: field(of, &clip(name)), text: text() }).collect()
}
