//! Step 1: caches and Prometheus become the engine's [`World`] and [`Share`]s.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use kube::{ResourceExt, core::DeserializeGuard};
use kube_runtime::reflector::ObjectRef;
use serin_api::{Live, ModelDeployment, Outcome};
use serin_engine::{
    retrain::{LookEnd, ObservedLook, Served, Share, World},
    revision,
    training::{JobEnd, ObservedPod},
};

use super::object::Object;
use crate::{
    children::{Ident, JobView, RankView, clean},
    context::Context,
    fresh::Kind,
    owner::OwnerKey,
};

/// The world as the caches show it; `None` while they do not show what we ourselves wrote.
pub fn world(ctx: &Context, object: &Object<'_>) -> Option<World> {
    let owner = &object.owner;
    let main = object.policy.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0);
    let jobs = ctx.look_jobs.of(owner);
    let runs: Vec<_> = ctx
        .runs
        .state()
        .iter()
        .filter_map(|run| run.of_policy())
        .filter(|run| run.policy == *owner)
        .collect();
    let seen = |i: &Ident| (i.version, i.uid.clone(), i.deleting);
    let fresh = ctx.own_writes.visible(owner, |kind, name| match kind {
        Kind::Main => Some((main, owner.uid.clone(), false)),
        Kind::Job => jobs.iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Run => {
            let run = runs.iter().find(|run| run.run.name == name)?;
            Some((run.version, run.run.uid.clone(), false))
        }
        Kind::Deployment | Kind::Service | Kind::Route | Kind::Budget | Kind::Version => None,
    });
    if !fresh {
        return None;
    }
    let spec = &object.policy.spec;
    let deployment = spec.deployment_ref.as_ref().and_then(|name| deployment(ctx, owner, name));
    Some(World {
        lives: deployment.as_ref().map(|(uid, _)| lives(ctx, object, uid)).unwrap_or_default(),
        deployment: deployment.map(|(_, served)| served),
        runs: runs.into_iter().map(|run| run.run).collect(),
        looks: looks(object, jobs, ctx.look_pods.of(owner)),
        taken: ctx.taken.of(owner),
        newest_version: ctx.versions.newest(&owner.namespace, &spec.template.model),
    })
}

/// UID, and what the policy wants to know.
fn deployment(ctx: &Context, owner: &OwnerKey, name: &str) -> Option<(String, Served)> {
    let found = ctx.models.get(&ObjectRef::new(name).within(&owner.namespace))?;
    let DeserializeGuard(Ok(md)) = found.as_ref() else { return None };
    let uid = md.uid()?;
    Some((uid.clone(), served(md, name, &uid)))
}

fn served(md: &ModelDeployment, name: &str, uid: &str) -> Served {
    let Some(status) = &md.status else { return Served::default() };
    let stable = status.stable.as_ref();
    Served {
        revision: stable.map(|s| s.revision.clone()),
        pods: stable.map(|s| revision::child_name(name, uid, &s.revision)),
        version: stable.and_then(|s| s.spec.model.version_ref.clone()),
        changing: status.candidate.is_some(),
        changed_at: status.history.iter().map(|h| h.at).max(),
    }
}

/// What came of the versions of our runs in the deployment with this UID.
fn lives(ctx: &Context, object: &Object<'_>, uid: &str) -> BTreeMap<String, Live> {
    let versions = object.status.runs.iter().filter_map(|r| r.version.as_ref());
    let live = |name: &String| {
        let version = ctx.versions.get(&object.owner.namespace, name)?;
        let last = version.recorded.outcomes.iter().rev().find_map(|outcome| {
            if outcome.uid != uid {
                return None;
            }
            match outcome.result {
                Outcome::Deployed | Outcome::Promoted => Some(Live::Promoted),
                Outcome::RolledBack => Some(Live::RolledBack),
                Outcome::Superseded => None,
            }
        });
        Some((name.clone(), last?))
    };
    versions.filter_map(live).collect()
}

/// A Job that has ended well, and whose pod nobody has seen for so long, has lost its last word.
const WORD_LOST: TimeDelta = TimeDelta::minutes(1);

fn looks(object: &Object<'_>, jobs: Vec<JobView>, pods: Vec<RankView>) -> Vec<ObservedLook> {
    let pods: Vec<ObservedPod> = pods.into_iter().filter_map(RankView::observed).collect();
    let look = |job: JobView| {
        let (number, end) = job.look()?;
        let Ident { name, uid, deleting, .. } = job.ident.clone();
        let ends = pods.iter().filter(|p| p.job_uid == uid).filter_map(|p| p.program.as_ref());
        let end = match end {
            None => None,
            Some(JobEnd::Complete { at }) => match ends.clone().find(|end| end.code == 0) {
                Some(end) => Some(LookEnd::Said(end.message.clone())),
                None if *at + WORD_LOST > object.now => None,
                None => Some(LookEnd::Failed("its pod is gone, and its last word with it".to_owned())),
            },
            Some(JobEnd::Failed { reason, .. }) => {
                let last = ends.max_by_key(|end| end.at).map(|end| clean(&end.message).trim().to_owned());
                Some(LookEnd::Failed(last.filter(|text| !text.is_empty()).unwrap_or_else(|| reason.clone())))
            }
        };
        Some(ObservedLook { name, uid, number, deleting, end })
    };
    jobs.into_iter().filter_map(look).collect()
}

/// What was counted, for every trigger that asks.
pub async fn shares(ctx: &Context, object: &Object<'_>, world: &World) -> BTreeMap<String, Share> {
    let none = BTreeMap::new();
    let mut shares = BTreeMap::new();
    for question in object.input(world, &none).questions() {
        let counted = ctx.prometheus.count(&object.owner.namespace, &question, object.now).await;
        ctx.telemetry.queried(counted.is_ok());
        let share = counted.unwrap_or_else(|error| Share::Unknown(error.to_string()));
        shares.insert(question.trigger, share);
    }
    shares
}
