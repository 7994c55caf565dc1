//! The state machine of a rollout. [`decide`] reads the situation and hands it to one of the files beside this one:
//!
//! - `steady`: nothing to try; keep the stable version as it should be
//! - `start`: a candidate appears and becomes available, without traffic
//! - `canary`: it has traffic and is judged; steps, promotion
//! - `shadow`: it gets copies of requests instead, if the gateway can make them
//! - `recreate`: it comes in the place of the stable version's pods
//! - `pods`: how many of each version, where both together may not be as many as they like
//! - `waiting`: what keeps its pods from starting, and how long that is borne
//! - `user_route`: a route that belongs to the user
//! - `retreat`: its traffic is taken away
//! - `target`: what the spec asks for; `channel`: where it leaves that to us
//! - `draft`: the plan in the making that they all write on
//!
//! Rules kept here, each from somebody's outage: weights move last; no weight on a revision with nothing available;
//! never back to a stable version that is not available; `>=`, never `==`; a revision is removed only when no weight
//! names it and its drain time is over; recovery never waits for the present state to be healthy.

mod canary;
mod channel;
mod draft;
mod edited;
mod hand;
mod pods;
mod recreate;
mod retreat;
mod shadow;
mod start;
mod steady;
mod target;
mod user_route;
mod waiting;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{
    Candidate, ModelDeploymentSpec, ModelDeploymentStatus, Outcome, Phase, Reason, Stable, TrafficMode,
    validate,
};

pub use hand::Orders;
pub use shadow::mirrored;
pub use user_route::farewell;
pub use waiting::{Deadline, Limit, deadline};

use crate::{
    measure::{self, Measurement, Reading},
    plan::Plan,
    revision,
    world::World,
};
use draft::Draft;

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Name of the `ModelDeployment`.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its generation.
    pub generation: Option<i64>,
    /// What a person asks for.
    pub orders: Orders<'a>,
    /// What is wanted.
    pub spec: &'a ModelDeploymentSpec,
    /// What was recorded.
    pub status: &'a ModelDeploymentStatus,
    /// What is.
    pub world: &'a World,
    /// What the metrics say.
    pub reading: &'a Reading,
    /// Now, in whole seconds.
    pub now: DateTime<Utc>,
}

impl Input<'_> {
    /// How traffic is divided.
    pub fn mode(&self) -> TrafficMode {
        mode(self.spec)
    }
    fn child(&self, revision: &str) -> String {
        revision::child_name(self.name, self.uid, revision)
    }
}

/// How a spec wants its traffic divided.
pub fn mode(spec: &ModelDeploymentSpec) -> TrafficMode {
    if spec.traffic.by_route() { TrafficMode::Gateway } else { TrafficMode::ReplicaRatio }
}

/// Whether a candidate's first traffic depends on what is measured: not that of a preview.
fn compares(input: &Input<'_>) -> bool {
    let first = input.status.resolved.as_ref().and_then(|r| r.steps.first());
    first.is_none_or(|step| step.load() > 0)
}

/// What has to be measured before [`decide`] can be asked, if anything.
pub fn measurement(input: &Input<'_>) -> Option<Measurement> {
    if validate::spec(input.spec).is_err() {
        return None;
    }
    let stable = input.status.stable.as_ref()?;
    let candidate = input.status.candidate.as_ref()?;
    if input.target().is_ok_and(|target| candidate.revision != target.id) {
        return None;
    }
    if candidate.takes_over.is_some() {
        return None;
    }
    match (candidate.phase, candidate.analysis_from) {
        (Phase::Canary, Some(since)) => {
            let (tried, stable) = (input.child(&candidate.revision), input.child(&stable.revision));
            let comparison = measure::comparison(input.spec, tried, stable, since, input.now);
            Some(comparison.weighed(input.spec, &candidate.weights))
        }
        (Phase::Starting, _) if compares(input) && input.world.available(&candidate.revision) > 0 => {
            Some(measure::baseline(input.spec, input.child(&stable.revision), input.now))
        }
        _ => None,
    }
}

/// One look at a candidate beside a version that serves.
fn candidate(d: &mut Draft<'_>, s: &Stable, c: &Candidate, target: &revision::Revision) {
    if d.is_replaced_by(s, c, target) {
        return start::take_over(d, s, c);
    }
    let revoked = d.input.revoked(c).is_some();
    // Nobody promotes what nobody asks for, or must not serve.
    if c.revision == target.id && !revoked && hand::record(d, s, c) {
        return;
    }
    match c.phase {
        Phase::Retreating => retreat::go_on(d, s, c),
        _ if revoked => target::revoked(d, s, c),
        _ if c.revision != target.id => retreat::superseded(d, s, c, target),
        _ if c.takes_over.is_some() => hand::promote(d, s, c),
        Phase::Starting => start::go_on(d, s, c),
        Phase::Canary => canary::go_on(d, s, c),
    }
}

/// Decides. Total: every situation gives a plan, and asking again after any prefix of its writes gives the rest.
pub fn decide(input: &Input<'_>) -> Plan {
    let mut d = Draft::new(input);
    if let Err(message) = validate::name(input.name).and_then(|()| validate::spec(input.spec)) {
        return d.stalled(Reason::InvalidSpec, message);
    }
    if d.mode == TrafficMode::Gateway && !input.world.gateway_api {
        let message = "traffic is to be divided by an HTTPRoute, but this cluster does not serve them \
                       (gateway.networking.k8s.io/v1): install the Gateway API, or remove traffic.gateway and httpRoute";
        d.look_again(Duration::from_secs(30));
        return d.stalled(Reason::InvalidSpec, message.to_owned());
    }
    let before = input.status.traffic.as_ref().map(|t| t.mode);
    if input.status.stable.is_some() && before.is_some_and(|mode| mode != d.mode) {
        let message =
            "traffic.gateway was added or removed; put it back, and make a second ModelDeployment instead";
        return d.stalled(Reason::InvalidSpec, message.to_owned());
    }
    let routes = [
        input.status.traffic.as_ref().and_then(|t| t.route.as_deref()),
        input.spec.traffic.http_route.as_ref().map(|r| r.name.as_str()),
    ];
    if input.status.stable.is_some() && before.is_some() && routes[0] != routes[1] {
        let message = "traffic.httpRoute was added, removed or renamed while something serves: the route of before would go \
                       on with weights that nobody keeps. Put it back, and make a second ModelDeployment instead";
        return d.stalled(Reason::InvalidSpec, message.to_owned());
    }
    if let Some(taken) = input.world.taken.first() {
        let message = format!("{taken} exists and is not ours: rename it or this ModelDeployment");
        return d.stalled(Reason::NameTaken, message);
    }
    if input.world.leftovers_of_namesake {
        d.report(Reason::NameTaken, "waiting for the children of a deleted namesake to be collected");
        return d.done(Some(Duration::from_secs(1)));
    }

    if let Some(why) = &input.world.unusable_route {
        return d.without_route(why);
    }
    let nothing = channel::record(&mut d);
    let target = match input.target() {
        Ok(target) => target,
        Err(unusable) => return target::without(d, unusable),
    };
    d.aim(&target);
    d.call_by_name(&target);
    d.keep_stable();
    d.keep_budget();
    match (d.status.stable.clone(), d.status.candidate.clone()) {
        (None, Some(c)) if c.revision == target.id => start::first(&mut d, &c),
        (None, Some(c)) => {
            // Nothing has ever served, so there is nothing to protect: the new spec takes over at once.
            d.end(&c, Outcome::Superseded, None);
            start::begin(&mut d, &target);
        }
        (None, None) => start::begin(&mut d, &target),
        (Some(s), Some(c)) => candidate(&mut d, &s, &c, &target),
        (Some(s), None) if s.revision == target.id => steady::keep(&mut d, &s),
        (Some(s), None) => match steady::rejected(&d, &target) {
            Some(failed) => steady::keep_rejected(&mut d, &s, &failed),
            None => start::begin(&mut d, &target),
        },
    }
    if let (Some(message), true, Some(stable)) =
        (nothing, d.status.candidate.is_none(), d.status.stable.clone())
    {
        d.report(Reason::NoVersion, format!("{message}; {} serves on", stable.version));
    }
    channel::keep_records(&mut d);
    d.remove_leftovers();
    d.done(None)
}
