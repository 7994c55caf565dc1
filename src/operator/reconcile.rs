//! One reconcile of a `ModelDeployment`, in five steps.

use std::sync::Arc;

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
    report, unreadable,
    write::Applied,
};

/// The reconcile of one object.
pub async fn reconcile(
    md: Arc<DeserializeGuard<ModelDeployment>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    guarded(&ctx, md.as_ref(), Box::pin(steps(&md, &ctx))).await
}

async fn steps(md: &DeserializeGuard<ModelDeployment>, ctx: &Context) -> Result<Action, Error> {
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
            apply::farewell(ctx, &object, &write).await?;
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
    let reading = observe::reading(ctx, &object, &world).await;
    let plan = decide(&object.input(&world, &reading));
    let applied = apply::apply(ctx, &object, &plan).await?;
    if applied == Applied::Whole {
        report::report(ctx, md, &plan.notes).await;
    }
    Ok(again(applied, plan.recheck, ctx.taken.any(&object.owner), &object.owner.uid))
}
