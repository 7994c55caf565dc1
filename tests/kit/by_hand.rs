//! What a person does: by `kubectl serin`, and to children of ours.

use std::process::Command;

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::fixtures::NAME;
use crate::operator::program;
use crate::world::World;

/// Set anew, to another value, by a test that changes or deletes a child of ours: what follows is not our doing.
pub const BY_HAND: &str = "serin.dev/by-hand";

/// Rules of a route with these weights.
pub fn rules(a: i64, b: i64) -> Value {
    let backend = |name, weight: i64| json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight});
    let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    json!({"rules": [{"matches": matches, "backendRefs": [backend("wine-a", a), backend("wine-b", b)]}]})
}

impl World {
    /// `kubectl serin ARGS`: what it printed, or complained of.
    pub async fn kubectl_serin(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program());
        command.args(args).args(["--namespace", &self.namespace]);
        command.arg("--kubeconfig").arg(self.cluster().bed().kubeconfig());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Metadata that tells a person's change from ours.
    pub fn mark_by_hand(&self) -> Value {
        json!({"annotations": {BY_HAND: self.history.all().len().to_string()}})
    }

    /// Changes fields of the route's spec as a person would.
    pub async fn edit_route(&self, spec: Value) -> kube::Result<DynamicObject> {
        let patch = json!({"metadata": self.mark_by_hand(), "spec": spec});
        self.routes().patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await
    }
}
