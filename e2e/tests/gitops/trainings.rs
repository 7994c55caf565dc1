//! Likewise of trainings, and of the versions that they leave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use serin_api::{
    RunPhase, RunResult, TrainingRunSpec, TrainingRunStatus,
    conditions::{self, Type},
};

use crate::{
    engines,
    training_sim::{Sim, script},
};

/// Why a run that is not over waits for a person.
const HELD: [&str; 6] = [
    "InvalidSpec",
    "SpecChanged",
    "VersionNotFound",
    "VersionRevoked",
    "VersionUnfit",
    "ChampionUnavailable",
];

/// Told from how the run ended, or from its phase: kstatus, and Argo CD's health.
fn stand(generation: i64, status: &TrainingRunStatus, may_be_held: bool) -> (&'static str, &'static str) {
    if status.observed_generation != Some(generation) {
        return ("InProgress", "Progressing");
    }
    match (status.completion.as_ref().map(|c| c.result), status.phase) {
        (Some(RunResult::Succeeded | RunResult::Reused), _) => ("Current", "Healthy"),
        (Some(RunResult::Failed), _) => ("Failed", "Degraded"),
        (None, Some(RunPhase::Suspended)) => ("InProgress", "Suspended"),
        (None, Some(RunPhase::Waiting)) if may_be_held => ("Failed", "Degraded"),
        (None, _) => ("InProgress", "Progressing"),
    }
}

struct Told {
    story: String,
    generation: i64,
    spec: TrainingRunSpec,
    status: TrainingRunStatus,
}

/// The statuses of all stories, and the versions that were left.
fn all() -> (Vec<Told>, Vec<Value>) {
    let (mut told, mut versions) = (Vec::new(), Vec::new());
    let mut listen = |story: String, mut sim: Sim, end: i64| {
        sim.run_until(end);
        for (spec, status) in sim.cluster.versions.values() {
            versions.push(engines::object("ModelVersion", 1, &json!(spec), &json!(status)));
        }
        let effects = sim.done();
        told.extend(sim.told.into_iter().map(|(generation, spec, status)| Told {
            story: story.clone(),
            generation,
            spec,
            status,
        }));
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
    let mut known = BTreeSet::new();
    told.retain(|t| known.insert(json!([t.generation, t.spec, t.status]).to_string()));
    let mut known = BTreeSet::new();
    versions.retain(|version| known.insert(version.to_string()));
    (told, versions)
}

#[test]
fn they_see_in_every_status_what_serin_means() {
    let (told, versions) = all();
    let object = |t: &Told| engines::object("TrainingRun", t.generation, &json!(t.spec), &json!(t.status));
    let seen = engines::ask(&told.iter().map(object).collect::<Vec<_>>());
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (told, seen) in told.iter().zip(&seen) {
        let reason =
            conditions::get(&told.status.conditions, Type::Succeeded).map_or("", |c| c.reason.as_str());
        // What the message asks a person for.
        let held = HELD.contains(&reason) && conditions::is_true(&told.status.conditions, Type::Stalled);
        let wanted = stand(told.generation, &told.status, held);
        let place = format!("{}: {}", told.story, json!(told.status));
        assert_eq!((seen.kstatus.as_str(), seen.health.as_str()), wanted, "{place}");
        *counts.entry(wanted).or_default() += 1;
        let over = told.status.completion.is_some();
        for (action, wanted) in
            [("suspend", !over && !told.spec.suspend), ("resume", !over && told.spec.suspend)]
        {
            assert_eq!(seen.actions.contains_key(action), wanted, "{action}: {place}");
        }
    }
    eprintln!("{} statuses of runs: {counts:?}; {} of versions", told.len(), versions.len());
    assert!(told.len() > 400 && counts.len() == 4, "{} statuses: {counts:?}", told.len());
    assert!(versions.len() > 3, "{}", versions.len());
    for (version, seen) in versions.iter().zip(engines::ask(&versions)) {
        let recorded = version.get("status").is_some();
        let wanted = if recorded { "Healthy" } else { "Progressing" };
        assert_eq!((seen.kstatus.as_str(), seen.health.as_str()), ("Current", wanted), "{version}");
    }
}
