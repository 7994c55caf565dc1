//! What happened to a version since it was made.

use serin_api::{
    MeasuredMetric, ModelDeployment, ModelVersion, ModelVersionStatus, Outcome, ReplayOutcome, Role,
};

use super::{Namespace, Node, origin::time};

/// Judgements, with what was measured.
pub(super) fn evaluations(version: &ModelVersion) -> Vec<Node> {
    let all = status(version).map(|s| s.evaluations.as_slice()).unwrap_or_default();
    all.iter()
        .map(|e| {
            let verdict = if e.passed { "passed" } else { "did not pass" };
            let against = e.champion.as_ref().map(|c| format!(" against {c}")).unwrap_or_default();
            let text = format!("{} {verdict}{against}: {}", time(e.at), e.message);
            let report = e.report.as_ref().map(|r| Node::new("report", r.uri.clone()));
            Node::new("evaluation", text).toned(e.passed).with(e.metrics.iter().map(metric)).with(report)
        })
        .collect()
}

fn metric(m: &MeasuredMetric) -> Node {
    let slice = m.slice.as_ref().map(|s| format!(" of {s}")).unwrap_or_default();
    let champion = m.champion.as_ref().map(|c| format!(", champion {c}")).unwrap_or_default();
    Node::new("metric", format!("{}{slice} {}{champion}", m.name, m.candidate))
}

/// Trainings again from the same inputs.
pub(super) fn replays(version: &ModelVersion) -> Vec<Node> {
    let all = status(version).map(|s| s.replays.as_slice()).unwrap_or_default();
    all.iter()
        .map(|r| {
            let text = format!("{} by {}: {:?}, {}", time(r.at), r.run, r.outcome, r.message);
            let good = match r.outcome {
                ReplayOutcome::Identical | ReplayOutcome::WithinTolerance => true,
                ReplayOutcome::Different => false,
            };
            Node::new("replay", text).toned(good)
        })
        .collect()
}

/// Runs that found this version there already and trained nothing.
pub(super) fn reuses(name: &str, namespace: Namespace<'_>) -> Vec<Node> {
    let reused = |run: &&serin_api::TrainingRun| {
        run.status.as_ref().is_some_and(|s| {
            s.model_version.as_deref() == Some(name)
                && s.completion.as_ref().is_some_and(|c| c.result == serin_api::RunResult::Reused)
        })
    };
    let name_of = |run: &serin_api::TrainingRun| run.metadata.name.clone().unwrap_or_default();
    namespace.runs.iter().filter(reused).map(|run| Node::new("reused by", name_of(run))).collect()
}

/// Who serves it, as the version and the deployments say; and who asks for it and does not serve it yet.
pub(super) fn deployments(version: &ModelVersion, namespace: Namespace<'_>) -> Vec<Node> {
    let name = version.metadata.name.as_deref().unwrap_or_default();
    let recorded = status(version).map(|s| s.deployments.as_slice()).unwrap_or_default();
    let mut all: Vec<Node> = recorded
        .iter()
        .map(|d| {
            Node::new("deployment", format!("{} {:?} since {}", d.name, d.role, time(d.since))).toned(true)
        })
        .collect();
    for deployment in namespace.deployments {
        let its = deployment.metadata.name.as_deref().unwrap_or_default();
        if recorded.iter().any(|d| d.name == its) {
            continue;
        }
        match role(deployment, name) {
            Some(role) => all.push(Node::new("deployment", format!("{its} {role:?}")).toned(true)),
            None if deployment.spec.model.version_ref.as_deref() == Some(name) => {
                all.push(Node::new("deployment", format!("{its} asks for it and does not serve it")));
            }
            None => all.extend(passed_over(deployment, name)),
        }
    }
    all
}

/// Whether its channel leads past this version, and why.
fn passed_over(deployment: &ModelDeployment, name: &str) -> Option<Node> {
    let its = deployment.metadata.name.as_deref().unwrap_or_default();
    let channel = deployment.status.as_ref()?.channel.as_ref()?;
    if channel.version.as_deref() == Some(name) {
        return Some(Node::new("deployment", format!("{its} asks for it and does not serve it")));
    }
    let passed = channel.passed_over.iter().find(|passed| passed.version == name)?;
    Some(Node::new("deployment", format!("{its} passes it over ({:?}): {}", passed.reason, passed.message)))
}

fn role(deployment: &ModelDeployment, version: &str) -> Option<Role> {
    let status = deployment.status.as_ref()?;
    let is = |spec: &serin_api::RevisionSpec| spec.model.version_ref.as_deref() == Some(version);
    if status.stable.as_ref().is_some_and(|s| is(&s.spec)) {
        return Some(Role::Stable);
    }
    status.candidate.as_ref().filter(|c| is(&c.spec)).map(|_| Role::Candidate)
}

/// What came of it live.
pub(super) fn outcomes(version: &ModelVersion) -> Vec<Node> {
    let all = status(version).map(|s| s.outcomes.as_slice()).unwrap_or_default();
    all.iter()
        .map(|o| {
            let text =
                format!("{} {:?} in {} ({}): {}", time(o.at), o.result, o.deployment, o.reason, o.message);
            let node = Node::new("outcome", text);
            match o.result {
                Outcome::Promoted => node.toned(true),
                Outcome::RolledBack => node.toned(false),
                Outcome::Deployed | Outcome::Superseded => node,
            }
        })
        .collect()
}

/// Deployments whose channels do not lead to it again.
pub(super) fn bars(version: &ModelVersion) -> Vec<Node> {
    let all = status(version).map(|s| s.bars.as_slice()).unwrap_or_default();
    all.iter()
        .map(|bar| {
            Node::new("barred", format!("in {} since {} ({})", bar.deployment, time(bar.at), bar.reason))
        })
        .map(|node| node.toned(false))
        .collect()
}

fn status(version: &ModelVersion) -> Option<&ModelVersionStatus> {
    version.status.as_ref()
}
