//! Who serves a version and what came of it, told by the deployments' own durable status: a restart repeats nothing, and
//! what was not written before a crash is written after it.

use std::collections::BTreeSet;

use serin_api::{
    Digest, HistoryEntry, LiveOutcome, ModelDeployment, ModelDeploymentStatus, Outcome, Reason, Role,
    Serving, conditions,
};

/// What deployments say about one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Who serves it.
    pub deployments: Vec<Serving>,
    /// What came of it, oldest first.
    pub outcomes: Vec<LiveOutcome>,
    /// UIDs of deployments that cannot be read: what was recorded of them stands.
    pub unknown: BTreeSet<String>,
}

/// Names of the versions that a deployment asks for, serves, tries, or had.
pub fn named(md: &ModelDeployment) -> BTreeSet<String> {
    let status = md.status.as_ref();
    let in_use = status.into_iter().flat_map(|s| {
        let stable = s.stable.as_ref().map(|s| &s.spec);
        stable.into_iter().chain(s.candidate.as_ref().map(|c| &c.spec))
    });
    let past = status.into_iter().flat_map(|s| s.history.iter().map(|h| &h.version));
    let now = in_use.filter_map(|spec| spec.model.version_ref.as_ref());
    md.spec.model.version_ref.iter().chain(now).chain(past).cloned().collect()
}

/// The model whose newest version a deployment asks for, if it does.
pub fn channel(md: &ModelDeployment) -> BTreeSet<String> {
    md.spec.model.channel.iter().map(|channel| channel.model.clone()).collect()
}

impl Served {
    /// Takes in what a deployment says about the version of this name and digest.
    pub fn add(&mut self, md: &ModelDeployment, name: &str, digest: &Digest) {
        let (Some(deployment), Some(uid)) = (&md.metadata.name, &md.metadata.uid) else { return };
        let Some(status) = &md.status else { return };
        let serving = |role, since| Serving { name: deployment.clone(), uid: uid.clone(), role, since };
        if let Some(stable) = &status.stable
            && stable.spec.model.version_ref.as_deref() == Some(name)
        {
            let since = became_stable(status, &stable.revision);
            let created = md.metadata.creation_timestamp.as_ref().and_then(conditions::from_time);
            self.deployments.push(serving(Role::Stable, since.or(created).unwrap_or_default()));
        } else if let Some(candidate) = &status.candidate
            && candidate.spec.model.version_ref.as_deref() == Some(name)
        {
            self.deployments.push(serving(Role::Candidate, candidate.started_at));
        }
        for (at, entry) in status.history.iter().enumerate().rev() {
            // An artifact may be called by any word; one with the same word and digest is this version's by content.
            if entry.version == name && entry.digest == digest.0 {
                let (reason, message) = why(status, at, entry);
                self.outcomes.push(LiveOutcome {
                    deployment: deployment.clone(),
                    uid: uid.clone(),
                    revision: entry.revision.clone(),
                    result: entry.outcome,
                    reason,
                    message,
                    at: entry.at,
                });
            }
        }
    }
}

fn became_stable(status: &ModelDeploymentStatus, revision: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    let took_over = |h: &&HistoryEntry| {
        h.revision == revision && matches!(h.outcome, Outcome::Deployed | Outcome::Promoted)
    };
    status.history.iter().find(took_over).map(|h| h.at)
}

/// Reason and words of an outcome, as far as the status still has them.
fn why(status: &ModelDeploymentStatus, at: usize, entry: &HistoryEntry) -> (String, String) {
    let before = || {
        let older = status.history.iter().skip(at + 1);
        older.into_iter().find(|h| matches!(h.outcome, Outcome::Deployed | Outcome::Promoted))
    };
    match entry.outcome {
        Outcome::RolledBack => match &status.last_failed {
            Some(f) if f.revision == entry.revision && f.at == entry.at => {
                let mut message = f.message.clone();
                for e in
                    f.evidence.iter().filter(|e| !e.estimate.is_empty() && !f.message.contains(&e.estimate))
                {
                    message.push_str("; ");
                    message.push_str(&e.metric);
                    message.push_str(": ");
                    message.push_str(&e.estimate);
                }
                (f.reason.clone(), bounded(&message))
            }
            _ => (Reason::Rejected.as_str().to_owned(), "rolled back".to_owned()),
        },
        Outcome::Promoted => {
            let message =
                before().map_or("took over".to_owned(), |h| format!("took over from {}", h.version));
            (Reason::Promoted.as_str().to_owned(), message)
        }
        Outcome::Deployed => (Reason::Complete.as_str().to_owned(), "the first to serve".to_owned()),
        Outcome::Superseded => {
            (Reason::Superseded.as_str().to_owned(), "another spec came before its verdict".to_owned())
        }
    }
}

/// Longest message kept, in characters.
const MESSAGE_MAX: usize = 512;

fn bounded(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    /// A deployment with this status.
    pub fn deployment(name: &str, status: &Value) -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}")},
            "spec": {"model": {"versionRef": "v2"}, "server": {"image": "i"}},
            "status": status,
        }))
        .unwrap()
    }

    /// A revision that serves or is tried.
    pub fn revision(version: &str, extra: &Value) -> Value {
        let mut all = json!({
            "revision": format!("r1-{version}"), "version": version, "digest": DIGEST, "slot": "a",
            "spec": {
                "model": {"artifact": {"uri": "s3://m/w", "digest": DIGEST}, "versionRef": version},
                "server": {"image": "i"}, "minReadySeconds": 0, "drainSeconds": 30,
            },
        });
        for (key, value) in extra.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    }

    pub fn ended(version: &str, outcome: &str, at: &str) -> Value {
        json!({"revision": format!("r1-{version}"), "version": version, "digest": DIGEST, "outcome": outcome, "at": at})
    }

    pub fn served(deployments: &[ModelDeployment], name: &str) -> Served {
        let mut served = Served::default();
        for md in deployments {
            served.add(md, name, &Digest(DIGEST.to_owned()));
        }
        served
    }

    #[test]
    fn roles_and_outcomes_come_from_the_status_alone() {
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let trying = json!({
            "phase": "Canary", "weight": 10, "step": "1/3", "stepIndex": 1, "startedAt": second,
        });
        let md = deployment(
            "wine",
            &json!({
                "stable": revision("v1", &json!({})), "candidate": revision("v2", &trying),
                "history": [ended("v1", "Deployed", first)],
            }),
        );
        let all = served(std::slice::from_ref(&md), "v1");
        assert_eq!(all.deployments.len(), 1);
        assert_eq!(
            (all.deployments[0].role, all.deployments[0].since),
            (Role::Stable, first.parse().unwrap())
        );
        assert_eq!(all.outcomes[0].result, Outcome::Deployed);
        let all = served(std::slice::from_ref(&md), "v2");
        assert_eq!(
            (all.deployments[0].role, all.deployments[0].since),
            (Role::Candidate, second.parse().unwrap())
        );
        assert!(all.outcomes.is_empty());
        assert_eq!(named(&md), BTreeSet::from(["v1".to_owned(), "v2".to_owned()]));
    }

    #[test]
    fn outcomes_say_why() {
        let (first, second, third) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
        let md = deployment(
            "wine",
            &json!({
                "stable": revision("v2", &json!({})),
                "lastFailed": {
                    "revision": "r1-v3", "version": "v3", "digest": DIGEST, "reason": "AnalysisFailed",
                    "message": "errors", "at": third,
                    "evidence": [{"metric": "error-ratio", "verdict": "Fail", "log10E": "2.1", "estimate": "2.10 % errors", "samples": 9}],
                },
                "history": [
                    ended("v3", "RolledBack", third), ended("v2", "Promoted", second), ended("v1", "Deployed", first),
                ],
            }),
        );
        let outcome = |name: &str| {
            let all = served(std::slice::from_ref(&md), name).outcomes;
            (all[0].reason.clone(), all[0].message.clone())
        };
        assert_eq!(outcome("v3"), ("AnalysisFailed".into(), "errors; error-ratio: 2.10 % errors".into()));
        assert_eq!(outcome("v2"), ("Promoted".into(), "took over from v1".into()));
        assert_eq!(outcome("v1").0, "Complete");
    }

    #[test]
    fn the_same_word_for_other_content_is_another_model() {
        let mut other = ended("v1", "Deployed", "2026-01-01T00:00:00Z");
        other["digest"] = json!("sha256:2");
        let md = deployment("wine", &json!({"history": [other]}));
        assert!(served(std::slice::from_ref(&md), "v1").outcomes.is_empty());
    }
}
