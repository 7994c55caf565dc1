//! A run that the tests change.

use serde_json::{Value, json};
use serin_api::{Digest, TrainingRunSpec};
use serin_engine::training::objects::Run;

pub const DATA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub const MODEL: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
pub const OTHER: &str = "sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";
pub const UID: &str = "0b2f7c1e-9b1f-4a57-8c51-1f0f6a1f2a11";

pub fn digest(text: &str) -> Digest {
    Digest(text.to_owned())
}

fn full() -> Value {
    json!({
        "model": "wine",
        "source": {
            "repo": "git+https://git.example/wine",
            "commit": "0123456789abcdef0123456789abcdef01234567",
        },
        "trainer": {
            "image": format!("registry.example/train@{DATA}"),
            "command": ["python3", "train.py"],
            "args": ["--fast"],
            "env": [{"name": "LOG_LEVEL", "value": "info"}],
        },
        "parameters": {"learning_rate": "0.1", "price": "$(TOKEN) is 5$"},
        "seed": "7",
        "datasets": [{"name": "train", "uri": "s3://data/wine/train.csv", "digest": DATA}],
        "output": {"uri": "s3://models/wine"},
        "evaluation": {
            "image": "registry.example/judge:1",
            "command": ["judge"],
            "dataset": {"name": "exam", "uri": "s3://data/wine/exam.csv", "digest": OTHER},
            "gate": {"metrics": [{"name": "accuracy", "min": "0.5"}]},
        },
    })
}

/// The full spec, with these values at these JSON pointers.
pub fn spec(changes: &[(&str, Value)]) -> TrainingRunSpec {
    let mut spec = full();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"))[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

pub fn run(spec: &TrainingRunSpec) -> Run<'_> {
    Run { name: "wine-7", namespace: "cellar", uid: UID, spec }
}

/// A version with all that can be known of it, with these values at these JSON pointers.
pub fn version(changes: &[(&str, Value)]) -> Value {
    let mut version = json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "wine-5f3a9c21d0", "namespace": "cellar"},
        "spec": {
            "model": "wine",
            "origin": "Trained",
            "artifact": {
                "uri": "s3://models/wine/x/model.json", "digest": MODEL, "layout": "File", "sizeBytes": 1_048_576,
            },
            "inputsDigest": DATA,
            "build": {
                "buildType": "https://serin.dev/training/v1",
                "inputs": {
                    "code": {
                        "repo": "git+https://git.example/wine",
                        "commit": "0123456789abcdef0123456789abcdef01234567",
                    },
                    "image": "registry.example/train:1",
                    "command": ["python3", "train.py"],
                    "env": {"KEY": "secret/wandb/token"},
                    "datasets": [{"name": "train", "uri": "s3://data/wine/train.csv", "digest": DATA}],
                    "baseModel": {"version": "wine-0", "digest": OTHER},
                    "parameters": {"learning_rate": "0.1"},
                    "seed": "7",
                    "nodes": 2,
                    "processesPerNode": 1,
                    "launcher": "Torchrun",
                },
                "run": {
                    "name": "wine-7",
                    "uid": UID,
                    "attempt": 2,
                    "startedAt": "2026-08-01T10:00:00Z",
                    "finishedAt": "2026-08-01T11:00:00Z",
                    "images": [format!("registry.example/train@{OTHER}")],
                    "resumedFrom": "a1/step-200",
                    "runningSeconds": 5400,
                },
                "builder": "https://serin.dev/operator@0.1.0",
            },
            "parent": "wine-0",
        },
        "status": {
            "level": "Pinned",
            "evaluations": [{
                "passed": true,
                "message": "accuracy 0.9 is at least 0.5",
                "evalSetDigest": OTHER,
                "evaluatorImage": "registry.example/judge:1",
                "champion": "wine-0",
                "metrics": [
                    {"name": "accuracy", "candidate": "0.9", "champion": "0.8"},
                    {"name": "accuracy", "slice": "red", "candidate": "0.85"},
                ],
                "report": {"uri": "s3://models/wine/reports/y/metrics.json", "digest": DATA},
                "at": "2026-08-01T11:01:00Z",
            }],
            "replays": [{
                "run": "wine-8", "uid": "r", "outcome": "Identical", "message": "the same bytes",
                "at": "2026-08-03T00:00:00Z",
            }],
            "deployments": [{"name": "wine", "uid": "d", "role": "Stable", "since": "2026-08-01T12:00:00Z"}],
            "outcomes": [{
                "deployment": "wine", "uid": "d", "revision": "r1-1", "result": "Promoted", "reason": "Promoted",
                "message": "no worse, 12000 requests", "at": "2026-08-01T12:30:00Z",
            }],
        },
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { Some(&mut version) } else { version.pointer_mut(parent) };
        parent.unwrap_or_else(|| panic!("no {pointer}"))[key] = value.clone();
    }
    version
}
