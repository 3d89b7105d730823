//! What the kernel of this machine can do, as far as documents depend on it.

/// Whether the kernel can do something that not every kernel can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ability {
    /// It can, or can once it has loaded a module that is there.
    Present,
    /// It cannot: it was built without, and there is no module.
    Missing,
    /// It cannot be told from here; trying will tell.
    #[default]
    Unknown,
}

/// What the kernel can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFeatures {
    /// Tagged VLANs, IEEE 802.1Q and 802.1ad (module `8021q`).
    pub vlan: Ability,
    /// WireGuard (module `wireguard`).
    pub wireguard: Ability,
    /// IP in IP (module `ipip`).
    pub ipip: Ability,
    /// Rules about ARP (`CONFIG_NF_TABLES_ARP`, which no module brings).
    pub arp: Ability,
}

impl KernelFeatures {
    /// What it means when there are no rules about ARP.
    pub const NO_ARP: &str = "this machine's kernel takes no rules about ARP \
        (CONFIG_NF_TABLES_ARP): nothing bounds how many on a VLAN or a fabric link are \
        remembered for asking, in a table that all tenants share";
}
