//! When NMaaS is told, as the running gateway decides it: once, never twice at a time, and
//! never the contrary.

use crate::sample::{NOW, snapshot};
use lockgate::dcn::{Confirmations, Order, Standing};
use lockgate::model::DomainId;
use lockgate::net::{Instant, TenantName};
use lockgate::status::{ConditionReason, ConditionType, Conditions, Count, SiteState, Snapshot};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

/// Tenants `t0`, `t1`, … of the domains 1, 2, …, each with one site.
fn world(connected: &[bool]) -> Snapshot {
    let mut all = snapshot();
    let template = all.tenants.remove(1);
    all.tenants = connected
        .iter()
        .enumerate()
        .map(|(at, is_connected)| {
            let mut tenant = template.clone();
            tenant.name = format!("t{at}/gw").parse().unwrap();
            tenant.nmaas_domain = Some(Count(at as u64 + 1));
            tenant.sites.retain(|site| site.state == SiteState::Up);
            let reason = ConditionReason::Established;
            let conditions = &mut tenant.sites[0].conditions;
            *conditions = Conditions::default();
            conditions.set(ConditionType::Connected, (*is_connected).into(), reason, "", 3, NOW);
            tenant
        })
        .collect();
    all
}

fn name(number: usize) -> TenantName {
    format!("t{number}/gw").parse().unwrap()
}

fn begin() -> Confirmations {
    Confirmations::new(BTreeMap::new(), 7)
}

fn standing(it: &Confirmations, number: usize) -> Standing {
    it.standings().find(|(tenant, _)| **tenant == name(number)).unwrap().1.clone()
}

#[test]
fn a_tenant_is_confirmed_once_when_it_is_first_connected() {
    let mut it = begin();
    it.handle_snapshot(&world(&[false]));
    assert_eq!(it.poll_order(at(0)), None);
    assert!(matches!(standing(&it, 0), Standing::Waiting(_)));
    it.handle_snapshot(&world(&[true]));
    let order = it.poll_order(at(1)).unwrap();
    assert_eq!(order, Order { tenant: name(0), domain: DomainId::new(1).unwrap() });
    assert_eq!(it.poll_order(at(1)), None, "two at a time");
    it.handle_answer(Ok(()), at(2));
    assert_eq!(standing(&it, 0), Standing::Confirmed);
    for connected in [false, true, false, true] {
        it.handle_snapshot(&world(&[connected]));
        assert_eq!(it.poll_order(at(9_999)), None, "it was said again");
        assert_eq!(standing(&it, 0), Standing::Confirmed);
    }
}

#[test]
fn what_was_said_before_a_restart_is_not_said_again() {
    let told = BTreeMap::from([(name(0), DomainId::new(1).unwrap())]);
    let mut it = Confirmations::new(told.clone(), 7);
    let mut starting = world(&[]);
    starting.config.loaded_generation = 0;
    it.handle_snapshot(&starting);
    assert_eq!(*it.told(), told, "forgotten before the documents were read");
    it.handle_snapshot(&world(&[true]));
    assert_eq!(it.poll_order(at(1)), None);
    // Another domain is another matter, and so is a tenant that went and came.
    let mut other = world(&[true]);
    other.tenants[0].nmaas_domain = Some(Count(9));
    it.handle_snapshot(&other);
    assert_eq!(it.poll_order(at(2)).unwrap().domain, DomainId::new(9).unwrap());
    it.handle_answer(Ok(()), at(2));
    it.handle_snapshot(&world(&[]));
    assert!(it.told().is_empty());
}

#[test]
fn what_fails_is_tried_again_ever_more_seldom_and_keeps_no_other() {
    let mut it = begin();
    it.handle_snapshot(&world(&[true, true]));
    let mut now = at(0);
    assert_eq!(it.poll_order(now).unwrap().tenant, name(0));
    it.handle_answer(Err("503".to_owned()), now);
    assert_eq!(it.poll_order(now).unwrap().tenant, name(1));
    it.handle_answer(Ok(()), now);
    let mut waits = Vec::new();
    for _ in 0..12 {
        it.handle_snapshot(&world(&[true, true]));
        assert_eq!(it.poll_order(now), None);
        let next = it.poll_timeout().unwrap();
        waits.push(next.since(now));
        now = next;
        assert_eq!(it.poll_order(now).unwrap().tenant, name(0));
        it.handle_answer(Err("503".to_owned()), now);
    }
    assert!(waits[0] >= Duration::from_secs(3), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(375)), "{waits:?}");
    assert!(waits[11] >= Duration::from_secs(225), "{waits:?}");
    assert_eq!(standing(&it, 0), Standing::Failed { error: "503".to_owned(), failures: 13 });
}

#[test]
fn a_site_that_goes_down_while_nmaas_cannot_be_told_is_waited_for() {
    let mut it = begin();
    it.handle_snapshot(&world(&[true]));
    it.poll_order(at(0)).unwrap();
    it.handle_answer(Err("down".to_owned()), at(0));
    it.handle_snapshot(&world(&[false]));
    assert_eq!(it.poll_order(at(9_999)), None);
    assert_eq!(it.poll_timeout(), None);
    it.handle_snapshot(&world(&[true]));
    assert!(it.poll_order(at(9_999)).is_some());
}

#[test]
fn an_answer_for_a_tenant_that_is_gone_is_no_ones() {
    let mut it = begin();
    it.handle_snapshot(&world(&[true]));
    it.poll_order(at(0)).unwrap();
    it.handle_snapshot(&world(&[]));
    it.handle_answer(Ok(()), at(1));
    assert!(it.told().is_empty());
    it.handle_snapshot(&world(&[true]));
    assert!(it.poll_order(at(2)).is_some());
}

#[test]
fn a_tenant_without_a_domain_is_nobodys_business() {
    let mut it = begin();
    let mut world = world(&[true]);
    world.tenants[0].nmaas_domain = None;
    it.handle_snapshot(&world);
    assert_eq!(it.poll_order(at(1)), None);
    assert_eq!(it.standings().count(), 0);
}

proptest! {
    /// However sites and NMaaS behave: of each tenant it is said once that it is connected,
    /// only while it is, one thing at a time, and in the end of all that stay connected.
    #[test]
    fn each_is_told_once(steps in prop::collection::vec((prop::array::uniform3(any::<bool>()), any::<bool>()), 1..60)) {
        let mut it = begin();
        let mut told = [0; 3];
        let mut now = 0;
        for (connected, goes_well) in steps.iter().copied().chain([([true; 3], true); 4]) {
            now += 400;
            it.handle_snapshot(&world(&connected));
            let Some(order) = it.poll_order(at(now)) else { continue };
            let number = usize::try_from(order.domain.value() - 1).unwrap();
            prop_assert!(connected[number], "told while it is not connected");
            prop_assert_eq!(it.poll_order(at(now)), None);
            if goes_well {
                told[number] += 1;
                it.handle_answer(Ok(()), at(now));
            } else {
                it.handle_answer(Err("no".to_owned()), at(now));
            }
        }
        prop_assert_eq!(told, [1; 3]);
    }
}
