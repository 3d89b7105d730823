//! How full a namespace's connection tracking table is, as the kernel says.

/// The table, looked at once.
///
/// What is counted is the namespace's own; the maximum is one number for the whole
/// machine (`net.netfilter.nf_conntrack_max`), which each namespace may reach for
/// itself. So a tenant that fills its table takes nothing from another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConntrackSample {
    /// Conversations that are tracked.
    pub entries: u32,
    /// The most there may be; 0 for no end.
    pub maximum: u32,
    /// Packets dropped because the conversation they began could not be noted down,
    /// since the namespace was made: there was no room, or another packet began the
    /// same one at the same instant.
    pub dropped: u64,
    /// Conversations that nobody had answered yet and that were forgotten to make
    /// room, since the namespace was made.
    pub evicted: u64,
}
