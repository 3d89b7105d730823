//! `lockgate nmaas confirm`, as a person or a script calls it.

use super::server::{Act, Nmaas, OK};
use crate::cli::program::{Ended, ask, command};
use crate::http::server::Server;
use crate::sample::{NOW, snapshot};
use lockgate::status::{
    ConditionReason, ConditionStatus, ConditionType, Conditions, Count, SiteState, Snapshot,
};
use std::path::Path;
use std::time::Duration;

const TOKEN: &str = "eyJhbGciOiJIUzUxMiJ9.canary.signature";

/// A gateway whose one tenant, beta/gw, has one site that is connected; `change` makes it
/// another.
fn gateway(change: impl FnOnce(&mut Snapshot)) -> Server {
    let mut snapshot = snapshot();
    snapshot.tenants.retain(|tenant| tenant.name.namespace() == "beta");
    let tenant = &mut snapshot.tenants[0];
    tenant.nmaas_domain = Some(Count(42));
    tenant.sites.retain(|site| site.state == SiteState::Up);
    assert_eq!(tenant.sites.len(), 1);
    tenant.sites[0].conditions = Conditions::default();
    set(&mut snapshot, ConditionType::Connected, ConditionStatus::True);
    change(&mut snapshot);
    Server::with(snapshot, Duration::from_secs(60))
}

fn set(snapshot: &mut Snapshot, kind: ConditionType, status: ConditionStatus) {
    let reason = ConditionReason::NotEstablished;
    let site = &mut snapshot.tenants[0].sites[0];
    site.conditions.set(kind, status, reason, "192.168.1.1 does not answer", 3, NOW);
}

fn confirm(server: &Server, nmaas: &Nmaas, words: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let mut all = vec!["nmaas", "confirm", "beta", "--token-file", token.to_str().unwrap()];
    let url = nmaas.url();
    all.extend(["--url", &url]);
    if let Some(path) = &nmaas.ca_file {
        all.extend(["--ca-file", path.to_str().unwrap()]);
    }
    all.extend(words);
    let ended = ask(&server.socket, &all);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!said.contains("canary"), "{said}");
    ended
}

#[test]
fn a_connected_tenant_is_confirmed_and_may_be_again() {
    let server = gateway(|_| {});
    let nmaas = Nmaas::start_tls(vec![OK]);
    for _ in 0..2 {
        let ended = confirm(&server, &nmaas, &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert!(ended.stdout.contains("without probes nobody has looked"), "{}", ended.stdout);
        assert!(ended.stdout.contains("NMaaS knows that domain 42 is connected"));
    }
    assert_eq!(nmaas.lines(), ["PATCH /api/domains/42/dcn?configured=true HTTP/1.1"; 2]);
    let other = confirm(&server, &nmaas, &["--domain", "7", "--api-prefix", "/nmaas/api"]);
    assert_eq!(other.code, 0);
    assert_eq!(nmaas.lines()[2], "PATCH /nmaas/api/domains/7/dcn?configured=true HTTP/1.1");
}

#[test]
fn nothing_is_sent_of_a_tenant_that_is_not_connected() {
    let nmaas = Nmaas::start(vec![OK]);
    for (kind, status) in [
        (ConditionType::Connected, ConditionStatus::False),
        (ConditionType::Connected, ConditionStatus::Unknown),
        (ConditionType::Reachable, ConditionStatus::False),
        (ConditionType::Reachable, ConditionStatus::Unknown),
    ] {
        let server = gateway(|snapshot| set(snapshot, kind, status));
        let ended = confirm(&server, &nmaas, &[]);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let why = format!("site poznan: {kind} is {status}");
        assert!(ended.stdout.contains(&why), "{}", ended.stdout);
    }
    let empty = gateway(|snapshot| snapshot.tenants[0].sites.clear());
    assert_eq!(confirm(&empty, &nmaas, &[]).code, 1);
    assert!(nmaas.asked().is_empty());
}

#[test]
fn a_site_whose_probes_answer_is_known_to_be_reachable() {
    let server = gateway(|it| set(it, ConditionType::Reachable, ConditionStatus::True));
    let nmaas = Nmaas::start(vec![OK]);
    let ended = confirm(&server, &nmaas, &[]);
    assert_eq!(ended.code, 0);
    assert!(!ended.stdout.contains("without probes"), "{}", ended.stdout);
}

/// NMaaS removes applications then: only who says so means it, whatever the sites are.
#[test]
fn removal_is_said_only_when_asked_for() {
    let nmaas = Nmaas::start(vec![OK]);
    let down = gateway(|it| set(it, ConditionType::Connected, ConditionStatus::False));
    assert_eq!(confirm(&down, &nmaas, &[]).code, 1);
    assert!(nmaas.asked().is_empty());
    for words in [&["--remove"][..], &["--remove", "--domain", "42"]] {
        let ended = confirm(&down, &nmaas, words);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.contains("is not connected any more"), "{}", ended.stdout);
    }
    assert_eq!(nmaas.lines(), ["PATCH /api/domains/42/dcn?configured=false HTTP/1.1"; 2]);
}

#[test]
fn a_gateway_that_is_not_there_is_told_from_a_site_that_is_not_connected() {
    let nmaas = Nmaas::start(vec![OK]);
    let mut server = gateway(|_| {});
    server.stop();
    let ended = confirm(&server, &nmaas, &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let removed = confirm(&server, &nmaas, &["--remove"]);
    assert_eq!(removed.code, 3, "the domain's number is in the gateway");
    assert!(nmaas.asked().is_empty());
}

#[test]
fn nmaas_is_asked_again_while_it_fails_and_not_when_it_refuses() {
    let server = gateway(|_| {});
    let busy = Act::Answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let nmaas = Nmaas::start(vec![busy.clone(), Act::Hang, OK]);
    let ended = confirm(&server, &nmaas, &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(nmaas.asked().len(), 3);
    let nmaas = Nmaas::start(vec![busy]);
    let ended = confirm(&server, &nmaas, &["--attempts", "2"]);
    assert_eq!((ended.code, nmaas.asked().len()), (3, 2));
    let expired = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\n\r\nexpired\n";
    let nmaas = Nmaas::start(vec![Act::Answer(expired)]);
    let ended = confirm(&server, &nmaas, &[]);
    assert_eq!((ended.code, nmaas.asked().len()), (3, 1));
    assert!(ended.stderr.contains("401 Unauthorized"), "{}", ended.stderr);
    assert!(ended.stderr.contains("saying: expired"), "{}", ended.stderr);
}

#[test]
fn what_is_missing_is_usage() {
    let server = gateway(|snapshot| snapshot.tenants[0].nmaas_domain = None);
    let nmaas = Nmaas::start(vec![OK]);
    let ended = confirm(&server, &nmaas, &[]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("say --domain"), "{}", ended.stderr);
    let directory = server.socket.parent().unwrap().to_str().unwrap();
    let url = nmaas.url();
    let words =
        ["--runtime-dir", directory, "nmaas", "confirm", "beta/gw", "--domain", "9", "--url", &url];
    let mut bare = command(&words);
    let output = bare.env_remove("LOCKGATE_NMAAS_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-file"));
    let mut with = command(&words);
    let output = with.env("LOCKGATE_NMAAS_TOKEN", TOKEN).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(nmaas.asked()[0].contains(TOKEN));
    let plain = ask(
        Path::new(&server.socket),
        &["nmaas", "confirm", "beta", "--domain", "9", "--url", "http://192.0.2.1"],
    );
    assert_eq!(plain.code, 2);
    assert!(plain.stderr.contains("use https://"), "{}", plain.stderr);
}

/// Every site of a tenant would have been a warning until the last of them is connected.
#[test]
fn a_tenant_that_waits_for_its_sites_is_no_complaint_of_its_own() {
    for (reason, is_said) in
        [(ConditionReason::Pending, false), (ConditionReason::ConfirmFailed, true)]
    {
        let server = gateway(|snapshot| {
            let (kind, status) = (ConditionType::NmaasConfirmed, ConditionStatus::False);
            let conditions = &mut snapshot.tenants[0].conditions;
            conditions.set(kind, status, reason, "NMaaS answered 401", 3, NOW);
        });
        let checked = ask(&server.socket, &["check-site", "beta/poznan"]);
        assert_eq!(checked.code, i32::from(is_said), "{}", checked.stdout);
        let shown = ask(&server.socket, &["status"]).stdout;
        assert_eq!(shown.contains("NMaaSConfirmed is False: ConfirmFailed"), is_said, "{shown}");
        assert_eq!(shown.contains("NMaaSConfirmed"), is_said, "{shown}");
    }
}
