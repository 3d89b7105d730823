//! `/livez` and `/readyz`: whether the control loop goes round, and whether the
//! gateway does its work. Neither depends on any customer.

use super::{Views, authenticate};
use crate::status::Check;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Whether the control loop was seen to go round of late.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<AtomicBool>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Pulse {
    pub(super) fn is_felt(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps the pulse true to the ticks, until told to stop.
pub(super) async fn feel(views: Views, mut stopping: watch::Receiver<bool>) {
    let Views { mut ticks, patience, pulse, .. } = views;
    loop {
        let ticked = tokio::select! {
            () = stopped(&mut stopping) => return,
            ticked = tokio::time::timeout(patience, ticks.changed()) => ticked,
        };
        pulse.0.store(matches!(ticked, Ok(Ok(()))), Ordering::Relaxed);
        if matches!(ticked, Ok(Err(_))) {
            // The loop is gone and will not tick again.
            return;
        }
    }
}

/// Ends when told to stop, or when nobody is left to tell.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

/// 200 while the control loop goes round, 503 when it hangs.
pub(super) async fn livez(State(views): State<Views>) -> Response {
    answer(views.pulse.is_felt(), String::new())
}

/// 200 while the gateway does its work, 503 otherwise; `?verbose` says why, to those who
/// see all tenants: it counts them.
pub(super) async fn readyz(State(views): State<Views>, request: Request) -> Response {
    let snapshot = views.whole();
    let alive = views.pulse.is_felt();
    let checks = snapshot.checks();
    let control_loop = Check { name: "control-loop", passed: alive, count: None };
    let checks: Vec<Check> = std::iter::once(control_loop).chain(checks).collect();
    let passed = checks.iter().all(|check| check.passed);
    let mut text = String::new();
    let is_verbose = request.uri().query().is_some_and(|query| {
        query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="))
    });
    if (is_verbose || !passed) && authenticate::sees_all(&request) {
        for Check { name, passed, count } in checks {
            let (mark, result) = if passed { ('+', "ok") } else { ('-', "failed") };
            let count = count.map(|(some, all)| format!(", {some} of {all}")).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[{mark}]{name} {result}{count}");
        }
    }
    answer(passed, text)
}

fn answer(passed: bool, details: String) -> Response {
    match passed {
        true => (StatusCode::OK, details + "ok\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, details + "failed\n").into_response(),
    }
}
