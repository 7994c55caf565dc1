//! Step 4: the plan's writes, one after the other, each with a precondition; then the status, by compare-and-swap.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, policy::v1::PodDisruptionBudget};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use serin_api::{ModelDeployment, ModelDeploymentStatus, TrafficMode, labels};
use serin_engine::{Plan, Write, decide, objects, revision};

use crate::{
    children::{Child as _, HttpRoute, ident},
    context::Context,
    error::Error,
    fresh::Kind,
    observe::Object,
    user_routes::UserRoute,
    versions::set_bar,
    write::{Applied, Target, Writer, failed},
};

/// Carries a plan out.
pub async fn apply(ctx: &Context, object: &Object<'_>, plan: &Plan) -> Result<Applied, Error> {
    let writer = Writer::new(ctx, &object.owner);
    if plan.decisive && !writer.confirmed::<ModelDeployment>(&object.md.metadata).await? {
        return Ok(Applied::Outrun);
    }
    for write in &plan.writes {
        if one(ctx, &writer, object, write).await? == Applied::Outrun {
            return Ok(Applied::Outrun);
        }
    }
    status(&writer, object, &plan.status).await
}

/// The last write for an object that is being deleted.
pub async fn farewell(ctx: &Context, object: &Object<'_>, write: &Write) -> Result<(), Error> {
    one(ctx, &Writer::new(ctx, &object.owner), object, write).await.map(|_| ())
}

async fn one(
    ctx: &Context,
    writer: &Writer<'_>,
    object: &Object<'_>,
    write: &Write,
) -> Result<Applied, Error> {
    let owner = object.owned();
    match write {
        Write::CreateDeployment { revision, spec, slot, replicas } => {
            let name = revision::child_name(owner.name, owner.uid, revision);
            let body = objects::deployment(&owner, revision, spec, *slot, *replicas, &ctx.agent_image)
                .map_err(|why| Error::Build { object: format!("Deployment {name}"), why })?;
            writer.create(&Target::of::<Deployment>(Kind::Deployment), &name, body).await
        }
        Write::CreateSlotService(slot) => {
            let body = objects::slot_service(&owner, *slot);
            let name = owner.slot_service_name(*slot);
            writer.create(&Target::of::<Service>(Kind::Service), &name, body).await
        }
        Write::SetBudget { uid, max_unavailable } => {
            let target = Target::of::<PodDisruptionBudget>(Kind::Budget);
            let body = objects::budget(&owner, max_unavailable, uid.as_deref());
            if uid.is_none() {
                writer.create(&target, owner.name, body).await
            } else {
                let params = PatchParams::apply(labels::MANAGER).force();
                writer.patch(&target, owner.name, &params, &Patch::Apply(body)).await
            }
        }
        Write::DeleteBudget { uid } => {
            let target = Target::of::<PodDisruptionBudget>(Kind::Budget);
            writer.delete(&target, owner.name, uid, DeleteParams::background()).await
        }
        Write::SetWeights { uid, weights, journal } => {
            let (target, body) = match (decide::mode(&object.md.spec), &object.md.spec.traffic.gateway) {
                (TrafficMode::Gateway, Some(gateway)) => {
                    let gateway = objects::route::served(gateway, ctx.session_field.known());
                    (
                        Target::of::<HttpRoute>(Kind::Route),
                        objects::route(&owner, &gateway, *weights, journal, uid.as_deref()),
                    )
                }
                _ => (
                    Target::of::<Service>(Kind::Service),
                    objects::ratio_service(&owner, *weights, journal, uid.as_deref()),
                ),
            };
            if uid.is_none() {
                writer.create(&target, owner.name, body).await
            } else {
                let params = PatchParams::apply(labels::MANAGER).force();
                writer.patch(&target, owner.name, &params, &Patch::Apply(body)).await
            }
        }
        Write::PatchWeights { uid, place, weights, journal } => {
            let Some(route) = &object.md.spec.traffic.http_route else { return Ok(Applied::Outrun) };
            let operations = objects::user_route::patch(&owner, uid, place, *weights, journal);
            writer.json_patch(&Target::of::<HttpRoute>(Kind::Route), &route.name, operations).await
        }
        Write::SetBar { version, uid, bar } => set_bar(writer, owner.name, version, uid, bar.as_ref()).await,
        Write::Scale { name, uid, replicas } => {
            let body = json!({"metadata": {"uid": uid}, "spec": {"replicas": replicas}});
            let params =
                PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
            let target = Target::of::<Deployment>(Kind::Deployment);
            writer.patch(&target, name, &params, &Patch::Merge(body)).await
        }
        Write::ConfirmNoTraffic(slot) => {
            let routes: Api<HttpRoute> = Api::namespaced(ctx.client.clone(), owner.namespace);
            let users = object.md.spec.traffic.http_route.as_ref();
            let name = users.map_or(owner.name, |route| &route.name);
            let found = routes.get_opt(name).await.map_err(|e| failed("get", "HTTPRoute", name, e))?;
            let weights = found.and_then(|route| match users {
                Some(wanted) => UserRoute::of(&route).weights(wanted, owner.name),
                None => route.view(ident(&route.metadata)).weights,
            });
            let in_use = weights.is_some_and(|weights| weights.reaches(*slot));
            Ok(if in_use { Applied::Outrun } else { Applied::Whole })
        }
        Write::DeleteDeployment { name, uid } => {
            let target = Target::of::<Deployment>(Kind::Deployment);
            writer.delete(&target, name, uid, DeleteParams::background()).await
        }
    }
}

async fn status(
    writer: &Writer<'_>,
    object: &Object<'_>,
    wanted: &ModelDeploymentStatus,
) -> Result<Applied, Error> {
    if object.md.status.as_ref() == Some(wanted) {
        return Ok(Applied::Whole);
    }
    let target = Target::of::<ModelDeployment>(Kind::Main);
    writer.status(&target, &object.md.metadata, &object.status, wanted).await
}
