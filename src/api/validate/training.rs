//! A TrainingRun.

use super::{
    common::{command, count, digest, env, file, folder, image, label, length, object_name, range, storage},
    evaluation::evaluation,
};
use crate::{BaseModel, Launcher, Level, Source, Trainer, TrainingRunSpec, model::location, quantity};

/// Longest name: host names of pods are `NAME-aK-INDEX`, of 63 characters.
const NAME_MAX: usize = 52;
/// Most bytes of all parameters as JSON: they reach the pod in one environment variable.
const PARAMETERS_MAX: usize = 64 << 10;
/// What torchrun and `env://` read; beside everything that one of [`RESERVED_PREFIXES`] begins.
const RESERVED: [&str; 8] = [
    "MASTER_ADDR",
    "MASTER_PORT",
    "WORLD_SIZE",
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "LOCAL_WORLD_SIZE",
    "JOB_COMPLETION_INDEX",
];
const RESERVED_PREFIXES: [&str; 3] = ["SERIN_", "PET_", "TORCHELASTIC_"];

/// Checks a run. The error becomes the message of `Stalled`; nothing is started.
pub fn training_run(name: &str, spec: &TrainingRunSpec) -> Result<(), String> {
    label("the name", name, NAME_MAX)?;
    label("model", &spec.model, 40)?;
    if let Some(code) = &spec.source {
        source(code)?;
    }
    trainer(&spec.trainer)?;
    parameters(spec)?;
    if let Some(seed) = &spec.seed {
        length("seed", seed, 64)?;
    }
    datasets(spec)?;
    if let Some(base) = &spec.base_model {
        base_model(base)?;
    }
    folder("output.uri", &spec.output.uri)?;
    if let Some(checkpoints) = &spec.checkpoints {
        folder("checkpoints.uri", &checkpoints.uri)?;
    }
    storage("storage", &spec.storage)?;
    if let Some(judge) = &spec.evaluation {
        evaluation(judge)?;
        pinned(spec, judge.gate.require_level)?;
    }
    numbers(spec)?;
    for (field, name) in [("queueName", &spec.queue_name), ("replayOf", &spec.replay_of)] {
        if let Some(name) = name {
            object_name(field, name, 63)?;
        }
    }
    for (field, word) in [("managedBy", &spec.managed_by), ("rerunToken", &spec.rerun_token)] {
        if let Some(word) = word {
            length(field, word, 63)?;
        }
    }
    Ok(())
}

fn numbers(spec: &TrainingRunSpec) -> Result<(), String> {
    let retries = &spec.retries;
    range("retries.crashes", retries.crashes, 0, 20)?;
    range("retries.disruptions", retries.disruptions, 0, 50)?;
    range("retries.starts", retries.starts, 0, 20)?;
    range("retries.evaluations", retries.evaluations, 0, 20)?;
    range("deadlineSeconds", spec.deadline_seconds.unwrap_or(1), 1, 31_536_000)?;
    range("preRunningDeadlineSeconds", spec.pre_running_deadline_seconds, 10, 604_800)?;
    range("retention.jobsSeconds", spec.retention.jobs_seconds, 0, 31_536_000)
}

fn source(source: &Source) -> Result<(), String> {
    if !["git+https://", "git+ssh://"].iter().any(|scheme| source.repo.starts_with(scheme)) {
        return Err(format!("source.repo {:?} is written git+https://HOST/PATH", source.repo));
    }
    let is_full = source.commit.len() == 40
        && source.commit.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_full {
        return Ok(());
    }
    Err(format!(
        "source.commit {:?} must be a full commit of 40 hexadecimal digits: a branch or tag moves",
        source.commit
    ))
}

fn trainer(trainer: &Trainer) -> Result<(), String> {
    image("trainer.image", &trainer.image)?;
    command("trainer", &trainer.command, &trainer.args)?;
    env("trainer.env", &trainer.env, is_reserved)?;
    range("trainer.nodes", trainer.nodes, 1, 1000)?;
    range("trainer.processesPerNode", trainer.processes_per_node, 1, 64)?;
    range("trainer.terminationGracePeriodSeconds", trainer.termination_grace_period_seconds, 1, 7200)?;
    match trainer.launcher {
        Launcher::Plain if trainer.nodes != 1 => {
            return Err(
                "trainer.launcher Plain runs one pod: for more nodes choose Torchrun or Env".to_owned()
            );
        }
        Launcher::Env if trainer.processes_per_node != 1 => {
            return Err(
                "trainer.launcher Env sets RANK and WORLD_SIZE for one process a node: with more processes \
                        choose Torchrun"
                    .to_owned(),
            );
        }
        Launcher::Plain | Launcher::Env | Launcher::Torchrun => {}
    }
    if let Some(least) = trainer.min_nodes
        && (trainer.launcher != Launcher::Torchrun || !(1..=trainer.nodes).contains(&least))
    {
        return Err(
            "trainer.minNodes makes Torchrun elastic: it needs launcher Torchrun, and is between 1 and nodes"
                .to_owned(),
        );
    }
    match &trainer.shared_memory {
        Some(size) if quantity::parse(size).is_none_or(|bytes| bytes < 1.0) => {
            Err(format!("trainer.sharedMemory {size:?} is not a quantity (2Gi)"))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn parameters(spec: &TrainingRunSpec) -> Result<(), String> {
    count("parameters", spec.parameters.len(), 128)?;
    let mut variables: Vec<(String, &str)> = Vec::new();
    for name in spec.parameters.keys() {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > 63 || !name.bytes().all(inner) {
            return Err(format!(
                "parameters: {name:?} is no name: 1 to 63 letters, digits, '_', '-' and '.'"
            ));
        }
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let variable: String = name.chars().map(fold).collect();
        if let Some((_, other)) = variables.iter().find(|(known, _)| *known == variable) {
            return Err(format!(
                "parameters: {other} and {name} are both SERIN_PARAM_{variable}; rename one"
            ));
        }
        variables.push((variable, name));
    }
    let bytes = serde_json::to_string(&spec.parameters).map_or(usize::MAX, |json| json.len());
    if bytes > PARAMETERS_MAX {
        return Err(format!(
            "parameters have {bytes} bytes as JSON; at most {PARAMETERS_MAX} are allowed: give the rest as a dataset"
        ));
    }
    Ok(())
}

fn datasets(spec: &TrainingRunSpec) -> Result<(), String> {
    count("datasets", spec.datasets.len(), 16)?;
    for (i, dataset) in spec.datasets.iter().enumerate() {
        let name = &dataset.name;
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let ends = !name.starts_with(['_', '-']) && !name.ends_with(['_', '-']);
        if name.is_empty() || name.len() > 40 || !name.bytes().all(inner) || !ends {
            return Err(format!(
                "datasets: {name:?} is no name of a folder: lower-case letters, digits, inner '_' and '-', at most 40"
            ));
        }
        if spec.datasets[..i].iter().any(|other| other.name == *name) {
            return Err(format!("datasets: {name} stands twice"));
        }
        file(&format!("datasets {name}: uri"), &dataset.uri)?;
        digest(&format!("datasets {name}: digest"), &dataset.digest)?;
    }
    Ok(())
}

fn base_model(base: &BaseModel) -> Result<(), String> {
    match (&base.version_ref, &base.artifact) {
        (Some(version), None) => object_name("baseModel.versionRef", version, 63),
        (None, Some(artifact)) => {
            location("baseModel.artifact.uri", &artifact.uri)?;
            digest("baseModel.artifact.digest", &artifact.digest)
        }
        _ => Err("baseModel must have exactly one of versionRef and artifact".to_owned()),
    }
}

/// What can be known before the run. That all ranks run the same image is seen afterwards.
fn pinned(spec: &TrainingRunSpec, level: Option<Level>) -> Result<(), String> {
    if level.is_none_or(|level| level < Level::Pinned) {
        return Ok(());
    }
    let demand = "evaluation.gate.requireLevel Pinned asks for";
    match &spec.source {
        None => return Err(format!("{demand} source: the code by its commit")),
        Some(source) if source.dirty => {
            return Err(format!("{demand} a clean source: commit the changes, and take source.dirty away"));
        }
        Some(_) => {}
    }
    let by_digest = |image: &str| {
        image.rsplit_once('@').is_some_and(|(_, d)| crate::Digest(d.to_owned()).is_well_formed())
    };
    if !by_digest(&spec.trainer.image) {
        return Err(format!(
            "{demand} trainer.image by digest (IMAGE@sha256:…): the tag in {:?} can move",
            spec.trainer.image
        ));
    }
    match spec.trainer.env.iter().find(|e| e.config_map_key_ref.is_some()) {
        Some(e) => Err(format!("{demand} trainer.env without ConfigMaps: the one of {} can change", e.name)),
        None => Ok(()),
    }
}
