//! A network and a `/run` for this process alone, for the demo: whatever it
//! makes there cannot be seen by the machine and ends with it.

use super::syscall;
use rustix::mount::{MountFlags, MountPropagationFlags};
use std::io;

/// Moves the calling thread, and all it starts from now on, into a mount and a
/// network namespace of their own, with an empty `/run`.
///
/// To be called before other threads are started.
///
/// # Errors
/// Without CAP_SYS_ADMIN.
pub fn enter_box() -> io::Result<()> {
    syscall::unshare_box()?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    rustix::mount::mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)?;
    std::fs::create_dir("/run/netns")
}
