//! Step 4: the plan's writes, one after the other, each with a precondition; then the status, by compare-and-swap.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{
    Api, Resource,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
    core::ApiResource,
};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, ModelDeploymentStatus, TrafficMode, labels};
use serin_engine::{Plan, Write, decide, objects, revision};

use crate::{
    children::{HttpRoute, ident},
    context::Context,
    error::Error,
    fresh::{Expect, Kind},
    observe::Object,
};

/// How far a plan got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Everything was written.
    Whole,
    /// Somebody else wrote first; the caches will tell, and the decision is taken again.
    Outrun,
}

/// A kind that is written.
struct Target {
    kind: Kind,
    resource: ApiResource,
}

impl Target {
    fn of<K: Resource<DynamicType = ()>>(kind: Kind) -> Self {
        Self { kind, resource: ApiResource::erase::<K>(&()) }
    }
}

/// Carries a plan out.
pub async fn apply(ctx: &Context, object: &Object<'_>, plan: &Plan) -> Result<Applied, Error> {
    if plan.decisive && !confirmed(ctx, object).await? {
        return Ok(Applied::Outrun);
    }
    for write in &plan.writes {
        if one(ctx, object, write).await? == Applied::Outrun {
            return Ok(Applied::Outrun);
        }
    }
    status(ctx, object, &plan.status).await
}

/// The quorum read before a decision: the spec and status that it rests on must still be the latest.
async fn confirmed(ctx: &Context, object: &Object<'_>) -> Result<bool, Error> {
    let api: Api<kube::core::PartialObjectMeta<ModelDeployment>> =
        Api::namespaced(ctx.client.clone(), &object.owner.namespace);
    let found = api.get_metadata_opt(&object.owner.name).await;
    let found = found.map_err(|e| failed("get", "ModelDeployment", &object.owner.name, e))?;
    Ok(found.is_some_and(|f| f.metadata.resource_version == object.md.metadata.resource_version))
}

async fn one(ctx: &Context, object: &Object<'_>, write: &Write) -> Result<Applied, Error> {
    let owner = object.owned();
    ctx.telemetry.wrote();
    match write {
        Write::CreateDeployment { revision, spec, slot, replicas } => {
            let name = revision::child_name(owner.name, owner.uid, revision);
            let body = objects::deployment(&owner, revision, spec, *slot, *replicas, &ctx.agent_image)
                .map_err(|why| Error::Build { object: format!("Deployment {name}"), why })?;
            create(ctx, object, &Target::of::<Deployment>(Kind::Deployment), &name, body).await
        }
        Write::CreateSlotService(slot) => {
            let body = objects::slot_service(&owner, *slot);
            let name = owner.slot_service_name(*slot);
            create(ctx, object, &Target::of::<Service>(Kind::Service), &name, body).await
        }
        Write::SetWeights { uid, weights, journal } => {
            let (target, body) = match (decide::mode(&object.md.spec), &object.md.spec.traffic.gateway) {
                (TrafficMode::Gateway, Some(gateway)) => (
                    Target::of::<HttpRoute>(Kind::Route),
                    objects::route(&owner, gateway, *weights, journal, uid.as_deref()),
                ),
                _ => (
                    Target::of::<Service>(Kind::Service),
                    objects::ratio_service(&owner, *weights, journal, uid.as_deref()),
                ),
            };
            if uid.is_none() {
                create(ctx, object, &target, owner.name, body).await
            } else {
                let params = PatchParams::apply(labels::MANAGER).force();
                patch(ctx, object, &target, owner.name, &params, &Patch::Apply(body)).await
            }
        }
        Write::Scale { name, uid, replicas } => {
            let body = json!({"metadata": {"uid": uid}, "spec": {"replicas": replicas}});
            let params =
                PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
            let target = Target::of::<Deployment>(Kind::Deployment);
            patch(ctx, object, &target, name, &params, &Patch::Merge(body)).await
        }
        Write::DeleteDeployment { name, uid } => delete(ctx, object, name, uid).await,
    }
}

fn api(ctx: &Context, object: &Object<'_>, target: &Target) -> Api<DynamicObject> {
    Api::namespaced_with(ctx.client.clone(), &object.owner.namespace, &target.resource)
}

fn remember(ctx: &Context, object: &Object<'_>, kind: Kind, meta: &ObjectMeta) {
    let i = ident(meta);
    if i.version > 0 {
        ctx.own_writes.expect(&object.owner, kind, &i.name, Expect::AtLeast(i.version));
    }
}

/// POST: what exists already is either ours (made before a restart; the cache lags) or a stranger's, and a stranger's
/// is never adopted.
async fn create(
    ctx: &Context,
    object: &Object<'_>,
    target: &Target,
    name: &str,
    body: Value,
) -> Result<Applied, Error> {
    let kind = target.resource.kind.as_str();
    let body: DynamicObject = serde_json::from_value(body)
        .map_err(|e| Error::Build { object: format!("{kind} {name}"), why: e.to_string() })?;
    let params = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
    match api(ctx, object, target).create(&params, &body).await {
        Ok(made) => {
            remember(ctx, object, target.kind, &made.metadata);
            Ok(Applied::Whole)
        }
        Err(kube::Error::Api(s)) if s.is_already_exists() => {
            let found =
                api(ctx, object, target).get_opt(name).await.map_err(|e| failed("get", kind, name, e))?;
            let Some(found) = found else { return Ok(Applied::Outrun) };
            let owners = found.metadata.owner_references.as_deref().unwrap_or_default();
            if owners.iter().any(|o| o.uid == object.owner.uid) {
                remember(ctx, object, target.kind, &found.metadata);
            } else {
                ctx.taken.remember(&object.owner, format!("{kind} {name}"));
            }
            Ok(Applied::Outrun)
        }
        Err(e) => Err(failed("create", kind, name, e)),
    }
}

async fn patch(
    ctx: &Context,
    object: &Object<'_>,
    target: &Target,
    name: &str,
    params: &PatchParams,
    body: &Patch<Value>,
) -> Result<Applied, Error> {
    match api(ctx, object, target).patch(name, params, body).await {
        Ok(written) => {
            remember(ctx, object, target.kind, &written.metadata);
            Ok(Applied::Whole)
        }
        // Gone, or another one of that name: the watch will tell.
        Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Outrun),
        Err(e) => Err(failed("patch", &target.resource.kind, name, e)),
    }
}

async fn delete(ctx: &Context, object: &Object<'_>, name: &str, uid: &str) -> Result<Applied, Error> {
    let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::background() };
    let target = Target::of::<Deployment>(Kind::Deployment);
    match api(ctx, object, &target).delete(name, &params).await {
        Ok(_) => {
            let leaving = Expect::Leaving { uid: uid.to_owned() };
            ctx.own_writes.expect(&object.owner, Kind::Deployment, name, leaving);
            Ok(Applied::Whole)
        }
        Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Whole),
        Err(e) => Err(failed("delete", "Deployment", name, e)),
    }
}

/// The status, if it differs: a merge patch of the difference, valid only for the version we have seen.
async fn status(
    ctx: &Context,
    object: &Object<'_>,
    wanted: &ModelDeploymentStatus,
) -> Result<Applied, Error> {
    if object.md.status.as_ref() == Some(wanted) {
        return Ok(Applied::Whole);
    }
    let name = &object.owner.name;
    let to_json = |s: &ModelDeploymentStatus| {
        serde_json::to_value(s)
            .map_err(|e| Error::Build { object: format!("status of {name}"), why: e.to_string() })
    };
    let Some(change) = merge_patch(&to_json(&object.status)?, &to_json(wanted)?) else {
        return Ok(Applied::Whole);
    };
    let body = json!({
        "metadata": {"uid": object.owner.uid, "resourceVersion": object.md.metadata.resource_version},
        "status": change,
    });
    let api: Api<DynamicObject> = Api::namespaced_with(
        ctx.client.clone(),
        &object.owner.namespace,
        &ApiResource::erase::<ModelDeployment>(&()),
    );
    let params =
        PatchParams { field_manager: Some(labels::STATUS_MANAGER.to_owned()), ..PatchParams::default() };
    ctx.telemetry.wrote();
    match api.patch_status(name, &params, &Patch::Merge(body)).await {
        Ok(written) => {
            remember(ctx, object, Kind::Main, &written.metadata);
            Ok(Applied::Whole)
        }
        Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Outrun),
        Err(e) => Err(failed("patch status of", "ModelDeployment", name, e)),
    }
}

/// RFC 7396: what turns `old` into `new`; `None` if nothing does.
fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut patch = serde_json::Map::new();
            for key in a.keys().filter(|k| !b.contains_key(*k)) {
                patch.insert(key.clone(), Value::Null);
            }
            for (key, value) in b {
                match a.get(key) {
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                    Some(before) => {
                        if let Some(change) = merge_patch(before, value) {
                            patch.insert(key.clone(), change);
                        }
                    }
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (a, b) if a == b => None,
        (_, b) => Some(b.clone()),
    }
}

fn failed(verb: &'static str, kind: &str, name: &str, source: kube::Error) -> Error {
    Error::Api { verb, object: format!("{kind} {name}"), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_removes_adds_and_changes() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1]});
        let new = json!({"b": {"c": 1, "d": 3}, "l": [1, 2], "n": true});
        let patch = merge_patch(&old, &new).unwrap();
        assert_eq!(patch, json!({"a": null, "b": {"d": 3}, "l": [1, 2], "n": true}));
        assert_eq!(merge_patch(&new, &new), None);
    }
}
