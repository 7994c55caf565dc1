//! What the screen shows of a ModelDeployment at a moment. No clock and no terminal: `now` is an argument.

use chrono::{DateTime, TimeDelta, Utc};
use serin_api::{Candidate, ModelDeployment, ModelDeploymentStatus, Outcome, Phase, Step, TrafficMode};
use serin_engine::{
    decide::{Deadline, Limit, deadline},
    paint::{Tone, clean},
};

use crate::facts;

/// A text and what it says about its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub tone: Tone,
    pub text: String,
}

impl Said {
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { tone, text: clean(text.as_ref()) }
    }
}

/// Everything on the screen but the log and the keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Screen {
    /// `cellar/wine`.
    pub place: String,
    /// How traffic is divided, and the strategy.
    pub how: String,
    /// Where the rollout stands.
    pub headline: Said,
    /// What serves, and what is being tried.
    pub versions: Vec<Version>,
    /// The candidate's share.
    pub weight: Option<Weight>,
    /// The steps in force.
    pub steps: Vec<Mark>,
    /// What the present step waits for.
    pub step: String,
    /// Verdict, and how long there is for one.
    pub verdict: Option<(Said, String)>,
    /// Whom the evidence speaks against, and as of when.
    pub against: String,
    /// Each metric's.
    pub evidence: Vec<Gauge>,
    /// What is wrong.
    pub troubles: Vec<Said>,
    /// How the last versions ended, newest first.
    pub outcomes: Vec<Ended>,
}

/// A version with pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub role: &'static str,
    pub version: String,
    pub revision: String,
    /// First digits.
    pub digest: String,
    pub more: String,
}

/// How the traffic is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    pub percent: i32,
    pub words: String,
}

/// A step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at: At,
    pub label: String,
}

/// Where the candidate is, seen from a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Behind,
    Here,
    Ahead,
}

/// A metric's evidence against the candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub metric: String,
    pub verdict: Said,
    /// Of what sends a candidate back.
    pub share: f64,
    /// `0.88 / 2.00`.
    pub numbers: String,
    pub estimate: String,
}

/// A former candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub ago: String,
    pub version: String,
    pub revision: String,
    pub outcome: Said,
    pub why: String,
}

/// The screen at a moment.
pub fn screen(deployment: &ModelDeployment, now: DateTime<Utc>) -> Screen {
    let status = deployment.status.clone().unwrap_or_default();
    let against = facts::against(&status);
    let evidence = against.as_ref().map_or(&[][..], |a| a.evidence);
    let limit = facts::limit(&deployment.spec.rollout.analysis);
    Screen {
        place: place(deployment),
        how: how(deployment),
        headline: headline(&status),
        versions: versions(&status, now),
        weight: status.candidate.as_ref().map(|c| weight(&status, c)),
        steps: status.candidate.as_ref().map_or_else(Vec::new, |c| marks(&status, c)),
        step: status.candidate.as_ref().map_or_else(String::new, |c| step(deployment, &status, c, now)),
        verdict: verdict(deployment, &status, now),
        against: against.as_ref().map_or_else(String::new, |a| against_whom(&status, a)),
        evidence: evidence.iter().map(|e| gauge(e, limit)).collect(),
        troubles: facts::troubles(&status).map(|c| Said::new(Tone::Bad, facts::words(c))).collect(),
        outcomes: outcomes(&status, now),
    }
}

/// `cellar/wine`.
pub fn place(deployment: &ModelDeployment) -> String {
    let (namespace, name) = (&deployment.metadata.namespace, &deployment.metadata.name);
    clean(&format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default()))
}

fn how(deployment: &ModelDeployment) -> String {
    let spec = &deployment.spec;
    let route = || spec.traffic.http_route.as_ref().map(|route| format!("route {}", route.name));
    let traffic = spec.traffic.gateway.as_ref().map_or_else(
        || route().unwrap_or_else(|| "replica ratio".to_owned()),
        |gateway| {
            let names: Vec<&str> = gateway.parent_refs.iter().map(|parent| parent.name.as_str()).collect();
            format!("gateway {}", names.join(", "))
        },
    );
    let paused = if spec.rollout.paused { " · paused" } else { "" };
    clean(&format!("{traffic} · {:?}{paused}", spec.rollout.strategy))
}

fn headline(status: &ModelDeploymentStatus) -> Said {
    let Some(condition) = facts::headline(status) else {
        return Said::new(Tone::Plain, "nothing was done about it yet");
    };
    let tone = if facts::is_stalled(status) { Tone::Bad } else { Tone::Plain };
    Said::new(tone, format!("{}: {}", condition.reason, condition.message))
}

fn versions(status: &ModelDeploymentStatus, now: DateTime<Utc>) -> Vec<Version> {
    let stable = status.stable.as_ref().map(|s| Version {
        role: "stable",
        version: clean(&s.version),
        revision: clean(&s.revision),
        digest: short(&s.digest),
        more: status
            .replicas
            .map_or_else(String::new, |n| if n == 1 { "1 pod".into() } else { format!("{n} pods") }),
    });
    let candidate = status.candidate.as_ref().map(|c| Version {
        role: "candidate",
        version: clean(&c.version),
        revision: clean(&c.revision),
        digest: short(&c.digest),
        more: format!("{:?} for {}", c.phase, facts::age(now - c.started_at)),
    });
    stable.into_iter().chain(candidate).collect()
}

fn short(digest: &str) -> String {
    clean(digest).trim_start_matches("sha256:").chars().take(12).collect()
}

fn weight(status: &ModelDeploymentStatus, c: &Candidate) -> Weight {
    if c.mirror_percent() > 0 {
        let serves = status.stable.as_ref().map_or("", |stable| &stable.version);
        let words = format!("{} to {}, all answers by {serves}", facts::share(c), c.version);
        return Weight { percent: 0, words: clean(&words) };
    }
    let rest = 100 - c.weight;
    let mut words = match &status.stable {
        Some(stable) => format!("{} % {}, {rest} % {}", c.weight, c.version, stable.version),
        None => format!("{} % {}", c.weight, c.version),
    };
    let reachable = status.traffic.as_ref().filter(|t| t.mode == TrafficMode::ReplicaRatio);
    if let Some(reachable) = reachable.and_then(|t| t.reachable_weight).filter(|w| *w != c.weight) {
        words = format!("{words} ({reachable} % by pods)");
    }
    Weight { percent: c.weight.clamp(0, 100), words: clean(&words) }
}

fn steps(status: &ModelDeploymentStatus) -> &[Step] {
    status.resolved.as_ref().map_or(&[], |resolved| &resolved.steps)
}

fn marks(status: &ModelDeploymentStatus, c: &Candidate) -> Vec<Mark> {
    let mark = |(i, step): (i32, &Step)| {
        let at = match i.cmp(&c.step_index) {
            std::cmp::Ordering::Less => At::Behind,
            std::cmp::Ordering::Equal => At::Here,
            std::cmp::Ordering::Greater => At::Ahead,
        };
        let label = match step {
            Step { mirror_percent: copies @ 1.., .. } => format!("copies of {copies} %"),
            Step { weight: 0, .. } => "preview".to_owned(),
            Step { weight, .. } => format!("{weight} %"),
        };
        Mark { at, label: if step.pause { format!("{label} ‖") } else { label } }
    };
    (1..).zip(steps(status)).map(mark).collect()
}

/// What the candidate waits for, and for how long.
fn step(
    deployment: &ModelDeployment,
    status: &ModelDeploymentStatus,
    c: &Candidate,
    now: DateTime<Utc>,
) -> String {
    let rollout = &deployment.spec.rollout;
    if c.phase == Phase::Retreating {
        return "its traffic goes back".to_owned();
    }
    if c.takes_over.is_some() {
        return "takes over as soon as its pods can".to_owned();
    }
    if c.phase == Phase::Starting {
        let Deadline { at, limit } = deadline(rollout, c);
        let Some(left) = left(at, 0, now) else { return "its time to start is over".to_owned() };
        return match limit {
            Limit::Progress => format!("{left} left to start"),
            Limit::Unschedulable => format!("waits for a node, {left} left"),
            Limit::ImagePull => format!("waits for its image, {left} left"),
        };
    }
    let present = usize::try_from(c.step_index - 1).ok().and_then(|i| steps(status).get(i));
    let step = clean(&c.step);
    let Some((present, since)) = present.zip(c.since) else { return format!("step {step}") };
    let skipped = c.skipped_step == Some(c.step_index);
    match left(since, present.hold_seconds, now) {
        _ if skipped => format!("step {step} is left behind by hand"),
        Some(left) => format!("step {step}, {left} of {}s left", present.hold_seconds),
        None if present.pause => format!("step {step} waits for a person"),
        None => format!("step {step}, held for {}", facts::age(now - since)),
    }
}

/// What is left of so many seconds; `None`: nothing.
fn left(since: DateTime<Utc>, seconds: i32, now: DateTime<Utc>) -> Option<String> {
    let left = since + TimeDelta::seconds(i64::from(seconds)) - now;
    (left > TimeDelta::zero()).then(|| facts::age(left))
}

fn verdict(
    deployment: &ModelDeployment,
    status: &ModelDeploymentStatus,
    now: DateTime<Utc>,
) -> Option<(Said, String)> {
    let verdict = status.verdict?;
    let from = status.candidate.as_ref().and_then(|c| c.analysis_from);
    let analysis = &deployment.spec.rollout.analysis;
    let horizon = from.map_or_else(String::new, |from| {
        left(from, analysis.horizon_seconds, now)
            .map_or_else(|| "the horizon is past".to_owned(), |left| format!("{left} to the horizon"))
    });
    Some((Said::new(verdict.into(), format!("{verdict:?}")), horizon))
}

fn against_whom(status: &ModelDeploymentStatus, against: &facts::Against<'_>) -> String {
    let version = clean(against.version);
    match &status.candidate {
        Some(c) if against.evidence.is_empty() && c.phase == Phase::Canary => {
            format!("evidence against {version} is recorded when step {} ends", clean(&c.step))
        }
        Some(c) if c.phase == Phase::Canary => {
            format!("evidence against {version} when step {} began", clean(&c.step))
        }
        _ if against.evidence.is_empty() => String::new(),
        _ => format!("evidence against {version}"),
    }
}

fn gauge(e: &serin_api::MetricEvidence, limit: f64) -> Gauge {
    let value = facts::log10_e(e);
    let needed = e.needed.filter(|n| *n > 0).map_or_else(String::new, |n| format!(", {n} more to pass"));
    Gauge {
        metric: clean(&e.metric),
        verdict: Said::new(e.verdict.into(), format!("{:?}", e.verdict)),
        share: (value / limit.max(0.01)).clamp(0.0, 1.0),
        numbers: format!("{value:.2} / {limit:.2}"),
        estimate: clean(&format!("{}; {} seen{needed}", e.estimate, e.samples)),
    }
}

fn outcomes(status: &ModelDeploymentStatus, now: DateTime<Utc>) -> Vec<Ended> {
    let ended = |entry: &serin_api::HistoryEntry| {
        let failed = status.last_failed.as_ref();
        let why = failed.filter(|f| {
            entry.outcome == Outcome::RolledBack && f.revision == entry.revision && f.at == entry.at
        });
        Ended {
            ago: facts::age(now - entry.at),
            version: clean(&entry.version),
            revision: clean(&entry.revision),
            outcome: Said::new(tone(entry.outcome), format!("{:?}", entry.outcome)),
            why: why.map_or_else(String::new, |f| clean(&format!("{}: {}", f.reason, f.message))),
        }
    };
    status.history.iter().map(ended).collect()
}

/// What an outcome says about its version.
pub fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Promoted | Outcome::Deployed => Tone::Good,
        Outcome::RolledBack => Tone::Bad,
        Outcome::Superseded => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serin_api::{Waiting, WaitingReason};

    use super::*;
    use crate::fixtures::{self, now};

    #[test]
    fn a_canary_at_its_second_step() {
        let screen = screen(&fixtures::trying(), now());
        assert_eq!((screen.place.as_str(), screen.how.as_str()), ("cellar/wine", "gateway front · Canary"));
        assert_eq!(screen.versions[0].more, "3 pods");
        assert_eq!(
            (screen.versions[1].digest.as_str(), screen.versions[1].more.as_str()),
            ("2c26b46b68ff", "Canary for 10m")
        );
        assert_eq!(screen.weight.unwrap(), Weight { percent: 25, words: "25 % v2, 75 % v1".to_owned() });
        let marks: Vec<(At, &str)> = screen.steps.iter().map(|m| (m.at, m.label.as_str())).collect();
        assert_eq!(marks, [(At::Behind, "5 %"), (At::Here, "25 %"), (At::Ahead, "50 % ‖")]);
        assert_eq!(screen.step, "step 2/3, 38s of 60s left");
        assert_eq!(screen.verdict.unwrap().1, "22m to the horizon");
        assert_eq!(screen.evidence[0].numbers, "0.88 / 2.00");
        assert!((screen.evidence[0].share - 0.44).abs() < 1e-9 && screen.evidence[1].share == 0.0);
        assert_eq!(
            screen.evidence[0].estimate,
            "2.10 % errors, stable 0.44 % (4.8x); 1200 seen, 300 more to pass"
        );
        assert!(screen.troubles.is_empty());
    }

    #[test]
    fn a_shadow_gets_copies_and_answers_nobody() {
        let screen = screen(&fixtures::shadowed(), now());
        assert_eq!(screen.how, "gateway front · Shadow");
        let words = "copies of 40 % to v2, all answers by v1".to_owned();
        assert_eq!(screen.weight.unwrap(), Weight { percent: 0, words });
        assert_eq!(screen.steps[0], Mark { at: At::Here, label: "copies of 40 % ‖".to_owned() });
    }

    #[test]
    fn time_that_is_over_is_said_so() {
        let later = |seconds| now() + TimeDelta::seconds(seconds);
        let mut model = fixtures::trying();
        assert_eq!(screen(&model, later(38)).step, "step 2/3, held for 60s");
        assert_eq!(screen(&model, later(3600)).verdict.unwrap().1, "the horizon is past");
        let candidate = model.status.as_mut().unwrap().candidate.as_mut().unwrap();
        candidate.step_index = 3;
        candidate.step = "3/3".to_owned();
        assert_eq!(screen(&model, later(90)).step, "step 3/3 waits for a person");
        let candidate = model.status.as_mut().unwrap().candidate.as_mut().unwrap();
        candidate.phase = Phase::Starting;
        candidate.started_at = now();
        assert_eq!(screen(&model, later(90)).step, "8m30s left to start");
        let mut waits = |reason| {
            let candidate = model.status.as_mut().unwrap().candidate.as_mut().unwrap();
            candidate.waiting = Some(Waiting { reason, since: later(60) });
            screen(&model, later(90)).step
        };
        assert_eq!(waits(WaitingReason::Unschedulable), "waits for a node, 9m30s left");
        assert_eq!(waits(WaitingReason::ImagePull), "waits for its image, 90s left");
    }

    #[test]
    fn a_rejected_version_is_told_with_its_evidence() {
        let screen = screen(&fixtures::rejected(), now() + TimeDelta::seconds(5));
        assert_eq!(screen.headline.tone, Tone::Bad);
        assert_eq!(screen.against, "evidence against v2");
        assert!(screen.evidence[0].share >= 1.0);
        assert_eq!(screen.outcomes[0].why, "AnalysisFailed: errors: 9 % errors");
        assert_eq!(screen.outcomes[0].ago, "5s");
        assert_eq!((screen.weight, screen.steps.len()), (None, 0));
    }

    #[test]
    fn nothing_to_tell_is_no_failure() {
        let mut model = fixtures::resting();
        model.status = None;
        assert_eq!(screen(&model, now()).headline.text, "nothing was done about it yet");
    }
}
