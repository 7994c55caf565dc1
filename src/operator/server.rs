//! `/livez`, `/readyz` and `/metrics`. Health is told in the form of Kubernetes' own components: a line for each check where
//! one failed, or on `?verbose`.

use std::{fmt::Write as _, future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serin_lease::Timing;
use tokio::net::TcpListener;

use crate::{context::Context, guard, leader::Rank};

/// A check's name, and what is wrong.
type Check = (&'static str, Result<(), String>);

#[derive(Clone)]
struct Health {
    ctx: Arc<Context>,
    /// An election that is silent for longer stands still.
    silence: Duration,
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    ctx: Arc<Context>,
    timing: Timing,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let health = Health { ctx, silence: timing.lease() * 2 };
    let app = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the health server ended");
    }
}

/// Only what another start would mend. It is answered by the same threads that work: when all of them are stuck, there is no
/// answer at all.
async fn live(State(health): State<Health>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let silent = health.ctx.standing.silent();
    let longest = health.ctx.running.longest();
    let checks = [
        ("lease", within(silent, health.silence, "the election stands still for")),
        ("reconciles", within(longest, 2 * guard::DEADLINE, "a look at an object has lasted for")),
    ];
    answer("livez", &checks, query.as_deref())
}

fn within(time: Duration, limit: Duration, what: &str) -> Result<(), String> {
    if time <= limit { Ok(()) } else { Err(format!("{what} {} s", time.as_secs())) }
}

/// Who stands by is ready: it needs nothing but the lease. Who leads is, when its caches have been filled.
async fn ready(State(health): State<Health>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let ctx = &health.ctx;
    let shutdown = if ctx.stopping() { Err("stopping".to_owned()) } else { Ok(()) };
    let mut checks: Vec<Check> = vec![("shutdown", shutdown)];
    let waits = |what: &str| Err(format!("waiting for {what}"));
    match ctx.standing.rank() {
        Rank::Unknown => checks.push(("lease", waits("the lease"))),
        Rank::StandsBy => checks.push(("lease", Ok(()))),
        Rank::Leads => {
            let caches = ctx.caches().into_iter();
            checks.extend(caches.map(|(what, ok)| (what, if ok { Ok(()) } else { waits("its first list") })));
        }
    }
    answer("readyz", &checks, query.as_deref())
}

fn answer(name: &str, checks: &[Check], query: Option<&str>) -> (StatusCode, String) {
    let ok = checks.iter().all(|(_, result)| result.is_ok());
    let verbose = query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")));
    if ok && !verbose {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let mut text = String::new();
    for (check, result) in checks {
        // Into a String, which takes anything.
        let _ = match result {
            Ok(()) => writeln!(text, "[+]{check} ok"),
            Err(why) => writeln!(text, "[-]{check} failed: {why}"),
        };
    }
    let (code, word) =
        if ok { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let _ = writeln!(text, "{name} check {word}");
    (code, text)
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.ctx.telemetry.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_named_and_what_is_well_is_one_word() {
        let well = [("lease", Ok(())), ("pods", Ok(()))];
        assert_eq!(answer("readyz", &well, None), (StatusCode::OK, "ok\n".to_owned()));
        let told = answer("readyz", &well, Some("verbose=1")).1;
        assert_eq!(told, "[+]lease ok\n[+]pods ok\nreadyz check passed\n");
        let ill =
            [("lease", within(Duration::from_secs(31), Duration::from_secs(30), "it stands still for"))];
        let (code, told) = answer("livez", &ill, None);
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(told, "[-]lease failed: it stands still for 31 s\nlivez check failed\n");
    }
}
