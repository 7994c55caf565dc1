//! ModelDeployments to start from: quick ones, so that a whole rollout takes seconds.

use serde_json::json;
use serin_api::{ModelDeployment, Step};
use serin_engine::Revision;
use sha2::{Digest as _, Sha256};

/// Name of the ModelDeployment in most tests.
pub const NAME: &str = "wine";
/// The Gateway that routes attach to. The object itself is the gateway's business, not Serin's.
pub const GATEWAY: &str = "front";

/// A version of the model `wine`, served by an image of its own (`serin.dev/wine:v2`), which is how the kubelet and
/// Prometheus tell versions apart. Three replicas behind a gateway, four steps of a second each.
pub fn wine(version: &str) -> ModelDeployment {
    let steps = [10, 25, 50, 75].map(|weight| json!({"weight": weight, "holdSeconds": 1}));
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "model": {
                "version": version,
                "artifact": {"uri": format!("https://models.example/wine/{version}"), "digest": digest(version)},
            },
            "server": {"image": image(version)},
            "replicas": 3,
            "traffic": {"gateway": {"parentRefs": [{"name": GATEWAY}]}},
            "rollout": {
                "steps": steps,
                "analysis": {"intervalSeconds": 1},
                "progressDeadlineSeconds": 60,
            },
            "availability": {"drainSeconds": 1},
        },
    }))
    .unwrap()
}

/// Image of a version.
pub fn image(version: &str) -> String {
    format!("serin.dev/wine:{version}")
}

/// A digest for a version.
pub fn digest(version: &str) -> String {
    let bytes = Sha256::digest(version.as_bytes());
    bytes.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The revision that a ModelDeployment with an artifact of its own asks for.
pub fn revision(model: &ModelDeployment) -> Revision {
    Revision::of(&model.spec, model.spec.model.resolved().unwrap())
}

/// Changes of a ModelDeployment, one after the other.
pub trait Change: Sized {
    /// Under another name.
    #[must_use]
    fn named(self, name: &str) -> Self;
    /// With so many replicas.
    #[must_use]
    fn replicas(self, replicas: i32) -> Self;
    /// With these steps, as (weight, seconds).
    #[must_use]
    fn steps(self, steps: &[(i32, i32)]) -> Self;
    /// Without a gateway: the share of pods is the weight.
    #[must_use]
    fn without_gateway(self) -> Self;
}

impl Change for ModelDeployment {
    fn named(mut self, name: &str) -> Self {
        self.metadata.name = Some(name.to_owned());
        self
    }
    fn replicas(mut self, replicas: i32) -> Self {
        self.spec.replicas = replicas;
        self
    }
    fn steps(mut self, steps: &[(i32, i32)]) -> Self {
        self.spec.rollout.steps = steps
            .iter()
            .map(|&(weight, hold_seconds)| Step { weight, hold_seconds, pause: false, mirror_percent: 0 })
            .collect();
        self
    }
    fn without_gateway(mut self) -> Self {
        self.spec.traffic.gateway = None;
        self
    }
}
