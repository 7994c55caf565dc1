//! Step 4: the plan's writes, one after the other, each with a precondition; then the status, by compare-and-swap.

use k8s_openapi::api::{batch::v1::Job, core::v1::Service};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use serin_api::{ModelVersion, ModelVersionSpec, ModelVersionStatus, TrainingRun, labels};
use serin_engine::training::{Child, Plan, VersionNews, Write, objects, record};

use super::observe::Object;
use crate::{
    children::{self, Child as _, SlimRank},
    context::Context,
    error::Error,
    fresh::Kind,
    write::{Applied, Created, Target, Writer, failed},
};

/// Carries a plan out.
pub async fn apply(ctx: &Context, object: &Object<'_>, plan: &Plan) -> Result<Applied, Error> {
    let writer = Writer::new(ctx, &object.owner);
    if plan.decisive && !writer.confirmed::<TrainingRun>(&object.run.metadata).await? {
        return Ok(Applied::Outrun);
    }
    for write in &plan.writes {
        if one(ctx, &writer, object, write).await? == Applied::Outrun {
            return Ok(Applied::Outrun);
        }
    }
    if object.run.status.as_ref() == Some(&plan.status) {
        return Ok(Applied::Whole);
    }
    let target = Target::of::<TrainingRun>(Kind::Main);
    writer.status(&target, &object.run.metadata, &object.status, &plan.status).await
}

async fn one(
    ctx: &Context,
    writer: &Writer<'_>,
    object: &Object<'_>,
    write: &Write,
) -> Result<Applied, Error> {
    let run = object.owned();
    let (jobs, services) = (Target::of::<Job>(Kind::Job), Target::of::<Service>(Kind::Service));
    let built = |name: &str, body: Result<Value, String>| {
        body.map_err(|why| Error::Build { object: format!("Job {name}"), why })
    };
    match write {
        Write::CreateService { attempt } => {
            let name = Child::Attempt(*attempt).name(run.name);
            writer.create(&services, &name, objects::service(&run, *attempt)).await
        }
        Write::CreateAttempt { attempt, base, remaining } => {
            let name = Child::Attempt(*attempt).name(run.name);
            let body = objects::attempt(&run, *attempt, base.as_ref(), *remaining, &ctx.agent_image);
            writer.create(&jobs, &name, built(&name, body)?).await
        }
        Write::CreateEvaluation(job) => {
            let name = Child::Evaluation(job.number).name(run.name);
            let body = objects::evaluation(&run, job, &ctx.agent_image);
            writer.create(&jobs, &name, built(&name, body)?).await
        }
        Write::ConfirmAbsent { job, uid } => {
            let found = writer.read(&jobs, job).await?;
            let same = found.is_some_and(|f| f.metadata.uid.as_deref() == Some(uid));
            Ok(if same { Applied::Outrun } else { Applied::Whole })
        }
        Write::ConfirmPods { job_uid, ended } => {
            let news = has_ended_more(ctx, &object.owner.namespace, job_uid, ended).await?;
            Ok(if news { Applied::Outrun } else { Applied::Whole })
        }
        Write::DeleteJob { name, uid } => writer.delete(&jobs, name, uid, DeleteParams::foreground()).await,
        Write::DeleteService { name, uid } => {
            writer.delete(&services, name, uid, DeleteParams::background()).await
        }
        Write::CreateVersion { name, spec } => version(writer, object, name, spec).await,
        Write::VersionStatus { name, news } => news_of(writer, object, name, news).await,
    }
}

/// Whether a pod of this Job has ended that is not among `ended`.
async fn has_ended_more(
    ctx: &Context,
    namespace: &str,
    job_uid: &str,
    ended: &[String],
) -> Result<bool, Error> {
    let pods: Api<SlimRank> = Api::namespaced(ctx.client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("{JOB_UID}={job_uid}"));
    let found = pods.list(&of_job).await;
    let found = found.map_err(|e| failed("list", "pods of the Job with UID", job_uid, e))?;
    let mut seen = found.iter().filter_map(|pod| pod.view(children::ident(pod.meta())).observed());
    Ok(seen.any(|pod| !pod.is_live() && !ended.contains(&pod.name)))
}

/// Set by the Job controller on its pods.
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";

/// A version belongs to nobody, so that it outlives its run. One that is there with the same content is as good.
async fn version(
    writer: &Writer<'_>,
    object: &Object<'_>,
    name: &str,
    spec: &ModelVersionSpec,
) -> Result<Applied, Error> {
    let target = Target::of::<ModelVersion>(Kind::Version);
    let mut names = json!({
        labels::MANAGED_BY: labels::MANAGER,
        labels::MODEL: spec.model,
        labels::RUN: object.owner.name,
    });
    if let Some(digest) = &spec.inputs_digest {
        let hex = digest.0.strip_prefix("sha256:").unwrap_or(&digest.0);
        names[labels::INPUTS] = json!(hex.get(..INPUTS_DIGITS).unwrap_or(hex));
    }
    let body = json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": object.owner.namespace, "labels": names},
        "spec": spec,
    });
    match writer.post(&target, name, body).await? {
        Created::New => Ok(Applied::Whole),
        Created::Gone => Ok(Applied::Outrun),
        Created::Exists(found) => {
            let found = &found.data["spec"];
            let digest = |v: &Value| v.as_str().map(str::to_owned);
            let same = digest(&found["artifact"]["digest"]).as_deref() == Some(&spec.artifact.digest.0)
                && digest(&found["inputsDigest"]) == spec.inputs_digest.as_ref().map(|d| d.0.clone());
            if same {
                return Ok(Applied::Whole);
            }
            writer.is_taken(&target, name);
            Ok(Applied::Outrun)
        }
    }
}

/// A label value has at most 63 characters.
const INPUTS_DIGITS: usize = 40;
/// Others write to a version's status, too: a deployment that serves it. What is added is the same whatever they wrote.
const TRIES: usize = 4;

async fn news_of(
    writer: &Writer<'_>,
    object: &Object<'_>,
    name: &str,
    news: &VersionNews,
) -> Result<Applied, Error> {
    let target = Target::of::<ModelVersion>(Kind::Version);
    for _ in 0..TRIES {
        let Some(latest) = writer.read(&target, name).await? else { return Ok(Applied::Outrun) };
        let old: ModelVersionStatus = match latest.data.get("status") {
            None => ModelVersionStatus::default(),
            Some(status) => serde_json::from_value(status.clone()).map_err(|e| Error::Build {
                object: format!("status of ModelVersion {name}"),
                why: format!("what is there cannot be read: {e}"),
            })?,
        };
        let new = record::record(&old, news, latest.metadata.generation, object.now);
        if writer.status(&target, &latest.metadata, &old, &new).await? == Applied::Whole {
            return Ok(Applied::Whole);
        }
    }
    Ok(Applied::Outrun)
}
