//! How a model is judged. A gate that nothing can pass, or that everything passes, is refused before anything trains.

use super::common::{command, count, digest, env, file, image, length, object_name, range};
use crate::{Evaluation, Gate, Level, WhenNoChampion};

pub(super) fn evaluation(evaluation: &Evaluation) -> Result<(), String> {
    image("evaluation.image", &evaluation.image)?;
    command("evaluation", &evaluation.command, &evaluation.args)?;
    env("evaluation.env", &evaluation.env, |name| name.starts_with("SERIN_"))?;
    file("evaluation.dataset.uri", &evaluation.dataset.uri)?;
    digest("evaluation.dataset.digest", &evaluation.dataset.digest)?;
    range("evaluation.deadlineSeconds", evaluation.deadline_seconds, 10, 604_800)?;
    if let Some(champion) = &evaluation.champion {
        object_name("evaluation.champion", champion, 63)?;
    }
    gate(&evaluation.gate)
}

fn gate(gate: &Gate) -> Result<(), String> {
    if gate.metrics.is_empty() {
        return Err(
            "evaluation.gate.metrics is empty: a gate without a condition passes everything".to_owned()
        );
    }
    count("evaluation.gate.metrics", gate.metrics.len(), 12)?;
    count("evaluation.gate.slices", gate.slices.len(), 12)?;
    for (i, m) in gate.metrics.iter().enumerate() {
        let of = format!("evaluation.gate: metric {}", m.name);
        metric_name("evaluation.gate.metrics: name", &m.name)?;
        if gate.metrics[..i].iter().any(|other| other.name == m.name) {
            return Err(format!("{of} stands twice"));
        }
        let all = [&m.min, &m.max, &m.min_improvement, &m.max_regression];
        if all.iter().all(|bound| bound.is_none()) {
            return Err(format!(
                "{of} must say what it has to reach: min, max, minImprovement or maxRegression"
            ));
        }
        bounds(&of, m.min.as_deref(), m.max.as_deref(), m.max_regression.as_deref())?;
        decimal(&format!("{of}: minImprovement"), m.min_improvement.as_deref())?;
    }
    for (i, s) in gate.slices.iter().enumerate() {
        let of = format!("evaluation.gate: slice {}, metric {}", s.slice, s.metric);
        length("evaluation.gate.slices: slice", &s.slice, 160)?;
        metric_name("evaluation.gate.slices: metric", &s.metric)?;
        if gate.slices[..i].iter().any(|other| other.slice == s.slice && other.metric == s.metric) {
            return Err(format!("{of} stands twice"));
        }
        if s.min.is_none() && s.max.is_none() && s.max_regression.is_none() {
            return Err(format!("{of} must say what it has to reach: min, max or maxRegression"));
        }
        bounds(&of, s.min.as_deref(), s.max.as_deref(), s.max_regression.as_deref())?;
    }
    absolute(gate)?;
    match gate.require_level {
        None | Some(Level::Traceable | Level::Pinned) => Ok(()),
        Some(level @ (Level::Replayed | Level::Identical)) => Err(format!(
            "evaluation.gate.requireLevel {level:?} cannot be reached by a new version: ask for Pinned, and replay it \
             with replayOf"
        )),
    }
}

/// Without a champion only floors and ceilings can be checked.
fn absolute(gate: &Gate) -> Result<(), String> {
    let has_one = gate.metrics.iter().any(|m| m.min.is_some() || m.max.is_some())
        || gate.slices.iter().any(|s| s.min.is_some() || s.max.is_some());
    match gate.when_no_champion {
        WhenNoChampion::RequireAbsolute if !has_one => Err(
            "evaluation.gate: whenNoChampion RequireAbsolute needs a min or a max, or the first version would pass \
             unjudged; add one, or choose Reject"
                .to_owned(),
        ),
        WhenNoChampion::RequireAbsolute | WhenNoChampion::Reject => Ok(()),
    }
}

fn bounds(
    of: &str,
    min: Option<&str>,
    max: Option<&str>,
    max_regression: Option<&str>,
) -> Result<(), String> {
    let least = decimal(&format!("{of}: min"), min)?;
    let most = decimal(&format!("{of}: max"), max)?;
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        return Err(format!("{of}: no value can be at least {least} and at most {most}"));
    }
    match decimal(&format!("{of}: maxRegression"), max_regression)? {
        Some(most) if most < 0.0 => Err(format!(
            "{of}: maxRegression {most} is below zero; what must be better is asked for with minImprovement"
        )),
        Some(_) | None => Ok(()),
    }
}

/// As the schema's pattern: `-?[0-9]{1,12}(\.[0-9]{1,9})?`.
fn decimal(field: &str, text: Option<&str>) -> Result<Option<f64>, String> {
    let Some(text) = text else { return Ok(None) };
    let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let well_formed = match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole, 12) && digits(fraction, 9),
        None => digits(unsigned, 12),
    };
    match text.parse::<f64>() {
        Ok(value) if well_formed => Ok(Some(value)),
        Ok(_) | Err(_) => Err(format!("{field} {text:?} is no decimal number such as \"0.55\"")),
    }
}

fn metric_name(field: &str, name: &str) -> Result<(), String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.len() <= 40 && name.bytes().all(inner) && end(name.chars().next()) && end(name.chars().last()) {
        return Ok(());
    }
    Err(format!(
        "{field} {name:?} is no name of a metric: letters, digits and inner '.', '_', '@', '-', at most 40"
    ))
}
