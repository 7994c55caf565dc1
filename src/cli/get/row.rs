//! What the table says of one ModelDeployment.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serin_api::{
    MetricEvidence, ModelDeployment, Verdict,
    conditions::{self, Type},
};
use serin_engine::paint::clean;

use crate::facts;

/// A row, for people and programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub namespace: String,
    pub name: String,
    /// The version that serves.
    pub stable: Option<String>,
    /// The version that is being tried.
    pub candidate: Option<String>,
    /// Percent of the traffic that the candidate has.
    pub weight: Option<i32>,
    /// Percent of the requests that a shadow gets copies of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<i32>,
    /// `2/4`.
    pub step: Option<String>,
    pub verdict: Option<Verdict>,
    /// The metric that speaks loudest against the candidate.
    pub evidence: Option<Evidence>,
    /// Status of the condition `Ready`.
    pub ready: Option<String>,
    /// Where the rollout stands: the reason of the condition `Progressing`.
    pub reason: Option<String>,
    /// Whether nothing more will happen by itself.
    pub stalled: bool,
    pub created: Option<DateTime<Utc>>,
}

/// A metric's evidence and how much of it sends a candidate back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub metric: String,
    pub log10_e: f64,
    pub limit_log10: f64,
}

impl Row {
    pub fn of(deployment: &ModelDeployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let candidate = status.candidate.as_ref();
        let strongest = candidate.and_then(|c| facts::strongest(&c.evidence));
        Self {
            namespace: clean(deployment.metadata.namespace.as_deref().unwrap_or_default()),
            name: clean(deployment.metadata.name.as_deref().unwrap_or_default()),
            stable: status.stable.as_ref().map(|s| clean(&s.version)),
            candidate: candidate.map(|c| clean(&c.version)),
            weight: candidate.map(|c| c.weight),
            copies: candidate.map(serin_api::Candidate::mirror_percent).filter(|percent| *percent > 0),
            step: candidate.map(|c| clean(&c.step)),
            verdict: status.verdict,
            evidence: strongest.map(|e| Evidence {
                metric: clean(&e.metric),
                log10_e: facts::log10_e(e),
                limit_log10: facts::limit(&deployment.spec.rollout.analysis),
            }),
            ready: conditions::get(&status.conditions, Type::Ready).map(|c| clean(&c.status)),
            reason: facts::headline(&status).map(|c| clean(&c.reason)),
            stalled: facts::is_stalled(&status),
            created: facts::created(deployment),
        }
    }
}

/// Where the rollout stands, in words.
pub fn message(deployment: &ModelDeployment) -> Option<String> {
    facts::headline(deployment.status.as_ref()?).map(|c| clean(&c.message))
}

/// The evidence about the candidate, or about the version that stays rejected.
pub fn metrics(deployment: &ModelDeployment) -> &[MetricEvidence] {
    deployment.status.as_ref().and_then(facts::against).map_or(&[], |against| against.evidence)
}

/// What to say of objects that could not be read.
pub fn unreadable(names: &[String]) -> Option<String> {
    let many = match names.len() {
        0 => return None,
        1 => "1 ModelDeployment".to_owned(),
        n => format!("{n} ModelDeployments"),
    };
    let names: Vec<String> = names.iter().map(|name| clean(name)).collect();
    Some(format!("{many} could not be read by this version of serin: {}", names.join(", ")))
}
