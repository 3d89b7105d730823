//! The rules by which a site may ask for the test page, where its tenant has one.

use super::desired_words::{accept, membership};
use super::{Device, Family, List, Match, Rule, Transport};
use crate::model::limits::TEST_PAGES_PER_SECOND;
use crate::model::{Ports, TEST_PAGE_PORT, Tenant};

/// What lets a conversation with the page begin on the link `device` to sites, whose
/// addresses of ours are listed under `leg`. What follows is tracked. Sources were checked
/// before; of which site they are is for who answers.
pub(super) fn asked(tenant: &Tenant, device: &Device, leg: Option<&Device>) -> Vec<Rule> {
    if !tenant.test_page {
        return Vec::new();
    }
    let (first, last) = (TEST_PAGE_PORT, TEST_PAGE_PORT);
    let of_family = |family| {
        let own = Match::Destination(membership(List::Own, leg.cloned(), family, true));
        accept([
            Match::Iif(device.clone()),
            own,
            Match::Transport(Transport::Tcp),
            Match::DestinationPorts(vec![Ports { first, last }]),
            Match::Rate(TEST_PAGES_PER_SECOND),
        ])
    };
    Family::BOTH.map(of_family).into()
}
