//! Snapshots to look at, written down.

use lockgate::model::limits;
use lockgate::net::{Asn, Prefix, SiteName, TenantName, Timestamp};
use lockgate::status::{
    AttachmentKind, Backend, BfdDiscard, BfdSnapshot, BfdState, BgpSnapshot, ConditionReason,
    ConditionStatus, ConditionType, Conditions, ConntrackSnapshot, Count, DropPlace, DropSnapshot,
    EndpointSnapshot, EventReason, FlawCount, History, KeyRole, KeySnapshot, NeighborKind,
    NeighborSnapshot, NeighborState, NotificationCount, PrefixCounts, PrefixSource, ProbeDurations,
    ProbeSnapshot, ProbeState, ProbeWindow, RangeSnapshot, ReflectorSnapshot, RefusedDocument,
    Reload, ReloadOutcome, RibNetwork, RibPage, RibPath, RouteSnapshot, RouteSource,
    SitePrefixStatus, SiteReason, SiteSnapshot, SiteState, Snapshot, TenantSnapshot,
};

/// 2026-11-24T03:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::new(1_795_489_200, 0);

/// A moment before [`NOW`].
pub(crate) fn ago(seconds: u64) -> Timestamp {
    Timestamp::new(NOW.seconds() - seconds, 0)
}

/// A site of the tenant's, in `state`.
pub(crate) fn site(name: &str, state: SiteState, reason: SiteReason) -> SiteSnapshot {
    let mut site =
        SiteSnapshot::starting(name.parse().unwrap(), AttachmentKind::WireGuard, ago(7_500));
    site.state = state;
    site.reason = reason;
    site.message = reason.message().to_owned();
    site.public_key = Some("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=".parse().unwrap());
    site.keys = vec![KeySnapshot {
        role: KeyRole::Customer,
        public_key: site.public_key.unwrap(),
        since: ago(9_000_000),
        is_used: state != SiteState::NeverConnected,
    }];
    let prefix = "192.168.1.0/24".parse().unwrap();
    site.prefixes = vec![SitePrefixStatus {
        cidr: prefix,
        alias: None,
        source: PrefixSource::Static,
        installed: true,
    }];
    site.conditions = Conditions::unknown(&ConditionType::SITE, 3, ago(7_500));
    site
}

/// A tenant with a site in every state.
pub(crate) fn tenant(namespace: &str) -> TenantSnapshot {
    let name = TenantName::new(namespace, "gw").unwrap();
    let mut up = site("poznan", SiteState::Up, SiteReason::SessionAlive);
    up.endpoint = Some("198.51.100.7:51820".parse().unwrap());
    up.last_handshake_time = Some(ago(12));
    up.last_received_time = Some(ago(1));
    up.last_sent_time = Some(ago(0));
    up.received_bytes = Count(1_234_567_890);
    up.sent_bytes = Count(u64::MAX);
    up.received_packets = Some(Count(1_000_000));
    up.sent_packets = Some(Count(17));
    up.handshakes = Count(63);
    up.probes = probes();
    up.prefixes[0].alias = Some("10.200.1.0/24".parse().unwrap());
    let mut stale = site("gdansk", SiteState::Stale, SiteReason::SessionExpired);
    stale.last_handshake_time = Some(ago(7_500));
    let mut blackholed = site("lodz", SiteState::Blackholed, SiteReason::NoReply);
    blackholed.last_handshake_time = Some(ago(90));
    let mut down = site("krakow", SiteState::Down, SiteReason::HandshakeTimeout);
    down.last_handshake_time = Some(ago(375_000));
    down.handshake_timeouts = Count(40);
    let never = site("wroclaw", SiteState::NeverConnected, SiteReason::WaitingForCustomer);

    let mut conditions = Conditions::default();
    for (kind, reason) in [
        (ConditionType::Accepted, ConditionReason::Accepted),
        (ConditionType::ResolvedRefs, ConditionReason::ResolvedRefs),
        (ConditionType::Programmed, ConditionReason::Programmed),
        (ConditionType::Isolated, ConditionReason::Verified),
    ] {
        conditions.set(kind, ConditionStatus::True, reason, "", 3, ago(7_500));
    }
    let mut history = History::new(limits::EVENTS_PER_TENANT);
    history.push(EventReason::TenantAdded, None, "serving".to_owned(), ago(7_500));
    let krakow: SiteName = "krakow".parse().unwrap();
    history.push(EventReason::SiteStateChanged, Some(krakow), "Up → Down".to_owned(), ago(60));

    TenantSnapshot {
        netns: name.netns(),
        name,
        device: Some("lg-wg".to_owned()),
        backend: Backend::Userspace,
        backend_reason: "the kernel has no WireGuard (module `wireguard`)".to_owned(),
        listen_port: 51_834,
        endpoint_host: Some("vpn.example.net".to_owned()),
        public_key: Some("HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=".parse().unwrap()),
        next_public_key: Some("maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=".parse().unwrap()),
        keys: vec![
            KeySnapshot {
                role: KeyRole::Gateway,
                public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=".parse().unwrap(),
                since: ago(9_000_000),
                is_used: true,
            },
            KeySnapshot {
                role: KeyRole::GatewayNext,
                public_key: "maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=".parse().unwrap(),
                since: ago(86_400),
                is_used: false,
            },
        ],
        app_prefixes: vec!["10.136.40.0/24".parse().unwrap()],
        nmaas_domain: None,
        conditions,
        sites: vec![stale, down, blackholed, up, never],
        drops: vec![
            DropSnapshot {
                place: DropPlace::Datapath,
                reason: "source_not_allowed".to_owned(),
                packets: Count(3),
            },
            DropSnapshot {
                place: DropPlace::Firewall,
                reason: "not_allowed".to_owned(),
                packets: Count(41),
            },
        ],
        conntrack: Some(ConntrackSnapshot { entries: 460, maximum: 5_000, evicted: Count(12) }),
        routes: vec![
            RouteSnapshot {
                prefix: "10.200.1.0/24".parse().unwrap(),
                via: None,
                link: "lg-wg".to_owned(),
                site: Some("poznan".parse().unwrap()),
                source: RouteSource::Static,
                installed: true,
            },
            RouteSnapshot {
                prefix: "10.136.40.0/24".parse().unwrap(),
                via: Some("172.16.130.1".parse().unwrap()),
                link: "eth1.130".to_owned(),
                site: None,
                source: RouteSource::App,
                installed: false,
            },
        ],
        bgp: Some(bgp()),
        events: history.to_vec(),
    }
}

/// A device that answers, and a port that refuses.
fn probes() -> Vec<ProbeSnapshot> {
    let probe = |tcp_port, state, micros: &[Option<u32>]| ProbeSnapshot {
        address: "10.200.1.1".parse().unwrap(),
        tcp_port,
        interval_seconds: 30,
        state,
        sent: Count(1_000),
        lost: Count(7),
        refused: Count(0),
        last_micros: Some(7_125),
        last_answer_time: Some(ago(9)),
        last_failure: Some("timeout".to_owned()),
        last_failure_message: Some("no answer".to_owned()),
        last_failure_time: Some(ago(40)),
        recent: ProbeWindow {
            micros: micros.to_vec(),
            lost: 1,
            minimum_micros: Some(6_900),
            mean_micros: Some(7_000),
            p99_micros: Some(7_125),
        },
        durations: ProbeDurations {
            within: (0..11).map(|bound| Count(if bound < 4 { 0 } else { 993 })).collect(),
            count: Count(993),
            sum_micros: Count(6_951_000),
        },
    };
    let mut refused = probe(Some(22), ProbeState::Refused, &[Some(6_900)]);
    (refused.refused, refused.recent.lost) = (Count(12), 0);
    vec![probe(None, ProbeState::Answered, &[Some(6_900), None, Some(7_125)]), refused]
}

/// A router of the fabric that is there, and a customer's that is not.
fn bgp() -> BgpSnapshot {
    let neighbor = |name: &str, kind, address: &str, remote_asn| NeighborSnapshot {
        name: name.to_owned(),
        site: name.strip_prefix("site/").map(|site| site.parse().unwrap()),
        range: name.strip_prefix("nodes/").map(|_| "nodes".to_owned()),
        kind,
        address: address.parse().unwrap(),
        remote_asn,
        role: name.starts_with("tor").then(|| "Customer".to_owned()),
        remote_role: name.starts_with("tor").then(|| "Provider".to_owned()),
        families: ["IPv4", "IPv6"]
            .iter()
            .take(if name == "tor" { 1 } else { 2 })
            .map(|&it| it.to_owned())
            .collect(),
        state: NeighborState::Established,
        since: ago(7_400),
        last_error: None,
        last_error_time: None,
        prefixes: PrefixCounts::default(),
        notifications: Vec::new(),
        flaws: Vec::new(),
        flaps: Count(0),
        converged_millis: name.starts_with("tor").then_some(250),
        bfd: None,
    };
    let mut tor = neighbor("tor", NeighborKind::FabricExternal, "172.16.130.1", 65_001);
    tor.prefixes = PrefixCounts {
        received: 12,
        accepted: 9,
        serving: 8,
        stale: 0,
        advertised: 2,
        not_kept: 0,
    };
    tor.flaws = vec![FlawCount { reason: "as_loop".to_owned(), count: Count(2) }];
    tor.bfd = Some(BfdSnapshot {
        state: BfdState::Up,
        since: ago(7_300),
        diagnostic: "no diagnostic".to_owned(),
        remote_state: BfdState::Up,
        remote_diagnostic: "no diagnostic".to_owned(),
        interval_millis: Some(300),
        detection_millis: Some(900),
        flaps: Count(1),
        received: Count(27_000),
        sent: Count(27_100),
        discarded: vec![BfdDiscard { reason: "ttl".to_owned(), count: Count(4) }],
    });
    let mut site = neighbor("site/poznan", NeighborKind::SiteExternal, "10.255.30.1", 65_010);
    site.state = NeighborState::Active;
    site.since = ago(95);
    site.last_error = Some("cannot connect: Connection refused (os error 111)".to_owned());
    site.last_error_time = Some(ago(3));
    site.notifications = vec![
        NotificationCount { is_sent: true, code: 6, subcode: 2, count: Count(1) },
        NotificationCount { is_sent: false, code: 4, subcode: 0, count: Count(3) },
    ];
    site.flaps = Count(3);
    let asn = Asn::new(64_600).unwrap();
    let mut bgp = BgpSnapshot::starting(asn, "172.16.130.2".parse().unwrap());
    let node = |address: &str| {
        let name = format!("nodes/{address}");
        neighbor(&name, NeighborKind::FabricExternal, address, 65_002)
    };
    let (mut first, mut second) = (node("172.16.130.200"), node("172.16.130.201"));
    first.prefixes =
        PrefixCounts { received: 3, accepted: 2, serving: 2, stale: 0, advertised: 2, not_kept: 0 };
    second.prefixes =
        PrefixCounts { received: 1, accepted: 1, serving: 1, stale: 1, advertised: 0, not_kept: 0 };
    second.state = NeighborState::Active;
    bgp.neighbors = vec![tor, first, second, site];
    bgp.ranges = vec![RangeSnapshot {
        name: "nodes".to_owned(),
        range: "172.16.130.128/25".parse().unwrap(),
        remote_asn: 65_002,
        maximum: 100,
        neighbors: 2,
        refused: Count(7),
        notifications: vec![NotificationCount {
            is_sent: true,
            code: 2,
            subcode: 2,
            count: Count(1),
        }],
        flaws: Vec::new(),
        flaps: Count(5),
    }];
    bgp.learned_routes = 8;
    bgp.convergence_millis = Some(12);
    bgp
}

/// A gateway with two tenants, one set of documents refused.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::starting("0.1.0", ago(7_500));
    snapshot.taken = NOW;
    snapshot.config.source = "config/two-tenants.yaml".to_owned();
    snapshot.config.loaded_generation = 3;
    snapshot.config.applied_generation = 3;
    snapshot.config.last_applied = Some(ago(3_600));
    snapshot.config.apply_duration_micros = Some(12_500);
    snapshot.config.last_reload = Some(Reload {
        at: ago(30),
        outcome: ReloadOutcome::Refused,
        errors: vec![
            "acme.yaml: SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)".to_owned(),
        ],
    });
    let mut quiet = tenant("beta");
    quiet.sites.retain(|site| site.state == SiteState::Up);
    snapshot.endpoint = Some(EndpointSnapshot {
        certificate_expires: Some(Timestamp::new(NOW.seconds() + 7_776_000, 0)),
        problems: Vec::new(),
    });
    snapshot.tenants = vec![tenant("acme"), quiet];
    snapshot.reflectors = vec![ReflectorSnapshot {
        class: "default".to_owned(),
        name: "rr1".to_owned(),
        address: "10.1.0.113".parse().unwrap(),
        remote_asn: 64_512,
        families: vec!["VPNv4".to_owned(), "VPNv6".to_owned(), "RTC".to_owned()],
        state: NeighborState::Established,
        since: ago(7_200),
        last_error: None,
        last_error_time: None,
        tenants: 2,
        not_kept: Count(17),
        notifications: vec![NotificationCount {
            is_sent: false,
            code: 6,
            subcode: 4,
            count: Count(1),
        }],
        flaws: vec![FlawCount { reason: "as_loop".to_owned(), count: Count(2) }],
        flaps: Count(1),
    }];
    snapshot.refused = vec![RefusedDocument {
        origin: Some("acme.yaml".to_owned()),
        document: "SiteAttachment/hq".to_owned(),
        path: Some("spec.vlan.id".to_owned()),
        reason: "reserved".to_owned(),
        message: "4095 is reserved (1–4094)".to_owned(),
    }];
    snapshot
}

/// What an attacker who may choose a text would write.
pub(crate) const HOSTILE: &str =
    "</td><script>alert(1)</script>\"'&\\\n\u{202e}lmth\u{0}\u{1b}[31m lockgate_up 1";

/// What the first tenant's neighbors said, a network a page.
pub(crate) fn rib(
    tenant: &TenantName,
    prefix: Option<Prefix>,
    after: Option<Prefix>,
) -> Option<RibPage> {
    if tenant.namespace() != "acme" {
        return None;
    }
    let path = |neighbor: &str, state: &str| RibPath {
        neighbor: neighbor.to_owned(),
        heard: "10.140.1.0/24".parse().unwrap(),
        path_id: 0,
        next_hop: "172.16.130.1".parse().unwrap(),
        as_path: "65001".to_owned(),
        local_pref: None,
        med: Some(50),
        communities: vec!["64512:40".to_owned(), "64512:1:40".to_owned()],
        state: state.to_owned(),
        is_stale: false,
        is_long_lived: false,
    };
    let first = RibNetwork {
        prefix: "10.140.1.0/24".parse().unwrap(),
        route: Some("dev lg-fabric via 172.16.130.1".to_owned()),
        paths: vec![path("tor", "best"), path("second", "lost: its router identifier is higher")],
        treated_as_withdrawn: Vec::new(),
    };
    let mut renamed = path("site/poznan", "refused: no import prefix names it");
    renamed.heard = "192.168.1.0/24".parse().unwrap();
    renamed.is_stale = true;
    let second = RibNetwork {
        prefix: "10.200.1.0/24".parse().unwrap(),
        route: None,
        paths: vec![renamed],
        treated_as_withdrawn: Vec::new(),
    };
    let all = [first, second];
    if let Some(prefix) = prefix {
        let wider = |it: &&RibNetwork| it.prefix.length() < prefix.length();
        let around = all.iter().filter(wider).filter(|it| it.prefix.covers(prefix));
        let around = around.map(|it| it.prefix.to_string()).collect();
        let networks = all.into_iter().filter(|network| network.prefix == prefix).collect();
        return Some(RibPage { networks, next: None, around });
    }
    let mut rest = all.into_iter().filter(|network| after.is_none_or(|it| it < network.prefix));
    let networks: Vec<RibNetwork> = rest.next().into_iter().collect();
    let next = networks.last().map(|it| it.prefix).filter(|_| rest.next().is_some());
    Some(RibPage { networks, next, around: Vec::new() })
}
