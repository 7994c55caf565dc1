//! `serin judge`: the operator's judge on a file.

mod csv;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use serin_judge::{
    Analysis, ErrorInput, ErrorParams, ErrorTest, ErrorVerdict, LatencyInput, LatencyParams, LatencyProfile,
    LatencyTest, LatencyVerdict, Metric, MetricVerdict, RatioInterval, State, Test, TrafficCheck,
    TrafficParams, TrafficState, TrafficVerdict, WeightStep, Window, dispersion_prior, judge_all,
    ratio_interval,
};

use crate::{Failure, output};
use csv::{Arm, Counting, Table};

/// Largest file, bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// CSV with a line of column names: t (seconds), arm (canary or stable), requests, errors; optional pod, and
    /// le=EDGE for each latency bucket: requests that took at most EDGE, including all shorter ones.
    #[arg(long)]
    input: PathBuf,
    /// How requests, errors and buckets are counted over time.
    #[arg(long, value_enum, default_value_t = Counting::Cumulative)]
    counts: Counting,
    /// Seconds between rows of a pod; unless given, the median in the file.
    #[arg(long)]
    interval: Option<f64>,
    /// Start of the analysis, in the file's time. What the stable version did before shows how errors cluster and
    /// what its latencies are.
    #[arg(long, allow_negative_numbers = true)]
    from: Option<f64>,
    /// Times the stable version's error ratio that the canary may have.
    #[arg(long, default_value_t = 1.25)]
    max_error_ratio: f64,
    /// Times the stable version's error ratio with which it is never promoted early.
    #[arg(long, default_value_t = 2.0)]
    unacceptable_ratio: f64,
    /// Error ratio of the service level objective, such as 0.005.
    #[arg(long)]
    slo: Option<f64>,
    /// Part by which the canary may be slower, such as 0.2.
    #[arg(long, default_value_t = 0.2)]
    max_latency_increase: f64,
    /// Part by which it may be slower without being promoted early.
    #[arg(long, default_value_t = 0.5)]
    unacceptable_latency_increase: f64,
    /// Probability of ever rolling back a canary that is within the limits.
    #[arg(long, default_value_t = 0.01)]
    false_rollback_budget: f64,
    /// Share of the requests that the canary should get, such as 0.1; checked if given.
    #[arg(long)]
    share: Option<f64>,
    /// Format.
    #[arg(short, long, value_enum, default_value_t = output::Format::Text)]
    output: output::Format,
}

/// What was found in the file, in its time.
struct Found {
    analysis: Analysis,
    ratio: Option<RatioInterval>,
    budget: f64,
    traffic: Option<TrafficVerdict>,
    /// Seconds of the row that decided.
    decided_at: Option<f64>,
    /// Seconds of the first row at which all metrics passed.
    promotable_at: Option<f64>,
}

/// Judges and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let size =
        std::fs::metadata(&args.input).map_err(|error| format!("{}: {error}", args.input.display()))?.len();
    if size > LARGEST_FILE {
        return Err(format!("{}: larger than {LARGEST_FILE} bytes", args.input.display()).into());
    }
    let text =
        std::fs::read_to_string(&args.input).map_err(|error| format!("{}: {error}", args.input.display()))?;
    let table = Table::parse(&text).map_err(|why| format!("{}: {why}", args.input.display()))?;
    let found = judge(args, &table)?;
    match args.output {
        output::Format::Json => output::json(&as_json(&found)),
        output::Format::Text => output::print(&as_text(&found)),
    }
}

fn judge(args: &Args, table: &Table) -> Result<Found, Failure> {
    let interval_ms = match args.interval {
        Some(seconds) => milliseconds(seconds).filter(|ms| *ms > 0).ok_or("--interval must be above 0")?,
        None => table.interval_ms().ok_or("every pod has a single row; give --interval")?,
    };
    let (Some(first), Some(last)) = (table.rows.first(), table.rows.last()) else {
        return Err("the file has no rows".into());
    };
    // Rows are in the middle of their ticks, so that a little jitter moves none into another.
    let half = interval_ms / 2;
    let origin_ms = match (args.from, args.counts) {
        (Some(from), _) => milliseconds(from).ok_or("--from is no number of seconds")? - half,
        (None, Counting::Cumulative) => first.at_ms + half,
        (None, Counting::PerScrape) => first.at_ms - half,
    };
    let window = |origin_ms: i64, last_ms: i64| Window {
        origin_ms,
        interval_ms,
        // Late enough that the last row's tick is closed, and not too late for it to be current.
        now_ms: last_ms + 4 * interval_ms,
        stale_after_ms: 5 * interval_ms,
    };
    let (now, before) =
        (window(origin_ms, last.at_ms), window(first.at_ms - half, origin_ms - 5 * interval_ms));
    let counters = |arm| table.counters(arm, args.counts, interval_ms);
    let (canary, stable) = (counters(Arm::Canary), counters(Arm::Stable));
    let prior = dispersion_prior(&stable, &before);
    let errors = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: prior };
    let test = ErrorTest::new(ErrorParams {
        max_ratio: args.max_error_ratio,
        unacceptable_ratio: args.unacceptable_ratio,
        slo_error_ratio: args.slo,
        floor_ratio: args.slo.map_or(0.0, |slo| slo / 10.0),
        false_rollback_budget: args.false_rollback_budget,
        ..ErrorParams::default()
    })?;

    let histograms = |arm| table.histograms(arm, args.counts, interval_ms);
    let (slow_canary, slow_stable) = (histograms(Arm::Canary), histograms(Arm::Stable));
    let profile = LatencyProfile::read(&slow_stable, &before);
    let latency = LatencyInput { canary: &slow_canary, stable: &slow_stable, profile: &profile };
    let latency_test = LatencyTest::new(LatencyParams {
        max_increase: args.max_latency_increase,
        unacceptable_increase: args.unacceptable_latency_increase,
        false_rollback_budget: args.false_rollback_budget,
        ..LatencyParams::default()
    })?;

    let mut metrics = vec![Metric { name: "errors", weight: 1.0, test: Test::Errors(test, errors) }];
    if table.edges.iter().any(|edge| edge.is_finite()) {
        let test = Test::Latency(latency_test, latency);
        metrics.push(Metric { name: "latency", weight: 1.0, test });
    }
    let analysis = judge_all(&metrics, &now);
    if let Some(MetricVerdict::Errors(v)) = analysis.verdicts.first()
        && v.resets > v.ticks
    {
        return Err(format!(
            "counts fall {} times in {} ticks: if they are counted anew in each row, say --counts per-scrape",
            v.resets, v.ticks
        )
        .into());
    }

    let passes = |rollback: f64, promotion: f64| rollback < 3.0 && promotion >= 20.0;
    let mut passed: Vec<(i64, bool)> = test
        .trace(&errors, &now)
        .iter()
        .map(|p| (p.end_ms, passes(p.rollback_evidence, p.promotion_evidence)))
        .collect();
    if metrics.len() > 1 {
        let slow = latency_test.trace(&latency, &now);
        let also = |end_ms: i64| {
            slow.iter().any(|p| p.end_ms == end_ms && passes(p.rollback_evidence, p.promotion_evidence))
        };
        passed.retain(|(end_ms, _)| also(*end_ms));
    }
    let seconds = |end_ms: i64| (end_ms - half) as f64 / 1000.0;
    let traffic = match args.share {
        None => None,
        Some(share) if share > 0.0 && share < 1.0 => {
            let weights = [WeightStep { from_ms: i64::MIN, share }];
            Some(TrafficCheck::new(TrafficParams::default())?.judge(&errors, &weights, &now))
        }
        Some(share) => return Err(format!("--share must be between 0 and 1, got {share}").into()),
    };
    Ok(Found {
        decided_at: analysis.decided_at_ms.map(seconds),
        promotable_at: passed.iter().find(|(_, passed)| *passed).map(|(end_ms, _)| seconds(*end_ms)),
        ratio: ratio_interval(&errors, args.false_rollback_budget, &now),
        budget: args.false_rollback_budget,
        traffic,
        analysis,
    })
}

fn milliseconds(seconds: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // within the bounds that are checked
    (seconds.abs() <= 1e11).then(|| (seconds * 1000.0).round() as i64)
}

fn verdict(found: &Found) -> &'static str {
    let off = found.traffic.is_some_and(|traffic| traffic.state == TrafficState::Off);
    match found.analysis.state {
        State::Fail => "RollBack",
        _ if off => "Inconclusive",
        State::Pass => "Promote",
        State::Undecided => "Undecided",
        State::NoData => "NoData",
    }
}

fn as_json(found: &Found) -> Value {
    let end = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
    let metrics: Vec<Value> = found
        .analysis
        .verdicts
        .iter()
        .zip(&found.analysis.states)
        .map(|(metric, state)| match metric {
            MetricVerdict::Errors(v) | MetricVerdict::Quality(v) => errors_json(v, *state, found.ratio, end),
            MetricVerdict::Latency(v) => latency_json(v, *state),
            MetricVerdict::Mean(_) | MetricVerdict::Score(_) | MetricVerdict::Threshold(_) => Value::Null,
        })
        .collect();
    json!({
        "verdict": verdict(found),
        "decidedAtSeconds": found.decided_at,
        "promotableAtSeconds": found.promotable_at,
        "rollbackEvidenceLog10": found.analysis.rollback_evidence_log10,
        "rollbackThresholdLog10": -found.budget.log10(),
        "metrics": metrics,
        "traffic": found.traffic.map(|t| json!({
            "state": format!("{:?}", t.state), "evidenceLog10": t.evidence_log10, "share": t.share,
            "expectedShare": t.expected_share,
        })),
    })
}

fn errors_json(
    v: &ErrorVerdict,
    state: State,
    ratio: Option<RatioInterval>,
    end: impl Fn(f64) -> Value,
) -> Value {
    json!({
        "name": "errors",
        "state": format!("{state:?}"),
        "noData": v.no_data.map(|why| format!("{why:?}")),
        "rollbackEvidenceLog10": v.rollback_evidence_log10,
        "promotionEvidenceLog10": v.promotion_evidence_log10,
        "canary": { "requests": v.canary.requests, "errors": v.canary.errors },
        "stable": { "requests": v.stable.requests, "errors": v.stable.errors },
        "ratio": v.ratio,
        "ratioInterval": ratio.map(|i| json!({ "low": end(i.low), "high": end(i.high) })),
        "dispersion": v.phi,
        "requestsNeeded": v.requests_needed,
        "ticks": v.ticks,
        "resets": v.resets,
    })
}

fn latency_json(v: &LatencyVerdict, state: State) -> Value {
    let edges: Vec<Value> = v
        .edges
        .iter()
        .map(|edge| {
            json!({
                "le": edge.le, "canaryShareOver": edge.canary_share, "stableShareOver": edge.stable_share,
                "maxRatio": edge.max_ratio, "rollbackEvidenceLog10": edge.rollback_evidence_log10,
                "promotionEvidenceLog10": edge.promotion_evidence_log10, "dispersion": edge.phi,
                "bucketStep": edge.bucket_step,
            })
        })
        .collect();
    json!({
        "name": "latency",
        "state": format!("{state:?}"),
        "noData": v.no_data.map(|why| format!("{why:?}")),
        "rollbackEvidenceLog10": v.rollback_evidence_log10,
        "promotionEvidenceLog10": v.promotion_evidence_log10,
        "canary": { "requests": v.canary_requests },
        "stable": { "requests": v.stable_requests },
        "coarseEdges": v.coarse,
        "learnedTicks": v.learned,
        "ticks": v.ticks,
        "resets": v.resets,
        "edges": edges,
    })
}

fn as_text(found: &Found) -> String {
    let mut text = format!("{}\n", headline(found));
    let threshold = -found.budget.log10();
    let _ = writeln!(
        text,
        "evidence: log10 {:.2}, rolled back from {threshold:.2}",
        found.analysis.rollback_evidence_log10
    );
    for (metric, state) in found.analysis.verdicts.iter().zip(&found.analysis.states) {
        match metric {
            MetricVerdict::Errors(v) | MetricVerdict::Quality(v) => errors_text(&mut text, v, *state, found),
            MetricVerdict::Latency(v) => latency_text(&mut text, v, *state),
            MetricVerdict::Mean(_) | MetricVerdict::Score(_) | MetricVerdict::Threshold(_) => {}
        }
    }
    if let Some((traffic, (share, expected))) =
        found.traffic.and_then(|t| Some((t, t.share.zip(t.expected_share)?)))
    {
        let (share, expected) = (share * 100.0, expected * 100.0);
        let off = if traffic.state == TrafficState::Off { ": not as configured" } else { "" };
        let _ = writeln!(text, "traffic: {share:.1} % of the requests, expected {expected:.1} %{off}");
    }
    text
}

fn headline(found: &Found) -> String {
    match (verdict(found), found.decided_at, found.promotable_at) {
        (verdict, Some(at), Some(before)) if before < at => {
            format!("{verdict} at {at} s; it could have been promoted at {before} s")
        }
        (verdict, Some(at), _) => format!("{verdict} at {at} s"),
        ("Promote", None, Some(at)) => format!("Promote, first at {at} s"),
        (verdict, None, _) => verdict.to_owned(),
    }
}

fn errors_text(text: &mut String, v: &ErrorVerdict, state: State, found: &Found) {
    let share = |errors: f64, requests: f64| if requests > 0.0 { 100.0 * errors / requests } else { 0.0 };
    let _ = writeln!(
        text,
        "errors: {state:?}; log10 evidence {:.2} for rollback, {:.2} for promotion",
        v.rollback_evidence_log10, v.promotion_evidence_log10
    );
    if let Some(why) = v.no_data {
        let _ = writeln!(text, "  no data: {why:?}");
    }
    let _ = writeln!(
        text,
        "  canary {:.3} % of {} requests, stable {:.3} % of {}",
        share(v.canary.errors, v.canary.requests),
        v.canary.requests,
        share(v.stable.errors, v.stable.requests),
        v.stable.requests
    );
    if let Some((ratio, interval)) = v.ratio.zip(found.ratio) {
        let sure = 100.0 * (1.0 - found.budget);
        let _ = writeln!(
            text,
            "  {ratio:.2} times the stable version's, {sure} % sure at any time: {:.2} to {:.2}; dispersion {:.2}",
            interval.low, interval.high, v.phi
        );
    }
    if let (State::Undecided, Some(needed)) = (state, v.requests_needed) {
        let _ = writeln!(text, "  about {needed} more canary requests until promotion at these rates");
    }
}

fn latency_text(text: &mut String, v: &LatencyVerdict, state: State) {
    let _ = writeln!(
        text,
        "latency: {state:?}; log10 evidence {:.2} for rollback, {:.2} for promotion",
        v.rollback_evidence_log10, v.promotion_evidence_log10
    );
    if let Some(why) = v.no_data {
        let _ = writeln!(text, "  no data: {why:?}");
    }
    for edge in &v.edges {
        let _ = writeln!(
            text,
            "  over {}: canary {:.2} %, stable {:.2} %, allowed {:.2} times; log10 evidence {:.2}",
            edge.le,
            edge.canary_share * 100.0,
            edge.stable_share * 100.0,
            edge.max_ratio,
            edge.rollback_evidence_log10
        );
    }
    if v.coarse {
        text.push_str("  edges are too far apart to express the limit: it is interpolated between them\n");
    }
    if v.learned > 0 {
        let _ =
            writeln!(text, "  the first {} ticks showed what the stable version's latencies are", v.learned);
    }
}
