//! One reconcile of a `ModelDeployment`, in five steps.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use kube::core::DeserializeGuard;
use kube_runtime::controller::Action;
use serin_api::ModelDeployment;
use serin_engine::{Reading, decide};

use crate::{
    apply,
    context::Context,
    error::Error,
    guard::{CACHE_LAG, SYNCING, again, guarded, whole_seconds},
    observe::{self, Object},
    place::Place,
    report,
    ticks::until_next,
    unreadable,
    write::Applied,
};

/// The reconcile of one object.
pub async fn reconcile(
    md: Arc<DeserializeGuard<ModelDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let mut place = Place::take(&ctx.places).await;
    guarded(&ctx, md.as_ref(), Box::pin(steps(&md, &ctx, &mut place))).await
}

async fn steps(
    md: &DeserializeGuard<ModelDeployment>,
    ctx: &Context,
    place: &mut Place,
) -> Result<Action, Error> {
    let md = match &md.0 {
        Ok(md) => md,
        Err(invalid) => {
            return unreadable::report::<ModelDeployment>(ctx, &invalid.metadata, &invalid.error).await;
        }
    };
    let Some(object) = Object::of(md, whole_seconds(Utc::now())) else { return Ok(Action::await_change()) };
    if md.metadata.deletion_timestamp.is_some() {
        // Everything we made is owned by it: the garbage collector does the rest. A route of the user's stays.
        let world = if ctx.synced() { observe::world(ctx, &object) } else { None };
        let last = world.and_then(|world| decide::farewell(&object.input(&world, &Reading::NotAsked)));
        if let Some(write) = last {
            Box::pin(apply::farewell(ctx, &object, &write)).await?;
        }
        return Ok(Action::await_change());
    }
    if !ctx.synced() {
        return Ok(Action::requeue(SYNCING));
    }

    if md.spec.traffic.gateway.as_ref().is_some_and(|gateway| gateway.session_persistence.is_some()) {
        ctx.session_field.look(&ctx.client).await;
    }
    let Some(mut world) = observe::world(ctx, &object) else { return Ok(Action::requeue(CACHE_LAG)) };
    world.mirroring = observe::mirroring(ctx, &object, &world).await?;
    let reading = observe::reading(ctx, &object, &world, place).await;
    let plan = tracing::debug_span!("decide").in_scope(|| decide(&object.input(&world, &reading)));
    // In boxes of their own: a look that waits for Prometheus is small.
    let applied = Box::pin(apply::apply(ctx, &object, &plan)).await?;
    if applied == Applied::Whole {
        Box::pin(report::report(ctx, md, &plan.notes)).await;
    }
    Ok(again(
        applied,
        recheck(&object, &reading, plan.recheck),
        ctx.taken.any(&object.owner),
        &object.owner.uid,
    ))
}

/// The next look at the evidence, at a moment that the namespace's looks share; anything sooner as it was asked for.
fn recheck(object: &Object<'_>, reading: &Reading, recheck: Option<Duration>) -> Option<Duration> {
    let interval = u64::try_from(object.md.spec.rollout.analysis.interval_seconds).unwrap_or_default();
    let interval = Duration::from_secs(interval.max(1));
    recheck.map(|recheck| match reading {
        Reading::NotAsked => recheck,
        _ if recheck < interval => recheck,
        _ => until_next(&object.owner.namespace, interval, Utc::now()),
    })
}
