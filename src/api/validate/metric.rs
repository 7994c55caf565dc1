//! A metric of an analysis.

use super::common::range;
use crate::{
    Counter, ErrorRatio, Except, Failures, Metric, MetricKind, Quality, RequestCounter, Score, Threshold,
    metrics::Pair, quantity,
};

/// Checks one whose series are all named.
pub(super) fn check(m: &Metric) -> Result<(), String> {
    let kinds = "errorRatio, latency, meanLatency, quality, score, threshold";
    let kind = m.kind().ok_or(format!("must have exactly one of {kinds}"));
    kind.and_then(|kind| match kind {
        MetricKind::ErrorRatio(e) => error_ratio(e),
        MetricKind::Latency(l) => {
            increases(l.max_increase_percent, l.unacceptable_increase_percent)?;
            let histogram = l.histogram.as_ref().ok_or("latency.histogram must be named")?;
            series(&histogram.series)?;
            except(&histogram.except)
        }
        MetricKind::MeanLatency(l) => {
            increases(l.max_increase_percent, l.unacceptable_increase_percent)?;
            let sum = l.sum.as_ref().ok_or("meanLatency.sum must be named")?;
            let (total, count) = sum.names();
            if total == count {
                return Err("the sum and its count are the same series".to_owned());
            }
            series(&total)?;
            series(&count)?;
            except(&sum.except)
        }
        MetricKind::Quality(q) => quality(q),
        MetricKind::Score(s) => score(s),
        MetricKind::Threshold(t) => threshold(t),
    })
    .map_err(|why| format!("metric {}: {why}", m.name))
}

fn error_ratio(e: &ErrorRatio) -> Result<(), String> {
    ratios(e.max_ratio_percent, e.unacceptable_ratio_percent)?;
    range("sloErrorPermille", e.slo_error_permille, 0, 500)?;
    match (&e.requests, &e.failures) {
        (Some(requests), None) => by_code(requests),
        (None, Some(failures)) => apart(failures),
        _ => Err("errorRatio has at most one of requests, failures".to_owned()),
    }
}

fn by_code(requests: &RequestCounter) -> Result<(), String> {
    if let Some(code) = requests.error_codes.iter().find(|c| !code_pattern(c)) {
        return Err(format!(
            "{code:?} is neither a status code nor a class such as 5xx, nor a word such as INTERNAL"
        ));
    }
    if requests.error_codes.is_empty() {
        return Err("errorCodes must hold at least one code".to_owned());
    }
    series(&requests.series)?;
    label(&requests.code_label)?;
    except(&requests.except)
}

fn apart(failures: &Failures) -> Result<(), String> {
    let Some(
        Pair::Apart { failed: one, succeeded: other }
        | Pair::Failed { all: one, failed: other }
        | Pair::Succeeded { all: one, succeeded: other },
    ) = failures.pair()
    else {
        return Err("failures has exactly two of failed, succeeded, all".to_owned());
    };
    if one == other {
        return Err("failures: both are the same series".to_owned());
    }
    counter(one)?;
    counter(other)
}

pub(super) fn counter(c: &Counter) -> Result<(), String> {
    series(&c.series)?;
    except(&c.except)
}

fn except(all: &[Except]) -> Result<(), String> {
    for one in all {
        label(&one.label)?;
        if one.values.is_empty() {
            return Err(format!("except: {} has no values", one.label));
        }
    }
    Ok(())
}

fn quality(q: &Quality) -> Result<(), String> {
    ratios(q.max_ratio_percent, q.unacceptable_ratio_percent)?;
    range("sloBadPermille", q.slo_bad_permille, 0, 500)?;
    counter(&q.all)?;
    match (&q.bad, &q.good) {
        (Some(part), None) | (None, Some(part)) if part.series == q.all.series => {
            Err("all and its part are the same series".to_owned())
        }
        (Some(part), None) | (None, Some(part)) => counter(part),
        _ => Err("quality has exactly one of bad, good".to_owned()),
    }
}

fn score(s: &Score) -> Result<(), String> {
    series(&s.gauge.series)?;
    let (min, max) = (number(&s.min)?, number(&s.max)?);
    if min >= max {
        return Err(format!("min {} must be below max {}", s.min, s.max));
    }
    let (margin, worst) = (number(&s.margin)?, number(&s.unacceptable_margin)?);
    if margin < 0.0 || worst <= margin || worst > max - min {
        return Err(format!(
            "margin {} must be at least 0, unacceptableMargin {} above it and at most max - min",
            s.margin, s.unacceptable_margin
        ));
    }
    Ok(())
}

fn threshold(t: &Threshold) -> Result<(), String> {
    if t.max.is_none() && t.min.is_none() {
        return Err("a threshold needs max or min".to_owned());
    }
    let bound = |b: &Option<String>| b.as_deref().map(number).transpose();
    if let (Some(max), Some(min)) = (bound(&t.max)?, bound(&t.min)?)
        && min > max
    {
        return Err("no value can be above min and below max".to_owned());
    }
    series(&t.gauge.series)
}

fn ratios(max: i32, unacceptable: i32) -> Result<(), String> {
    if unacceptable <= max {
        return Err(format!("unacceptableRatioPercent {unacceptable} must be above maxRatioPercent {max}"));
    }
    range("maxRatioPercent", max, 100, 1000)
}

fn increases(max: i32, unacceptable: i32) -> Result<(), String> {
    if unacceptable <= max {
        return Err(format!(
            "unacceptableIncreasePercent {unacceptable} must be above maxIncreasePercent {max}"
        ));
    }
    range("maxIncreasePercent", max, 1, 1000)?;
    range("unacceptableIncreasePercent", unacceptable, 2, 10_000)
}

fn number(text: &str) -> Result<f64, String> {
    quantity::parse(text).ok_or_else(|| format!("{text:?} is not a quantity (2Gi, 250m, 0.3)"))
}

fn series(s: &str) -> Result<(), String> {
    let first = s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':');
    if first && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') {
        Ok(())
    } else {
        Err(format!("{s:?} is not the name of a series"))
    }
}

fn label(s: &str) -> Result<(), String> {
    let first = s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(())
    } else {
        Err(format!("{s:?} is not the name of a label"))
    }
}

/// `500`, `5xx` or `INTERNAL`.
fn code_pattern(s: &str) -> bool {
    match s.as_bytes() {
        [b'A'..=b'Z', rest @ ..] => rest.iter().all(|b| b.is_ascii_uppercase() || *b == b'_'),
        [b'1'..=b'5', rest @ ..] => rest == b"xx" || (rest.len() == 2 && rest.iter().all(u8::is_ascii_digit)),
        _ => false,
    }
}
