//! One look at a ModelVersion: does its status say what deployments and people have made of it? Nearly always it does,
//! and that costs nothing. If not, the latest is read and changed by compare-and-swap.

use std::sync::Arc;

use chrono::Utc;
use futures::FutureExt;
use kube_runtime::{controller::Action, reflector::ObjectRef};
use serin_api::{ModelVersion, ModelVersionStatus};

use super::{
    object::{VersionObject, VersionView},
    record,
    served::Served,
};
use crate::{
    context::Context,
    error::Error,
    fresh::Kind,
    guard::{CACHE_LAG, SYNCING, guarded, whole_seconds},
    owner::OwnerKey,
    unreadable,
    write::{Applied, Target, Writer},
};

/// The reconcile of one version.
pub async fn reconcile(object: Arc<VersionObject>, ctx: Arc<Context>) -> Result<Action, Error> {
    guarded(&ctx, object.as_ref(), steps(&object, &ctx)).await
}

async fn steps(object: &VersionObject, ctx: &Context) -> Result<Action, Error> {
    let view = match &object.view {
        Ok(view) => view,
        Err(error) => {
            return unreadable::report::<VersionObject>(ctx, kube::Resource::meta(object), error).await;
        }
    };
    let Some(owner) = OwnerKey::of(object) else { return Ok(Action::await_change()) };
    if view.deleting {
        return Ok(Action::await_change());
    }
    // A list of deployments that is not complete would say that nobody serves it.
    if ctx.models.wait_until_ready().now_or_never().is_none() {
        return Ok(Action::requeue(SYNCING));
    }
    let fresh = ctx.own_writes.visible(&owner, |kind, _| match kind {
        Kind::Main => Some((view.version, owner.uid.clone(), false)),
        Kind::Deployment
        | Kind::Service
        | Kind::Route
        | Kind::Budget
        | Kind::Job
        | Kind::Version
        | Kind::Run => None,
    });
    if !fresh {
        return Ok(Action::requeue(CACHE_LAG));
    }
    let now = whole_seconds(Utc::now());
    let served = served(ctx, &owner, view);
    if record::is_recorded(view, &served, now) {
        return Ok(Action::await_change());
    }

    let writer = Writer::new(ctx, &owner);
    let target = Target::of::<ModelVersion>(Kind::Main);
    let Some(latest) = writer.read(&target, &owner.name).await? else { return Ok(Action::await_change()) };
    if latest.metadata.uid.as_deref() != Some(&owner.uid) {
        return Ok(Action::await_change());
    }
    let old: ModelVersionStatus = match latest.data.get("status") {
        None => ModelVersionStatus::default(),
        Some(status) => serde_json::from_value(status.clone()).map_err(|e| Error::Build {
            object: format!("status of {}", owner.name),
            why: format!("what is there cannot be read: {e}"),
        })?,
    };
    let new = record::update(&old, &view.life(), &served, latest.metadata.generation, now);
    Ok(match writer.status(&target, &latest.metadata, &old, &new).await? {
        Applied::Whole => Action::await_change(),
        Applied::Outrun => Action::requeue(CACHE_LAG),
    })
}

/// What the deployments of the namespace say about a version.
fn served(ctx: &Context, owner: &OwnerKey, view: &VersionView) -> Served {
    let mut served = Served::default();
    let named = ctx.model_mentions.of(&owner.namespace, &owner.name);
    let recorded = view.recorded.deployments.iter().map(|d| d.name.clone());
    let names: std::collections::BTreeSet<String> = named.into_iter().chain(recorded).collect();
    for name in names {
        let Some(md) = ctx.models.get(&ObjectRef::new(&name).within(&owner.namespace)) else { continue };
        match &md.0 {
            Ok(md) => served.add(md, &owner.name, &view.known.files.digest),
            Err(invalid) => served.unknown.extend(invalid.metadata.uid.clone()),
        }
    }
    served
}
