//! The schema's rules once more, in code: a CRD may be older than the operator, and a rule that only the apiserver
//! knows is one `kubectl replace` away from being gone. The first broken rule wins; each is one line that says what
//! to change.

use crate::{Metric, ModelDeploymentSpec, quantity};

/// Checks a spec. The error becomes the message of `Stalled`; nothing is created, nothing serving is touched.
pub fn spec(spec: &ModelDeploymentSpec) -> Result<(), String> {
    spec.model.artifact.location()?;
    if !spec.model.artifact.digest.is_well_formed() {
        return Err(format!(
            "model.artifact.digest {:?} must be sha256: and 64 hexadecimal digits",
            spec.model.artifact.digest.0
        ));
    }
    if spec.server.image.is_empty() {
        return Err("server.image must name an image".to_owned());
    }
    if let Some(env) = spec.server.env.iter().find(|e| e.name.starts_with("SERIN_")) {
        return Err(format!("server.env: {} is reserved; rename it", env.name));
    }
    if spec.replicas < 0 {
        return Err("replicas must not be negative".to_owned());
    }
    if let Some(gateway) = &spec.traffic.gateway
        && gateway.parent_refs.is_empty()
    {
        return Err("traffic.gateway.parentRefs must name a Gateway".to_owned());
    }
    rollout(spec)
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
    if let Some(step) = steps.iter().find(|s| !(1..=100).contains(&s.weight)) {
        return Err(format!("rollout.steps: weight {} is not between 1 and 100", step.weight));
    }
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
        return Err("rollout.analysis.metrics needs an errorRatio: a threshold alone cannot promote".to_owned());
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
            series(name, &e.requests.series)?;
            label(name, &e.requests.code_label)
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

fn label(metric: &str, s: &str) -> Result<(), String> {
    let first = s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(())
    } else {
        Err(format!("metric {metric}: {s:?} is not the name of a label"))
    }
}
