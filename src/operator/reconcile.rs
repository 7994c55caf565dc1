//! One reconcile, in five steps.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use kube::{ResourceExt, core::DeserializeGuard};
use kube_runtime::controller::Action;
use serin_api::ModelDeployment;
use serin_engine::decide;

use crate::{
    apply::{self, Applied},
    context::Context,
    error::Error,
    observe::{self, Object},
    report,
    taken::Taken,
    unreadable,
};

/// Longest reconcile: five writes at their worst, and Prometheus' deadline.
const DEADLINE: Duration = Duration::from_mins(1);
/// A full look at an object at rest, from the caches alone.
const RESYNC: Duration = Duration::from_hours(1);
/// When a cache does not show our own write yet; the event itself wakes us before.
const CACHE_LAG: Duration = Duration::from_secs(1);

/// The reconcile of one object, with a deadline, and with a panic kept inside it.
pub async fn reconcile(
    md: Arc<DeserializeGuard<ModelDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let started = std::time::Instant::now();
    let work = AssertUnwindSafe(steps(&md, &ctx)).catch_unwind();
    let result = match tokio::time::timeout(DEADLINE, work).await {
        Err(_) => Err(Error::Timeout(DEADLINE)),
        Ok(Err(panic)) => Err(Error::Panic(words(panic.as_ref()))),
        Ok(Ok(result)) => result,
    };
    ctx.telemetry.reconciled(result.as_ref().err().map(Error::kind), started.elapsed());
    if result.is_ok() {
        ctx.backoff.reset(&md.namespace().unwrap_or_default(), &md.name_any());
    }
    result
}

async fn steps(md: &DeserializeGuard<ModelDeployment>, ctx: &Context) -> Result<Action, Error> {
    let md = match &md.0 {
        Ok(md) => md,
        Err(invalid) => return unreadable::report(ctx, invalid).await,
    };
    let Some(object) = Object::of(md, whole_seconds(Utc::now())) else { return Ok(Action::await_change()) };
    if md.metadata.deletion_timestamp.is_some() {
        // Everything we made is owned by it: the garbage collector does the rest.
        return Ok(Action::await_change());
    }
    if !ctx.synced() {
        return Ok(Action::requeue(Duration::from_millis(100)));
    }

    let Some(world) = observe::world(ctx, &object) else { return Ok(Action::requeue(CACHE_LAG)) };
    let reading = observe::reading(ctx, &object, &world).await;
    let plan = decide(&object.input(&world, &reading));
    let applied = apply::apply(ctx, &object, &plan).await?;
    if applied == Applied::Whole {
        report::report(ctx, &object, &plan.notes).await;
    }

    let taken = ctx.taken.any(&object.owner);
    Ok(Action::requeue(match (applied, plan.recheck) {
        // Found out just now: say so at once.
        (Applied::Outrun, _) if taken => Duration::from_millis(50),
        (Applied::Outrun, _) => CACHE_LAG,
        (Applied::Whole, recheck) if taken => recheck.map_or(Taken::recheck(), |r| r.min(Taken::recheck())),
        (Applied::Whole, Some(recheck)) => recheck,
        (Applied::Whole, None) => jittered(&object.owner.uid),
    }))
}

/// When a reconcile failed: later each time, per object.
#[allow(clippy::needless_pass_by_value)] // the controller's signature
pub fn failed(md: Arc<DeserializeGuard<ModelDeployment>>, error: &Error, ctx: Arc<Context>) -> Action {
    let (namespace, name) = (md.namespace().unwrap_or_default(), md.name_any());
    let delay = ctx.backoff.failed(&namespace, &name);
    tracing::warn!(%namespace, %name, %error, retry_in = ?delay, "reconcile failed");
    Action::requeue(delay)
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
