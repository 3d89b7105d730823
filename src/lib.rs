//! Lockgate: a per-tenant connectivity gateway.
//!
//! Each customer's network reaches that customer's applications and nothing
//! else: over WireGuard or a VLAN into a network namespace that is the
//! tenant's alone. Customers may all have the same addresses.
//!
//! # In one paragraph
//! The gateway is one pure machine with shells around it.
//! Documents are *validated* into a [`model::Config`].
//! The machine ([`gateway::Gateway`]) says what the kernel should hold
//! (*desired*), compares it with what it does hold (*observed*) and puts out a
//! *plan*; a shell applies it and looks again.
//! Everything anyone can see is a view of one [`status::Snapshot`].
//!
//! ```text
//!  documents ──validate──▶ Config ──┐                  ┌──▶ Snapshot ──▶ page, JSON, metrics, CLI
//!                                   ▼                  │
//!  namespaces ──observe──▶ ┌── gateway::Gateway ──┐ ───┘
//!  devices ─────sample───▶ │  one owner, no clock │ ──▶ Observe / Apply(steps)       ──▶ linux
//!  BGP sockets ─bytes────▶ │  a Speaker a tenant  │ ──▶ Attach / Configure / Detach  ──▶ datapath
//!  DNS, time ────────────▶ └──────────────────────┘ ──▶ Bgp: listen, dial, write     ──▶ daemon
//!
//!  TUN ⇄ wireguard::Device ⇄ UDP      (threads that own their tenants; the above never
//!                                      touches a packet: DeviceConfig down, Sample up)
//! ```
//! Where the kernel's WireGuard carries a tenant's tunnels (`model::Backend`), the
//! same two types go over netlink to its device, by way of [`linux`].
//!
//! # Rooms, in reading order
//! Ground floor, pure: no clock, socket, file, environment, thread, lock or
//! randomness; all of these are arguments.
//! [`net`] (the words of the wire), [`model`] (what was asked for), [`config`]
//! (documents into that), [`packet`] (what is inside a datagram), [`wireguard`]
//! [`bfd`], [`bgp`] and [`probe`] (the protocols without sockets), [`reconcile`] (desired against observed),
//! [`status`] (how it is, as one value), [`customer`] (the other end's
//! configuration), [`dcn`] (when NMaaS is told), [`gateway`] (the machine).
//!
//! Upper floor, shells: [`linux`] (namespaces, links, routes, rules),
//! [`datapath`] (packet threads), [`http`] (read-only views), [`nmaas`] (NMaaS, asked), and the two that
//! introduce them to one another: [`daemon`] and [`cli`].
//! Which room may name which is checked by `tests/it/tidy.rs`.
//!
//! # Invariants
//! 1. Nothing on the ground floor reads a clock, a socket, a file, the
//!    environment or random numbers.
//! 2. [`gateway::Gateway`] has one owner. There is no lock on the ground floor.
//! 3. A plan is complete: applying makes no choice. A [`reconcile::Step`] may be
//!    repeated.
//! 4. A plan between equal states is empty; one applied in full leaves nothing
//!    to plan.
//! 5. What is known of the kernel comes from observing it alone.
//! 6. We touch only what we made: links by [`net::ManagedName`], routes by
//!    their protocol number, one nft table by its name.
//! 7. A tenant's failure changes nothing for another: plans, backoff, history
//!    and devices are each tenant's own.
//! 8. Whatever is refused or dropped has a reason from an enum, and the reason
//!    reaches the snapshot.
//! 9. Every queue, table and history has a maximum in [`model::limits`].
//! 10. A secret is never in `Debug`, logs, plans, the snapshot or a metric.
//! 11. Isolation is never open: rules stand before links come up, change in one
//!     transaction and go last; a tenant without rules forwards nothing.
//!
//! # Where the design was changed, and why
//! - The noise engine is ours, on `snow` and `ring`, and not `boringtun`'s: see
//!   [`wireguard`].
//! - Rules go to `nft` as text and not as JSON, and netlink is spoken directly
//!   on the threads that enter a namespace: both were measured to be cheaper,
//!   see [`linux`].
//! - A site's alias networks are translated in the device, without conntrack.
//!
//! # Where to change what
//! | to change | look at |
//! |---|---|
//! | a field of a document | `config/schema`, `config/validate`, `config/reference.yaml` |
//! | what the kernel should hold | `reconcile/desired.rs`, `reconcile/desired_rules.rs` |
//! | the order of steps | `reconcile/plan.rs` |
//! | how a step is done | `linux/apply.rs` |
//! | what the kernel's WireGuard is told | `wireguard/kernel.rs`, `linux/wireguard.rs` |
//! | what is taken of a BGP neighbor | `bgp/policy.rs` |
//! | which route serves, and why | `bgp/rib/best_path.rs`, `bgp/next_hop.rs` |
//! | what is advertised | `bgp/export.rs` |
//! | what is served of a site whose router speaks BGP | `reconcile/said.rs`, `gateway/following.rs` |
//! | when a tenant's BGP begins, ends and touches the kernel | `gateway/bgp.rs` |
//! | how BGP's sockets are held | `daemon/bgp.rs`, `linux/tcp.rs` |
//! | when BFD takes a neighbor for dead, and what follows | `bfd/session.rs`, `gateway/bfd.rs` |
//! | how BFD's sockets are held | `daemon/bfd.rs`, `linux/udp.rs` |
//! | when a device is asked, and when it counts as gone | `probe/session.rs`, `gateway/probe.rs` |
//! | how a device is asked | `daemon/probe.rs`, `linux/probe.rs` |
//! | when a site counts as up | `wireguard/health.rs` |
//! | what a packet goes through | `datapath/outgoing.rs`, `datapath/incoming.rs` |
//! | how packets are taken apart and put together | `packet/gso.rs`, `packet/gro.rs` |
//! | what everyone sees | `status/`, `gateway/view.rs` |
//! | what a customer is sent | `customer/connection.rs` (the facts), a file for each dialect |
//! | what is taken of somebody else's configuration | `config/import` |
//! | what is taken of a domain request, and when NMaaS is told | `config/import/nmaas`, `dcn/` |
//! | a maximum | `model/limits.rs` |

pub mod net;

pub mod model;

pub mod bfd;
pub mod bgp;
pub mod config;
pub mod customer;
pub mod dcn;
pub mod gateway;
pub mod packet;
pub mod probe;
pub mod reconcile;
pub mod status;
pub mod wireguard;

pub mod cli;
pub mod daemon;
pub mod datapath;
pub mod http;
pub mod linux;
pub mod nmaas;
