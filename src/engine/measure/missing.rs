//! Series that a metric is read from and that nobody exports: a wrong name, a server that was not told to export them,
//! pods that are not scraped.

use serin_api::{ModelDeploymentSpec, Preset};

use super::{Measurement, Samples};

/// The series that no pod of the stable version exports, in one line. Labelled counters do not exist before their first
/// request, so that it can also mean that there was none.
pub(super) fn missing(spec: &ModelDeploymentSpec, m: &Measurement, samples: &[Samples]) -> Option<String> {
    let absent = |samples: &Samples| match samples {
        Samples::Errors(arms) => arms.stable.is_empty(),
        Samples::Latency(arms) => arms.stable.is_empty(),
        Samples::Mean(arms) => arms.stable.is_empty(),
        Samples::Quality(arms) => arms.stable.is_empty(),
        Samples::Score(arms) => arms.stable.is_empty(),
        // Only the candidate's are read.
        Samples::Gauge(_) => false,
    };
    let mut missing = Vec::new();
    for (metric, samples) in m.metrics.iter().zip(samples) {
        let first = metric.kind().and_then(|kind| kind.series().into_iter().next());
        if let Some(series) = first.filter(|_| absent(samples)) {
            missing.push(format!("{series} (metric {})", metric.name));
        }
    }
    if missing.is_empty() {
        return None;
    }
    let hint = spec.server.preset.and_then(|preset| preset.profile().hint.map(|hint| (preset, hint)));
    let hint = hint.map(|(preset, hint): (Preset, _)| format!("; {} exports it with {hint}", preset.name()));
    Some(format!(
        "Prometheus has no {} of the stable version's pods: a wrong name, no scrape, or no request yet{}",
        missing.join(" and no "),
        hint.unwrap_or_default()
    ))
}
