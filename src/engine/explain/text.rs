//! An explanation as text: sentences, the metrics, and the evidence over time.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serin_api::{MetricEvidence, Verdict, WeightRecord};

use super::Explanation;
use crate::paint::{Paint, clean};

/// Most lines of the table over time.
const LINES: usize = 20;
/// Width of a full bar, in characters.
const BAR: f64 = 24.0;

/// Draws it; the last line ends with a line break.
pub fn render(e: &Explanation, paint: Paint) -> String {
    let mut out = String::new();
    let verdict = paint.toned(e.verdict.into(), &format!("{:?}", e.verdict));
    let _ = writeln!(
        out,
        "{} {} {verdict}",
        paint.bold(&format!("{}: {}", e.name, e.trial.version)),
        paint.faint("·")
    );
    let _ = writeln!(out, "{}", paint.faint(&format!("{} beside {}", e.trial.revision, e.trial.against)));
    for sentence in &e.because {
        let _ = writeln!(out, "  {}", clean(sentence));
    }
    out.push('\n');
    out.push_str(&metrics(&e.evidence, paint));
    out.push('\n');
    out.push_str(&over_time(e, paint));
    out
}

fn metrics(evidence: &[MetricEvidence], paint: Paint) -> String {
    let wide = |cell: fn(&MetricEvidence) -> usize, least: usize| {
        evidence.iter().map(cell).max().unwrap_or(0).max(least)
    };
    let (name, estimate) = (wide(|m| m.metric.chars().count(), 6), wide(|m| m.estimate.chars().count(), 8));
    let head = format!(
        "{:<name$}  {:<9}  {:>8}  {:<estimate$}  SAMPLES",
        "METRIC", "VERDICT", "LOG10 E", "ESTIMATE"
    );
    let mut out = format!("{}\n", paint.faint(&head));
    for m in evidence {
        let verdict = paint.toned(m.verdict.into(), &format!("{:<9}", format!("{:?}", m.verdict)));
        let (metric, log10_e, estimated, samples) = (&m.metric, &m.log10_e, &m.estimate, m.samples);
        let _ = writeln!(out, "{metric:<name$}  {verdict}  {log10_e:>8}  {estimated:<estimate$}  {samples}");
    }
    out
}

fn over_time(e: &Explanation, paint: Paint) -> String {
    let last = e.curve.len().saturating_sub(1);
    let stride = e.curve.len().div_ceil(LINES).max(1);
    let decided = e.curve.iter().position(|p| p.verdict == Verdict::Fail);
    let shown = (0..e.curve.len()).filter(|i| i % stride == 0 || *i == last || Some(*i) == decided);
    let share = if e.is_shadow() { "COPIES" } else { "WEIGHT" };
    let head = format!("{:<8}  {share:>6}  {:>8}  EVIDENCE AGAINST IT", "TIME", "LOG10 E");
    let mut out = format!("{}\n", paint.faint(&head));
    for i in shown {
        let Some(point) = e.curve.get(i) else { continue };
        let weight = weight_at(&e.trial.weights, point.at);
        let bar = bar(point.log10_e, e.threshold_log10);
        let mark = if Some(i) == decided { "  <- enough to send it back" } else { "" };
        let line = format!("{bar}{mark}");
        let at = point.at.format("%H:%M:%S");
        let painted = paint.toned(point.verdict.into(), &line);
        let _ = writeln!(out, "{at}  {weight:>4} %  {:>8.2}  {}", point.log10_e, painted.trim_end());
    }
    let _ = writeln!(
        out,
        "{}",
        paint.faint(&format!("a full bar is {:.2}, at which a candidate is sent back", e.threshold_log10))
    );
    out
}

/// The percentage of requests or copies at a moment; 0 before the first.
fn weight_at(weights: &[WeightRecord], at: DateTime<Utc>) -> i32 {
    weights.iter().rev().find(|w| w.at <= at).map_or(0, WeightRecord::load)
}

fn bar(value: f64, full: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the width of a bar"
    )]
    let length = (BAR * (value / full.max(0.01)).clamp(0.0, 1.0)).round() as usize;
    "█".repeat(length)
}
