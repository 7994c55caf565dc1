//! Every status of every story of rollouts, in three eyes: Serin's own, Argo CD's and kstatus'.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use serin_api::{
    Candidate, ModelDeploymentStatus, Phase,
    conditions::{self, Type},
    labels, validate,
};
use serin_engine::{Input, Mirroring, Orders, Plan, Reading, Revision, World, decide, decide::deadline};

use crate::{
    engines::{self, Seen},
    rollout_sim::{
        Sim,
        cluster::{NAME, UID},
        script,
        told::Moment,
    },
};

/// What a status means, told from its reason, its revisions and the pods that there are; not from the conditions that
/// others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    /// It goes on by itself.
    UnderWay,
    /// Somebody holds it, or it waits for somebody who said so beforehand.
    Paused,
    /// The evidence decides nothing: a person has to.
    Question,
    /// A person has to change something.
    Failed,
    /// What is asked for serves.
    Done,
    /// It serves, and must not.
    Revoked,
}

impl Stand {
    const fn for_kstatus(self) -> &'static str {
        match self {
            Self::UnderWay | Self::Paused => "InProgress",
            Self::Question | Self::Failed => "Failed",
            Self::Done | Self::Revoked => "Current",
        }
    }
    const fn for_argo_cd(self) -> &'static str {
        match self {
            Self::UnderWay => "Progressing",
            Self::Paused | Self::Question => "Suspended",
            Self::Failed | Self::Revoked => "Degraded",
            Self::Done => "Healthy",
        }
    }
}

fn stand(m: &Moment) -> Stand {
    let status = &m.status;
    if status.observed_generation != Some(m.generation) {
        return Stand::UnderWay;
    }
    let reason = conditions::get(&status.conditions, Type::Progressing).map_or("", |c| c.reason.as_str());
    match reason {
        "HorizonReached" => Stand::Question,
        "Paused" => Stand::Paused,
        // Refused by the spec's own fault, or held by something outside.
        "Rejected"
        | "InvalidSpec"
        | "NameTaken"
        | "VersionRevoked"
        | "VersionUnfit"
        | "StableUnavailable"
        | "ProgressDeadlineExceeded"
        | "RouteUnusable"
        | "RouteNotAccepted"
        | "MirrorUnsupported" => Stand::Failed,
        "NoVersion" if status.stable.is_some() => Stand::Failed,
        "CrashLoop" | "ImagePull" | "Unschedulable" | "ModelNotFetched" if first_is_stuck(m, reason) => {
            Stand::Failed
        }
        "Complete" | "Promoted" if is_reached(m) => {
            let revoked = conditions::is_true(&status.conditions, Type::Revoked);
            if revoked { Stand::Revoked } else { Stand::Done }
        }
        _ => Stand::UnderWay,
    }
}

/// A first version that has taken too long has nothing to go back to: it is tried on, and a person should know.
fn first_is_stuck(m: &Moment, reason: &str) -> bool {
    let Some(c) = m.status.candidate.as_ref().filter(|_| m.status.stable.is_none()) else { return false };
    reason == "CrashLoop" || deadline(&m.spec.rollout, c).at <= m.now
}

/// All the pods that were asked for are there, and a route leads to them.
fn is_reached(m: &Moment) -> bool {
    let Some(stable) = &m.status.stable else { return false };
    let refused = m.world.traffic.as_ref().is_some_and(|t| t.refused.is_some());
    let routed = m.world.unusable_route.is_none() && !(m.spec.traffic.by_route() && refused);
    routed && m.world.available(&stable.revision) >= m.spec.replicas
}

/// The revision that the spec asks for, as far as that can be said.
fn asked(m: &Moment) -> Option<String> {
    let source = &m.spec.model;
    let channel = m.status.channel.as_ref().filter(|_| source.channel.is_some());
    let name = source.version_ref.as_ref().or(channel.and_then(|c| c.version.as_ref()));
    let by_name = name.and_then(|name| Some((name, m.world.versions.get(name)?)));
    let by_name = by_name.map(|(name, version)| serin_api::ResolvedModel {
        artifact: version.artifact.clone(),
        version_ref: Some(name.clone()),
        version: None,
        storage: version.storage.clone(),
    });
    Some(Revision::of(&m.spec, source.resolved().or(by_name)?).id)
}

struct Told {
    story: String,
    moment: Moment,
}

/// Each story as it is, with an operator that dies after every effect, and with one that is away for a while.
fn all() -> Vec<Told> {
    let mut told = Vec::new();
    let mut listen = |story: String, mut sim: Sim, end: i64| {
        sim.told = Some(Vec::new());
        sim.run_until(end);
        let effects = sim.done();
        let moments = sim.told.take().unwrap_or_default();
        told.extend(moments.into_iter().map(|moment| Told { story: story.clone(), moment }));
        effects
    };
    for script in script::all() {
        let effects = listen(script.name.to_owned(), script.sim(), script.end);
        let mut sim = script.sim();
        sim.crash_always = true;
        listen(format!("{}, dying all the time", script.name), sim, script.end);
        let mut sim = script.sim();
        sim.crash = Some(((effects / 2).max(1), 45));
        listen(format!("{}, away after half of it", script.name), sim, script.end);
    }
    // The same said twice is asked once.
    let mut known = BTreeSet::new();
    let text = |m: &Moment| {
        let seen = (&m.spec, m.generation, &m.status);
        let pods: Vec<_> = m.world.deployments.iter().map(|d| (&d.revision, d.available)).collect();
        format!("{} {pods:?} {}", serde_json::to_string(&seen).unwrap(), m.now)
    };
    told.retain(|t| known.insert(text(&t.moment)));
    told
}

#[test]
fn they_see_in_every_status_what_serin_means() {
    let told = all();
    let object = |t: &Told| {
        let m = &t.moment;
        engines::object("ModelDeployment", m.generation, &json!(m.spec), &json!(m.status))
    };
    let seen = engines::ask(&told.iter().map(object).collect::<Vec<_>>());
    let mut counts: BTreeMap<Stand, usize> = BTreeMap::new();
    let (mut offered, mut withheld, mut given) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for (told, seen) in told.iter().zip(&seen) {
        let m = &told.moment;
        let stand = stand(m);
        let place = format!("{} at {}: {}", told.story, m.now, json!(m.status.conditions));
        assert_eq!(
            (seen.kstatus.as_str(), seen.health.as_str()),
            (stand.for_kstatus(), stand.for_argo_cd()),
            "{place}"
        );
        is_true(m, stand, &place);
        *counts.entry(stand).or_default() += 1;
        for action in ["abort", "pause", "promote-full", "resume", "retry", "skip-current-step"] {
            if seen.actions.contains_key(action) {
                offered.insert(action)
            } else {
                withheld.insert(action)
            };
        }
        for order in orders(m, seen, &place) {
            *given.entry(order).or_insert(0) += 1;
        }
    }
    eprintln!("{} statuses: {counts:?}; orders that were carried out: {given:?}", told.len());
    assert!(told.len() > 2000 && counts.len() == 6, "{} statuses: {counts:?}", told.len());
    assert_eq!((offered.len(), withheld.len(), given.len()), (6, 6, 4), "{offered:?} {withheld:?} {given:?}");
}

/// What is said, held against the world.
fn is_true(m: &Moment, stand: Stand, place: &str) {
    let status = &m.status;
    let serves = status.stable.as_ref().map(|s| &s.revision);
    let asked = asked(m);
    let wanted = asked.is_none() || asked.as_ref() == serves;
    let settled = status.candidate.is_none() && is_reached(m);
    match stand {
        Stand::Done | Stand::Revoked => assert!(wanted && settled, "it is not there yet: {place}"),
        Stand::Failed => {
            // A change that is not allowed is seen by nothing in the spec alone.
            let stalled = conditions::get(&status.conditions, Type::Stalled);
            let refused = stalled.is_some_and(|c| c.reason == "InvalidSpec");
            let fine = asked.is_some() && wanted && settled && !refused;
            assert!(!fine, "nothing is missing: {place}");
        }
        Stand::Question => assert!(status.candidate.is_some(), "nobody to decide about: {place}"),
        Stand::Paused | Stand::UnderWay => {}
    }
}

/// What Argo CD offers is done when it is asked for; the names of the orders.
fn orders(m: &Moment, seen: &Seen, place: &str) -> Vec<&'static str> {
    let mut done = Vec::new();
    let tried = m.status.candidate.as_ref();
    // An order about what nobody asks for any more, or must not serve, does nothing.
    let revoked = |c: &Candidate| {
        let name = c.spec.model.version_ref.as_ref();
        name.and_then(|name| m.world.versions.get(name)).is_some_and(|v| v.revoked.is_some())
    };
    let fresh = m.status.observed_generation == Some(m.generation);
    // One that comes while there is no route waits until there is one.
    let counts = fresh
        && m.world.unusable_route.is_none()
        && validate::spec(&m.spec).is_ok()
        && tried.is_some_and(|c| asked(m).as_ref() == Some(&c.revision) && !revoked(c));
    let mut check =
        |action: &'static str, annotation: &str, counts: bool, is_done: fn(&Plan, &str) -> bool| {
            let Some(order) = seen.order(action, annotation).filter(|_| counts) else { return };
            let plan = with_order(m, annotation, order);
            assert!(is_done(&plan, order), "{action} {order:?} does nothing: {place}");
            done.push(action);
        };
    let beside = counts && m.status.stable.is_some();
    check("promote-full", labels::PROMOTE, beside, |plan, order| {
        let handled = plan.status.handled_promote.as_deref() == Some(order);
        handled && plan.status.candidate.as_ref().is_none_or(|c| c.takes_over.is_some())
    });
    check("abort", labels::ABORT, beside, |plan, order| {
        let handled = plan.status.handled_abort.as_deref() == Some(order);
        handled && plan.status.candidate.as_ref().is_none_or(|c| c.phase == Phase::Retreating)
    });
    check("skip-current-step", labels::SKIP, beside, |plan, order| {
        let handled = plan.status.handled_skip.as_deref() == Some(order);
        handled && plan.status.candidate.as_ref().is_some_and(|c| c.skipped_step == Some(c.step_index))
    });
    let rejected = m.status.last_failed.as_ref().is_some_and(|f| asked(m).as_ref() == Some(&f.revision));
    check("retry", labels::RETRY, fresh && rejected && tried.is_none(), |plan, order| {
        plan.status.handled_retry.as_deref() == Some(order)
    });
    done
}

/// What the engine decides once somebody has given this order.
fn with_order(m: &Moment, annotation: &str, order: &str) -> Plan {
    let given = |key| (annotation == key).then_some(order);
    let orders = Orders {
        retry: given(labels::RETRY),
        promote: given(labels::PROMOTE),
        abort: given(labels::ABORT),
        skip: given(labels::SKIP),
    };
    // The operator asks the gateway once an order wants a shadow again.
    let world = World { mirroring: Mirroring::Supported, ..m.world.clone() };
    decide(&Input {
        name: NAME,
        uid: UID,
        generation: Some(m.generation),
        orders,
        spec: &m.spec,
        status: &m.status,
        world: &world,
        reading: &Reading::NotAsked,
        now: m.now,
    })
}

/// Before anybody has written a status, all wait.
#[test]
fn an_object_that_nobody_has_looked_at_is_under_way() {
    let status = ModelDeploymentStatus::default();
    let spec = crate::rollout_sim::spec("v1");
    let seen = engines::ask(&[engines::object("ModelDeployment", 1, &json!(spec), &json!(status))]);
    assert_eq!((seen[0].kstatus.as_str(), seen[0].health.as_str()), ("InProgress", "Progressing"));
}
