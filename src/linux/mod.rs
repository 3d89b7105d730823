//! The shell that speaks with the Linux kernel: namespaces, links, addresses,
//! routes, rules, settings.
//!
//! It makes no choice. `observe` says what there is of ours, `apply` takes one
//! [`Step`](crate::reconcile) after another and does it. What is not ours is
//! neither changed nor removed.
//!
//! In reading order: [`Kernel`] (the door), `workers` (threads that enter a namespace), `netns`,
//! `tun`, and `syscall` (what needs `unsafe`).

mod kernel;
mod netns;
mod syscall;
mod tun;
mod workers;

pub use kernel::{EnterError, Kernel, KernelOptions, OpenTunError};
pub use netns::NetnsError;
pub use tun::{HEADER_LEN, Offload, QUEUE_LEN, Tun, TunError};
pub use workers::WorkError;
