//! What a ModelDeployment says of itself, in the few words that a line has room for.

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serin_api::{
    Analysis, Candidate, MetricEvidence, ModelDeployment, ModelDeploymentStatus, PassedOver, Reason,
    conditions::{self, Type},
};
use serin_engine::paint::clean;

/// Evidence and whom it speaks against.
pub struct Against<'a> {
    pub version: &'a str,
    pub evidence: &'a [MetricEvidence],
}

/// log10 of the evidence at which a candidate is sent back.
pub fn limit(analysis: &Analysis) -> f64 {
    -(f64::from(analysis.false_rollback_budget_permille) / 1000.0).log10()
}

/// A metric's evidence as a number; 0 where it is none.
pub fn log10_e(evidence: &MetricEvidence) -> f64 {
    evidence.log10_e.parse().ok().filter(|e: &f64| e.is_finite()).unwrap_or(0.0)
}

/// The metric that speaks loudest.
pub fn strongest(evidence: &[MetricEvidence]) -> Option<&MetricEvidence> {
    evidence.iter().max_by(|a, b| log10_e(a).total_cmp(&log10_e(b)))
}

/// The evidence about the candidate, or about the version that stays rejected.
pub fn against(status: &ModelDeploymentStatus) -> Option<Against<'_>> {
    if let Some(c) = &status.candidate {
        return Some(Against { version: &c.version, evidence: &c.evidence });
    }
    let failed = status.last_failed.as_ref().filter(|_| is_rejected(status))?;
    Some(Against { version: &failed.version, evidence: &failed.evidence })
}

/// Whether the spec asks for a version that stays rejected.
pub fn is_rejected(status: &ModelDeploymentStatus) -> bool {
    headline(status).is_some_and(|c| c.reason == Reason::Rejected.as_str())
}

/// What a candidate has of the requests: `25 %`, or of their copies.
pub fn share(c: &Candidate) -> String {
    match c.mirror_percent() {
        0 => format!("{} %", c.weight),
        copies => format!("copies of {copies} %"),
    }
}

/// The condition that says where things stand.
pub fn headline(status: &ModelDeploymentStatus) -> Option<&Condition> {
    conditions::get(&status.conditions, Type::Progressing)
}

/// Whether nothing more will happen by itself.
pub fn is_stalled(status: &ModelDeploymentStatus) -> bool {
    conditions::is_true(&status.conditions, Type::Stalled)
}

/// Conditions that tell of trouble, beside the headline.
pub fn troubles(status: &ModelDeploymentStatus) -> impl Iterator<Item = &Condition> {
    let bad = [
        (Type::Ready, "True", false),
        (Type::MetricsAvailable, "False", true),
        (Type::ArtifactVerified, "False", true),
        (Type::Revoked, "True", true),
    ];
    bad.into_iter().filter_map(|(ty, state, is)| {
        conditions::get(&status.conditions, ty).filter(|c| (c.status == state) == is)
    })
}

/// A condition in words.
pub fn words(condition: &Condition) -> String {
    let Condition { type_, status, reason, message, .. } = condition;
    let colon = if message.is_empty() { "" } else { ": " };
    clean(&format!("{type_} is {status} ({reason}){colon}{message}"))
}

/// What its channel leads to, past what, and what is barred.
pub fn channel(status: &ModelDeploymentStatus) -> Vec<String> {
    let Some(channel) = &status.channel else { return Vec::new() };
    let version = channel.version.as_deref().unwrap_or("no version");
    let mut lines = vec![format!("channel {} leads to {version}", channel.model)];
    for PassedOver { version, reason, message } in &channel.passed_over {
        lines.push(format!("past {version} ({reason:?}): {message}"));
    }
    let said = |version: &str| channel.passed_over.iter().any(|passed| passed.version == version);
    for bar in channel.bars.iter().filter(|bar| !said(&bar.version)) {
        lines.push(format!("{} is barred ({})", bar.version, bar.reason));
    }
    lines.iter().map(|line| clean(line)).collect()
}

/// As text, each with its line break.
pub fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// When the object was made.
pub fn created(deployment: &ModelDeployment) -> Option<DateTime<Utc>> {
    deployment.metadata.creation_timestamp.as_ref().and_then(conditions::from_time)
}

/// How long, as kubectl says it.
pub fn age(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |a: i64, one: &str, b: i64, other: &str| match b {
        0 => format!("{a}{one}"),
        b => format!("{a}{one}{b}{other}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

/// How many of `width` characters a share of a bar takes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the width of a bar"
)]
pub fn length(share: f64, width: usize) -> usize {
    (share.clamp(0.0, 1.0) * width as f64).round() as usize
}

/// The same for a percentage: what there is of either side is seen.
pub fn split(percent: i32, width: usize) -> usize {
    let length = length(f64::from(percent) / 100.0, width);
    match percent {
        ..=0 => 0,
        100.. => width,
        _ => length.clamp(1, width.saturating_sub(1).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_says_where_it_leads_and_past_what() {
        let bar = |version: &str| {
            serde_json::json!({"version": version, "digest": "d", "revision": "r", "reason": "CrashLoop",
                "at": "2026-08-01T09:00:00Z"})
        };
        let md = crate::fixtures::deployment(&serde_json::json!({"channel": {
            "model": "wine", "version": "wine-2", "digest": "d",
            "passedOver": [{"version": "wine-3", "reason": "Barred", "message": "it was rolled back\u{1b}[2J"}],
            "bars": [bar("wine-3"), bar("wine-1")],
        }}));
        assert_eq!(
            channel(&md.status.unwrap()),
            [
                "channel wine leads to wine-2",
                "past wine-3 (Barred): it was rolled back [2J",
                "wine-1 is barred (CrashLoop)",
            ]
        );
    }

    #[test]
    fn ages_read_like_those_of_kubectl() {
        let ages = [5, 119, 120, 185, 3000, 11_100, 100_000, 176_400, 900_000, -3];
        let said: Vec<String> = ages.map(|s| age(TimeDelta::seconds(s))).into();
        assert_eq!(said, ["5s", "119s", "2m", "3m5s", "50m", "3h5m", "27h", "2d1h", "10d", "0s"]);
    }

    #[test]
    fn a_small_share_is_seen_and_so_is_a_small_rest() {
        assert_eq!([0, 1, 50, 99, 100].map(|percent| split(percent, 8)), [0, 1, 4, 7, 8]);
        assert_eq!([0, 50, 100].map(|percent| split(percent, 1)), [0, 1, 1]);
    }
}
