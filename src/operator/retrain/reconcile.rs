//! One reconcile of a RetrainPolicy.

use std::sync::Arc;

use chrono::Utc;
use futures::FutureExt;
use kube_runtime::controller::Action;
use serin_api::RetrainPolicy;
use serin_engine::retrain::decide;

use super::{
    apply,
    object::{Object, PolicyObject},
    observe,
};
use crate::{
    context::Context,
    error::Error,
    guard::{CACHE_LAG, SYNCING, again, guarded, whole_seconds},
    report, unreadable,
    write::Applied,
};

/// The reconcile of one policy.
pub async fn reconcile(object: Arc<PolicyObject>, ctx: Arc<Context>) -> Result<Action, Error> {
    guarded(&ctx, object.as_ref(), Box::pin(steps(&object, &ctx))).await
}

async fn steps(policy: &PolicyObject, ctx: &Context) -> Result<Action, Error> {
    let policy = match &policy.0 {
        Ok(policy) => policy,
        Err(invalid) => {
            return unreadable::report::<RetrainPolicy>(ctx, &invalid.metadata, &invalid.error).await;
        }
    };
    let Some(object) = Object::of(policy, whole_seconds(Utc::now())) else {
        return Ok(Action::await_change());
    };
    if policy.metadata.deletion_timestamp.is_some() {
        // Its runs are owned by it: the garbage collector does the rest. Versions stay.
        return Ok(Action::await_change());
    }
    // A list of runs that is not complete would say that one was deleted.
    let ready = [
        ctx.runs.wait_until_ready().now_or_never().is_some(),
        ctx.models.wait_until_ready().now_or_never().is_some(),
        ctx.synced(),
    ];
    if ready.contains(&false) {
        return Ok(Action::requeue(SYNCING));
    }

    let Some(world) = observe::world(ctx, &object) else { return Ok(Action::requeue(CACHE_LAG)) };
    let shares = observe::shares(ctx, &object, &world).await;
    let plan = decide(&object.input(&world, &shares));
    let applied = apply::apply(ctx, &object, &plan).await?;
    if applied == Applied::Whole {
        report::report(ctx, policy, &plan.notes).await;
    }
    Ok(again(applied, plan.recheck, ctx.taken.any(&object.owner), &object.owner.uid))
}
