//! What a ModelDeployment says of itself, in the words of a test.

use serin_api::conditions::{self, Type};
use serin_api::{
    AttemptEnd, Candidate, ModelDeployment, ModelVersion, Outcome, RetrainPolicy, RunPhase, RunResult,
    TrainingRun, labels,
};

use crate::history::Now;

impl Now {
    /// A ModelDeployment; `None` while there is none, or none that fits the types.
    pub fn model(&self, name: &str) -> Option<ModelDeployment> {
        serde_json::from_value(self.get("ModelDeployment", name)?.clone()).ok()
    }

    /// A TrainingRun.
    pub fn run(&self, name: &str) -> Option<TrainingRun> {
        serde_json::from_value(self.get("TrainingRun", name)?.clone()).ok()
    }

    /// A RetrainPolicy.
    pub fn policy(&self, name: &str) -> Option<RetrainPolicy> {
        serde_json::from_value(self.get("RetrainPolicy", name)?.clone()).ok()
    }

    /// A ModelVersion.
    pub fn version(&self, name: &str) -> Option<ModelVersion> {
        serde_json::from_value(self.get("ModelVersion", name)?.clone()).ok()
    }

    /// All ModelVersions.
    pub fn versions(&self) -> Vec<ModelVersion> {
        self.all("ModelVersion").map(|object| serde_json::from_value(object.clone()).unwrap()).collect()
    }

    /// Names of the Jobs of a TrainingRun.
    pub fn jobs_of(&self, run: &str) -> Vec<String> {
        let of_run = self.all("Job").filter(|job| job["metadata"]["labels"][labels::RUN] == run);
        of_run.map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect()
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

/// Short questions about a TrainingRun.
pub trait RunTold {
    /// Result and reason, once it has ended.
    fn end(&self) -> Option<(RunResult, String)>;
    /// Whether it ended so.
    fn ended(&self, result: RunResult) -> bool;
    /// How its attempts ended, oldest first; none for one that has not.
    fn attempts(&self) -> Vec<Option<AttemptEnd>>;
    /// In one word.
    fn phase(&self) -> Option<RunPhase>;
    /// Status and reason of a condition.
    fn condition(&self, kind: Type) -> (String, String);
    /// Message of a condition.
    fn message(&self, kind: Type) -> String;
    /// Name of its version.
    fn version(&self) -> Option<&str>;
}

impl RunTold for TrainingRun {
    fn end(&self) -> Option<(RunResult, String)> {
        let completion = self.status.as_ref()?.completion.as_ref()?;
        Some((completion.result, completion.reason.clone()))
    }
    fn ended(&self, result: RunResult) -> bool {
        self.end().is_some_and(|(found, _)| found == result)
    }
    fn attempts(&self) -> Vec<Option<AttemptEnd>> {
        self.status.iter().flat_map(|status| &status.attempts).map(|attempt| attempt.end).collect()
    }
    fn phase(&self) -> Option<RunPhase> {
        self.status.as_ref()?.phase
    }
    fn condition(&self, kind: Type) -> (String, String) {
        let found = self.status.as_ref().and_then(|status| conditions::get(&status.conditions, kind));
        found.map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
    }
    fn message(&self, kind: Type) -> String {
        let found = self.status.as_ref().and_then(|status| conditions::get(&status.conditions, kind));
        found.map(|condition| condition.message.clone()).unwrap_or_default()
    }
    fn version(&self) -> Option<&str> {
        self.status.as_ref()?.model_version.as_deref()
    }
}
