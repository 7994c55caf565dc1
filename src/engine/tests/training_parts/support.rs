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
