//! What trainings leave behind, with everything left out that differs from one life to the next: times, UIDs, nonces, and
//! what an operator that was away could not see.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::history::Now;

/// Every run, Job and version, comparable.
pub fn told(now: &Now) -> BTreeMap<String, String> {
    let mut left = BTreeMap::new();
    let mut add = |kind: &str, object: &Value, told: Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        left.insert(format!("{kind} {name}"), serde_json::to_string_pretty(&told).unwrap());
    };
    for run in now.all("TrainingRun") {
        add("TrainingRun", run, told_run(&run["status"]));
    }
    for job in now.all("Job") {
        let ended = conditions(&job["status"], |kind| matches!(kind, "Complete" | "Failed"));
        let meta = &job["metadata"];
        add("Job", job, json!({"ended": ended, "leaving": !meta["deletionTimestamp"].is_null()}));
    }
    for version in now.all("ModelVersion") {
        let (spec, status) = (&version["spec"], &version["status"]);
        let told = json!({
            "artifact": spec["artifact"],
            "inputs": spec["inputsDigest"],
            "run": spec["build"]["run"]["name"],
            "attempt": spec["build"]["run"]["attempt"],
            "parent": spec["parent"],
            "level": status["level"],
            "conditions": conditions(status, |_| true),
            "evaluations": list(&status["evaluations"], &["passed", "metrics", "evalSetDigest", "championDigest"]),
            "replays": list(&status["replays"], &["run", "outcome"]),
            "deployments": list(&status["deployments"], &["name", "role"]),
            "outcomes": list(&status["outcomes"], &["deployment", "revision", "result", "reason"]),
        });
        add("ModelVersion", version, told);
    }
    for service in
        now.all("Service").filter(|service| service["metadata"]["labels"]["serin.dev/run-uid"].is_string())
    {
        add("Service", service, Value::Null);
    }
    left
}

fn told_run(status: &Value) -> Value {
    let evaluation = &status["evaluation"];
    json!({
        "phase": status["phase"],
        "completion": only(&status["completion"], &["result", "reason"]),
        "attempts": list(&status["attempts"], &["number", "end", "images", "resumedFrom"]),
        "attempt": status["attempt"],
        "spent": only(&status["spent"], &["crashes", "disruptions", "starts"]),
        "output": status["output"],
        "version": status["modelVersion"],
        "inputs": status["inputsDigest"],
        "evaluation": evaluation["number"],
        "passed": evaluation["result"]["passed"],
        "metrics": evaluation["result"]["metrics"],
        "conditions": conditions(status, |_| true),
    })
}

fn only(object: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|&field| (field.to_owned(), object[field].clone())).collect()
}

fn list(items: &Value, fields: &[&str]) -> Value {
    items.as_array().into_iter().flatten().map(|item| only(item, fields)).collect()
}

/// `Ready=True (Complete)`, in order.
fn conditions(status: &Value, which: impl Fn(&str) -> bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = status["conditions"].as_array().into_iter().flatten();
    let wanted = all.filter(|condition| condition["type"].as_str().is_some_and(&which));
    let mut told: Vec<String> = wanted
        .map(|c| format!("{}={} ({})", text(&c["type"]), text(&c["status"]), text(&c["reason"])))
        .collect();
    told.sort();
    told
}
