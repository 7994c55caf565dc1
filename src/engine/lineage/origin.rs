//! How a version was made.

use chrono::{DateTime, Utc};
use serin_api::{Attempt, AttemptEnd, ModelVersion, RunResult, TrainingRun};

use super::{Namespace, Node, find, short};

/// Where the files are.
pub(super) fn artifact(version: &ModelVersion) -> Node {
    let files = &version.spec.artifact;
    let size = if files.size_bytes > 0 { format!(", {}", bytes(files.size_bytes)) } else { String::new() };
    let format = files.format.as_ref().map(|f| format!(", {f}")).unwrap_or_default();
    Node::new("artifact", format!("{} ({:?}{size}{format})", files.uri, files.layout))
}

/// Code, image, data, parameters.
pub(super) fn inputs(version: &ModelVersion, namespace: Namespace<'_>) -> Vec<Node> {
    let Some(build) = &version.spec.build else { return Vec::new() };
    let inputs = &build.inputs;
    let mut all = Vec::new();
    if let Some(code) = &inputs.code {
        let dirty = if code.dirty { " and changes that are in no commit" } else { "" };
        let node = Node::new("code", format!("{}@{}{dirty}", code.repo, code.commit));
        all.push(if code.dirty { node.toned(false) } else { node });
    }
    let seen = build.run.images.iter().filter(|seen| **seen != inputs.image);
    all.push(Node::new("image", inputs.image.clone()).with(seen.map(|i| Node::new("resolved", i.clone()))));
    all.extend(
        inputs
            .datasets
            .iter()
            .map(|d| Node::new("data", format!("{} {} {}", d.name, d.uri, short(&d.digest)))),
    );
    if let Some(base) = &inputs.base_model {
        let name = base.version.as_deref();
        let gone = name.is_some_and(|name| find(namespace, name).is_none());
        let name = name.map(|name| format!("{name} ")).unwrap_or_default();
        let gone = if gone { " (deleted)" } else { "" };
        all.push(Node::new("base", format!("{name}{}{gone}", short(&base.digest))));
    }
    let mut parameters: Vec<String> = inputs.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
    parameters.extend(inputs.seed.iter().map(|seed| format!("seed {seed}")));
    if !parameters.is_empty() {
        all.push(Node::new("parameters", parameters.join(", ")));
    }
    all
}

/// The run, with its attempts as long as it is there.
pub(super) fn run(version: &ModelVersion, namespace: Namespace<'_>) -> Option<Node> {
    let made = &version.spec.build.as_ref()?.run;
    let resumed = made.resumed_from.as_ref().map(|from| format!(", resumed from {from}")).unwrap_or_default();
    let facts = format!(
        "{} to {}, {} of running, attempt {}{resumed}",
        time(made.started_at),
        time(made.finished_at),
        seconds(made.running_seconds),
        made.attempt
    );
    let is_it = |run: &&TrainingRun| run.metadata.uid.as_deref() == Some(made.uid.as_str());
    let Some(run) = namespace.runs.iter().find(is_it) else {
        return Some(Node::new("run", format!("{} (deleted): {facts}", made.name)));
    };
    let attempts = run.status.as_ref().map(|s| s.attempts.as_slice()).unwrap_or_default();
    let result = run.status.as_ref().and_then(|s| s.completion.as_ref()).map(|c| c.result);
    let node = Node::new("run", format!("{}: {facts}", made.name)).with(attempts.iter().map(attempt));
    Some(match result {
        Some(RunResult::Succeeded | RunResult::Reused) => node.toned(true),
        Some(RunResult::Failed) => node.toned(false),
        None => node,
    })
}

fn attempt(attempt: &Attempt) -> Node {
    let end = attempt.end.map_or_else(|| "going on".to_owned(), |end| format!("{end:?}"));
    let took = match (attempt.running_at, attempt.ended_at) {
        (Some(from), Some(to)) => format!(" after {}", seconds((to - from).num_seconds())),
        _ => String::new(),
    };
    let resumed =
        attempt.resumed_from.as_ref().map(|from| format!(", resumed from {from}")).unwrap_or_default();
    let message = attempt.message.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    let node = Node::new("attempt", format!("{} {end}{took}{resumed}{message}", attempt.number));
    match attempt.end {
        Some(end) => node.toned(end == AttemptEnd::Succeeded),
        None => node,
    }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `1 h 30 min`, `42 s`.
pub(super) fn seconds(all: i64) -> String {
    match (all / 3600, all % 3600 / 60, all % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn bytes(all: i64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| all >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", all as f64 / size as f64),
        None => format!("{all} B"),
    }
}
