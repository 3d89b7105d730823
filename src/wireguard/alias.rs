//! Networks the customer knows under other addresses than we do: the inner
//! packet's addresses are changed on the tunnel's threshold, so that neither
//! side ever sees the other's names.
//!
//! Each network is renamed on its own, one after the other. That is once for
//! every address, because no alias of a site meets another network of the same
//! site; the documents are checked for that.

use super::{DropReason, Translation};
use crate::packet::{Side, translate};
use std::net::IpAddr;

/// Whether an address is one that only we have for something of the customer's.
pub(super) fn is_alias(translations: &[Translation], address: IpAddr) -> bool {
    translations.iter().any(|translation| translation.alias.contains(address))
}

/// Changes what the customer calls its networks into what we call them, in a
/// packet that came.
pub(super) fn inward(translations: &[Translation], packet: &mut [u8]) -> Result<(), DropReason> {
    for Translation { real, alias } in translations {
        rename(translate(packet, Side::Source, *real, *alias, false))?;
    }
    Ok(())
}

/// Changes what we call the customer's networks into what it calls them, in a
/// packet that goes.
pub(super) fn outward(translations: &[Translation], packet: &mut [u8]) -> Result<(), DropReason> {
    for Translation { real, alias } in translations {
        rename(translate(packet, Side::Destination, *alias, *real, false))?;
    }
    Ok(())
}

/// Lets nothing pass that could be renamed in part only.
fn rename(result: Result<bool, crate::packet::Malformed>) -> Result<(), DropReason> {
    result.map(|_| ()).map_err(|_| DropReason::Translation)
}
