//! One arm for each [`Step`]: the step is done, or the reason is said.
//!
//! No choice is made here. Every step may be repeated: what is already so, or
//! already gone, is done. A step stops short of anything that is not ours.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::nft::{self, NftError, Reading};
use super::rtnl::{self, ShownLink, Target, Way};
use super::sysctl::{SettingError, Settings};
use super::tun::{self, Offload, TunError};
use super::vlan::Underlay;
use super::{EnterError, NetnsError};
use crate::model::Vlan;
use crate::net::{LinkName, ManagedName};
use crate::reconcile::{Device, LinkKind, Route, RouteKey, RouteTarget, Step};
use netlink_packet_route::link::LinkAttribute;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The namespace could not be made or removed.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The TUN could not be made.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// The rules could not be replaced or removed.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// A setting could not be written.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// There is no such link.
    #[error("there is no link {0}")]
    NoLink(String),
    /// Somebody else's link has the name of one of ours. It is left alone.
    #[error("{0} is not as lockgate makes it; it is not ours and left alone")]
    ForeignLink(String),
    /// The other end of a veth pair is to have a name that somebody's link has.
    #[error(
        "there is a link {0} beside the tenants already; the veth pair's peer needs another name"
    )]
    PeerTaken(LinkName),
    /// The trunk of a VLAN is not there.
    #[error("there is no link {0} in the underlay for the VLAN to stand on")]
    NoTrunk(LinkName),
    /// The trunk of a VLAN is set down.
    #[error("the trunk that {0} stands on is down: bring it up")]
    TrunkDown(String),
    /// The trunk of a VLAN has a smaller MTU than the VLAN is to have.
    #[error("{0} cannot have an MTU of {1}: that of the trunk it stands on is smaller")]
    TrunkNarrow(String, u16),
    /// The trunk has the VLAN already.
    #[error("the trunk has a link for VLAN {0} already, which is not ours")]
    VlanTaken(Vlan),
    /// The kernel cannot do it at all.
    #[error("the kernel has no {what} support: load the module `{module}`, or use another kernel")]
    Unsupported {
        /// What is missing.
        what: &'static str,
        /// The module that has it.
        module: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {what} {object}")]
    Netlink {
        /// What was to be done.
        what: &'static str,
        /// With what.
        object: String,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// The step cannot be done where it was asked for.
    #[error("a namespace that is not ours is neither made nor removed")]
    NotOurs,
}

/// What became of a tenant's steps.
///
/// A link that cannot be made, taken or removed, or whose settings are refused, takes the
/// later steps about it along: it is not set up without what guards it. Any other
/// step that fails about a link, as one for its MTU, takes none. Both leave the
/// rest be: one site's missing trunk is not the others' matter.
/// A failure that is about no link ends the whole.
#[derive(Debug, Default)]
pub struct Applied {
    /// The steps that failed, and why.
    pub failed: Vec<(Step, ApplyError)>,
}

impl Applied {
    /// Whether every step was done.
    pub const fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Links that are not to be had, and what came of the rest.
#[derive(Debug, Default)]
pub(super) struct Progress {
    broken: BTreeSet<Device>,
    pub(super) failed: Vec<(Step, ApplyError)>,
    /// Whether the rest is not to be done.
    pub(super) is_over: bool,
    /// The table as it was put there, where that is known.
    pub(super) reading: Option<Reading>,
}

impl Progress {
    /// Of steps that cannot be done at all.
    pub(super) fn over(failed: Vec<(Step, ApplyError)>) -> Self {
        Self { failed, is_over: true, broken: BTreeSet::new(), reading: None }
    }

    /// Whether the step is about a link that is not to be had.
    pub(super) fn is_moot(&self, step: &Step) -> bool {
        step.device().is_some_and(|device| self.broken.contains(&device))
    }

    /// Takes what came of a step.
    pub(super) fn note(&mut self, step: &Step, outcome: Result<(), ApplyError>) {
        let Err(error) = outcome else { return };
        match (step, step.device()) {
            (
                Step::CreateLink(..)
                | Step::DeleteLink(_)
                | Step::TakeLink(_)
                | Step::ReturnLink(_)
                | Step::SetSysctl(..),
                Some(device),
            ) => {
                self.broken.insert(device);
            }
            (_, Some(_)) => {}
            (_, None) => self.is_over = true,
        }
        self.failed.push((step.clone(), error));
    }
}

/// What steps inside a namespace need from outside of it.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The underlay.
    pub(super) home: Arc<OwnedFd>,
    pub(super) offload: Offload,
    pub(super) reading: Option<Reading>,
}

/// Whether a step is done inside the tenant's namespace from beginning to end.
pub(super) const fn is_inside(step: &Step) -> bool {
    !matches!(
        step,
        Step::CreateNetns
            | Step::DeleteNetns
            | Step::TakeLink(_)
            | Step::CreateLink(_, LinkKind::Vlan(_) | LinkKind::WireGuard)
    )
}

/// Does `steps`, all of them [inside](is_inside), in the calling thread's
/// namespace.
pub(super) fn apply(steps: &[Step], context: &Context, mut progress: Progress) -> Progress {
    let mut shell = match Shell::open(context) {
        Ok(shell) => shell,
        Err(error) => {
            progress.is_over = true;
            progress.failed.extend(steps.first().map(|step| (step.clone(), error)));
            return progress;
        }
    };
    let mut rest = steps;
    while let [step, after @ ..] = rest
        && !progress.is_over
    {
        let routes: Vec<_> = rest.iter().map_while(as_route).collect();
        if routes.is_empty() {
            rest = after;
            if !progress.is_moot(step) {
                progress.note(step, shell.step(step));
                progress.reading = shell.reading.take().or(progress.reading);
            }
        } else {
            let (these, after) = rest.split_at(routes.len());
            rest = after;
            shell.routes(these, &routes, &mut progress);
        }
    }
    progress
}

/// Moves the link `name` from the calling thread's namespace to `tenant`, and
/// gives it its alias.
pub(super) fn take_link(name: &LinkName, tenant: &OwnedFd) -> Result<(), ApplyError> {
    let mut route = Netlink::route().map_err(netlink("find link", name.as_str()))?;
    let link = rtnl::link_named(&mut route, name.as_str());
    let link = link.map_err(netlink("find link", name.as_str()))?;
    let link = link.ok_or_else(|| ApplyError::NoLink(name.to_string()))?;
    let mut attributes = vec![LinkAttribute::NetNsFd(tenant.as_raw_fd())];
    attributes.extend(LinkKind::Moved.alias(link.mtu).map(LinkAttribute::IfAlias));
    rtnl::set_link(&mut route, link.index, attributes)
        .map_err(netlink("move in link", name.as_str()))
}

/// Whether the calling thread's namespace has the link, which then gets its alias.
pub(super) fn mark_taken(name: &LinkName) -> Result<bool, ApplyError> {
    let what = "mark link";
    let mut route = Netlink::route().map_err(netlink(what, name.as_str()))?;
    let link = rtnl::link_named(&mut route, name.as_str()).map_err(netlink(what, name.as_str()))?;
    let Some(link) = link else { return Ok(false) };
    let device = Device::Foreign(name.clone());
    if LinkKind::recognize(&device, link.kind.as_deref(), link.alias.as_deref(), None, link.local)
        == LinkKind::Moved
    {
        // Marked already, with the MTU it had before we set ours.
        return Ok(true);
    }
    let alias = LinkKind::Moved.alias(link.mtu).map(LinkAttribute::IfAlias).into_iter().collect();
    rtnl::set_link(&mut route, link.index, alias).map_err(netlink(what, name.as_str()))?;
    Ok(true)
}

fn netlink(what: &'static str, object: &str) -> impl FnOnce(NetlinkError) -> ApplyError {
    let object = object.to_owned();
    move |source| ApplyError::Netlink { what, object, source }
}

/// Passes over the errors that say a thing is already as wanted.
fn unless(already: &[i32], outcome: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match outcome {
        Err(error) if error.errno().is_some_and(|errno| already.contains(&errno)) => Ok(()),
        outcome => outcome,
    }
}

/// What one apply has open.
///
/// No link is remembered from one step to the next: somebody else may have put another
/// in its place meanwhile, and given it the same index.
struct Shell<'a> {
    context: &'a Context,
    route: Netlink,
    settings: Settings,
    reading: Option<Reading>,
}

impl<'a> Shell<'a> {
    fn open(context: &'a Context) -> Result<Self, ApplyError> {
        let route = Netlink::route().map_err(netlink("look at", "the namespace"))?;
        Ok(Self { context, route, settings: Settings::here()?, reading: None })
    }

    /// The link `name`, as it is now.
    fn find(&mut self, name: &str) -> Result<Option<ShownLink>, ApplyError> {
        rtnl::link_named(&mut self.route, name).map_err(netlink("find link", name))
    }

    /// The link of a device, unless it is somebody else's with a name of ours.
    fn own(&mut self, device: &Device) -> Result<Option<ShownLink>, ApplyError> {
        let link = self.find(device.as_str())?;
        match (device, &link) {
            (Device::Managed(name), Some(link)) if !is_ours(name, link) => {
                Err(ApplyError::ForeignLink(name.to_string()))
            }
            _ => Ok(link),
        }
    }

    fn index(&mut self, device: &Device) -> Result<u32, ApplyError> {
        let link = self.own(device)?;
        Ok(link.ok_or_else(|| ApplyError::NoLink(device.to_string()))?.index)
    }

    fn step(&mut self, step: &Step) -> Result<(), ApplyError> {
        match step {
            // Done elsewhere: see `is_inside` and `as_route`.
            Step::CreateNetns
            | Step::DeleteNetns
            | Step::TakeLink(_)
            | Step::ReplaceRoute(..)
            | Step::RemoveRoute(_) => Err(ApplyError::NotOurs),
            Step::ReplaceRuleset(ruleset) => {
                let mut netfilter = Netlink::netfilter().map_err(NftError::from)?;
                let before = self.context.reading.as_ref();
                self.reading = nft::replace(&mut netfilter, ruleset, before)?;
                Ok(())
            }
            Step::DeleteRuleset => {
                let mut netfilter = Netlink::netfilter().map_err(NftError::from)?;
                Ok(nft::delete(&mut netfilter)?)
            }
            Step::SetLoopbackUp => {
                // The loopback is always the first link of a namespace.
                rtnl::set_up(&mut self.route, 1).map_err(netlink("set up link", "lo"))
            }
            Step::CreateLink(name, kind) => self.create_link(name, kind),
            Step::DeleteLink(name) => self.delete_link(name),
            Step::ReturnLink(name) => self.return_link(name),
            Step::SetSysctl(sysctl, value) => Ok(self.settings.write(sysctl, *value)?),
            Step::SetMtu(device, mtu) => {
                let index = self.index(device)?;
                let attributes = vec![LinkAttribute::Mtu(u32::from(mtu.bytes()))];
                rtnl::set_link(&mut self.route, index, attributes).map_err(|error| {
                    match error.errno() {
                        // Of VLANs alone (`vlan_dev_change_mtu`).
                        Some(libc::ERANGE) => {
                            ApplyError::TrunkNarrow(device.to_string(), mtu.bytes())
                        }
                        _ => netlink("set the MTU of", device.as_str())(error),
                    }
                })
            }
            Step::SetUp(device) => {
                let index = self.index(device)?;
                rtnl::set_up(&mut self.route, index).map_err(|error| match error.errno() {
                    Some(libc::ENETDOWN) => ApplyError::TrunkDown(device.to_string()),
                    _ => netlink("set up link", device.as_str())(error),
                })
            }
            Step::AddAddress(device, address) => {
                let index = self.index(device)?;
                let outcome = rtnl::add_address(&mut self.route, index, *address);
                unless(&[libc::EEXIST], outcome)
                    .map_err(netlink("add the address", &format!("{address} to {device}")))
            }
            Step::RemoveAddress(device, address) => {
                let Some(link) = self.own(device)? else { return Ok(()) };
                let outcome = rtnl::remove_address(&mut self.route, link.index, *address);
                unless(&[libc::EADDRNOTAVAIL], outcome)
                    .map_err(netlink("remove the address", &format!("{address} from {device}")))
            }
        }
    }

    fn create_link(&mut self, name: &ManagedName, kind: &LinkKind) -> Result<(), ApplyError> {
        if let Some(link) = self.find(name.as_str())? {
            let found = recognize(name, &link);
            return if found == *kind {
                Ok(())
            } else {
                Err(ApplyError::ForeignLink(name.to_string()))
            };
        }
        match kind {
            LinkKind::Tun => {
                drop(tun::open(name.as_str(), self.context.offload)?);
                let device = Device::Managed(name.clone());
                let index = self.index(&device)?;
                let length = vec![LinkAttribute::TxQueueLen(tun::QUEUE_LEN)];
                rtnl::set_link(&mut self.route, index, length)
                    .map_err(netlink("set the queue length of", name.as_str()))
            }
            LinkKind::Veth { peer } => self.create_veth(name, kind, peer),
            LinkKind::Ipip { local } => {
                let made = rtnl::create_ipip(&mut self.route, name.as_str(), *local);
                made.map_err(|error| match error.errno() {
                    Some(libc::EOPNOTSUPP) => {
                        ApplyError::Unsupported { what: "IPIP", module: "ipip" }
                    }
                    _ => netlink("make the IPIP tunnels", name.as_str())(error),
                })
            }
            LinkKind::WireGuard
            | LinkKind::Vlan(_)
            | LinkKind::Moved
            | LinkKind::Foreign
            | LinkKind::Unrecognized => Err(ApplyError::ForeignLink(name.to_string())),
        }
    }

    /// The kernel takes no alias in the call that makes a link. So that no link
    /// with our name is ever without one, the pair is made under another name,
    /// marked, and then given its own. What an earlier process left half done
    /// goes first.
    fn create_veth(
        &mut self,
        name: &ManagedName,
        kind: &LinkKind,
        peer: &LinkName,
    ) -> Result<(), ApplyError> {
        let unfinished = format!("{name}.new");
        let what = "make the veth pair";
        let object = format!("{name} and {peer}");
        if let Some(link) = self.find(&unfinished)? {
            unless(&[libc::ENODEV], rtnl::delete_link(&mut self.route, link.index))
                .map_err(netlink("delete link", &unfinished))?;
        }
        let home = self.context.home.as_fd();
        rtnl::create_veth(&mut self.route, &unfinished, peer.as_str(), home).map_err(|error| {
            match error.errno() {
                Some(libc::EOPNOTSUPP) => ApplyError::Unsupported { what: "veth", module: "veth" },
                Some(libc::EEXIST) => ApplyError::PeerTaken(peer.clone()),
                _ => netlink(what, &object)(error),
            }
        })?;
        let made = self.find(&unfinished)?;
        let index = made.ok_or(ApplyError::NoLink(unfinished))?.index;
        let alias = kind.alias(None).map(LinkAttribute::IfAlias).into_iter().collect();
        rtnl::set_link(&mut self.route, index, alias).map_err(netlink(what, &object))?;
        let own = vec![LinkAttribute::IfName(name.to_string())];
        rtnl::set_link(&mut self.route, index, own).map_err(netlink(what, &object))
    }

    fn delete_link(&mut self, name: &ManagedName) -> Result<(), ApplyError> {
        let Some(link) = self.own(&Device::Managed(name.clone()))? else { return Ok(()) };
        unless(&[libc::ENODEV], rtnl::delete_link(&mut self.route, link.index))
            .map_err(netlink("delete link", name.as_str()))
    }

    fn return_link(&mut self, name: &LinkName) -> Result<(), ApplyError> {
        let Some(link) = self.find(name.as_str())? else { return Ok(()) };
        // It goes with the namespace, as every other has one of its own.
        if link.is_of_every_namespace() {
            return Ok(());
        }
        let device = Device::Foreign(name.clone());
        let kind = LinkKind::recognize(
            &device,
            link.kind.as_deref(),
            link.alias.as_deref(),
            None,
            link.local,
        );
        let mut attributes = vec![LinkAttribute::NetNsFd(self.context.home.as_raw_fd())];
        // Somebody else's alias goes along.
        if kind == LinkKind::Moved {
            attributes.push(LinkAttribute::IfAlias(String::new()));
            let mtu = link.alias.as_deref().and_then(LinkKind::mtu_before);
            attributes.extend(mtu.map(|mtu| LinkAttribute::Mtu(u32::from(mtu.bytes()))));
        }
        rtnl::set_link(&mut self.route, link.index, attributes)
            .map_err(netlink("give back link", name.as_str()))
    }

    /// Does steps about routes, many in one call.
    fn routes(
        &mut self,
        steps: &[Step],
        wanted: &[(RouteKey, Option<&Route>)],
        progress: &mut Progress,
    ) {
        let mut requests = Vec::with_capacity(wanted.len());
        let mut asked = Vec::with_capacity(wanted.len());
        let mut indexes = Indexes::new();
        for (step, (key, route)) in steps.iter().zip(wanted) {
            if progress.is_moot(step) {
                continue;
            }
            let request = match route {
                Some(route) => {
                    self.target(route, &mut indexes).map(|target| rtnl::replace_route(*key, target))
                }
                None => Ok(rtnl::remove_route(*key)),
            };
            match request {
                Ok(request) => {
                    requests.push(request);
                    asked.push((step, key, route.is_some()));
                }
                Err(error) => progress.note(step, Err(error)),
            }
        }
        for (place, error) in self.route.change_all(requests) {
            let Some((step, key, is_made)) = asked.get(place) else { continue };
            let what = match is_made {
                true => "set the route to",
                // Gone before we came: with its link, or by another hand.
                false if error.errno() == Some(libc::ESRCH) => continue,
                false => "remove the route to",
            };
            progress.note(step, Err(netlink(what, &key.to_string())(error)));
        }
    }

    fn target(&mut self, route: &Route, indexes: &mut Indexes) -> Result<Target, ApplyError> {
        let mut index = |device: &Device| -> Result<u32, ApplyError> {
            if let Some(index) = indexes.get(device) {
                return Ok(*index);
            }
            let index = self.index(device)?;
            indexes.insert(device.clone(), index);
            Ok(index)
        };
        match &route.target {
            RouteTarget::Link { device, via, source } => {
                let way = Way { index: index(device)?, via: *via };
                Ok(Target::Link(way, *source))
            }
            RouteTarget::Multipath(hops) => {
                let mut ways = Vec::with_capacity(hops.len());
                for hop in hops {
                    ways.push(Way { index: index(&hop.device)?, via: hop.via });
                }
                Ok(Target::Multipath(ways))
            }
            RouteTarget::Blackhole => Ok(Target::Blackhole),
            RouteTarget::Unreachable => Ok(Target::Unreachable),
            RouteTarget::Unrecognized => Err(ApplyError::NotOurs),
        }
    }
}

/// The links of thousands of routes that go to the kernel in one call.
type Indexes = BTreeMap<Device, u32>;

/// The route a step makes, or removes.
fn as_route(step: &Step) -> Option<(RouteKey, Option<&Route>)> {
    if let Step::ReplaceRoute(key, route) = step {
        return Some((*key, Some(route)));
    }
    if let Step::RemoveRoute(key) = step { Some((*key, None)) } else { None }
}

/// Whether the calling thread's namespace has the link `name`, as it is to be.
///
/// # Errors
/// When there is another of that name, or links cannot be listed.
pub(super) fn is_there(
    name: &ManagedName,
    wanted: &LinkKind,
    underlay: &Underlay,
    is_underlay: bool,
) -> Result<bool, ApplyError> {
    let mut route = Netlink::route().map_err(netlink("find link", name.as_str()))?;
    let link = rtnl::link_named(&mut route, name.as_str());
    let Some(link) = link.map_err(netlink("find link", name.as_str()))? else {
        return Ok(false);
    };
    let device = Device::Managed(name.clone());
    let (kind, alias) = (link.kind.as_deref(), link.alias.as_deref());
    if LinkKind::recognize(&device, kind, alias, underlay.tags(&link, is_underlay), link.local)
        == *wanted
    {
        return Ok(true);
    }
    Err(ApplyError::ForeignLink(name.to_string()))
}

/// Whether a link with a name of ours is as we make it; of a VLAN its tags are looked at
/// where its trunk can be seen.
fn is_ours(name: &ManagedName, link: &ShownLink) -> bool {
    let is_vlan = name.is_vlan() && link.tag.is_some();
    is_vlan || recognize(name, link) != LinkKind::Unrecognized
}

fn recognize(name: &ManagedName, link: &ShownLink) -> LinkKind {
    let device = Device::Managed(name.clone());
    LinkKind::recognize(&device, link.kind.as_deref(), link.alias.as_deref(), None, link.local)
}
