//! Any bytes as what a fabric's router says to a tenant's BGP speaker.

use lockgate::bgp::NeighborName;
use lockgate::bgp::session::{ConnectionId, SessionState};
use lockgate::bgp::speaker::{SocketWork, Speaker};
use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
use lockgate::model::{Tenant, limits};
use lockgate::net::{Instant, Prefix};
use lockgate::reconcile::{KernelState, RouteKey};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const DOCUMENT: &str = "
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [10.140.0.0/16, \"fd40::/32\"]
  fabric:
    interface: {name: ens1, addresses: [172.16.0.2/24, \"fd16::2/64\"]}
    bgp:
      localASN: 64600
      routerID: 172.16.0.2
      neighbors: [{name: tor, address: 172.16.0.1, remoteASN: 65001}]
      import:
        prefixes:
          - {cidr: 10.140.0.0/16, ge: 24, le: 32}
          - {cidr: \"fd40::/32\", ge: 48, le: 64}
        maximumPrefixes: 100
";

const NAMESPACE: &str = "netns acme/gw\n  link ens1 moved mtu 1500 up 172.16.0.2/24 fd16::2/64";

static TENANT: LazyLock<Arc<Tenant>> = LazyLock::new(|| {
    let documents = Documents::parse([("gw.yaml", DOCUMENT.as_bytes())]);
    let (secrets, ports, options) = (Secrets::default(), Allocations::new(), Options::default());
    let outcome = validate(&documents, &secrets, &ports, &options);
    assert_eq!(outcome.errors.to_string(), "");
    outcome.config.tenants.into_values().next().unwrap()
});

/// Messages a neighbor may send, by the first byte of each piece of the input.
const KINDS: [u8; 6] = [1, 2, 3, 4, 5, 6];

/// The first byte says how far the session is when the rest comes: at its
/// beginning, or established; and whether the rest is messages, each with a kind
/// and two bytes of length before its body, or bytes as they are.
pub(crate) fn session(bytes: &[u8]) {
    let _ = routes(bytes);
}

/// How many routes the kernel is to hold after that.
pub(crate) fn routes(bytes: &[u8]) -> usize {
    let Some((how, rest)) = bytes.split_first() else { return 0 };
    let mut scene = Scene::new();
    if how & 1 == 1 {
        scene.establish();
    }
    if how & 2 == 0 {
        scene.hear(rest);
    } else {
        scene.hear_messages(rest);
    }
    scene.speaker.routes().len()
}
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0xff; 16], &length[..], &[kind], body].concat()
}

struct Scene {
    speaker: Speaker,
    neighbor: NeighborName,
    connection: Option<ConnectionId>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::from_secs(5_000);
        let mut speaker = Speaker::new(&TENANT, None, (ConnectionId::default(), 3), now);
        let namespace = NAMESPACE.parse::<KernelState>().unwrap().tenants.pop_first().unwrap().1;
        speaker.surround(&namespace, now);
        let [local, remote] = ["172.16.0.2", "172.16.0.1"].map(|it| it.parse::<IpAddr>().unwrap());
        let (neighbor, id) = speaker.handle_incoming(local, remote, now).unwrap();
        let mut scene = Self { speaker, neighbor, connection: Some(id), now };
        scene.drain();
        scene
    }

    /// An OPEN with four octets for ASes and both families, and a KEEPALIVE.
    fn establish(&mut self) {
        let capabilities = [2, 18, 65, 4, 0, 0, 0xfd, 0xe9, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];
        let mut open = vec![4, 0xfd, 0xe9, 0, 90, 172, 16, 0, 1, capabilities.len() as u8];
        open.extend(capabilities);
        self.hear(&message(1, &open));
        self.hear(&message(4, &[]));
        let sample = self.speaker.sample();
        let session = &sample.neighbors[&self.neighbor].session;
        assert_eq!(session.state, SessionState::Established);
    }

    fn hear_messages(&mut self, mut rest: &[u8]) {
        while let Some(([kind, high, low], after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (body, after) = after.split_at(after.len().min(length));
            rest = after;
            self.hear(&message(KINDS[usize::from(*kind) % KINDS.len()], body));
        }
    }

    /// Bytes come, some at a time.
    fn hear(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(1_000) {
            let Some(id) = self.connection else { return };
            self.speaker.handle_bytes(&self.neighbor, id, piece, self.now);
            self.drain();
        }
        self.now += Duration::from_secs(1);
        self.speaker.handle_timeout(self.now);
        self.drain();
        self.check();
    }

    fn drain(&mut self) {
        while let Some(io) = self.speaker.poll_io() {
            match io.what {
                SocketWork::Write(id) => {
                    let unsent = self.speaker.unsent(&self.neighbor, id).len();
                    assert!(unsent <= 2 * limits::BGP_OUT_QUEUE_BYTES, "{unsent} bytes to say");
                    self.speaker.handle_written(&self.neighbor, id, unsent, self.now);
                }
                SocketWork::Close { connection, last } => {
                    assert!(last.len() <= limits::BGP_MESSAGE_BYTES);
                    self.connection = self.connection.filter(|id| *id != connection);
                }
                SocketWork::Dial(_) => {}
            }
        }
        let mut events = 0;
        while self.speaker.poll_event().is_some() {
            events += 1;
        }
        assert!(events <= limits::BGP_EVENTS);
    }

    /// Whatever was said, the kernel is to hold what the documents import, and no
    /// more of it than they allow.
    fn check(&self) {
        let imports = [("10.140.0.0/16", 24..=32), ("fd40::/32", 48..=64)];
        let imports = imports.map(|(prefix, lengths)| (prefix.parse::<Prefix>().unwrap(), lengths));
        let routes = self.speaker.routes();
        assert!(routes.len() <= 100, "{} routes", routes.len());
        for RouteKey { prefix, metric, .. } in routes.keys() {
            let mut imports = imports.iter();
            let is_imported = imports.any(|(import, lengths)| {
                import.covers(*prefix) && lengths.contains(&prefix.length())
            });
            assert!(is_imported && *metric == RouteKey::LEARNED_METRIC, "{prefix} was taken");
        }
    }
}
