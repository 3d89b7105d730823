//! The shell that speaks with the Linux kernel: namespaces, links, addresses,
//! routes, rules, settings.
//!
//! It makes no choice. `observe` says what there is of ours, `apply` takes one
//! [`Step`](crate::reconcile) after another and does it. What is not ours is
//! neither changed nor removed.
//!
//! In reading order: [`Kernel`] (the door), `workers` (threads that enter a
//! namespace), `netns`, `observe` and `apply`; what they speak in: [`answer`],
//! `netlink` and `rtnl`, `nft` with `nft_render`, `nft_parse`, `nft_arp` and `nf_tables`, `conntrack`, `sysctl`,
//! `tun`, `wireguard`, [`tcp`], [`udp`], [`probe`], `uplink`, `neighbours`, `watch` (who is to be looked at again), `homes` (whose namespace is another), and `syscall`
//! and `probe_calls` (what needs `unsafe`).

pub mod answer;
mod apply;
mod capability;
mod conntrack;
mod enter_box;
mod features;
mod homes;
mod kernel;
mod leg;
mod neighbours;
mod netlink;
mod netns;
mod nf_tables;
mod nft;
mod nft_arp;
mod nft_parse;
mod nft_render;
mod observe;
mod own_memory;
pub mod probe;
mod probe_calls;
mod rtnl;
mod syscall;
mod sysctl;
pub mod tcp;
mod tun;
pub mod udp;
mod uplink;
mod vlan;
mod watch;
mod wireguard;
mod workers;

pub use answer::NetlinkError;
pub use apply::{Applied, ApplyError};
pub use capability::{Missing, missing};
pub use enter_box::enter_box;
pub use features::features;
pub use kernel::{EnterError, Kernel, KernelOptions, OpenTunError};
pub use neighbours::neighbour_limit;
pub use netns::NetnsError;
pub use nft::NftError;
pub use observe::ObserveError;
pub use own_memory::{give_back, share_heap};
pub use sysctl::SettingError;
pub use tun::{HEADER_LEN, Offload, QUEUE_LEN, Tun, TunError};
pub use uplink::uplink_mtu;
pub use watch::{Dirty, Watch};
pub use wireguard::{DeviceError, WireGuardLink};
pub use workers::WorkError;
