//! One reconcile of a TrainingRun.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use kube::{Api, Resource, api::ObjectMeta};
use kube_runtime::controller::Action;
use serin_api::TrainingRun;
use serin_engine::training::{Child, ObservedJob, decide};

use super::{
    apply, nonce,
    object::{Over, RunObject, Stub},
    observe::{self, Object},
};
use crate::{
    children::{JobView, RendezvousView},
    context::Context,
    error::Error,
    guard::{CACHE_LAG, SYNCING, again, guarded, whole_seconds},
    owner::OwnerKey,
    report, unreadable,
    write::{Applied, failed},
};

/// The reconcile of one run.
pub async fn reconcile(object: Arc<RunObject>, ctx: Arc<Context>) -> Result<Action, Error> {
    guarded(&ctx, object.as_ref(), steps(&object, &ctx)).await
}

async fn steps(object: &RunObject, ctx: &Context) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        // Everything we made is owned by it: the garbage collector does the rest. Versions stay.
        return Ok(Action::await_change());
    }
    match object {
        RunObject::Live(run) => Box::pin(whole(ctx, run)).await,
        RunObject::Stub(meta, stub, _) => match stub {
            Stub::Over(over) => Box::pin(rest(ctx, object, meta, over)).await,
            Stub::Foreign => Ok(Action::await_change()),
            Stub::Unreadable(error) => unreadable::report::<RunObject>(ctx, meta, error).await,
        },
    }
}

async fn whole(ctx: &Context, run: &TrainingRun) -> Result<Action, Error> {
    let Some(object) = Object::of(run, whole_seconds(Utc::now())) else { return Ok(Action::await_change()) };
    if !ctx.synced() {
        return Ok(Action::requeue(SYNCING));
    }
    let Some(world) = observe::world(ctx, &object) else { return Ok(Action::requeue(CACHE_LAG)) };
    let nonce = nonce::fresh()?;
    let plan = decide(&object.input(&world, &nonce));
    let applied = apply::apply(ctx, &object, &plan).await?;
    if applied == Applied::Whole {
        report::report(ctx, run, &plan.notes).await;
    }
    Ok(again(applied, plan.recheck, ctx.taken.any(&object.owner), &object.owner.uid))
}

/// Until the next look, from the caches, at a run that is over and had something left to do.
const GOING: Duration = Duration::from_secs(5);

/// What is left to do for a run that is over: its Jobs go in time, and its status speaks of the latest generation. For
/// that the run itself is read again; until then nothing is.
async fn rest(ctx: &Context, object: &RunObject, meta: &ObjectMeta, over: &Over) -> Result<Action, Error> {
    let Some(owner) = OwnerKey::of(object) else { return Ok(Action::await_change()) };
    if !ctx.synced() {
        return Ok(Action::requeue(SYNCING));
    }
    if !observe::is_fresh(ctx, &owner, meta.resource_version.as_deref()) {
        return Ok(Action::requeue(CACHE_LAG));
    }
    let jobs: Vec<_> = ctx.jobs.of(&owner).into_iter().filter_map(JobView::observed).collect();
    let services: Vec<_> =
        ctx.rendezvous.of(&owner).into_iter().filter_map(RendezvousView::observed).collect();
    let now = whole_seconds(Utc::now());
    let is_due = now >= over.jobs_go_at;
    let is_over = |attempt: i32| {
        let job = jobs.iter().find(|job| job.child == Child::Attempt(attempt));
        job.is_none_or(ObservedJob::is_over)
    };
    let something = over.lags
        || jobs.iter().any(|job| !job.deleting && (is_due || job.end.is_none()))
        || is_due && services.iter().any(|s| !s.deleting && is_over(s.attempt));
    if !something {
        let left = (over.jobs_go_at - now).to_std();
        let waits = !is_due && (!jobs.is_empty() || !services.is_empty());
        return Ok(match left {
            Ok(left) if waits => Action::requeue(left),
            _ => Action::await_change(),
        });
    }
    let api: Api<TrainingRun> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    let run = api.get_opt(&owner.name).await;
    let run = run.map_err(|e| failed("get", "TrainingRun", &owner.name, e))?;
    match run.filter(|run| run.metadata.uid == meta.uid) {
        Some(run) => {
            Box::pin(whole(ctx, &run)).await?;
            Ok(Action::requeue(GOING))
        }
        None => Ok(Action::await_change()),
    }
}
