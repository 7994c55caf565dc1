//! Around every reconcile of every kind: a deadline, a panic kept inside, counters, and a later retry each time.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use kube_runtime::controller::Action;
use tracing::{Instrument as _, Span};

use crate::{
    context::Context,
    error::Error,
    owner::{Main, Name},
    taken::Taken,
    write::Applied,
};

/// Longest reconcile: five writes at their worst, and Prometheus' deadline.
pub const DEADLINE: Duration = Duration::from_mins(1);
/// A full look at an object at rest, from the caches alone.
const RESYNC: Duration = Duration::from_hours(1);
/// When a cache does not show our own write yet; the event itself wakes us before.
pub const CACHE_LAG: Duration = Duration::from_secs(1);
/// Until every cache has its first list.
pub const SYNCING: Duration = Duration::from_millis(100);

/// Runs the steps of one object's reconcile.
pub async fn guarded<K: Main>(
    ctx: &Context,
    object: &K,
    steps: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error> {
    let started = std::time::Instant::now();
    let _run = ctx.running.begin();
    let span = span(object);
    let result = contained(steps).instrument(span.clone()).await;
    if let Err(error) = &result {
        span.record("otel.status_code", "ERROR").record("error", tracing::field::display(error));
    }
    ctx.telemetry.reconciled(K::KIND, result.as_ref().err().map(Error::kind), started.elapsed());
    if result.is_ok() {
        ctx.backoff.reset(&Name::of(object));
    }
    result
}

/// What a trace shows of a reconcile (`docs/adr/0034-traces.md`); the names that begin with `otel.` are tracing-opentelemetry's.
fn span<K: Main>(object: &K) -> Span {
    tracing::debug_span!(
        "reconcile",
        kind = K::KIND.as_str(),
        namespace = object.meta().namespace,
        name = object.meta().name,
        error = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

/// The steps, for as long as they may take; a panic is an error like any other, of this object alone.
async fn contained(steps: impl Future<Output = Result<Action, Error>>) -> Result<Action, Error> {
    let work = AssertUnwindSafe(steps).catch_unwind();
    match tokio::time::timeout(DEADLINE, work).await {
        Err(_) => Err(Error::Timeout(DEADLINE)),
        Ok(Err(panic)) => Err(Error::Panic(words(panic.as_ref()))),
        Ok(Ok(result)) => result,
    }
}

/// When a reconcile failed: later each time, per object.
#[allow(clippy::needless_pass_by_value)] // the controller's signature
pub fn failed<K: Main>(object: Arc<K>, error: &Error, ctx: Arc<Context>) -> Action {
    let name = Name::of(object.as_ref());
    let delay = ctx.backoff.failed(&name);
    let Name { kind, namespace, name } = name;
    tracing::warn!(kind = kind.as_str(), %namespace, %name, %error, retry_in = ?delay, "reconcile failed");
    Action::requeue(delay)
}

/// When to look again after a plan; `taken`: a name that we need is a stranger's.
pub fn again(applied: Applied, recheck: Option<Duration>, taken: bool, uid: &str) -> Action {
    Action::requeue(match (applied, recheck) {
        // Found out just now: say so at once.
        (Applied::Outrun, _) if taken => Duration::from_millis(50),
        (Applied::Outrun, _) => CACHE_LAG,
        (Applied::Whole, recheck) if taken => recheck.map_or(Taken::recheck(), |r| r.min(Taken::recheck())),
        (Applied::Whole, Some(recheck)) => recheck,
        (Applied::Whole, None) => jittered(uid),
    })
}

/// Times in a status are whole seconds; a decision must not see more than it can record.
pub fn whole_seconds(now: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now)
}

/// The resync, spread over half an hour by UID, so that ten thousand objects do not come at once.
fn jittered(uid: &str) -> Duration {
    let h = uid.bytes().fold(0_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    RESYNC + Duration::from_secs(h % 1800)
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_look_at_one_object_and_no_other() {
        let bug = async {
            let none: Option<Action> = None;
            let what = "of an object";
            none.map_or_else(|| panic!("a bug {what}"), Ok)
        };
        let good = async {
            tokio::task::yield_now().await;
            Ok(Action::await_change())
        };
        let (bug, good) = tokio::join!(contained(bug), contained(good));
        assert!(matches!(bug, Err(Error::Panic(words)) if words == "a bug of an object"));
        assert!(matches!(good, Ok(action) if action == Action::await_change()));
    }
}
