//! The gateway tells NMaaS, by itself and once, that a tenant's domain is connected.

use crate::gateway::Gateway;
use crate::lab::{self, At, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, documents, key, socket};
use lockgate::net::TenantName;
use lockgate::status::{ConditionReason, ConditionStatus, ConditionType, SiteState, Snapshot};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// For the first failure's wait, on a machine that is busy.
const BOUND: Duration = Duration::from_secs(60);

/// NMaaS: refuses the first request, takes the others, and remembers all.
fn nmaas(listener: TcpListener) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1)
            {
                head.push(byte[0]);
            }
            let mut notes = notes.lock().unwrap();
            notes.push(String::from_utf8(head).unwrap());
            let status = if notes.len() == 1 { "503 Busy" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    asked
}

fn confirmed(snapshot: &Snapshot) -> Option<(ConditionStatus, ConditionReason)> {
    let name: TenantName = TENANT.parse().unwrap();
    let conditions = &snapshot.tenant(&name)?.conditions;
    conditions.find(ConditionType::NmaasConfirmed).map(|it| (it.status, it.reason))
}

#[test]
fn nmaas_is_told_once_when_a_tenant_is_first_connected_and_never_the_contrary() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        lab.ip(At::Underlay, "link set lo up");
        let listener = lab.within(At::Underlay, || TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = nmaas(listener);
        let mut gateway = Gateway::new(lab, At::Underlay);
        let token = gateway.path("token");
        std::fs::write(&token, "canary-of-nmaas\n").unwrap();
        let token = token.to_str().unwrap().to_owned();
        gateway.argument(&["--nmaas-url", &url, "--nmaas-token-file", &token]);
        let text = documents(key(CUSTOMER).public(), "", "");
        let metadata = "metadata: {name: gw, namespace: acme";
        let annotated =
            format!("{metadata}, annotations: {{lockgate.dev/nmaas-domain-id: \"42\"}}");
        assert_eq!(text.matches(metadata).count(), 1, "{text}");
        gateway.write("documents.yaml", &text.replace(metadata, &annotated));
        gateway.spawn();
        gateway.wait_programmed();
        let pending = (ConditionStatus::False, ConditionReason::Pending);
        gateway.wait("the condition", |snapshot| confirmed(snapshot) == Some(pending));
        assert!(asked.lock().unwrap().is_empty(), "told before it is connected");

        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            // It says something by itself, as a router with traffic would.
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let told = (ConditionStatus::True, ConditionReason::Confirmed);
        let is_told = |snapshot: &Snapshot| confirmed(snapshot) == Some(told);
        gateway.wait_for("NMaaS to be told", BOUND, is_told);
        let heads = asked.lock().unwrap().clone();
        assert_eq!(heads.len(), 2, "{heads:?}");
        for head in &heads {
            assert!(head.starts_with("PATCH /api/domains/42/dcn?configured=true HTTP/1.1\r\n"));
            assert!(head.to_lowercase().contains("\r\nauthorization: bearer canary-of-nmaas\r\n"));
        }
        let metrics = gateway.page("/metrics");
        assert!(metrics.contains("lockgate_nmaas_confirmed{tenant=\"acme/gw\"} 1\n"), "{metrics}");

        // Killed, and ended so that all is removed: it was said, and stays so.
        gateway.kill();
        gateway.spawn();
        gateway.wait_for("it to be known still", BOUND, is_told);
        gateway.terminate();
        gateway.spawn();
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        gateway.wait_for("it to be known still", BOUND, is_told);
        assert_eq!(asked.lock().unwrap().len(), 2, "it was said again");

        // Without the annotation it is nobody's any more, and that is not said either.
        gateway.apply(&text);
        gateway.wait("the condition to go", |snapshot| confirmed(snapshot).is_none());
        let kept = gateway.path("state").join("nmaas.json");
        wait_until("it to be forgotten", BOUND, || {
            let text = std::fs::read_to_string(&kept).unwrap();
            if text.contains("acme/gw") { Err(text) } else { Ok(()) }
        });
        assert_eq!(asked.lock().unwrap().len(), 2);
        assert!(!gateway.log().contains("canary-of-nmaas"), "{}", gateway.log());
    });
}
