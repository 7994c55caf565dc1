//! A ModelDeployment.

use super::common::{digest, env, label, range, storage};
use super::metric;
use crate::{
    IntOrString, ModelDeploymentSpec, ModelSource, Rollout, Server, SessionPersistence, Strategy, Testers,
    WhenUnschedulable,
};

/// Checks the object's name: names of children are built from it.
pub fn name(name: &str) -> Result<(), String> {
    label("the name", name, 40)
}

/// Checks a spec. The error becomes the message of `Stalled`; nothing is created, nothing serving is touched.
pub fn spec(spec: &ModelDeploymentSpec) -> Result<(), String> {
    model(&spec.model)?;
    server(&spec.server)?;
    range("replicas", spec.replicas, 0, 1000)?;
    range("availability.minReadySeconds", spec.availability.min_ready_seconds, 0, 3600)?;
    range("availability.drainSeconds", spec.availability.drain_seconds, 0, 3600)?;
    pods_or_percent("availability.maxUnavailable", spec.availability.max_unavailable.as_ref())?;
    if spec.traffic.gateway.is_some() && spec.traffic.http_route.is_some() {
        return Err("traffic has at most one of gateway and httpRoute".to_owned());
    }
    if let Some(route) = &spec.traffic.http_route {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let name = &route.name;
        let edges = name.starts_with(['-', '.']) || name.ends_with(['-', '.']);
        if name.is_empty() || name.len() > 253 || edges || !name.bytes().all(inside) {
            return Err(format!("traffic.httpRoute.name {name:?} is not the name of an HTTPRoute"));
        }
    }
    if let Some(gateway) = &spec.traffic.gateway
        && gateway.parent_refs.is_empty()
    {
        return Err("traffic.gateway.parentRefs must name a Gateway".to_owned());
    }
    if let Some(testers) = spec.traffic.gateway.as_ref().and_then(|gateway| gateway.testers.as_ref()) {
        header(testers)?;
    }
    if let Some(session) =
        spec.traffic.gateway.as_ref().and_then(|gateway| gateway.session_persistence.as_ref())
    {
        cookie(session)?;
    }
    rollout(spec)
}

/// A budget that lets nobody go blocks every drain of a node, and a rollout without a pod more never begins.
fn pods_or_percent(field: &str, value: Option<&IntOrString>) -> Result<(), String> {
    let percent = |text: &str| text.strip_suffix('%').and_then(|n| n.parse().ok()).unwrap_or(0);
    let allowed = match value {
        None => true,
        Some(IntOrString::Int(pods)) => (1..=1000).contains(pods),
        Some(IntOrString::String(text)) => (1..=100).contains(&percent(text)),
    };
    if allowed { Ok(()) } else { Err(format!("{field} must be 1 to 1000 pods, or 1% to 100%")) }
}

/// A header that a gateway can compare: nothing that would end a line or begin another one.
fn header(testers: &Testers) -> Result<(), String> {
    let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let Testers { header, value } = testers;
    if header.is_empty() || !header.bytes().all(name) {
        return Err(format!("traffic.gateway.testers.header {header:?} is not the name of a header"));
    }
    if value.is_empty() || value.trim() != value || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(format!(
            "traffic.gateway.testers.value {value:?} must be printable ASCII without spaces around it"
        ));
    }
    Ok(())
}

/// A cookie whose name needs no quotes anywhere, and a year of it at the most.
fn cookie(session: &SessionPersistence) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if let Some(name) = &session.session_name
        && (name.is_empty() || name.len() > 64 || !name.bytes().all(allowed))
    {
        return Err(format!(
            "traffic.gateway.sessionPersistence.sessionName {name:?} is not the name of a cookie"
        ));
    }
    let field = "traffic.gateway.sessionPersistence.absoluteTimeoutSeconds";
    range(field, session.absolute_timeout_seconds.unwrap_or(1), 1, 31_536_000)
}

fn model(model: &ModelSource) -> Result<(), String> {
    match (&model.artifact, &model.version_ref, &model.channel) {
        (Some(artifact), None, None) => {
            artifact.location()?;
            digest("model.artifact.digest", &artifact.digest)?;
        }
        (None, Some(_), None) => {}
        (None, None, Some(channel)) => label("model.channel.model", &channel.model, 40)?,
        _ => return Err("model must have exactly one of artifact, versionRef and channel".to_owned()),
    }
    storage("model.storage", &model.storage)
}

fn server(server: &Server) -> Result<(), String> {
    if server.image.is_empty() {
        return Err("server.image must name an image".to_owned());
    }
    env("server.env", &server.env, |name| name.starts_with("SERIN_"))?;
    range("server.ports.http", server.ports.http.unwrap_or(1), 1, 65535)?;
    range("server.ports.metrics", server.ports.metrics.unwrap_or(1), 1, 65535)?;
    let Some(preset) = server.preset else { return Ok(()) };
    let (http, metrics) = (server.http_port(), server.metrics_port());
    match preset.profile().metrics {
        None if http != metrics => Err(format!(
            "server.ports.metrics {metrics} contradicts the preset {}, which has its metrics on the http port, {http}",
            preset.name()
        )),
        Some(own) if http == metrics => Err(format!(
            "server.ports: http and metrics are both {http}, and the preset {} has a port for metrics, by default {own}",
            preset.name()
        )),
        _ => Ok(()),
    }
}

/// Copies of requests are a filter on a route, which a gateway needs and which only a route of ours gets.
fn shadow(spec: &ModelDeploymentSpec) -> Result<(), String> {
    let strategy = spec.rollout.strategy;
    if let Some(shadow) = &spec.rollout.shadow {
        if strategy != Strategy::Shadow {
            return Err(format!("rollout.shadow is for the strategy Shadow, and this is {strategy:?}"));
        }
        range("rollout.shadow.mirrorPercent", shadow.mirror_percent, 1, 100)?;
        range("rollout.shadow.holdSeconds", shadow.hold_seconds, 0, 86400)?;
    }
    if strategy == Strategy::Shadow && spec.traffic.gateway.is_none() {
        let why = "Serin writes the filter that copies requests only into a route of its own";
        return Err(format!("rollout.strategy Shadow needs traffic.gateway: {why}"));
    }
    Ok(())
}

fn rollout(spec: &ModelDeploymentSpec) -> Result<(), String> {
    let steps = &spec.rollout.steps;
    for (i, pair) in steps.windows(2).enumerate() {
        if pair[1].weight <= pair[0].weight {
            return Err(format!(
                "rollout.steps must go up: step {} has weight {}, after {}",
                i + 2,
                pair[1].weight,
                pair[0].weight
            ));
        }
    }
    let strategy = spec.rollout.strategy;
    if strategy != Strategy::Canary && !steps.is_empty() {
        return Err(format!(
            "rollout.steps are for the strategy Canary; remove them, or the strategy {strategy:?}"
        ));
    }
    if let Some(blue_green) = &spec.rollout.blue_green {
        if strategy != Strategy::BlueGreen {
            return Err(format!("rollout.blueGreen is for the strategy BlueGreen, and this is {strategy:?}"));
        }
        range("rollout.blueGreen.previewSeconds", blue_green.preview_seconds, 0, 86400)?;
    }
    shadow(spec)?;
    room(&spec.rollout)?;
    range("rollout.rollbackWindow", spec.rollout.rollback_window, 0, 10)?;
    for step in steps {
        range("rollout.steps: weight", step.weight, 1, 100)?;
        range("rollout.steps: holdSeconds", step.hold_seconds, 0, 86400)?;
        if step.mirror_percent != 0 {
            return Err(
                "rollout.steps: mirrorPercent is for the status; rollout.shadow.mirrorPercent is yours"
                    .to_owned(),
            );
        }
    }
    let analysis = &spec.rollout.analysis;
    range("rollout.progressDeadlineSeconds", spec.rollout.progress_deadline_seconds, 10, 86400)?;
    let deadlines = &spec.rollout.deadlines;
    range("rollout.deadlines.unschedulableSeconds", deadlines.unschedulable_seconds, 10, 604_800)?;
    range("rollout.deadlines.imagePullSeconds", deadlines.image_pull_seconds, 10, 86400)?;
    range("rollout.deadlines.crashLoopRestarts", deadlines.crash_loop_restarts, 1, 100)?;
    range("rollout.analysis.intervalSeconds", analysis.interval_seconds, 1, 300)?;
    range("rollout.analysis.horizonSeconds", analysis.horizon_seconds, 10, 86400)?;
    range("rollout.analysis.noDataTimeoutSeconds", analysis.no_data_timeout_seconds, 10, 86400)?;
    let rollback = analysis.false_rollback_budget_permille;
    range("rollout.analysis.falseRollbackBudgetPermille", rollback, 1, 100)?;
    let promotion = analysis.false_promotion_budget_permille;
    range("rollout.analysis.falsePromotionBudgetPermille", promotion, 1, 200)?;
    let metrics = spec.metrics().map_err(|why| format!("rollout.analysis.metrics: {why}"))?;
    if metrics.is_empty() {
        return Err("rollout.analysis.metrics must hold at least one metric".to_owned());
    }
    for (i, m) in metrics.iter().enumerate() {
        if metrics[..i].iter().any(|o| o.name == m.name) {
            return Err(format!("rollout.analysis.metrics: the name {} stands twice", m.name));
        }
        metric::check(m)?;
    }
    if metrics.iter().all(|m| m.threshold.is_some()) {
        let message = "rollout.analysis.metrics needs one that compares both versions: a threshold alone cannot promote";
        return Err(message.to_owned());
    }
    Ok(())
}

/// How many pods a rollout may have, and what it may take.
fn room(rollout: &Rollout) -> Result<(), String> {
    pods_or_percent("rollout.maxSurge", rollout.max_surge.as_ref())?;
    pods_or_percent("rollout.minAvailable", rollout.min_available.as_ref())?;
    let strategy = rollout.strategy;
    let makes_room = rollout.when_unschedulable == WhenUnschedulable::MakeRoom;
    if strategy != Strategy::Canary && rollout.max_surge.is_some() {
        return Err(format!("rollout.maxSurge is for the strategy Canary, and this is {strategy:?}"));
    }
    if strategy != Strategy::Canary && makes_room {
        return Err(format!(
            "rollout.whenUnschedulable: MakeRoom is for the strategy Canary, and this is {strategy:?}"
        ));
    }
    if rollout.min_available.is_some() && !makes_room {
        return Err("rollout.minAvailable is for whenUnschedulable: MakeRoom".to_owned());
    }
    Ok(())
}
