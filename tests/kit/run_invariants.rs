//! What must hold of trainings at every moment of every test, checked on the whole history in the apiserver's own order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_api::labels;

use crate::history::{Change, Now};

/// Each broken rule, in words.
pub fn broken(changes: &[Change]) -> Vec<String> {
    let mut replay = Replay::default();
    for change in changes {
        replay.take(change);
    }
    replay.broken
}

#[derive(Default)]
struct Replay {
    now: Now,
    /// UIDs of Jobs that were there, by their owner's UID and their name.
    jobs: BTreeMap<(String, String), BTreeSet<String>>,
    broken: Vec<String>,
}

impl Replay {
    fn take(&mut self, change: &Change) {
        let before = self.now.get(change.kind, &change.name).cloned();
        // A namesake is another object.
        let before = before.filter(|before| uid(before) == uid(&change.object));
        match change.kind {
            "Job" if before.is_none() && !change.gone => self.born(&change.object),
            "TrainingRun" if !change.gone => self.run(before.as_ref(), &change.object),
            "ModelVersion" if !change.gone => self.version(before.as_ref(), &change.object),
            _ => {}
        }
        self.now.apply(change);
    }

    /// A Job of a run begins: nothing of a former attempt runs, and the run has not ended.
    fn born(&mut self, job: &Value) {
        let label = |name: &str| job["metadata"]["labels"][name].as_str().map(ToOwned::to_owned);
        let Some(owner) = job["metadata"]["ownerReferences"][0]["uid"].as_str() else { return };
        if label(labels::RUN_UID).as_deref() != Some(owner) {
            return;
        }
        let name = text(&job["metadata"]["name"]);
        let run = self.now.all("TrainingRun").find(|run| uid(run) == owner);
        if run.is_some_and(|run| !run["status"]["completion"].is_null()) {
            self.broken.push(format!("Job {name} begins after its run has ended"));
        }
        let others = self.now.all("Job").filter(|other| {
            other["metadata"]["ownerReferences"][0]["uid"] == owner && uid(other) != uid(job)
        });
        let running: Vec<String> =
            others.filter(|other| !is_over(other)).map(|o| text(&o["metadata"]["name"])).collect();
        if !running.is_empty() {
            self.broken.push(format!("Job {name} begins while {running:?} has not ended"));
        }
        let lives = |pod: &Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let of_run = self.now.all("Pod").filter(|pod| pod["metadata"]["labels"][labels::RUN_UID] == owner);
        let live: Vec<String> =
            of_run.filter(|pod| lives(pod)).map(|pod| text(&pod["metadata"]["name"])).collect();
        if !live.is_empty() {
            self.broken.push(format!("Job {name} begins while {live:?} of an earlier one still run"));
        }
        let namesakes = self.jobs.entry((owner.to_owned(), name.clone())).or_default();
        namesakes.insert(uid(job));
        if namesakes.len() > 1 {
            self.broken.push(format!("Job {name} begins for the second time: an attempt is one Job"));
        }
        let suspended = job["spec"]["suspend"] == true;
        if suspended != label(labels::QUEUE).is_some() {
            self.broken.push(format!("Job {name} begins with suspend {suspended}, and no queue"));
        }
    }

    /// What a run has come to stays.
    fn run(&mut self, before: Option<&Value>, after: &Value) {
        let Some(before) = before else { return };
        let name = text(&after["metadata"]["name"]);
        let mut stays = |what: &str, pointer: &str| {
            let (was, is) = (before.pointer(pointer), after.pointer(pointer));
            if was.is_some_and(|was| !was.is_null()) && was != is {
                self.broken.push(format!("{what} of {name} changes from {was:?} to {is:?}"));
            }
        };
        stays("the end", "/status/completion");
        if !before["status"]["completion"].is_null() {
            stays("the version", "/status/modelVersion");
        }
        stays("the output", "/status/output");
        stays("the frozen result", "/status/evaluation/result");
        stays("the inputs digest", "/status/inputsDigest");
        for field in ["attempt", "spent/crashes", "spent/disruptions", "spent/starts", "spent/runningSeconds"]
        {
            let number =
                |run: &Value| run.pointer(&format!("/status/{field}")).and_then(Value::as_i64).unwrap_or(0);
            if number(after) < number(before) {
                self.broken.push(format!(
                    "{field} of {name} goes back from {} to {}",
                    number(before),
                    number(after)
                ));
            }
        }
    }

    /// A record's spec is for ever, and what happened to it is not taken back.
    fn version(&mut self, before: Option<&Value>, after: &Value) {
        let Some(before) = before else { return };
        let name = text(&after["metadata"]["name"]);
        if before["spec"] != after["spec"] {
            self.broken.push(format!("the spec of {name} changes"));
        }
        for list in ["evaluations", "replays", "outcomes"] {
            let entries = |version: &Value| version["status"][list].as_array().cloned().unwrap_or_default();
            if !entries(after).starts_with(&entries(before)) {
                self.broken.push(format!("{list} of {name} lose what was there"));
            }
        }
        let revoked = |version: &Value| {
            let conditions = version["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| condition["type"] == "Revoked" && condition["status"] == "True")
        };
        if revoked(before) && !revoked(after) {
            self.broken.push(format!("{name} is no longer revoked"));
        }
    }
}

/// Whether nothing of a Job runs any more, nor will.
fn is_over(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    let ended = conditions.into_iter().flatten().any(|condition| {
        matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
    });
    let count = |field: &str| job["status"][field].as_i64().unwrap_or(0);
    ended && count("active") == 0 && count("terminating") == 0
}

fn uid(object: &Value) -> String {
    text(&object["metadata"]["uid"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
