//! Step 1: caches become the engine's [`World`].

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use serin_api::{TrainingRun, TrainingRunStatus};
use serin_engine::training::{Input, World, objects};

use super::object;
use crate::{children::Ident, context::Context, fresh::Kind, owner::OwnerKey};

/// A run and its key.
pub struct Object<'a> {
    pub run: &'a TrainingRun,
    pub owner: OwnerKey,
    pub status: TrainingRunStatus,
    pub now: DateTime<Utc>,
}

impl<'a> Object<'a> {
    /// `None` for an object without name, namespace or UID, which no apiserver sends.
    pub fn of(run: &'a TrainingRun, now: DateTime<Utc>) -> Option<Self> {
        Some(Self { run, owner: OwnerKey::of(run)?, status: run.status.clone().unwrap_or_default(), now })
    }
    /// The owner of what is built.
    pub fn owned(&self) -> objects::Run<'_> {
        objects::Run {
            name: &self.owner.name,
            namespace: &self.owner.namespace,
            uid: &self.owner.uid,
            spec: &self.run.spec,
        }
    }
    pub fn input<'b>(&'b self, world: &'b World, nonce: &'b str) -> Input<'b> {
        Input {
            name: &self.owner.name,
            uid: &self.owner.uid,
            generation: self.run.metadata.generation,
            spec: &self.run.spec,
            status: &self.status,
            world,
            nonce,
            now: self.now,
        }
    }
}

/// Whether the caches show everything that we ourselves wrote; `main` is the run's version.
pub fn is_fresh(ctx: &Context, owner: &OwnerKey, main: Option<&str>) -> bool {
    let main = main.and_then(|v| v.parse().ok()).unwrap_or(0);
    let seen = |i: &Ident| (i.version, i.uid.clone(), i.deleting);
    ctx.own_writes.visible(owner, |kind, name| match kind {
        Kind::Main => Some((main, owner.uid.clone(), false)),
        Kind::Job => ctx.jobs.of(owner).iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Service => ctx.rendezvous.of(owner).iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Version => {
            let version = ctx.versions.get(&owner.namespace, name);
            version.map(|v| (v.version, v.known.uid.clone(), v.deleting))
        }
        Kind::Deployment | Kind::Route | Kind::Budget | Kind::Run => None,
    })
}

/// The world as the caches show it; `None` while they do not show what we ourselves wrote.
pub fn world(ctx: &Context, object: &Object<'_>) -> Option<World> {
    let owner = &object.owner;
    if !is_fresh(ctx, owner, object.run.resource_version().as_deref()) {
        return None;
    }
    let spec = &object.run.spec;
    Some(World {
        jobs: ctx.jobs.of(owner).into_iter().filter_map(crate::children::JobView::observed).collect(),
        pods: ctx.ranks.of(owner).into_iter().filter_map(crate::children::RankView::observed).collect(),
        services: ctx
            .rendezvous
            .of(owner)
            .into_iter()
            .filter_map(crate::children::RendezvousView::observed)
            .collect(),
        taken: ctx.taken.of(owner),
        leftovers_of_namesake: ctx.jobs.has_namesake(owner) || ctx.rendezvous.has_namesake(owner),
        versions: ctx.versions.of(&owner.namespace, &spec.model, &object::named(object.run)),
    })
}
