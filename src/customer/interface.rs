//! What the customer's interface may be called: every system has limits of its own.

use super::Dialect;

/// Why an interface cannot be called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceProblem {
    /// Too long, or with a character that is not possible, on Linux.
    #[error("at most 15 letters, digits and `._-`, not beginning with `-`")]
    Linux,
    /// Not as VyOS numbers them.
    #[error("`wg` and a number")]
    VyOs,
    /// Not as OpenWrt names sections of its configuration.
    #[error("at most 11 letters, digits and `_`")]
    OpenWrt,
    /// Too long, or with a character that no router has.
    #[error("at most 48 letters, digits and `._-/:`")]
    Router,
}

/// Sees whether `name` can be an interface's in `dialect`.
pub(super) fn check(dialect: Dialect, name: &str) -> Result<(), InterfaceProblem> {
    let is = |most: usize, others: &[u8]| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        (1..=most).contains(&name.len()) && name.bytes().all(inside)
    };
    let (is_good, problem) = match dialect {
        // IFNAMSIZ less the closing NUL; RouterOS takes more, and shows as many.
        Dialect::WgQuick | Dialect::Networkd | Dialect::NetworkManager | Dialect::RouterOs => {
            let is_good = is(15, b"._-") && !name.starts_with(['-', '.']);
            (is_good, InterfaceProblem::Linux)
        }
        Dialect::VyOs => {
            let number = name.strip_prefix("wg").unwrap_or_default();
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            ((1..=4).contains(&number.len()) && digits, InterfaceProblem::VyOs)
        }
        // Its firewall zone has the same name, which is one of fewer characters.
        Dialect::OpenWrt => (is(11, b"_"), InterfaceProblem::OpenWrt),
        // They name it themselves, or have none.
        Dialect::Qr | Dialect::OpnSense | Dialect::PfSense | Dialect::Frr | Dialect::Bird => {
            return Ok(());
        }
        Dialect::IosXe | Dialect::Junos | Dialect::Eos => {
            (is(48, b"._-/:"), InterfaceProblem::Router)
        }
    };
    if is_good { Ok(()) } else { Err(problem) }
}
