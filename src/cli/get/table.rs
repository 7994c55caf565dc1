//! The table, and what is said of one ModelDeployment below it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serin_api::{MetricEvidence, ModelDeployment};
use serin_engine::paint::{Paint, Tone, clean};

use super::row::Row;
use crate::facts;

/// Width of a weight's bar, in characters.
const WEIGHT: usize = 8;
/// Width of a full bar of evidence.
const EVIDENCE: usize = 16;

type Cell = (String, Tone);

/// Draws it; the last line ends with a line break.
pub fn render(rows: &[Row], namespaces: bool, now: DateTime<Utc>, paint: Paint) -> String {
    let mut heads = vec![
        "NAME",
        "STABLE",
        "CANDIDATE",
        "WEIGHT",
        "STEP",
        "VERDICT",
        "EVIDENCE",
        "READY",
        "REASON",
        "AGE",
    ];
    if namespaces {
        heads.insert(0, "NAMESPACE");
    }
    let mut lines = vec![heads.into_iter().map(|head| (head.to_owned(), Tone::Plain)).collect()];
    lines.extend(rows.iter().map(|row| cells(row, namespaces, now)));
    aligned(&lines, paint)
}

fn cells(row: &Row, namespaces: bool, now: DateTime<Utc>) -> Vec<Cell> {
    let plain = |text: Option<&String>| (text.map_or_else(|| "-".to_owned(), Clone::clone), Tone::Plain);
    let ready = match row.ready.as_deref() {
        Some("True") => Tone::Good,
        Some("False") => Tone::Bad,
        _ => Tone::Plain,
    };
    let verdict = row.verdict.map(|verdict| (format!("{verdict:?}"), verdict.into()));
    let evidence = row.evidence.as_ref().map(|e| {
        let tone = if e.log10_e >= e.limit_log10 { Tone::Bad } else { Tone::Plain };
        (format!("{} {:.2} of {:.2}", e.metric, e.log10_e, e.limit_log10), tone)
    });
    let mut cells = vec![
        plain(Some(&row.name)),
        plain(row.stable.as_ref()),
        plain(row.candidate.as_ref()),
        plain(row.copies.map(copies).or(row.weight.map(weight)).as_ref()),
        plain(row.step.as_ref()),
        verdict.unwrap_or_else(|| plain(None)),
        evidence.unwrap_or_else(|| plain(None)),
        (plain(row.ready.as_ref()).0, ready),
        (plain(row.reason.as_ref()).0, if row.stalled { Tone::Bad } else { Tone::Plain }),
        plain(row.created.map(|at| facts::age(now - at)).as_ref()),
    ];
    if namespaces {
        cells.insert(0, plain(Some(&row.namespace)));
    }
    cells
}

fn weight(percent: i32) -> String {
    let full = facts::split(percent, WEIGHT);
    format!("{}{} {percent:>3} %", "█".repeat(full), "░".repeat(WEIGHT - full))
}

/// In the width of a weight, and without its bar: nobody gets the answers.
fn copies(percent: i32) -> String {
    format!("{:<WEIGHT$} {percent:>3} %", "copies")
}

/// The first line is the head. Colours after the padding, which they would count for.
fn aligned(lines: &[Vec<Cell>], paint: Paint) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widest =
        |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.0.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        let last = line.len().saturating_sub(1);
        let padded = line.iter().zip(&widths).enumerate().map(|(column, ((text, tone), &width))| {
            let width = if column == last { 0 } else { width };
            paint.toned(*tone, &format!("{text:<width$}"))
        });
        let text = padded.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", if i == 0 { paint.faint(&text) } else { text });
    }
    out
}

/// Where it stands, what is wrong, and the evidence of each metric.
pub fn details(deployment: &ModelDeployment, paint: Paint) -> String {
    let looked_at = deployment.status.as_ref().filter(|status| !status.conditions.is_empty());
    let Some(status) = looked_at else { return "nothing was done about it yet\n".to_owned() };
    let mut out = String::new();
    if let Some(headline) = facts::headline(status) {
        let tone = if facts::is_stalled(status) { Tone::Bad } else { Tone::Plain };
        let reason = paint.toned(tone, &clean(&headline.reason));
        let _ = writeln!(out, "{reason}: {}", clean(&headline.message));
    }
    for trouble in facts::troubles(status) {
        let _ = writeln!(out, "{}", paint.toned(Tone::Bad, &facts::words(trouble)));
    }
    out.push_str(&facts::lines(&facts::channel(status)));
    let Some(against) = facts::against(status).filter(|against| !against.evidence.is_empty()) else {
        return out;
    };
    let limit = facts::limit(&deployment.spec.rollout.analysis);
    let heads = ["METRIC", "VERDICT", "LOG10 E", "EVIDENCE AGAINST IT", "ESTIMATE", "SAMPLES", "NEEDED"]
        .map(str::to_owned);
    let mut lines = vec![heads.map(|head| (head, Tone::Plain)).to_vec()];
    lines.extend(against.evidence.iter().map(|e| metric(e, limit)));
    let _ = write!(out, "\n{}", aligned(&lines, paint));
    let foot = format!("against {}, at its last step; a full bar is {limit:.2}", clean(against.version));
    let _ = writeln!(out, "{}", paint.faint(&foot));
    out
}

fn metric(e: &MetricEvidence, limit: f64) -> Vec<Cell> {
    let tone = e.verdict.into();
    let full = facts::length(facts::log10_e(e) / limit.max(0.01), EVIDENCE);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(EVIDENCE - full));
    vec![
        (clean(&e.metric), Tone::Plain),
        (format!("{:?}", e.verdict), tone),
        (format!("{:>7}", clean(&e.log10_e)), Tone::Plain),
        (bar, tone),
        (clean(&e.estimate), Tone::Plain),
        (e.samples.to_string(), Tone::Plain),
        (e.needed.map_or_else(|| "-".to_owned(), |needed| needed.to_string()), Tone::Plain),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_row_tells_the_story() {
        let rows = [Row::of(&fixtures::trying()), Row::of(&fixtures::resting())];
        assert_eq!(
            render(&rows, false, fixtures::now(), Paint::Plain),
            "NAME  STABLE  CANDIDATE  WEIGHT          STEP  VERDICT    EVIDENCE             READY  REASON     AGE\n\
             wine  v1      v2         ██░░░░░░  25 %  2/3   Undecided  errors 0.88 of 2.00  True   Analyzing  3h\n\
             wine  v1      -          -               -     Promoted   -                    True   Complete   3h\n"
        );
        let shadow = render(&[Row::of(&fixtures::shadowed())], false, fixtures::now(), Paint::Plain);
        assert!(shadow.contains("v2         copies    40 %  1/1   Pass"), "{shadow}");
        assert!(render(&rows, true, fixtures::now(), Paint::Plain).starts_with("NAMESPACE  NAME  "));
    }

    #[test]
    fn one_is_told_with_each_metric() {
        assert_eq!(
            details(&fixtures::trying(), Paint::Plain),
            "Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence\n\n\
             METRIC   VERDICT    LOG10 E  EVIDENCE AGAINST IT  ESTIMATE                               SAMPLES  NEEDED\n\
             errors   Undecided     0.88  ███████░░░░░░░░░     2.10 % errors, stable 0.44 % (4.8x)    1200     300\n\
             latency  Pass         -0.40  ░░░░░░░░░░░░░░░░     1.00 % slower than 0.5, stable 1.00 %  1200     -\n\
             against v2, at its last step; a full bar is 2.00\n"
        );
    }

    #[test]
    fn what_a_stranger_wrote_does_nothing_to_the_terminal() {
        let mut evil = fixtures::trying();
        let status = evil.status.as_mut().unwrap();
        status.candidate.as_mut().unwrap().version = "v2\u{1b}[2J\n".to_owned();
        status.conditions[0].message = "\u{1b}]0;x\u{7}".to_owned();
        let told =
            render(&[Row::of(&evil)], true, fixtures::now(), Paint::Plain) + &details(&evil, Paint::Plain);
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
        assert_eq!(told.lines().count(), 8);
    }
}
