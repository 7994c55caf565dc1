//! Step 1: caches and Prometheus become the engine's [`World`] and [`Reading`].

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use serin_api::{ModelDeployment, Slot, TrafficMode, labels};
use serin_engine::{
    Crashed, Input, Mirroring, ObservedBudget, ObservedDeployment, ObservedTraffic, ObservedVersion, Orders,
    PodTrouble, Reading, World, decide, measure, objects, revision,
};

use crate::{
    children::{Ident, PodView, ServiceView, attached_as_wanted},
    context::Context,
    error::Error,
    fresh::Kind,
    owner::OwnerKey,
    place::Place,
    samples,
};

/// The object and its key.
pub struct Object<'a> {
    pub md: &'a ModelDeployment,
    pub owner: OwnerKey,
    pub status: serin_api::ModelDeploymentStatus,
    pub now: DateTime<Utc>,
}

impl<'a> Object<'a> {
    /// `None` for an object without name, namespace or UID, which no apiserver sends.
    pub fn of(md: &'a ModelDeployment, now: DateTime<Utc>) -> Option<Self> {
        Some(Self { md, owner: OwnerKey::of(md)?, status: md.status.clone().unwrap_or_default(), now })
    }
    pub fn version(&self) -> u64 {
        self.md.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0)
    }
    /// The owner of what is built.
    pub fn owned(&self) -> objects::Owner<'_> {
        objects::Owner {
            name: &self.owner.name,
            namespace: &self.owner.namespace,
            uid: &self.owner.uid,
            spec: &self.md.spec,
        }
    }
    fn order(&self, annotation: &str) -> Option<&str> {
        self.md.annotations().get(annotation).map(String::as_str)
    }
    pub fn input<'b>(&'b self, world: &'b World, reading: &'b Reading) -> Input<'b> {
        Input {
            name: &self.owner.name,
            uid: &self.owner.uid,
            generation: self.md.metadata.generation,
            orders: Orders {
                retry: self.order(labels::RETRY),
                promote: self.order(labels::PROMOTE),
                abort: self.order(labels::ABORT),
                skip: self.order(labels::SKIP),
            },
            spec: &self.md.spec,
            status: &self.status,
            world,
            reading,
            now: self.now,
        }
    }
}

/// The world as the caches show it; `None` while they do not show what we ourselves wrote.
pub fn world(ctx: &Context, object: &Object<'_>) -> Option<World> {
    let owner = &object.owner;
    let deployments = ctx.deployments.of(owner);
    let services = ctx.services.of(owner);
    let routes = ctx.routes.of(owner);
    let budgets = ctx.budgets.of(owner);
    let wanted_route = object.md.spec.traffic.http_route.as_ref();
    let user_route = wanted_route.and_then(|r| ctx.user_routes.get(&owner.namespace, &r.name));
    let seen = |i: &Ident| (i.version, i.uid.clone(), i.deleting);
    let fresh = ctx.own_writes.visible(owner, |kind, name| match kind {
        Kind::Main => Some((object.version(), owner.uid.clone(), false)),
        Kind::Deployment => deployments.iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Service => services.iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Route => {
            let mut all = routes.iter().map(|v| &v.ident).chain(user_route.iter().map(|r| &r.ident));
            all.find(|i| i.name == name).map(seen)
        }
        Kind::Budget => budgets.iter().map(|v| &v.ident).find(|i| i.name == name).map(seen),
        Kind::Version => {
            let found = ctx.versions.get(&owner.namespace, name);
            found.map(|version| (version.version, version.known.uid.clone(), version.deleting))
        }
        Kind::Job | Kind::Run => None,
    });
    if !fresh {
        return None;
    }
    let pods = ctx.pods.of(&pods_key(owner));
    let mut troubles = troubles(&pods);
    let slot_services = [Slot::A, Slot::B]
        .into_iter()
        .filter(|slot| services.iter().any(|s| is_slot_service(object, s, *slot)))
        .collect();
    let mut unusable_route = None;
    let traffic = match (decide::mode(&object.md.spec), wanted_route) {
        (TrafficMode::Gateway, Some(wanted)) => {
            let missing = || format!("HTTPRoute {} does not exist in this namespace: make it", wanted.name);
            let found = user_route.as_ref().filter(|route| !route.ident.deleting).ok_or_else(missing);
            let found = found.and_then(|route| route.observed(wanted, &owner.name));
            found.map_err(|why| unusable_route = Some(why)).ok()
        }
        (TrafficMode::Gateway, None) => {
            routes.into_iter().find(|r| r.ident.name == owner.name).map(|r| ObservedTraffic {
                uid: r.ident.uid.clone(),
                weights: r.weights.unwrap_or(UNKNOWN),
                journal: r.journal.clone(),
                confirmed: r.confirmed,
                intact: r.weights.is_some()
                    && r.journal.is_some()
                    && object.md.spec.traffic.gateway.as_ref().is_some_and(|g| {
                        attached_as_wanted(&r, &objects::route::served(g, ctx.session_field.known()))
                    }),
                refused: r.refused,
                place: None,
            })
        }
        (TrafficMode::ReplicaRatio, _) => {
            services.into_iter().find(|s| s.ident.name == owner.name).map(|s| ratio_traffic(object, s))
        }
    };
    let leftovers_of_namesake = [owner.name.clone()]
        .into_iter()
        .chain([Slot::A, Slot::B].map(|s| object.owned().slot_service_name(s)))
        .any(|n| {
            ctx.services.belongs_to_namesake(owner, &n)
                || ctx.routes.belongs_to_namesake(owner, &n)
                || ctx.budgets.belongs_to_namesake(owner, &n)
        });
    Some(World {
        deployments: deployments
            .into_iter()
            .filter_map(|d| {
                Some(ObservedDeployment {
                    trouble: troubles.remove(&d.revision),
                    crashed: most_crashed(&pods, &d.revision),
                    unscheduled: unscheduled(&pods, &d.revision),
                    name: d.ident.name,
                    uid: d.ident.uid,
                    slot: d.slot?,
                    revision: d.revision,
                    replicas: d.replicas,
                    available: d.available,
                    deleting: d.ident.deleting,
                })
            })
            .collect(),
        traffic,
        unusable_route,
        slot_services,
        budget: budgets.into_iter().find(|b| b.ident.name == owner.name).map(|b| ObservedBudget {
            uid: b.ident.uid,
            max_unavailable: b.max_unavailable,
            deleting: b.ident.deleting,
        }),
        taken: ctx.taken.of(owner),
        leftovers_of_namesake,
        versions: versions(ctx, object),
        gateway_api: ctx.gateway_api(),
        mirroring: Mirroring::Unasked,
        session_persistence: ctx.session_field.known(),
    })
}

/// The versions that spec and status name, and all of the channel's model.
fn versions(ctx: &Context, object: &Object<'_>) -> BTreeMap<String, ObservedVersion> {
    let (spec, status) = (&object.md.spec, &object.status);
    let stable = status.stable.as_ref().map(|s| &s.spec.model);
    let candidate = status.candidate.as_ref().map(|c| &c.spec.model);
    let recorded = stable.into_iter().chain(candidate).filter_map(|m| m.version_ref.as_ref());
    let named = spec.model.version_ref.iter().chain(recorded);
    let (namespace, deployment) = (&object.owner.namespace, &object.owner.name);
    let named = named.filter_map(|name| ctx.versions.get(namespace, name));
    let channel = spec.model.channel.iter().flat_map(|c| ctx.versions.of_model(namespace, &c.model));
    let found = named.chain(channel);
    found.map(|version| (version.known.name.clone(), version.observed(deployment))).collect()
}

/// Weights that no decision ever asks for: a route that somebody bent out of shape.
const UNKNOWN: serin_engine::Weights = serin_engine::Weights { a: -1, b: -1, testers: None, mirror: None };

/// Pods carry the instance hash instead of the UID.
fn pods_key(owner: &OwnerKey) -> OwnerKey {
    OwnerKey { uid: revision::instance(&owner.uid), ..owner.clone() }
}

fn is_slot_service(object: &Object<'_>, s: &ServiceView, slot: Slot) -> bool {
    s.slot_label == Some(slot) && s.ident.name == object.owned().slot_service_name(slot) && !s.ident.deleting
}

fn ratio_traffic(object: &Object<'_>, s: ServiceView) -> ObservedTraffic {
    let weights = s.weights.unwrap_or(UNKNOWN);
    let instance = revision::instance(&object.owner.uid);
    let selects = |key: &str| s.selector.get(key).map(String::as_str);
    let intact = s.journal.is_some()
        && selects(labels::INSTANCE) == Some(instance.as_str())
        && selects(labels::SLOT) == objects::service::only(weights).map(Slot::as_str)
        && s.selector.len() == 1 + usize::from(objects::service::only(weights).is_some());
    let (uid, journal) = (s.ident.uid, s.journal);
    ObservedTraffic { uid, weights, journal, confirmed: true, intact, refused: None, place: None }
}

/// Pods of a revision that no node has taken.
fn unscheduled(pods: &[PodView], revision: &str) -> i32 {
    let waits = |pod: &&PodView| matches!(pod.trouble, Some(PodTrouble::Unschedulable { .. }));
    let number = pods.iter().filter(|pod| pod.revision == revision).filter(waits).count();
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The worst trouble of each revision's pods: a missing model says more than a missing image, that more than a full node.
fn troubles(pods: &[PodView]) -> HashMap<String, PodTrouble> {
    let rank = |t: &PodTrouble| match t {
        PodTrouble::Model { .. } => 2,
        PodTrouble::ImagePull { .. } => 1,
        PodTrouble::Unschedulable { .. } => 0,
    };
    let mut worst: HashMap<String, PodTrouble> = HashMap::new();
    for pod in pods {
        let Some(trouble) = &pod.trouble else { continue };
        let entry = worst.entry(pod.revision.clone()).or_insert_with(|| trouble.clone());
        if rank(trouble) > rank(entry) {
            *entry = trouble.clone();
        }
    }
    worst
}

/// Of a revision's containers that crash, the one that did most often.
fn most_crashed(pods: &[PodView], revision: &str) -> Option<Crashed> {
    let crashed = pods.iter().filter(|pod| pod.revision == revision).filter_map(|pod| pod.crashed.as_ref());
    crashed.max_by_key(|crashed| crashed.restarts).cloned()
}

/// When the servers of a deployment's pods started, in milliseconds.
pub fn started(ctx: &Context, owner: &OwnerKey) -> HashMap<String, i64> {
    let pods = ctx.pods.of(&pods_key(owner));
    pods.into_iter().filter_map(|p| Some((p.ident.name, p.started_ms?))).collect()
}

/// Whether the gateways copy requests, if a shadow is to begin or goes on.
pub async fn mirroring(ctx: &Context, object: &Object<'_>, world: &World) -> Result<Mirroring, Error> {
    let wanted = decide::mirrored(&object.input(world, &Reading::NotAsked));
    let Some((percent, gateway)) = wanted.zip(object.md.spec.traffic.gateway.as_ref()) else {
        return Ok(Mirroring::Unasked);
    };
    let namespace = &object.owner.namespace;
    ctx.gateways.mirroring(&ctx.client, namespace, &gateway.parent_refs, percent).await
}

/// What the metrics say, if the situation asks for them.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn reading(ctx: &Context, object: &Object<'_>, world: &World, place: &mut Place) -> Reading {
    let Some(wanted) = decide::measurement(&object.input(world, &Reading::NotAsked)) else {
        return Reading::NotAsked;
    };
    let asked = ctx.looks.samples(&object.owner.namespace, samples::wanted(&wanted, object.now));
    let answer = place.outside(asked).await;
    let started = started(ctx, &object.owner);
    let read = answer.and_then(|answer| samples::arranged(&wanted, &answer.series, &started));
    ctx.telemetry.queried(read.is_ok());
    match read {
        Err(e) => Reading::Unavailable(e.to_string()),
        Ok(samples) if wanted.candidate.is_none() => {
            measure::read_baseline(&object.md.spec, &wanted, &samples, object.now)
        }
        Ok(samples) => Reading::Judged(measure::judge(&object.md.spec, &wanted, &samples, object.now)),
    }
}
