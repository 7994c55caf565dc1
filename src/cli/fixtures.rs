//! ModelDeployments for tests.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use serin_api::ModelDeployment;

/// The moment of the tests.
pub fn now() -> DateTime<Utc> {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

/// With this status.
pub fn deployment(status: &Value) -> ModelDeployment {
    let digest = format!("sha256:{}", "0".repeat(64));
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {
            "name": "wine", "namespace": "cellar", "uid": "u1", "generation": 2,
            "creationTimestamp": "2026-08-01T09:00:00Z",
        },
        "spec": {
            "model": {"artifact": {"uri": "pvc://m/wine", "digest": digest}},
            "server": {"image": "registry.example/wine:1"},
            "traffic": {"gateway": {"parentRefs": [{"name": "front"}]}},
            "replicas": 3,
        },
        "status": status,
    }))
    .unwrap()
}

fn condition(ty: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": ty, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-08-01T11:00:00Z", "observedGeneration": 2,
    })
}

fn revision(version: &str, slot: &str) -> Value {
    let digest = format!("sha256:{}", "2c26b46b68ffc68ff99b453c1d304134".repeat(2));
    json!({
        "revision": format!("r1-{version}"), "version": version, "digest": digest, "slot": slot,
        "spec": {
            "model": {"artifact": {"uri": "pvc://m/wine", "digest": digest}},
            "server": {"image": "registry.example/wine:1"}, "minReadySeconds": 0, "drainSeconds": 30,
        },
    })
}

fn entry(version: &str, outcome: &str, at: &str) -> Value {
    json!({"revision": format!("r1-{version}"), "version": version, "digest": "d", "outcome": outcome, "at": at})
}

/// v1 serves, v2 is at its second step of three.
pub fn trying() -> ModelDeployment {
    let mut candidate = revision("v2", "b");
    for (key, value) in [
        ("phase", json!("Canary")),
        ("weight", json!(25)),
        ("step", json!("2/3")),
        ("stepIndex", json!(2)),
        ("startedAt", json!("2026-08-01T11:50:00Z")),
        ("since", json!("2026-08-01T11:59:38Z")),
        ("analysisFrom", json!("2026-08-01T11:52:00Z")),
        (
            "evidence",
            json!([
                {"metric": "errors", "verdict": "Undecided", "log10E": "0.88",
                    "estimate": "2.10 % errors, stable 0.44 % (4.8x)", "samples": 1200, "needed": 300},
                {"metric": "latency", "verdict": "Pass", "log10E": "-0.40",
                    "estimate": "1.00 % slower than 0.5, stable 1.00 %", "samples": 1200},
            ]),
        ),
    ] {
        candidate[key] = value;
    }
    deployment(&json!({
        "observedGeneration": 2,
        "stable": revision("v1", "a"),
        "candidate": candidate,
        "verdict": "Undecided",
        "replicas": 3,
        "resolved": {"steps": [
            {"weight": 5, "holdSeconds": 60}, {"weight": 25, "holdSeconds": 60},
            {"weight": 50, "holdSeconds": 60, "pause": true},
        ]},
        "traffic": {"mode": "Gateway"},
        "conditions": [
            condition("Progressing", "True", "Analyzing", "v2: step 2/3 at 25 % of the traffic, gathering evidence"),
            condition("Ready", "True", "Complete", "v1 serves"),
            condition("Reconciling", "True", "Analyzing", ""),
            condition("Stalled", "False", "Analyzing", ""),
        ],
        "history": [entry("v1", "Deployed", "2026-08-01T09:01:00Z")],
    }))
}

/// v1 serves, v2 gets copies of its requests and waits for a person.
pub fn shadowed() -> ModelDeployment {
    let mut shadowed = trying();
    shadowed.spec.rollout = serde_json::from_value(json!({"strategy": "Shadow"})).unwrap();
    let status = shadowed.status.as_mut().unwrap();
    let step = json!({"weight": 0, "holdSeconds": 60, "pause": true, "mirrorPercent": 40});
    status.resolved = serde_json::from_value(json!({"steps": [step]})).unwrap();
    status.verdict = Some(serin_api::Verdict::Pass);
    let candidate = status.candidate.as_mut().unwrap();
    (candidate.weight, candidate.step, candidate.step_index) = (0, "1/1".to_owned(), 1);
    candidate.weights = serde_json::from_value(json!([
        {"weight": 0, "mirrorPercent": 40, "at": "2026-08-01T11:52:00Z"},
    ]))
    .unwrap();
    shadowed
}

/// Nothing is being tried.
pub fn resting() -> ModelDeployment {
    deployment(&json!({
        "observedGeneration": 2,
        "stable": revision("v1", "a"),
        "verdict": "Promoted",
        "replicas": 3,
        "conditions": [
            condition("Progressing", "False", "Complete", "v1 serves"),
            condition("Ready", "True", "Complete", "v1 serves"),
        ],
        "history": [entry("v1", "Deployed", "2026-08-01T09:01:00Z")],
    }))
}

/// v2 took over.
pub fn promoted() -> ModelDeployment {
    deployment(&json!({
        "observedGeneration": 2,
        "stable": revision("v2", "b"),
        "previous": revision("v1", "a"),
        "verdict": "Promoted",
        "conditions": [
            condition("Progressing", "False", "Complete", "v2 serves"),
            condition("Ready", "True", "Complete", "v2 serves"),
        ],
        "history": [
            entry("v2", "Promoted", "2026-08-01T12:00:00Z"), entry("v1", "Deployed", "2026-08-01T09:01:00Z"),
        ],
    }))
}

/// v2 was sent back and stays rejected.
pub fn rejected() -> ModelDeployment {
    let message = "v2 was rejected (AnalysisFailed): errors: 9 % errors; v1 serves. Change the spec";
    deployment(&json!({
        "observedGeneration": 2,
        "stable": revision("v1", "a"),
        "verdict": "RolledBack",
        "lastFailed": {
            "revision": "r1-v2", "version": "v2", "digest": "d", "reason": "AnalysisFailed",
            "message": "errors: 9 % errors", "at": "2026-08-01T12:00:00Z",
            "evidence": [{"metric": "errors", "verdict": "Fail", "log10E": "3.11",
                "estimate": "9.00 % errors, stable 0.00 %", "samples": 90}],
        },
        "conditions": [
            condition("Progressing", "False", "Rejected", message),
            condition("Ready", "True", "Complete", "v1 serves"),
            condition("Stalled", "True", "Rejected", message),
        ],
        "history": [
            entry("v2", "RolledBack", "2026-08-01T12:00:00Z"), entry("v1", "Deployed", "2026-08-01T09:01:00Z"),
        ],
    }))
}
