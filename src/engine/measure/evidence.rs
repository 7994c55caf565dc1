//! What a test found, as a row of the status and as a line for people.

use serin_api::{Metric, MetricEvidence, MetricKind, Unit, Verdict};
use serin_judge::{
    ArmTotals, EdgeVerdict, ErrorVerdict, LatencyNoData, LatencyVerdict, MeanVerdict, MetricVerdict,
    NoDataReason, ScoreVerdict, State, ThresholdVerdict,
};

/// The row of one metric.
pub(super) fn row(metric: &Metric, state: State, found: &MetricVerdict) -> MetricEvidence {
    let unit = time_unit(metric);
    let (estimate, samples, needed) = match found {
        MetricVerdict::Errors(v) => (ratio(v, state, "errors"), whole(v.canary.requests), v.requests_needed),
        MetricVerdict::Quality(v) => (ratio(v, state, "bad"), whole(v.canary.requests), v.requests_needed),
        MetricVerdict::Latency(v) => (latency(v, state, unit), whole(v.canary_requests), None),
        MetricVerdict::Mean(v) => (mean(v, state, unit), whole(v.canary_requests), None),
        MetricVerdict::Score(v) => (score(v, state), i64::try_from(v.blocks).unwrap_or(i64::MAX), None),
        MetricVerdict::Threshold(v) => (threshold(v), i64::try_from(v.ticks).unwrap_or(i64::MAX), None),
    };
    // A broken bound is beyond evidence; it has no number.
    let evidence = Some(found.rollback_evidence_log10()).filter(|e| e.is_finite()).unwrap_or(0.0);
    MetricEvidence {
        metric: metric.name.clone(),
        verdict: verdict(state),
        log10_e: format!("{evidence:.2}"),
        estimate,
        samples,
        needed: needed.and_then(|n| i64::try_from(n).ok()),
    }
}

/// What both versions have shown so far, where there is something to show.
pub(super) fn values(found: &MetricVerdict) -> (Option<f64>, Option<f64>) {
    let percent = |a: &ArmTotals| (a.requests > 0.0).then(|| 100.0 * a.errors / a.requests);
    match found {
        MetricVerdict::Errors(v) | MetricVerdict::Quality(v) => (percent(&v.canary), percent(&v.stable)),
        MetricVerdict::Latency(v) => {
            let edge = worst_edge(v);
            (edge.map(|e| 100.0 * e.canary_share), edge.map(|e| 100.0 * e.stable_share))
        }
        MetricVerdict::Mean(v) => (v.canary_mean, v.stable_mean),
        MetricVerdict::Score(v) => (v.canary_mean, v.stable_mean),
        MetricVerdict::Threshold(v) => (v.last_value, None),
    }
}

/// Whether it is a plain bound, which knows broken or not and no evidence.
pub(super) fn is_bound(found: &MetricVerdict) -> bool {
    matches!(found, MetricVerdict::Threshold(_))
}

/// What the numbers of a metric's curve count.
pub fn unit(kind: Option<MetricKind<'_>>) -> &'static str {
    match kind {
        Some(MetricKind::ErrorRatio(_)) => "% errors",
        Some(MetricKind::Quality(_)) => "% bad",
        Some(MetricKind::Latency(_)) => "% slower than the edge that differs most",
        Some(MetricKind::MeanLatency(_)) => "mean",
        Some(MetricKind::Score(_)) => "score",
        Some(MetricKind::Threshold(_)) => "value",
        None => "",
    }
}

fn worst_edge(v: &LatencyVerdict) -> Option<&EdgeVerdict> {
    v.edges.iter().max_by(|a, b| {
        a.rollback_evidence_log10.total_cmp(&b.rollback_evidence_log10).then(b.le.total_cmp(&a.le))
    })
}

/// The row of a metric that cannot be tested.
pub(super) fn unusable(name: &str, why: &str) -> MetricEvidence {
    MetricEvidence {
        metric: name.to_owned(),
        verdict: Verdict::NoData,
        log10_e: "0.00".to_owned(),
        estimate: why.to_owned(),
        samples: 0,
        needed: None,
    }
}

/// One line with the numbers that matter.
pub(super) fn summary(e: &MetricEvidence, found: &MetricVerdict) -> String {
    let MetricEvidence { metric, estimate, samples, log10_e, .. } = e;
    match found {
        MetricVerdict::Threshold(_) => format!("{metric}: {estimate}"),
        MetricVerdict::Score(_) => {
            format!("{metric}: {estimate} after {samples} blocks, log10 evidence {log10_e}")
        }
        MetricVerdict::Errors(_)
        | MetricVerdict::Quality(_)
        | MetricVerdict::Latency(_)
        | MetricVerdict::Mean(_) => {
            format!("{metric}: {estimate} after {samples} requests, log10 evidence {log10_e}")
        }
    }
}

fn ratio(v: &ErrorVerdict, state: State, what: &str) -> String {
    let share = |a: &ArmTotals| if a.requests > 0.0 { 100.0 * a.errors / a.requests } else { 0.0 };
    match (v.no_data, v.ratio) {
        (Some(why), _) if state == State::NoData => no_data(why).to_owned(),
        // The ratio is smoothed; beside a share of exactly zero it would only puzzle.
        (_, Some(ratio)) if v.stable.errors > 0.0 => {
            format!("{:.2} % {what}, stable {:.2} % ({ratio:.1}x)", share(&v.canary), share(&v.stable))
        }
        (_, Some(_)) => format!("{:.2} % {what}, stable {:.2} %", share(&v.canary), share(&v.stable)),
        _ => format!("{:.2} % {what}", share(&v.canary)),
    }
}

/// Unit of the times that a metric compares, where it says so.
fn time_unit(metric: &Metric) -> Option<Unit> {
    match metric.kind()? {
        MetricKind::Latency(l) => Some(l.histogram.as_ref().map_or(Unit::Seconds, |h| h.unit)),
        MetricKind::MeanLatency(l) => l.sum.as_ref().map(|sum| sum.unit),
        _ => None,
    }
}

/// A time for people: `250 ms`, `1.5 s`.
fn time(unit: Option<Unit>, value: f64) -> String {
    let Some(unit) = unit else { return value.to_string() };
    let seconds = unit.seconds(value);
    // Edges are short decimals; of a mean four digits are enough.
    let digits = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if seconds < 1.0 { format!("{} ms", digits(1000.0 * seconds)) } else { format!("{} s", digits(seconds)) }
}

fn latency(v: &LatencyVerdict, state: State, unit: Option<Unit>) -> String {
    let why = v.no_data.filter(|_| state == State::NoData).map(|why| match why {
        LatencyNoData::Data(why) => no_data(why),
        LatencyNoData::NoCommonEdge => "the two versions have no bucket edge in common",
        LatencyNoData::NoUsableEdge => "no bucket edge has between 0.2 % and 50 % of the requests over it",
        LatencyNoData::Learning => "learning what the stable version's latencies are",
    });
    match (why, worst_edge(v)) {
        (Some(why), _) => why.to_owned(),
        (None, Some(edge)) => format!(
            "{:.2} % slower than {}, stable {:.2} %",
            100.0 * edge.canary_share,
            time(unit, edge.le),
            100.0 * edge.stable_share
        ),
        (None, None) => "no edge compared yet".to_owned(),
    }
}

fn mean(v: &MeanVerdict, state: State, unit: Option<Unit>) -> String {
    match (v.no_data, v.canary_mean, v.stable_mean) {
        (Some(why), ..) if state == State::NoData => no_data(why).to_owned(),
        (_, Some(canary), Some(stable)) if stable > 0.0 => {
            let change = 100.0 * (canary / stable - 1.0);
            format!("mean {}, stable {} ({change:+.0} %)", time(unit, canary), time(unit, stable))
        }
        _ => "no block compared yet".to_owned(),
    }
}

fn score(v: &ScoreVerdict, state: State) -> String {
    match (v.no_data, v.canary_mean, v.stable_mean) {
        (Some(why), ..) if state == State::NoData => no_data(why).to_owned(),
        (_, Some(canary), Some(stable)) => format!("{canary:.4}, stable {stable:.4}"),
        _ => "no block compared yet".to_owned(),
    }
}

fn threshold(v: &ThresholdVerdict) -> String {
    match (v.state, v.no_data, v.last_value) {
        (State::NoData, Some(why), _) => no_data(why).to_owned(),
        (_, _, Some(value)) => format!("{value} (broken {} times in a row)", v.broken),
        _ => "no value".to_owned(),
    }
}

/// The judge's state as the API's word.
pub fn verdict(state: State) -> Verdict {
    match state {
        State::Fail => Verdict::Fail,
        State::Pass => Verdict::Pass,
        State::Undecided => Verdict::Undecided,
        State::NoData => Verdict::NoData,
    }
}

fn no_data(why: NoDataReason) -> &'static str {
    match why {
        NoDataReason::NoSeries => "no series: is the metric's name right, and are the pods scraped?",
        NoDataReason::NoRequests => "no requests yet",
        NoDataReason::Stale => "the newest sample is too old",
        NoDataReason::NoStable => "no recent data of the stable version",
    }
}

/// A count for people; saturates.
#[expect(clippy::cast_possible_truncation, reason = "a count of requests; a float cast saturates")]
fn whole(count: f64) -> i64 {
    count.round() as i64
}
