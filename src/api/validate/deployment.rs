//! A ModelDeployment.

use super::common::{digest, env, label, range, storage};
use crate::{Metric, ModelDeploymentSpec, ModelSource, Server, quantity};

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
    if let Some(gateway) = &spec.traffic.gateway
        && gateway.parent_refs.is_empty()
    {
        return Err("traffic.gateway.parentRefs must name a Gateway".to_owned());
    }
    rollout(spec)
}

fn model(model: &ModelSource) -> Result<(), String> {
    match (&model.artifact, &model.version_ref) {
        (Some(artifact), None) => {
            artifact.location()?;
            digest("model.artifact.digest", &artifact.digest)?;
            storage("model.storage", &model.storage)
        }
        (None, Some(_)) => storage("model.storage", &model.storage),
        _ => Err("model must have exactly one of artifact and versionRef".to_owned()),
    }
}

fn server(server: &Server) -> Result<(), String> {
    if server.image.is_empty() {
        return Err("server.image must name an image".to_owned());
    }
    env("server.env", &server.env, |name| name.starts_with("SERIN_"))?;
    range("server.ports.http", server.ports.http, 1, 65535)?;
    range("server.ports.metrics", server.ports.metrics.unwrap_or(1), 1, 65535)
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
    for step in steps {
        range("rollout.steps: weight", step.weight, 1, 100)?;
        range("rollout.steps: holdSeconds", step.hold_seconds, 0, 86400)?;
    }
    let analysis = &spec.rollout.analysis;
    range("rollout.progressDeadlineSeconds", spec.rollout.progress_deadline_seconds, 10, 86400)?;
    range("rollout.analysis.intervalSeconds", analysis.interval_seconds, 1, 300)?;
    range("rollout.analysis.horizonSeconds", analysis.horizon_seconds, 10, 86400)?;
    range("rollout.analysis.noDataTimeoutSeconds", analysis.no_data_timeout_seconds, 10, 86400)?;
    let rollback = analysis.false_rollback_budget_permille;
    range("rollout.analysis.falseRollbackBudgetPermille", rollback, 1, 100)?;
    let promotion = analysis.false_promotion_budget_permille;
    range("rollout.analysis.falsePromotionBudgetPermille", promotion, 1, 200)?;
    let metrics = &spec.rollout.analysis.metrics;
    if metrics.is_empty() {
        return Err("rollout.analysis.metrics must hold at least one metric".to_owned());
    }
    for (i, m) in metrics.iter().enumerate() {
        if metrics[..i].iter().any(|o| o.name == m.name) {
            return Err(format!("rollout.analysis.metrics: the name {} stands twice", m.name));
        }
        metric(m)?;
    }
    if !metrics.iter().any(|m| m.error_ratio.is_some()) {
        return Err(
            "rollout.analysis.metrics needs an errorRatio: a threshold alone cannot promote".to_owned()
        );
    }
    Ok(())
}

fn metric(m: &Metric) -> Result<(), String> {
    let name = &m.name;
    match (&m.error_ratio, &m.threshold) {
        (Some(e), None) => {
            if e.unacceptable_ratio_percent <= e.max_ratio_percent {
                return Err(format!(
                    "metric {name}: unacceptableRatioPercent {} must be above maxRatioPercent {}",
                    e.unacceptable_ratio_percent, e.max_ratio_percent
                ));
            }
            range(&format!("metric {name}: maxRatioPercent"), e.max_ratio_percent, 100, 1000)?;
            range(&format!("metric {name}: sloErrorPermille"), e.slo_error_permille, 0, 500)?;
            if let Some(code) = e.requests.error_codes.iter().find(|c| !code_pattern(c)) {
                return Err(format!(
                    "metric {name}: {code:?} is neither a status code nor a class such as 5xx"
                ));
            }
            if e.requests.error_codes.is_empty() {
                return Err(format!("metric {name}: errorCodes must hold at least one code"));
            }
            series(name, &e.requests.series)?;
            metric_label(name, &e.requests.code_label)
        }
        (None, Some(t)) => {
            if t.max.is_none() && t.min.is_none() {
                return Err(format!("metric {name}: a threshold needs max or min"));
            }
            for bound in [&t.max, &t.min].into_iter().flatten() {
                if quantity::parse(bound).is_none() {
                    return Err(format!("metric {name}: {bound:?} is not a quantity (2Gi, 250m, 0.3)"));
                }
            }
            let bound = |b: &Option<String>| b.as_deref().and_then(quantity::parse);
            if let (Some(max), Some(min)) = (bound(&t.max), bound(&t.min))
                && min > max
            {
                return Err(format!("metric {name}: no value can be above min and below max"));
            }
            series(name, &t.gauge.series)
        }
        _ => Err(format!("metric {name} must have exactly one of errorRatio, threshold")),
    }
}

fn series(metric: &str, s: &str) -> Result<(), String> {
    let first = s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':');
    if first && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') {
        Ok(())
    } else {
        Err(format!("metric {metric}: {s:?} is not the name of a series"))
    }
}

fn metric_label(metric: &str, s: &str) -> Result<(), String> {
    let first = s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(())
    } else {
        Err(format!("metric {metric}: {s:?} is not the name of a label"))
    }
}

/// `500` or `5xx`.
fn code_pattern(s: &str) -> bool {
    match s.as_bytes() {
        [b'1'..=b'5', rest @ ..] => rest == b"xx" || (rest.len() == 2 && rest.iter().all(u8::is_ascii_digit)),
        _ => false,
    }
}
