//! Why a candidate was promoted, sent back or held: the trial in the status, judged again from the samples that
//! Prometheus still has. The same functions decide in the operator, so that what is explained is what happened.
//!
//! - [`Trial`]: which candidate, beside what, when; found in the status
//! - [`Explanation`]: the judgement again, its curve, and what it means in words (`words`)
//! - [`text`] for a terminal, [`html`] for a browser, drawn by `chart`

mod chart;
pub mod html;
pub mod text;
mod words;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serin_api::{
    Candidate, HistoryEntry, MetricEvidence, ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus,
    Outcome, Verdict, WeightRecord,
};

use crate::{
    measure::{self, Measurement, Samples},
    revision::child_name,
};

/// One trial of a candidate, as the status has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Word for people.
    pub version: String,
    /// The candidate's revision.
    pub revision: String,
    /// The stable revision that it stood beside.
    pub against: String,
    /// First traffic.
    pub from: DateTime<Utc>,
    /// Its end, or now.
    pub until: DateTime<Utc>,
    /// Weights over time.
    pub weights: Vec<WeightRecord>,
    /// How it ended; `None`: it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The reason that the status gives, as far as it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// Reason and message of a rejection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recorded {
    /// A [`serin_api::Reason`].
    pub reason: String,
    /// In words.
    pub message: String,
}

impl Trial {
    /// The trial of `revision`, or the last one. An error says what there is instead.
    pub fn find(
        status: &ModelDeploymentStatus,
        revision: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let wanted = |id: &str| revision.is_none_or(|wanted| wanted == id);
        if let (Some(c), Some(stable)) = (&status.candidate, &status.stable)
            && wanted(&c.revision)
        {
            return Self::running(c, &stable.revision, now);
        }
        let mut tried = status.history.iter().filter(|entry| entry.trial.is_some());
        let found = tried.clone().find(|entry| wanted(&entry.revision));
        if let Some(found) = found.and_then(|entry| Self::ended(entry, status)) {
            return Ok(found);
        }
        Err(match (revision, tried.next()) {
            (Some(wanted), Some(_)) => {
                let known: Vec<&str> = tried_revisions(status);
                format!("{wanted} is in no trial that is still recorded; these are: {}", known.join(", "))
            }
            _ => "no version has been compared with another one yet".to_owned(),
        })
    }

    fn running(c: &Candidate, against: &str, now: DateTime<Utc>) -> Result<Self, String> {
        let Some(from) = c.analysis_from else {
            return Err(format!("{} has had no traffic yet: there is nothing to judge", c.version));
        };
        Ok(Self {
            version: c.version.clone(),
            revision: c.revision.clone(),
            against: against.to_owned(),
            from,
            until: now,
            weights: c.weights.clone(),
            outcome: None,
            recorded: c
                .retreat
                .as_ref()
                .map(|r| Recorded { reason: r.reason.clone(), message: r.message.clone() }),
        })
    }

    fn ended(entry: &HistoryEntry, status: &ModelDeploymentStatus) -> Option<Self> {
        let trial = entry.trial.as_ref()?;
        let failed = status.last_failed.as_ref();
        let failed = failed.filter(|f| f.revision == entry.revision && f.at == entry.at);
        Some(Self {
            version: entry.version.clone(),
            revision: entry.revision.clone(),
            against: trial.against.clone(),
            from: trial.from,
            until: entry.at,
            weights: trial.weights.clone(),
            outcome: Some(entry.outcome),
            recorded: failed.map(|f| Recorded { reason: f.reason.clone(), message: f.message.clone() }),
        })
    }

    /// What to read from Prometheus for it.
    pub fn measurement(&self, deployment: &ModelDeployment) -> Measurement {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let of = |revision: &str| child_name(name, uid, revision);
        let (candidate, stable) = (of(&self.revision), of(&self.against));
        measure::comparison(&deployment.spec, candidate, stable, self.from, self.until)
            .weighed(&deployment.spec, &self.weights)
    }
}

fn tried_revisions(status: &ModelDeploymentStatus) -> Vec<&str> {
    status.history.iter().filter(|e| e.trial.is_some()).map(|e| e.revision.as_str()).collect()
}

/// A trial, judged again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Name of the ModelDeployment.
    pub name: String,
    /// What is explained.
    #[serde(flatten)]
    pub trial: Trial,
    /// The verdict, judged again.
    pub verdict: Verdict,
    /// The look at which it was clear that the candidate is worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<DateTime<Utc>>,
    /// log10 of the evidence at which a candidate is sent back.
    pub threshold_log10: f64,
    /// What it comes down to, a sentence each.
    pub because: Vec<String>,
    /// Each metric at the end.
    pub evidence: Vec<MetricEvidence>,
    /// What the numbers of each metric count, by the metric's name.
    pub units: Vec<(String, &'static str)>,
    /// The evidence over time.
    pub curve: Vec<measure::Point>,
}

impl Explanation {
    /// Whether it was tried on copies of requests.
    pub(crate) fn is_shadow(&self) -> bool {
        self.trial.weights.iter().any(|w| w.mirror_percent > 0)
    }
}

/// Judges a trial again. `samples` are those of [`Trial::measurement`].
pub fn explain(
    name: &str,
    spec: &ModelDeploymentSpec,
    trial: Trial,
    m: &Measurement,
    samples: &[Samples],
) -> Explanation {
    let found = measure::judge(spec, m, samples, trial.until);
    let budget = f64::from(spec.rollout.analysis.false_rollback_budget_permille) / 1000.0;
    let curve = measure::curve(spec, m, samples, trial.until);
    let mut explanation = Explanation {
        name: name.to_owned(),
        verdict: measure::verdict(found.state),
        decided_at: curve.iter().find(|p| p.verdict == Verdict::Fail).map(|p| p.at),
        curve,
        threshold_log10: -budget.log10(),
        because: Vec::new(),
        evidence: found.evidence.clone(),
        units: m.metrics.iter().map(|m| (m.name.clone(), measure::unit(m.kind()))).collect(),
        trial,
    };
    explanation.because = words::because(&explanation, &spec.rollout.analysis, &found);
    explanation
}
