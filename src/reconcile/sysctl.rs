//! The kernel settings of a namespace and its links that we hold.
//!
//! Never a setting outside `/proc/sys/net`, and never one that is not listed
//! here: what may be written is a closed list.

use super::{Device, Family};
use std::fmt;
use std::str::FromStr;

/// A setting below `/proc/sys/net/ipv4/conf` or `/proc/sys/net/ipv6/conf`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sysctl {
    /// `ipv4` or `ipv6`.
    pub family: Family,
    /// Which links.
    pub scope: Scope,
    /// Which setting.
    pub setting: LinkSetting,
}

/// The links a setting is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `all`: mixed with each link's own by a rule that differs by setting.
    All,
    /// `default`: what a link begins with when it is made or moved in.
    Default,
    /// One link.
    Link(Device),
}

macro_rules! link_settings {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $families:tt,)*) => {
        /// A setting of a link, `Documentation/networking/ip-sysctl.rst`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LinkSetting { $($(#[$doc])* $variant,)* }

        impl LinkSetting {
            /// Every setting and whether v4 and v6 have it.
            const ALL: &'static [(Self, &'static str, [bool; 2])] =
                &[$((Self::$variant, $name, $families),)*];
        }
    };
}

link_settings! {
    /// Whether router advertisements are believed (CVE-2020-10749).
    AcceptRa = "accept_ra" [false, true],
    /// Whether ICMP redirects are believed.
    AcceptRedirects = "accept_redirects" [true, true],
    /// Whether source-routed packets are taken.
    AcceptSourceRoute = "accept_source_route" [true, true],
    /// How link-local addresses are made; 1: not at all.
    AddrGenMode = "addr_gen_mode" [false, true],
    /// Which addresses we use as sender in ARP; 2: the best of the link.
    ArpAnnounce = "arp_announce" [true, false],
    /// Which ARP questions we answer; 1: only for addresses of the asked link.
    ArpIgnore = "arp_ignore" [true, false],
    /// Whether we tell the link of our addresses as it comes up, so that who knew
    /// an earlier link of ours learns this one's hardware address.
    ArpNotify = "arp_notify" [true, false],
    /// Whether v6 is off.
    DisableIpv6 = "disable_ipv6" [false, true],
    /// Whether ARP answers nobody asked for are dropped.
    DropGratuitousArp = "drop_gratuitous_arp" [true, false],
    /// Whether neighbour advertisements nobody asked for are dropped.
    DropUnsolicitedNa = "drop_unsolicited_na" [false, true],
    /// Whether packets are forwarded.
    Forwarding = "forwarding" [true, true],
    /// As `arp_notify`, for v6.
    NdiscNotify = "ndisc_notify" [false, true],
    /// Whether, when a primary address goes, its secondaries stay.
    PromoteSecondaries = "promote_secondaries" [true, false],
    /// Whether ARP is answered for others.
    ProxyArp = "proxy_arp" [true, false],
    /// Whether neighbour solicitations are answered for others.
    ProxyNdp = "proxy_ndp" [false, true],
    /// Whether 127/8 may come and go on a wire.
    RouteLocalnet = "route_localnet" [true, false],
    /// Reverse path filter: 0 none, 1 strict, 2 loose.
    RpFilter = "rp_filter" [true, false],
    /// Whether redirects by a gateway we know are believed.
    SecureRedirects = "secure_redirects" [true, false],
    /// Whether redirects are sent.
    SendRedirects = "send_redirects" [true, false],
}

impl LinkSetting {
    /// The name as the kernel has it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(setting, ..)| *setting == self).map_or("", |(_, name, _)| name)
    }
}

impl Sysctl {
    /// Every setting we hold for `scope`, whichever value. What to observe.
    pub fn of(scope: &Scope) -> impl Iterator<Item = Self> {
        let both = [Family::V4, Family::V6].into_iter().enumerate();
        both.flat_map(move |(index, family)| {
            let has = LinkSetting::ALL.iter().filter(move |(.., families)| families[index]);
            has.map(move |(setting, ..)| Self { family, scope: scope.clone(), setting: *setting })
        })
    }

    /// The path below `/proc/sys/net/ipv4/conf` or that of IPv6.
    pub fn path_in_conf(&self) -> String {
        let scope = match &self.scope {
            Scope::All => "all",
            Scope::Default => "default",
            Scope::Link(device) => device.as_str(),
        };
        format!("{scope}/{}", self.setting.as_str())
    }

    const fn family_word(&self) -> &'static str {
        match self.family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }
}

impl fmt::Display for Sysctl {
    /// As `sysctl` writes it: a dot inside a link's name becomes a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match &self.scope {
            Scope::All => "all".to_owned(),
            Scope::Default => "default".to_owned(),
            Scope::Link(device) => device.as_str().replace('.', "/"),
        };
        write!(f, "net.{}.conf.{scope}.{}", self.family_word(), self.setting.as_str())
    }
}

/// A text is not one of the settings we hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a setting lockgate holds")]
pub struct SysctlError;

impl FromStr for Sysctl {
    type Err = SysctlError;

    fn from_str(text: &str) -> Result<Self, SysctlError> {
        let words: Vec<&str> = text.split('.').collect();
        let ["net", family, "conf", scope, setting] = words[..] else { return Err(SysctlError) };
        let (family, index) = match family {
            "ipv4" => (Family::V4, 0),
            "ipv6" => (Family::V6, 1),
            _ => return Err(SysctlError),
        };
        let scope = match scope {
            "all" => Scope::All,
            "default" => Scope::Default,
            link => Scope::Link(link.replace('/', ".").parse().map_err(|_| SysctlError)?),
        };
        let known = LinkSetting::ALL.iter().find(|(_, name, has)| *name == setting && has[index]);
        let (setting, ..) = known.ok_or(SysctlError)?;
        Ok(Self { family, scope, setting: *setting })
    }
}
