//! The route reflectors that the tenants of a class share, checked.

use super::Inputs;
use super::finding::Findings;
use super::neighbors::check_password;
use crate::config::error::Problem;
use crate::config::schema::{SecretKeyRef, VpnReflectorSpec};
use crate::model::{Placement, VpnReflector, limits};
use crate::net::SiteName;

const PATH: &str = "spec.vpnReflectors";

pub(super) fn check_reflectors(
    specs: &[VpnReflectorSpec],
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Vec<VpnReflector> {
    if limits::VPN_REFLECTORS < specs.len() {
        found.note(PATH, Problem::TooMany { max: limits::VPN_REFLECTORS });
        return Vec::new();
    }
    if !specs.is_empty() && inputs.options.placement == Placement::Current {
        found.note(PATH, Problem::ReflectorsNeedNamespaces);
    }
    let mut reflectors: Vec<VpnReflector> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{PATH}[{index}]");
        let Some(reflector) = check_reflector(&path, spec, inputs, found) else { continue };
        if reflectors.iter().any(|other| other.name == reflector.name) {
            found.note(format!("{path}.name"), Problem::Twice);
        }
        if reflectors.iter().any(|other| other.address == reflector.address) {
            found.note(format!("{path}.address"), Problem::Twice);
        }
        reflectors.push(reflector);
    }
    reflectors
}

fn check_reflector(
    path: &str,
    spec: &VpnReflectorSpec,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<VpnReflector> {
    if let Err(error) = spec.name.parse::<SiteName>() {
        found.note(format!("{path}.name"), error);
    }
    let address = found.address(&format!("{path}.address"), &spec.address);
    let local_asn = found.asn(&format!("{path}.localASN"), spec.local_asn);
    let router_id = found.router_id(&format!("{path}.routerID"), &spec.router_id);
    let remote_asn = found.asn(&format!("{path}.remoteASN"), spec.remote_asn);
    let ttl_security = match spec.ttl_security {
        None => None,
        Some(hops) => Some(found.ranged::<u8>(&format!("{path}.ttlSecurity"), hops, 1, 254)?),
    };
    let secret = spec.password_secret_ref.as_ref();
    let namespace = secret.map_or("", |secret| &secret.namespace);
    let secret = secret.map(|it| SecretKeyRef { name: it.name.clone(), key: it.key.clone() });
    let password = check_password(path, secret.as_ref(), namespace, inputs, found);
    Some(VpnReflector {
        name: spec.name.clone(),
        address: address?,
        local_asn: local_asn?,
        router_id: router_id?,
        remote_asn: remote_asn?,
        ttl_security,
        password,
    })
}
