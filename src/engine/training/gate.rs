//! Whether a model may become a version. Every condition must hold; what is missing or no number does not.

use serin_api::{Direction, Gate, GateMetric, GateSlice, Level, MeasuredMetric, WhenNoChampion};
use serin_wire::{Arm, EvaluationResult, Metric};

/// What the gate said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all conditions hold.
    pub passed: bool,
    /// All that do not hold, or what was reached, in one line of at most 900 bytes.
    pub message: String,
    /// What was measured, in the order of the result.
    pub metrics: Vec<MeasuredMetric>,
}

/// Longest message: it fits into a condition with something around it.
const MESSAGE_MAX: usize = 900;
/// Sums of decimals have an error of this order; a difference below it is none.
const ROUNDING: f64 = 1e-12;

/// Judges a valid result. `has_champion`: the evaluation was told of one.
pub fn judge(gate: &Gate, result: &EvaluationResult, has_champion: bool) -> Verdict {
    let mut findings = Findings::default();
    let conditions: Vec<Condition<'_>> =
        gate.metrics.iter().map(Condition::of).chain(gate.slices.iter().map(Condition::of_slice)).collect();
    if !has_champion {
        match gate.when_no_champion {
            WhenNoChampion::Reject => {
                findings
                    .fail("there is no champion to compare with, and whenNoChampion is Reject".to_owned());
            }
            WhenNoChampion::RequireAbsolute if !conditions.iter().any(Condition::is_absolute) => {
                findings.fail(
                    "there is no champion to compare with, and the gate has no min and no max".to_owned(),
                );
            }
            WhenNoChampion::RequireAbsolute => {}
        }
    }
    if conditions.is_empty() {
        findings.fail("the gate has no condition".to_owned());
    }
    for condition in &conditions {
        condition.check(&result.metrics, has_champion, &mut findings);
    }
    Verdict {
        passed: findings.failed.is_empty(),
        message: findings.message(),
        metrics: measured(&result.metrics),
    }
}

/// Whether the version is as reproducible as the gate asks for; the error is one line.
pub fn level(gate: &Gate, level: Level) -> Result<(), String> {
    match gate.require_level {
        Some(least) if level < least => Err(format!("the gate asks for level {least:?}; it is {level:?}")),
        Some(_) | None => Ok(()),
    }
}

#[derive(Default)]
struct Findings {
    failed: Vec<String>,
    held: Vec<String>,
}

impl Findings {
    fn fail(&mut self, why: String) {
        self.failed.push(why);
    }

    fn note(&mut self, holds: bool, held: String, failed: String) {
        if holds { self.held.push(held) } else { self.failed.push(failed) }
    }

    fn message(&self) -> String {
        let mut text = if self.failed.is_empty() { self.held.join("; ") } else { self.failed.join("; ") };
        if text.len() > MESSAGE_MAX {
            let cut = (0..=MESSAGE_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        text
    }
}

/// One metric, of all data or of a slice, and what it must reach.
struct Condition<'a> {
    name: &'a str,
    slice: Option<&'a str>,
    direction: Direction,
    min: Option<&'a str>,
    max: Option<&'a str>,
    min_improvement: Option<&'a str>,
    max_regression: Option<&'a str>,
}

impl<'a> Condition<'a> {
    fn of(m: &'a GateMetric) -> Self {
        Self {
            name: &m.name,
            slice: None,
            direction: m.direction,
            min: m.min.as_deref(),
            max: m.max.as_deref(),
            min_improvement: m.min_improvement.as_deref(),
            max_regression: m.max_regression.as_deref(),
        }
    }

    fn of_slice(s: &'a GateSlice) -> Self {
        Self {
            name: &s.metric,
            slice: Some(&s.slice),
            direction: s.direction,
            min: s.min.as_deref(),
            max: s.max.as_deref(),
            min_improvement: None,
            max_regression: s.max_regression.as_deref(),
        }
    }

    fn is_absolute(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    fn is_relative(&self) -> bool {
        self.min_improvement.is_some() || self.max_regression.is_some()
    }

    fn label(&self) -> String {
        self.slice.map_or_else(|| self.name.to_owned(), |slice| format!("{} of {slice}", self.name))
    }

    fn check(&self, metrics: &[Metric], has_champion: bool, findings: &mut Findings) {
        let label = self.label();
        if !self.is_absolute() && !self.is_relative() {
            return findings.fail(format!("the gate says nothing that {label} must reach"));
        }
        let Some(candidate) = self.find(metrics, Arm::Candidate) else {
            return findings.fail(format!("{label} was not measured"));
        };
        self.absolute(&label, candidate, findings);
        if !self.is_relative() || !has_champion {
            return;
        }
        match self.find(metrics, Arm::Champion) {
            None => findings.fail(format!("{label} of the champion was not measured")),
            Some(champion) => self.relative(&label, candidate, champion, findings),
        }
    }

    /// The value, if it is a number.
    fn find<'m>(&self, metrics: &'m [Metric], arm: Arm) -> Option<&'m Metric> {
        let mine = |m: &&Metric| m.arm == arm && m.name == self.name && m.slice.as_deref() == self.slice;
        let bounds = |m: &Metric| [Some(m.value), m.ci_low, m.ci_high];
        metrics.iter().find(mine).filter(|m| bounds(m).into_iter().flatten().all(f64::is_finite))
    }

    fn absolute(&self, label: &str, candidate: &Metric, findings: &mut Findings) {
        let value = candidate.value;
        let shown = number(value);
        if let Some(min) = self.bound("min", self.min, findings) {
            let holds = value >= min;
            findings.note(
                holds,
                format!("{label} {shown} is at least {}", number(min)),
                format!("{label} {shown} is below min {}", number(min)),
            );
        }
        if let Some(max) = self.bound("max", self.max, findings) {
            let holds = value <= max;
            findings.note(
                holds,
                format!("{label} {shown} is at most {}", number(max)),
                format!("{label} {shown} is above max {}", number(max)),
            );
        }
    }

    fn relative(&self, label: &str, candidate: &Metric, champion: &Metric, findings: &mut Findings) {
        let pair = format!("{label} {}, champion {}", number(candidate.value), number(champion.value));
        if let Some(least) = self.bound("minImprovement", self.min_improvement, findings) {
            // The ends that are nearest to each other: better also where both intervals are right.
            let (near, far) = match self.direction {
                Direction::Higher => {
                    (candidate.ci_low.unwrap_or(candidate.value), champion.ci_high.unwrap_or(champion.value))
                }
                Direction::Lower => {
                    (candidate.ci_high.unwrap_or(candidate.value), champion.ci_low.unwrap_or(champion.value))
                }
            };
            let gain = self.gain(near, far);
            let intervals =
                near.to_bits() != candidate.value.to_bits() || far.to_bits() != champion.value.to_bits();
            let surely = if intervals { "surely " } else { "" };
            findings.note(
                gain - least > rounding(near, far),
                format!("{pair}: {surely}better by {}", number(tidy(gain))),
                format!(
                    "{pair}: {surely}better by {}, not by more than minImprovement {}",
                    number(tidy(gain)),
                    number(least)
                ),
            );
        }
        if let Some(most) = self.bound("maxRegression", self.max_regression, findings) {
            let gain = self.gain(candidate.value, champion.value);
            findings.note(
                -gain - most <= rounding(candidate.value, champion.value),
                format!("{pair}: worse by no more than {}", number(most)),
                format!("{pair}: worse by {}, maxRegression {}", number(tidy(-gain)), number(most)),
            );
        }
    }

    /// How much better the first is than the second.
    fn gain(&self, candidate: f64, champion: f64) -> f64 {
        match self.direction {
            Direction::Higher => candidate - champion,
            Direction::Lower => champion - candidate,
        }
    }

    /// A bound of the gate; one that is no number fails, whatever was measured.
    fn bound(&self, field: &str, text: Option<&str>, findings: &mut Findings) -> Option<f64> {
        let text = text?;
        let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
        if value.is_none() {
            findings.fail(format!("{field} {text:?} of {} is no number", self.label()));
        }
        value
    }
}

fn rounding(a: f64, b: f64) -> f64 {
    ROUNDING * a.abs().max(b.abs()).max(1.0)
}

/// 0.020000000000000018 is 0.02 to people.
fn tidy(difference: f64) -> f64 {
    format!("{difference:.9}").parse().unwrap_or(difference)
}

/// A number as people write it; without a digit that was not measured, and bounded.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-6..1e15).contains(&magnitude) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// Candidate and champion side by side.
fn measured(metrics: &[Metric]) -> Vec<MeasuredMetric> {
    let champion_of = |m: &Metric| {
        metrics.iter().find(|c| c.arm == Arm::Champion && c.name == m.name && c.slice == m.slice)
    };
    metrics
        .iter()
        .filter(|m| m.arm == Arm::Candidate)
        .map(|m| MeasuredMetric {
            name: m.name.clone(),
            slice: m.slice.clone(),
            candidate: number(m.value),
            champion: champion_of(m).map(|c| number(c.value)),
        })
        .collect()
}
