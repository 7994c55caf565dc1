//! The first half of a version's life: trained, judged, recorded.

use std::{collections::BTreeMap, time::Duration};

use kube::Client;
use serin_api::{ModelVersion, RunPhase, TrainingRunStatus};

use super::{
    Shared,
    timeline::{Gate, Run, lock},
};
use crate::{
    Error,
    training::{self, Recipe, Training},
};

/// A run of the demo takes about 20 s; a slow machine gets its time.
const PATIENCE: Duration = Duration::from_mins(5);

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Name of the ModelVersion.
    pub version: String,
    /// `sha256:…` of its model.
    pub digest: String,
}

/// Trains and judges; `expected` is the champion that the candidate must have been compared with.
pub async fn learn(
    kube: &Client,
    training: &Training,
    recipe: Recipe,
    expected: Option<&Learned>,
    t: &Shared,
) -> Result<Learned, Error> {
    let (phase, name) = match recipe {
        Recipe::V1 => ("train v1", "wine-v1"),
        Recipe::V2 => ("train v2", "wine-v2"),
        Recipe::Enriched => ("train v3", "wine-v3"),
    };
    let data = recipe.data();
    lock(t).begin(phase, &format!("a TrainingRun on s3://data/wine/{data}, then an evaluation of its own"));
    training.apply(kube, &training.judged(name, recipe)?).await?;
    let status = training
        .until(kube, name, "the run ends with a version", PATIENCE, |status| {
            lock(t).run(run(recipe.label(), name, status));
            training::succeeded(status)
        })
        .await?;
    let version = status.model_version.clone().ok_or("a run that succeeded names its version")?;
    let found = training.versions(kube).get(&version).await?;
    check(&status, &found, expected)?;
    let digest = found.spec.artifact.digest.0.clone();
    let mut timeline = lock(t);
    timeline.versions.push((digest.clone(), recipe.label().to_owned()));
    timeline.done(&format!("{version}: {}", passed(&status)));
    Ok(Learned { version, digest })
}

/// One attempt and nothing else happened, and what is recorded is what was published and judged.
fn check(
    status: &TrainingRunStatus,
    version: &ModelVersion,
    expected: Option<&Learned>,
) -> Result<(), Error> {
    let result = status.evaluation.as_ref().and_then(|e| e.result.as_ref()).ok_or("nothing was judged")?;
    let output = status.output.as_ref().ok_or("nothing was published")?;
    if status.attempt != 1 {
        return Err(format!("one attempt should have done, and it took {}", status.attempt).into());
    }
    if version.spec.artifact.digest != output.model.digest {
        return Err("the version is of another model than was published".into());
    }
    let champion = expected.map(|e| e.version.as_str());
    if result.champion.as_deref() != champion {
        return Err(format!("compared with {:?}, but {champion:?} serves", result.champion).into());
    }
    Ok(())
}

/// A run as the screen and the report show it.
pub fn run(label: &'static str, name: &str, status: &TrainingRunStatus) -> Run {
    let evaluation = status.evaluation.as_ref();
    let result = evaluation.and_then(|e| e.result.as_ref());
    let metrics = result.map(|r| r.metrics.as_slice()).unwrap_or_default();
    Run {
        label,
        name: name.to_owned(),
        phase: status.phase,
        attempts: status.attempts.iter().map(|a| (a.number, a.end.map(|e| format!("{e:?}")))).collect(),
        version: status.model_version.clone(),
        digest: status.output.as_ref().map(|o| o.model.digest.0.clone()),
        champion: evaluation.and_then(|e| e.champion.as_ref()).map(|c| c.version.clone()),
        gate: result.map(|r| Gate {
            passed: r.passed,
            message: r.message.clone(),
            values: metrics
                .iter()
                .map(|m| {
                    let name =
                        m.slice.as_ref().map_or_else(|| m.name.clone(), |s| format!("{} of {s}", m.name));
                    (name, (m.candidate.clone(), m.champion.clone()))
                })
                .collect::<BTreeMap<_, _>>(),
        }),
        outcome: None,
        lineage: Vec::new(),
    }
}

fn passed(status: &TrainingRunStatus) -> String {
    let result = status.evaluation.as_ref().and_then(|e| e.result.as_ref());
    result.map(|r| r.message.clone()).unwrap_or_default()
}

/// What the phase means for the timeline's one-line log.
pub const fn word(phase: Option<RunPhase>) -> &'static str {
    match phase {
        None => "new",
        Some(RunPhase::Waiting) => "waiting",
        Some(RunPhase::Starting) => "starting",
        Some(RunPhase::Running) => "training",
        Some(RunPhase::Retrying) => "retrying",
        Some(RunPhase::Suspended) => "suspended",
        Some(RunPhase::Evaluating) => "evaluating",
        Some(RunPhase::Succeeded) => "succeeded",
        Some(RunPhase::Failed) => "failed",
    }
}
