//! How many neighbours (ARP, neighbour discovery) the kernel remembers.

use std::fs;

/// The most entries of each family (`Documentation/networking/ip-sysctl.rst`,
/// `neigh/default/gc_thresh3`).
const LIMITS: [&str; 2] =
    ["/proc/sys/net/ipv4/neigh/default/gc_thresh3", "/proc/sys/net/ipv6/neigh/default/gc_thresh3"];

/// The most neighbours of one family that all namespaces of the machine may have
/// together; the smaller number of both families. `None` where it is not shown,
/// as in a container: it is the host's.
pub fn neighbour_limit() -> Option<usize> {
    let limit = |path: &&str| fs::read_to_string(path).ok()?.trim_end().parse().ok();
    LIMITS.iter().filter_map(limit).min()
}
