//! Every maximum, with its reason.
//!
//! What can grow has an end, and what happens there is defined where it is used.

/// Tenants in one process: two thousand of them hold 4,000 descriptors, a third
/// of a GiB of kernel memory for their namespaces, and about as much of ours.
pub const TENANTS: usize = 4_096;

/// Sites of one tenant: beyond this the peers' engines alone take 100 MiB.
pub const SITES_PER_TENANT: usize = 10_000;

/// Prefixes of one site: a document has to stay below etcd's 1.5 MiB.
pub const PREFIXES_PER_SITE: usize = 10_000;

/// Application prefixes of one tenant.
pub const APP_PREFIXES: usize = 1_024;

/// Allow rules of one site; each is up to four rules in the kernel.
pub const ALLOWS_PER_SITE: usize = 64;

/// Port ranges of one allow rule: its text has to fit a rule's comment in the
/// kernel, 128 bytes, together with a site name of 63.
pub const PORTS_PER_ALLOW: usize = 5;

/// Bytes of a rule's text: the kernel keeps 128 for its comment, the closing
/// NUL among them (`NFTNL_UDATA_COMMENT_MAXLEN`).
pub const RULE_TEXT_BYTES: usize = 127;

/// Echo requests the gateway answers each second on each link, and as many at
/// once: enough for every probe of a NOC, too few to load the control plane.
pub const ECHOES_PER_SECOND: u32 = 100;

/// Conversations with the test page that may begin each second on each link, and as many
/// at once: people ask for it, and by hand.
pub const TEST_PAGES_PER_SECOND: u32 = 10;

/// Conversations with the test page of one site at a time.
pub const TEST_PAGES_PER_SITE_AT_ONCE: usize = 4;

/// The same of all sites of a tenant.
pub const TEST_PAGES_PER_TENANT_AT_ONCE: usize = 16;

/// The most of a request for the test page that is read: a browser's head fits.
pub const TEST_PAGE_REQUEST_BYTES: usize = 8 << 10;

/// Neighbour solicitations that are heard each second on a site's link, and as many
/// ARP requests, and as many at once. A router asks once in some seconds; each new asker takes an entry of
/// the neighbour table, of which all namespaces together have 1,024 by default
/// (`net.ipv6.neigh.default.gc_thresh3`, and that of IPv4), for at least five seconds.
pub const SITE_SOLICITATIONS_PER_SECOND: u32 = 20;

/// The same on the link to the applications, where many pods may ask.
pub const FABRIC_SOLICITATIONS_PER_SECOND: u32 = 100;

/// Addresses of the applications' own networks, reached without a router, that the
/// customers on one link may send to within [`NEIGHBORS_MET_SECONDS`]. Each takes an
/// entry of the neighbour table, whether anybody is there or not.
pub const APPS_MET: u32 = 256;

/// The same of a VLAN's networks, for the applications: a poller asks every device
/// there in one go.
pub const DEVICES_MET: u32 = 1_024;

/// Hosts of a VLAN's own network that the gateway itself may say something to within
/// [`NEIGHBORS_MET_SECONDS`]: answers to echoes, and ICMP errors. Each takes an entry
/// of the neighbour table, and whoever sends may say that he is anybody there.
pub const HOSTS_MET: u32 = 64;

/// How long an address that was sent to counts as one: longer than the kernel looks
/// for who is not there, 3 seconds.
pub const NEIGHBORS_MET_SECONDS: u32 = 30;

/// Addresses a leak walk tries for each tenant, its own and others' each: every
/// pair of them is traced eight times.
pub const LEAK_PROBES: usize = 24;

/// Probes of one site.
pub const PROBES_PER_SITE: usize = 16;

/// Probes of one tenant that wait for an answer at one time; each holds a socket for at
/// most two seconds.
pub const PROBES_UNDER_WAY_PER_TENANT: usize = 64;

/// Probes of all tenants that wait for an answer at one time. When nobody answers
/// anywhere that is still 128 each second.
pub const PROBES_UNDER_WAY: usize = 256;

/// Shots of one probe that are kept, for the loss and the plot: half an hour at the
/// usual interval, and a quarter of a KiB.
pub const PROBE_READINGS: usize = 60;

/// Bytes of one document file. etcd takes 1.5 MiB of one object.
pub const DOCUMENT_FILE_BYTES: u64 = 64 << 20;

/// Levels of nesting in a document.
pub const DOCUMENT_DEPTH: usize = 64;

/// Bytes that the aliases of one file may stand for: a set of ten thousand sites
/// that share their rules needs a tenth of it.
pub const ALIAS_BYTES: usize = 16 << 20;

/// Neighbors of one tenant on the fabric.
pub const NEIGHBORS_PER_TENANT: usize = 64;

/// Networks of tenants that one shared route reflector may say: about a hundred bytes each
/// remember who was told.
pub const NETWORKS_PER_REFLECTOR: usize = 2_000_000;

/// Route reflectors that the tenants of one class share.
pub const VPN_REFLECTORS: usize = 8;

/// Neighbors that one range has at one time when nothing is asked, as routers have by
/// default.
pub const DEFAULT_NEIGHBORS_PER_RANGE: usize = 100;

/// Neighbors that one range may ever have at one time.
pub const NEIGHBORS_PER_RANGE: usize = 1_000;

/// Neighbors that all ranges of one tenant may have at one time: with its sites'
/// routers they fit in the fifteen bits that number them.
pub const NEIGHBORS_IN_RANGES: usize = 4_000;

/// Networks in one import policy.
pub const POLICY_ENTRIES: usize = 1_024;

/// Communities or route targets in one import or export policy: all of them are
/// on everything we advertise, and 64 large ones take 768 bytes of a message.
pub const COMMUNITIES_PER_POLICY: usize = 64;

/// Prefixes one neighbor may announce when nothing is asked: ten times what five
/// thousand nodes have between them, and 10 MB.
pub const DEFAULT_PREFIXES_PER_NEIGHBOR: u32 = 100_000;

/// Prefixes one neighbor may ever announce: the whole Internet's table, which is
/// somebody's mistake here, fits; 100 MB.
pub const PREFIXES_PER_NEIGHBOR: u32 = 1_000_000;

/// Paths that all neighbors of one tenant may have announced between them: the whole
/// Internet's table twice, 200 MB. Whoever says one more has its session ended, as for its
/// own maximum.
pub const PATHS_PER_TENANT: u32 = 2_000_000;

/// Next hops the routes of one tenant may have between them: each is resolved
/// again when a link or the way to it changes, and a cluster has one a node.
pub const NEXT_HOPS_PER_TENANT: usize = 8_192;

/// Learned routes that may lead, one by the other, to a next hop: service
/// addresses by a node's loopback by the node, and one to spare.
pub const NEXT_HOP_DEPTH: u8 = 3;

/// Paths that serve one network together, as many as routers have by default.
pub const PATHS_PER_ROUTE: usize = 16;

/// Route distinguishers of one tenant's VPN routes: one for each place that has
/// some, and they are looked through one by one.
pub const DISTINGUISHERS_PER_TENANT: usize = 256;

/// Addresses of one interface.
pub const ADDRESSES_PER_LINK: usize = 16;

/// Networks that a tenant's nodes are in.
pub const NODE_NETWORKS: usize = 64;

/// Networks a class forbids.
pub const FORBIDDEN_PREFIXES: usize = 1_024;

/// Errors reported of one set of documents; the rest are counted.
pub const REPORTED_ERRORS: usize = 1_000;

/// Packets kept for one peer while its handshake runs: a TCP connection's first
/// flight and a few questions more. The kernel keeps 128 (`MAX_STAGED_PACKETS`).
pub const STAGED_PACKETS: usize = 128;

/// Bytes kept for one peer while its handshake runs.
pub const STAGED_BYTES: usize = 64 << 10;

/// Events kept for each tenant.
pub const EVENTS_PER_TENANT: usize = 64;

/// Threads that enter tenants' namespaces: their work is waiting for the kernel
/// and for `nft`, and creating namespaces takes one lock in the kernel anyway.
pub const NETNS_WORKERS: usize = 4;

/// Pieces of work that wait for such a thread; whoever brings more waits.
pub const NETNS_ORDERS: usize = 64;

/// Names of endpoints looked up at one time. Each holds a thread for as long as
/// the resolver takes, which is half a minute when nobody answers it.
pub const LOOKUPS: usize = 16;

/// Connections to the status endpoint at one time, on all its addresses: far
/// below the 1,024 descriptors a process may have open by default.
pub const HTTP_CONNECTIONS: usize = 256;

/// Of those from one address (of IPv6 a /64), so that one host cannot keep the others out: a
/// browser takes up to six.
pub const HTTP_ADDRESS_CONNECTIONS: usize = 64;

/// Of those from loopback, where all come from for whom a proxy on the machine speaks: the
/// rest is for the network.
pub const HTTP_LOOPBACK_CONNECTIONS: usize = 192;

/// Connections to its unix socket, apart from those: who is on the machine is answered
/// whatever comes from the network.
pub const SOCKET_CONNECTIONS: usize = 64;

/// Readers that follow what happens, of those connections: what is left is for scrapes
/// and for people.
pub const HTTP_STREAMS: usize = 128;

/// Of those from one address, so that two hosts cannot keep the others from following: a
/// browser with a window for each of some tenants takes as many.
pub const HTTP_ADDRESS_STREAMS: usize = 32;

/// Of those from loopback.
pub const HTTP_LOOPBACK_STREAMS: usize = 96;

/// Events that are kept for readers who come back, of all tenants.
pub const HTTP_EVENTS: usize = 1_024;

/// Tokens and certificates the status endpoint knows: several for each tenant of a large
/// gateway.
pub const HTTP_GRANTS: usize = 4_096;

/// Bytes of a file of certificates, of a key or of tokens for the status endpoint: a chain
/// is some kilobytes, a bundle of authorities some hundred.
pub const CREDENTIAL_FILE_BYTES: u64 = 1 << 20;

/// Bytes of the head of a request to the status endpoint.
pub const HTTP_HEAD_BYTES: usize = 16 << 10;

/// Header fields of a request to the status endpoint.
pub const HTTP_HEADERS: usize = 64;

/// Sources of handshakes remembered at once, twice over, while a device is
/// under load: 600 KiB. Beyond this the ones seen longest ago begin afresh.
pub const HANDSHAKE_SOURCES: usize = 4_096;

/// Cookie replies waiting to be sent: what a flood puts into one batch of
/// datagrams. Who gets none tries again in 5 s.
pub const COOKIE_REPLIES: usize = 256;

/// Bytes of a gateway's status, as its own command line reads it: a hundred
/// thousand sites.
pub const STATUS_BYTES: usize = 256 << 20;

/// What happened to a tenant's BGP sessions and was not fetched yet; beyond it the
/// oldest are forgotten. Each session that comes and goes is two.
pub const BGP_EVENTS: usize = 256;

/// Networks of one neighbor of which it is known that they count as withdrawn for what
/// was wrong with them (RFC 7606), and why; beyond it the oldest are forgotten.
pub const TREATED_PER_NEIGHBOR: usize = 128;

/// The same of all neighbors of a tenant; beyond it the oldest of who has most of them.
pub const TREATED_PER_TENANT: usize = 1_024;

/// Bytes of a BGP message (RFC 4271 §4).
pub const BGP_MESSAGE_BYTES: usize = 4_096;

/// Bytes of a BGP message where both ends agreed on longer ones (RFC 8654).
pub const BGP_EXTENDED_MESSAGE_BYTES: usize = 65_535;

/// Systems, clusters or communities of one kind of one route: as many as a
/// message of 4,096 bytes holds. Who says more gains nothing honest by it.
pub const BGP_ATTRIBUTE_ENTRIES: usize = 1_024;

/// Bytes of what is said to the people at the other end of a session that is
/// shut down: what receivers before RFC 9003 take.
pub const BGP_SHUTDOWN_TEXT_BYTES: usize = 128;

/// Bytes taken of one connection at a time: what is said of them waits until it
/// is fetched, so this bounds it too.
pub const BGP_READ_BYTES: usize = 64 << 10;

/// Bytes that wait to be sent on one connection before no more UPDATEs are
/// taken: what a kernel's send buffer is by default, a round trip of a fast one.
pub const BGP_OUT_QUEUE_BYTES: usize = 256 << 10;

/// The longest a session that keeps failing waits before the next attempt, in
/// seconds.
pub const BGP_IDLE_HOLD_SECONDS: u64 = 300;

/// Kinds of NOTIFICATION counted by their numbers: twice those there are.
pub const BGP_NOTIFICATION_KINDS: usize = 64;

/// Bytes kept of what went wrong last on a session.
pub const BGP_ERROR_TEXT_BYTES: usize = 512;

/// Bytes read of a BGP connection at a time, and not again before they are worked
/// off: what keeps the loop for some milliseconds at most, whoever sends how fast.
pub const BGP_SOCKET_READ_BYTES: usize = 16 << 10;

/// Bytes handed to a BGP connection at a time: a whole message at least.
pub const BGP_SOCKET_WRITE_BYTES: usize = 64 << 10;

/// What BGP connections have to tell that waits for the loop. Each has one thing at
/// a time, and whoever finds no room waits.
pub const BGP_INPUTS: usize = 64;

/// BFD sessions of a tenant that nobody wants any more and that still say so: beyond it
/// the first to be done say no more. Who they were with sets how long they would.
pub const BFD_LEAVING: usize = 64;

/// What BFD's sockets have to tell that waits for the loop, which takes it up to a
/// hundred times a second: packets of ten thousand neighbors. Whoever finds no room
/// waits.
pub const BFD_INPUTS: usize = 512;

/// Bytes read of a BFD datagram: an authenticated packet has 52 (RFC 5880 §4.4), and
/// whatever is longer is none.
pub const BFD_PACKET_BYTES: usize = 64;

/// Learned routes of a tenant in each snapshot, so that a thousand tenants' fit; all of
/// them are counted, and all are shown to who asks for what the neighbors said.
pub const LEARNED_SHOWN: usize = 200;

/// Networks in one answer about what the neighbors said: some milliseconds of the
/// loop's time.
pub const RIB_PAGE: usize = 500;

/// Questions of that kind that wait for the loop; whoever comes then is told to come
/// again.
pub const RIB_QUESTIONS: usize = 8;

/// Networks of one tenant that the command line shows.
pub const RIB_SHOWN: usize = 100_000;

/// Bytes of what NMaaS answers that are read: its first line is shown, and a page of
/// some proxy's is longer.
pub const NMAAS_ANSWER_BYTES: usize = 64 << 10;

/// Bytes of a domain request of NMaaS: ten thousand networks and a long justification.
pub const DOMAIN_REQUEST_BYTES: u64 = 1 << 20;
