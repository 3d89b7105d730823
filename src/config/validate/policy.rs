//! What a tenant takes from the fabric's routers and tells them, checked.

use super::finding::Findings;
use crate::config::error::Problem;
use crate::config::schema::{FabricExportSpec, FabricImportSpec, ImportPrefixSpec};
use crate::config::shape::clip;
use crate::model::{BgpExport, BgpImport, ImportPrefix, limits};
use crate::net::{Community, CommunityError, LargeCommunity, RouteTarget};
use std::str::FromStr;
use std::time::Duration;

pub(super) fn check_import(spec: &FabricImportSpec, found: &mut Findings) -> BgpImport {
    let path = "spec.fabric.bgp.import";
    let mut prefixes = Vec::new();
    if limits::POLICY_ENTRIES < spec.prefixes.len() {
        found.note(format!("{path}.prefixes"), Problem::TooMany { max: limits::POLICY_ENTRIES });
    } else {
        for (index, entry) in spec.prefixes.iter().enumerate() {
            prefixes.extend(check_prefix(&format!("{path}.prefixes[{index}]"), entry, found));
        }
    }
    let most = limits::PREFIXES_PER_NEIGHBOR;
    let maximum_prefixes = spec
        .maximum_prefixes
        .and_then(|value| found.ranged::<u32>(&format!("{path}.maximumPrefixes"), value, 1, most));
    let restart = found.ranged::<u16>(
        &format!("{path}.maximumPrefixesRestartSeconds"),
        spec.maximum_prefixes_restart_seconds,
        1,
        65_535,
    );
    let (communities, large_communities) =
        communities(&format!("{path}.communities"), &spec.communities, found);
    BgpImport {
        prefixes,
        communities,
        large_communities,
        route_targets: list::<RouteTarget>(
            &format!("{path}.routeTargets"),
            &spec.route_targets,
            found,
        ),
        maximum_prefixes: maximum_prefixes.unwrap_or(limits::DEFAULT_PREFIXES_PER_NEIGHBOR),
        restart_after: Duration::from_secs(restart.map_or(0, u64::from)),
    }
}

pub(super) fn check_export(spec: &FabricExportSpec, found: &mut Findings) -> BgpExport {
    let (communities, large_communities) =
        communities("spec.fabric.bgp.export.communities", &spec.communities, found);
    BgpExport { communities, large_communities, med: spec.med }
}

fn check_prefix(path: &str, spec: &ImportPrefixSpec, found: &mut Findings) -> Option<ImportPrefix> {
    let prefix = found.prefix(&format!("{path}.cidr"), &spec.cidr)?;
    let (least, longest) = (prefix.length(), if prefix.is_v4() { 32 } else { 128 });
    let mut length = |field, value: u32| {
        let fits = u8::try_from(value).ok().filter(|value| (least..=longest).contains(value));
        if fits.is_none() {
            found.note(format!("{path}.{field}"), Problem::ImportLength { value, least, longest });
        }
        fits
    };
    let ge = spec.ge.map(|value| length("ge", value));
    let le = spec.le.map(|value| length("le", value));
    let (ge, le) = match (ge, le) {
        (None, None) => (least, least),
        (Some(ge), None) => (ge?, longest),
        (None, Some(le)) => (least, le?),
        (Some(ge), Some(le)) => (ge?, le?),
    };
    if le < ge {
        found.note(format!("{path}.le"), Problem::ImportLengths { ge, le });
        return None;
    }
    Some(ImportPrefix { prefix, ge, le })
}

/// Communities (RFC 1997), of two numbers, and large ones (RFC 8092), of three.
fn communities(
    path: &str,
    texts: &[String],
    found: &mut Findings,
) -> (Vec<Community>, Vec<LargeCommunity>) {
    let (mut standard, mut large) = (Vec::new(), Vec::new());
    for one in list::<AnyCommunity>(path, texts, found) {
        match one {
            AnyCommunity::Standard(community) => standard.push(community),
            AnyCommunity::Large(community) => large.push(community),
        }
    }
    (standard, large)
}

/// A community of either length, as documents have them in one list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AnyCommunity {
    Standard(Community),
    Large(LargeCommunity),
}

impl FromStr for AnyCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        match text.matches(':').count() {
            2 => text.parse().map(Self::Large),
            _ => text.parse().map(Self::Standard),
        }
    }
}

/// Each of a list, once.
fn list<T: FromStr<Err = CommunityError> + PartialEq>(
    path: &str,
    texts: &[String],
    found: &mut Findings,
) -> Vec<T> {
    if limits::COMMUNITIES_PER_POLICY < texts.len() {
        found.note(path, Problem::TooMany { max: limits::COMMUNITIES_PER_POLICY });
        return Vec::new();
    }
    let mut all = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match text.parse::<T>() {
            Ok(one) if all.contains(&one) => found.note(path, Problem::Twice),
            Ok(one) => all.push(one),
            Err(why) => found.note(path, Problem::Community(clip(text), why)),
        }
    }
    all
}
