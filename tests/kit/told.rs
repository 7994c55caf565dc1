//! What a ModelDeployment says of itself, in the words of a test.

use serin_api::conditions::{self, Type};
use serin_api::{Candidate, ModelDeployment, Outcome};

use crate::history::Now;

impl Now {
    /// A ModelDeployment; `None` while there is none, or none that fits the types.
    pub fn model(&self, name: &str) -> Option<ModelDeployment> {
        serde_json::from_value(self.get("ModelDeployment", name)?.clone()).ok()
    }
}

/// Short questions.
pub trait Told {
    /// Whether this version serves with all its pods, nothing is being tried, and the status is up to date.
    fn serves(&self, version: &str) -> bool;
    /// The candidate, if it is this version.
    fn tries(&self, version: &str) -> Option<&Candidate>;
    /// Whether this version was rejected, and that still stands.
    fn rejected(&self, version: &str) -> bool;
    /// Whether the status speaks of the present spec.
    fn is_current(&self) -> bool;
    /// Status and reason of a condition.
    fn condition(&self, kind: Type) -> (String, String);
    /// Message of a condition.
    fn message(&self, kind: Type) -> String;
    /// Versions and their ends, newest first.
    fn outcomes(&self) -> Vec<(String, Outcome)>;
    /// The version that serves.
    fn stable(&self) -> Option<&str>;
}

impl Told for ModelDeployment {
    fn serves(&self, version: &str) -> bool {
        let calm = self.condition(Type::Reconciling).0 == "False" && self.condition(Type::Ready).0 == "True";
        self.is_current() && calm && self.stable() == Some(version) && self.candidate().is_none()
    }
    fn tries(&self, version: &str) -> Option<&Candidate> {
        self.candidate().filter(|candidate| candidate.version == version)
    }
    fn rejected(&self, version: &str) -> bool {
        let failed = self.status.as_ref().and_then(|status| status.last_failed.as_ref());
        self.is_current()
            && self.candidate().is_none()
            && failed.is_some_and(|failed| failed.version == version)
    }
    fn is_current(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.observed_generation == self.metadata.generation)
    }
    fn condition(&self, kind: Type) -> (String, String) {
        let found = self.status.as_ref().and_then(|status| conditions::get(&status.conditions, kind));
        found.map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
    }
    fn message(&self, kind: Type) -> String {
        let found = self.status.as_ref().and_then(|status| conditions::get(&status.conditions, kind));
        found.map(|condition| condition.message.clone()).unwrap_or_default()
    }
    fn outcomes(&self) -> Vec<(String, Outcome)> {
        let history = self.status.iter().flat_map(|status| &status.history);
        history.map(|entry| (entry.version.clone(), entry.outcome)).collect()
    }
    fn stable(&self) -> Option<&str> {
        self.status.as_ref()?.stable.as_ref().map(|stable| stable.version.as_str())
    }
}

trait Private {
    fn candidate(&self) -> Option<&Candidate>;
}
impl Private for ModelDeployment {
    fn candidate(&self) -> Option<&Candidate> {
        self.status.as_ref()?.candidate.as_ref()
    }
}
