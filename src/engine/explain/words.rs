//! What a judgement means, in sentences.

use serin_api::{Analysis, Outcome, Reason, Verdict, WeightRecord};

use super::Explanation;
use crate::measure::Judgement;

/// What happened; what the evidence says; how sure that is.
pub(super) fn because(e: &Explanation, analysis: &Analysis, found: &Judgement) -> Vec<String> {
    let misrouted = found.misrouted.as_ref().map(|shares| {
        format!("Its traffic is not what the weights say, so that no comparison promotes it: {shares}.")
    });
    [
        Some(happened(e)),
        Some(says(e, &found.summary)),
        misrouted,
        sureness(e, analysis),
        remains(e),
        differs(e),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn happened(e: &Explanation) -> String {
    let version = &e.trial.version;
    let last = e.trial.weights.last();
    let copies = last.map_or(0, |w| w.mirror_percent);
    let share = match last.map_or(0, |w| w.weight) {
        _ if copies > 0 => format!("copies of {copies} % of the requests"),
        weight => format!("{weight} % of the traffic"),
    };
    let at = if copies > 0 { "with" } else { "at" };
    match (e.trial.outcome, &e.trial.recorded) {
        // What the metrics said then follows below.
        (Some(Outcome::RolledBack), Some(why)) if why.reason == Reason::AnalysisFailed.as_str() => {
            format!("{version} was sent back {at} {share}, on its metrics.")
        }
        (Some(Outcome::RolledBack), Some(why)) => {
            format!("{version} was sent back {at} {share} ({}): {}.", why.reason, why.message)
        }
        (Some(Outcome::RolledBack), None) => {
            format!("{version} was sent back {at} {share}; the reason is no longer in the status.")
        }
        (Some(Outcome::Promoted), _) if previewed(e) => {
            format!("{version} took over all traffic after its preview.")
        }
        (Some(Outcome::Promoted), _) => format!("{version} took over after {share}."),
        (Some(Outcome::Superseded), _) => {
            format!("{version} had {share} when another spec came.")
        }
        (Some(Outcome::Deployed), _) => {
            format!("{version} took over without a verdict: nothing else was available.")
        }
        (None, Some(why)) => format!("{version} is being sent back ({}): {}.", why.reason, why.message),
        (None, None) if previewed(e) => format!("{version} is previewed, without public traffic."),
        (None, None) if copies > 0 => format!("{version} is a shadow: it gets {share} and is being judged."),
        (None, None) => format!("{version} has {share} and is being judged."),
    }
}

fn says(e: &Explanation, summary: &str) -> String {
    let what = match e.verdict {
        Verdict::Fail => "It is worse than allowed",
        Verdict::Pass => "It is good enough in every metric",
        Verdict::Undecided => "The evidence decides nothing",
        _ => "There is too little to judge",
    };
    if summary.is_empty() { format!("{what}.") } else { format!("{what}: {summary}.") }
}

/// Whether it never had any of the public traffic during its trial, nor copies of it.
fn previewed(e: &Explanation) -> bool {
    !e.trial.weights.iter().any(WeightRecord::has_requests)
}

/// An e-value of e appears in fewer than one of e trials in which nothing is wrong, whenever one looks (Ville).
fn sureness(e: &Explanation, analysis: &Analysis) -> Option<String> {
    let budget = analysis.false_rollback_budget_permille;
    match e.verdict {
        Verdict::Fail => {
            // A broken bound is sure by itself.
            let most = e.curve.iter().map(|p| p.log10_e).fold(0.0, f64::max);
            (most >= e.threshold_log10).then(|| {
                format!(
                    "Of versions within the limits fewer than 1 in {} ever look like this; {budget} in 1000 are allowed to.",
                    thousands(10_f64.powf(most))
                )
            })
        }
        Verdict::Pass => Some(format!(
            "Of versions that are unacceptable at most {} in 1000 ever look this good.",
            analysis.false_promotion_budget_permille
        )),
        Verdict::Undecided => {
            let now = e.curve.last().map_or(0.0, |p| p.log10_e);
            let needs = e.threshold_log10;
            Some(format!("log10 of the evidence against it is {now:.2}; from {needs:.2} on it is sent back."))
        }
        _ => None,
    }
}

fn remains(e: &Explanation) -> Option<String> {
    let needed = e.evidence.iter().filter_map(|m| m.needed).max();
    let needed = needed.filter(|n| *n > 0 && e.verdict == Verdict::Undecided)?;
    Some(format!("At these rates about {needed} more of its requests are needed for a promotion."))
}

/// Prometheus forgets, and a spec may have changed since: then this is another judgement than the one that counted.
fn differs(e: &Explanation) -> Option<String> {
    let by_metrics =
        e.trial.recorded.as_ref().is_some_and(|why| why.reason == Reason::AnalysisFailed.as_str());
    match (e.trial.outcome, e.verdict) {
        (Some(Outcome::RolledBack), verdict) if by_metrics && verdict != Verdict::Fail => Some(format!(
            "It was sent back on its metrics, but judged again it is {verdict:?}: Prometheus has other samples now, or \
             rollout.analysis was changed."
        )),
        (Some(Outcome::RolledBack), Verdict::Undecided | Verdict::Pass) if e.trial.recorded.is_some() => {
            Some("The metrics did not decide this.".to_owned())
        }
        (Some(Outcome::Promoted), Verdict::Undecided | Verdict::NoData) if previewed(e) => {
            Some("A preview asks for nothing in its favour: only what speaks against it counts.".to_owned())
        }
        (Some(Outcome::Promoted), Verdict::Undecided | Verdict::NoData) => Some(
            "The metrics alone would not have promoted it: a person or rollout.analysis.onHorizon did, or \
             Prometheus has other samples now."
                .to_owned(),
        ),
        _ => None,
    }
}

/// `1,122`.
fn thousands(value: f64) -> String {
    if value >= 1e15 {
        return format!("{value:.0e}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn large_numbers_can_be_read() {
        assert_eq!([999.6, 1122.0, 12_345_678.0].map(thousands), ["1,000", "1,122", "12,345,678"]);
        assert_eq!(thousands(1e40), "1e40");
    }
}
