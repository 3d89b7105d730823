//! What is looked at: all sites, and the site or tenant that was opened out of them.

use super::pane::{Pane, Picture, Spot, Surface, Wish};
use crate::cli::keyboard::Key;

/// The panes.
#[derive(Debug, Default)]
pub(super) struct Browser {
    all: Pane,
    opened: Option<(Spot, Pane)>,
}

/// What a key asks for beyond what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The same as before, drawn as it is now.
    Same,
    /// Something else is looked at.
    Other,
    /// All is to be drawn again, whatever stands there.
    Redraw,
    /// To leave.
    Quit,
}

impl Browser {
    /// What was opened.
    pub(super) fn opened(&self) -> Option<&Spot> {
        self.opened.as_ref().map(|(spot, _)| spot)
    }

    /// A key was pressed.
    pub(super) fn handle(&mut self, key: Key) -> Change {
        let wish = match &mut self.opened {
            Some((_, pane)) => pane.handle(key),
            None => self.all.handle(key),
        };
        let chosen = self.opened().or_else(|| self.all.chosen());
        let next = match (wish, chosen) {
            (Wish::Quit, _) => return Change::Quit,
            (Wish::Redraw, _) => return Change::Redraw,
            (Wish::Back, _) => None,
            (Wish::Open, Some(spot)) => Some(spot.clone()),
            (Wish::Tenant, Some(spot)) => Some(Spot { site: None, ..spot.clone() }),
            (Wish::Draw | Wish::Open | Wish::Tenant, _) => return Change::Same,
        };
        if next.as_ref() == self.opened() {
            return Change::Same;
        }
        self.opened = next.map(|spot| (spot, Pane::default()));
        Change::Other
    }

    /// The lines of a screen; see [`Pane::lay_out`].
    pub(super) fn lay_out(
        &mut self,
        banner: Vec<String>,
        picture: &Picture,
        surface: Surface,
    ) -> Vec<String> {
        match &mut self.opened {
            Some((_, pane)) => {
                pane.lay_out(banner, picture, Surface { has_way_back: true, ..surface })
            }
            None => self.all.lay_out(banner, picture, surface),
        }
    }
}
