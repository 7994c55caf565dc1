//! An explanation as one page that needs nothing else: no script, no asset, nothing fetched.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serin_api::{MetricEvidence, Verdict};

use super::{
    Explanation,
    chart::{Line, chart},
};
use crate::html::{document, escape};

/// The whole page; `links` is what stands above the title, as HTML.
pub fn render(e: &Explanation, links: &str) -> String {
    let mut body = format!(
        "{links}<h1>{name}: {version} <span class=\"{verdict:?}\">{verdict:?}\
         </span></h1><p class=\"faint\">{revision} beside {against}, {from} to {until}</p>",
        name = escape(&e.name),
        version = escape(&e.trial.version),
        verdict = e.verdict,
        revision = escape(&e.trial.revision),
        against = escape(&e.trial.against),
        from = e.trial.from.format("%Y-%m-%d %H:%M:%S"),
        until = e.trial.until.format("%H:%M:%S UTC"),
    );
    for sentence in &e.because {
        let _ = write!(body, "<p>{}</p>", escape(sentence));
    }
    table(&mut body, &e.evidence);
    evidence(&mut body, e);
    for (metric, unit) in &e.units {
        both(&mut body, e, metric, unit);
    }
    weights(&mut body, e);
    document(&format!("{}: {}", e.name, e.trial.version), &body)
}

fn table(page: &mut String, evidence: &[MetricEvidence]) {
    page.push_str("<h2>Metrics</h2><table><tr><th>Metric<th>Verdict<th>log10 e<th>Estimate<th>Samples</tr>");
    for m in evidence {
        let _ = write!(
            page,
            "<tr><td>{}<td class=\"{v:?}\">{v:?}<td>{}<td>{}<td>{}</tr>",
            escape(&m.metric),
            escape(&m.log10_e),
            escape(&m.estimate),
            m.samples,
            v = m.verdict
        );
    }
    page.push_str("</table>");
}

fn evidence(page: &mut String, e: &Explanation) {
    let points = e.curve.iter().map(|p| (since(e, p.at), p.log10_e)).collect();
    let line = Line { class: "evidence", points, steps: false };
    let drawn = chart("log10 of the evidence over time", length(e), Some(e.threshold_log10), &[line]);
    let when = e.decided_at.filter(|_| e.verdict == Verdict::Fail);
    let when = when.map_or_else(String::new, |at| format!("; reached at {}", at.format("%H:%M:%S")));
    let _ = write!(
        page,
        "<h2>Evidence against it</h2><figure>{drawn}<figcaption>log10 of the evidence, all metrics together\
         <span class=\"key bound\">from {:.2} on it is sent back{when}</span></figcaption></figure>",
        e.threshold_log10
    );
}

fn both(page: &mut String, e: &Explanation, metric: &str, unit: &str) {
    let of = |value: fn(&crate::measure::MetricPoint) -> Option<f64>| {
        let at = |p: &crate::measure::Point| {
            let found = p.metrics.iter().find(|m| m.metric == metric).and_then(value)?;
            Some((since(e, p.at), found))
        };
        e.curve.iter().filter_map(at).collect::<Vec<_>>()
    };
    let (candidate, stable) = (of(|m| m.candidate), of(|m| m.stable));
    let lines = [
        Line { class: "stable", points: stable, steps: false },
        Line { class: "candidate", points: candidate, steps: false },
    ];
    let metric = escape(metric);
    let drawn = chart(&format!("{metric} over time"), length(e), None, &lines);
    let _ = write!(
        page,
        "<h2>{metric}</h2><figure>{drawn}<figcaption>{unit}, since the start of the trial\
         <span class=\"key candidate\">candidate</span><span class=\"key stable\">stable</span></figcaption></figure>"
    );
}

fn weights(page: &mut String, e: &Explanation) {
    let mut points = vec![(0.0, 0.0)];
    points.extend(e.trial.weights.iter().map(|w| (since(e, w.at), f64::from(w.load()))));
    points.push((length(e), points.last().map_or(0.0, |p| p.1)));
    let drawn = chart("weight over time", length(e), None, &[Line { class: "weight", points, steps: true }]);
    let what = if e.is_shadow() { "percent of the requests, as copies" } else { "percent" };
    let _ = write!(
        page,
        "<h2>Traffic</h2><figure>{drawn}<figcaption>{what} to the candidate; minutes since its first request</figcaption></figure>"
    );
}

fn since(e: &Explanation, at: DateTime<Utc>) -> f64 {
    (at - e.trial.from).as_seconds_f64()
}

fn length(e: &Explanation) -> f64 {
    since(e, e.trial.until)
}
