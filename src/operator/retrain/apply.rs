//! Step 4: the plan's writes, one after the other, each with a precondition; then the status, by compare-and-swap.

use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;
use serin_api::{RetrainPolicy, TrainingRun};
use serin_engine::retrain::{Plan, Write, look, run};

use super::object::Object;
use crate::{
    context::Context,
    error::Error,
    fresh::Kind,
    write::{Applied, Target, Writer},
};

/// Carries a plan out.
pub async fn apply(ctx: &Context, object: &Object<'_>, plan: &Plan) -> Result<Applied, Error> {
    let writer = Writer::new(ctx, &object.owner);
    if plan.decisive && !writer.confirmed::<RetrainPolicy>(&object.policy.metadata).await? {
        return Ok(Applied::Outrun);
    }
    for write in &plan.writes {
        if one(ctx, &writer, object, write).await? == Applied::Outrun {
            return Ok(Applied::Outrun);
        }
    }
    if object.policy.status.as_ref() == Some(&plan.status) {
        return Ok(Applied::Whole);
    }
    let target = Target::of::<RetrainPolicy>(Kind::Main);
    writer.status(&target, &object.policy.metadata, &object.status, &plan.status).await
}

async fn one(
    ctx: &Context,
    writer: &Writer<'_>,
    object: &Object<'_>,
    write: &Write,
) -> Result<Applied, Error> {
    let policy = object.owned();
    let (runs, jobs) = (Target::of::<TrainingRun>(Kind::Run), Target::of::<Job>(Kind::Job));
    match write {
        Write::CreateRun(new) => writer.create(&runs, &new.name, run::object(&policy, new)).await,
        Write::CreateLook { number } => {
            let name = look::name(policy.name, *number);
            let body = look::job(&policy, *number, &ctx.agent_image)
                .map_err(|why| Error::Build { object: format!("Job {name}"), why })?;
            writer.create(&jobs, &name, body).await
        }
        Write::DeleteLook { name, uid } => writer.delete(&jobs, name, uid, DeleteParams::foreground()).await,
    }
}
