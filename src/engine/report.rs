//! Conditions, so that `kubectl wait`, Helm, Flux and Argo CD read the truth (kstatus: Stalled is Failed, Reconciling
//! is InProgress, and an observed generation that lags is InProgress too).

use serin_api::{
    ModelDeploymentStatus, Reason, Stable, TrafficMode, TrafficStatus,
    conditions::{self, State, Type},
    labels,
};

use crate::{decide::Input, revision, room::Room};

/// Sets Progressing, Reconciling and Stalled from one reason. `stuck`: work that goes on is held by something outside.
pub fn headline(
    status: &mut ModelDeploymentStatus,
    input: &Input<'_>,
    reason: Reason,
    message: &str,
    stuck: bool,
) {
    let kind = match (reason, kind(reason)) {
        // What serves is not what the spec asks for, and waiting alone may not change that.
        (Reason::NoVersion, _) if status.stable.is_some() => Kind::Refused,
        (_, Kind::Working) if stuck => Kind::Held,
        (_, kind) => kind,
    };
    let (progressing, reconciling, stalled) = match kind {
        Kind::Working => (true, true, false),
        Kind::Held => (true, false, true),
        Kind::Finished => (false, false, false),
        Kind::Refused => (false, false, true),
    };
    for (ty, state) in
        [(Type::Progressing, progressing), (Type::Reconciling, reconciling), (Type::Stalled, stalled)]
    {
        // The message stands where it is true; elsewhere it would read as its opposite.
        let text = if state || ty == Type::Progressing { message.to_owned() } else { String::new() };
        conditions::set(&mut status.conditions, ty, state.into(), reason, text, input.generation, input.now);
    }
}

enum Kind {
    Working,
    Held,
    Finished,
    Refused,
}

fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::HorizonReached
        | Reason::StableUnavailable
        | Reason::ProgressDeadlineExceeded
        | Reason::RouteUnusable
        | Reason::MirrorUnsupported
        | Reason::RouteNotAccepted => Kind::Held,
        Reason::Complete | Reason::Promoted => Kind::Finished,
        Reason::Rejected
        | Reason::InvalidSpec
        | Reason::NameTaken
        | Reason::VersionRevoked
        | Reason::VersionUnfit => Kind::Refused,
        _ => Kind::Working,
    }
}

/// Whether only a person can go on from here, by a change of the spec or of what it names.
pub fn is_for_the_user(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidSpec
            | Reason::NameTaken
            | Reason::VersionNotFound
            | Reason::NoVersion
            | Reason::VersionRevoked
            | Reason::VersionUnfit
    )
}

/// Whether the recorded headline says, of this generation, that work goes on.
pub fn is_working(status: &ModelDeploymentStatus, generation: Option<i64>) -> bool {
    let all = &status.conditions;
    status.observed_generation == generation
        && conditions::is_true(all, Type::Reconciling)
        && !conditions::is_true(all, Type::Stalled)
}

/// Why the analysis cannot read what it needs.
#[derive(Clone, Copy, Debug)]
pub enum Unread<'a> {
    /// Prometheus cannot be asked, or has nothing that could be judged.
    Unavailable(&'a str),
    /// It has no such series.
    Missing(&'a str),
}

/// MetricsAvailable: whether the analysis can read what it needs.
pub fn metrics(status: &mut ModelDeploymentStatus, input: &Input<'_>, read: Result<(), Unread<'_>>) {
    let (state, reason, message) = match read {
        Ok(()) => (State::True, Reason::MetricsRead, String::new()),
        Err(Unread::Unavailable(why)) => (State::False, Reason::MetricsUnavailable, why.to_owned()),
        Err(Unread::Missing(which)) => (State::False, Reason::MissingSeries, which.to_owned()),
    };
    // The message of a silence changes with every error text; only the transition is worth a write.
    if conditions::get(&status.conditions, Type::MetricsAvailable)
        .is_some_and(|c| (c.status == "True") == (state == State::True) && c.status != "Unknown")
    {
        return;
    }
    conditions::set(
        &mut status.conditions,
        Type::MetricsAvailable,
        state,
        reason,
        message,
        input.generation,
        input.now,
    );
}

/// What follows from the rest: Ready, ArtifactVerified, generation, traffic, scale.
pub fn finish(status: &mut ModelDeploymentStatus, input: &Input<'_>) {
    let refused = input.mode() == TrafficMode::Gateway
        && input.world.traffic.as_ref().is_some_and(|t| t.refused.is_some());
    let available = status.stable.as_ref().map_or(0, |s| input.world.available(&s.revision));
    let wanted = input.spec.replicas;
    let (state, reason, message) = match &status.stable {
        None => (State::False, Reason::FirstDeployment, "nothing serves yet".to_owned()),
        Some(_) if input.world.unusable_route.is_some() => {
            (State::False, Reason::RouteUnusable, "no route leads to it".to_owned())
        }
        Some(_) if refused => {
            (State::False, Reason::RouteNotAccepted, "the gateway refuses the route".to_owned())
        }
        Some(s) if available >= wanted || shared(status, input, s) => {
            (State::True, Reason::Complete, format!("{} serves", s.version))
        }
        Some(s) if available == 0 => {
            (State::False, Reason::StableUnavailable, format!("{} has no available pod", s.version))
        }
        // No numbers: each pod that comes or goes would be a write.
        Some(s) => {
            (State::False, Reason::Unavailable, format!("{} has fewer pods than asked for", s.version))
        }
    };
    let (generation, now) = (input.generation, input.now);
    conditions::set(&mut status.conditions, Type::Ready, state, reason, message, generation, now);
    let verified = status.stable.is_some() && available > 0;
    let was = conditions::is_true(&status.conditions, Type::ArtifactVerified);
    // A pod becomes ready only behind the verification, so one available pod proves it; losing all pods later does
    // not disprove it.
    let (state, reason) = if verified || (was && status.stable.is_some()) {
        (State::True, Reason::DigestVerified)
    } else {
        (State::Unknown, Reason::FirstDeployment)
    };
    conditions::set(&mut status.conditions, Type::ArtifactVerified, state, reason, "", generation, now);
    revoked(status, input);
    sessions(status, input);
    if status.candidate.is_none() {
        conditions::set(
            &mut status.conditions,
            Type::MetricsAvailable,
            State::Unknown,
            Reason::NoAnalysis,
            "",
            generation,
            now,
        );
    }
    for c in &mut status.conditions {
        c.observed_generation = generation;
    }
    status.observed_generation = generation;
    // Fixed once something serves: a change of it is refused, and this is how it is noticed.
    let recorded = input.status.traffic.as_ref().filter(|_| input.status.stable.is_some()).map(|t| t.mode);
    let mode = recorded.unwrap_or_else(|| input.mode());
    let reachable_weight = match (&status.candidate, mode) {
        (Some(c), TrafficMode::ReplicaRatio) if c.weight > 0 => {
            let room = Room::of(mode, &input.spec.rollout, wanted, c.fits);
            Some(room.reachable(c.weight))
        }
        _ => None,
    };
    let contested = status.traffic.as_ref().and_then(|t| t.contested);
    // Likewise.
    let serving = input.status.traffic.as_ref().filter(|_| input.status.stable.is_some());
    let route = match serving {
        Some(recorded) => recorded.route.clone(),
        None => input.spec.traffic.http_route.as_ref().map(|r| r.name.clone()),
    };
    status.traffic = Some(TrafficStatus { mode, reachable_weight, route, contested });
    let given_up = status.stable.as_ref().is_some_and(|s| gave_up(status, input, s));
    status.replicas = status.stable.as_ref().and_then(|s| input.world.of(&s.revision)).map(|d| {
        let tried = status.candidate.as_ref().and_then(|c| input.world.of(&c.revision));
        let others = tried.map_or(0, |tried| tried.replicas);
        if given_up { wanted.min(d.replicas + others) } else { d.replicas }
    });
    status.selector = Some(format!("{}={}", labels::INSTANCE, revision::instance(input.uid)));
}

/// Whether the stable version has fewer pods than are asked for because a candidate has its traffic.
fn gave_up(status: &ModelDeploymentStatus, input: &Input<'_>, s: &Stable) -> bool {
    let Some(c) = &status.candidate else { return false };
    let room = Room::of(input.mode(), &input.spec.rollout, input.spec.replicas, c.fits);
    let asked = input.world.of(&s.revision).map_or(0, |found| found.replicas);
    room.is_bounded() && asked < input.spec.replicas
}

/// Whether both versions together have the pods that a rollout leaves, where the one gives up what the other one gets.
fn shared(status: &ModelDeploymentStatus, input: &Input<'_>, s: &Stable) -> bool {
    let Some(c) = &status.candidate else { return false };
    let room = Room::of(input.mode(), &input.spec.rollout, input.spec.replicas, c.fits);
    let available = |revision: &str| input.world.available(revision);
    let tried = if c.weight > 0 { available(&c.revision) } else { 0 };
    room.is_bounded() && available(&s.revision) > 0 && available(&s.revision) + tried >= room.serving()
}

/// Revoked: what serves goes on serving, as taking it away would be an outage that nobody asked for; but it is said. The
/// condition is there only while there is something to say.
fn revoked(status: &mut ModelDeploymentStatus, input: &Input<'_>) {
    let name = status.stable.as_ref().and_then(|s| s.spec.model.version_ref.clone());
    let version = name.as_ref().map(|name| input.world.versions.get(name));
    match (name, version) {
        // A version that was deleted cannot be asked any more.
        (Some(_), Some(None)) => {}
        (Some(name), Some(Some(version))) if version.revoked.is_some() => {
            let why = version.revoked.as_deref().unwrap_or_default();
            let way_out = match input.spec.model.channel {
                Some(_) => "it goes as soon as its channel has another version",
                None => "name another version",
            };
            let message = format!("{name} serves and was revoked ({why}): {way_out}");
            let all = &mut status.conditions;
            conditions::set(
                all,
                Type::Revoked,
                State::True,
                Reason::VersionRevoked,
                message,
                input.generation,
                input.now,
            );
        }
        _ => status.conditions.retain(|c| c.type_ != Type::Revoked.as_str()),
    }
}

/// Whether the gateway can be asked to keep sessions, where the spec does.
fn sessions(status: &mut ModelDeploymentStatus, input: &Input<'_>) {
    let asked =
        input.spec.traffic.gateway.as_ref().is_some_and(|gateway| gateway.session_persistence.is_some());
    if !asked {
        return status.conditions.retain(|c| c.type_ != Type::SessionsKept.as_str());
    }
    let (state, reason, message) = match input.world.session_persistence {
        Some(true) => (
            State::True,
            Reason::SessionPersistenceAsked,
            "the route asks for it while two versions have traffic; whether the gateway heeds that, its documentation says",
        ),
        Some(false) => (
            State::False,
            Reason::SessionPersistenceUnsupported,
            "HTTPRoute has no sessionPersistence in this cluster, so that no session is kept: install the Gateway API's              experimental channel and a gateway that keeps sessions, or remove traffic.gateway.sessionPersistence",
        ),
        None => (
            State::Unknown,
            Reason::SessionPersistenceUnknown,
            "it is not known yet whether HTTPRoute has sessionPersistence in this cluster",
        ),
    };
    let (generation, now) = (input.generation, input.now);
    conditions::set(&mut status.conditions, Type::SessionsKept, state, reason, message, generation, now);
}

/// Message of the present headline.
pub fn progress_message(status: &ModelDeploymentStatus) -> String {
    conditions::get(&status.conditions, Type::Progressing).map(|c| c.message.clone()).unwrap_or_default()
}
