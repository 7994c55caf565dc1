//! Argo CD's engine and kstatus, asked about objects.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::kustomize;

/// What others say of an object.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kstatus: String,
    pub health: String,
    pub message: String,
    /// The actions that are offered, with the annotations that each would leave.
    pub actions: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

impl Seen {
    /// The value that an action would leave in an annotation.
    pub fn order(&self, action: &str, annotation: &str) -> Option<&str> {
        self.actions.get(action)?.as_ref()?.get(annotation).map(String::as_str)
    }
}

/// An argocd-cm with our keys, as kustomize makes it.
pub fn config_map() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("argocd-cm.yaml");
        std::fs::write(&path, kustomize::rendered("kustomize/overlays/argocd-cm").unwrap()).unwrap();
        path
    })
}

/// The program that asks them.
pub fn program() -> Command {
    Command::new(serin_bed::gitops(&mut |line| eprintln!("{line}")).unwrap())
}

/// An object as the apiserver has it.
pub fn object(kind: &str, generation: i64, spec: &Value, status: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "wine", "namespace": "cellar", "generation": generation, "resourceVersion": "4711"},
        "spec": spec,
    });
    let is_written = status["conditions"].as_array().is_some_and(|all| !all.is_empty());
    let status = if is_written { status.clone() } else { default_status(kind) };
    if !status.is_null() {
        object["status"] = status;
    }
    object
}

/// What an apiserver says where nobody has written a status yet.
fn default_status(kind: &str) -> Value {
    let crds = serin_api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()).unwrap();
    let default = &schema.properties.as_ref().unwrap()["status"].default;
    default.as_ref().map_or(Value::Null, |default| default.0.clone())
}

/// What they say of each.
pub fn ask(objects: &[Value]) -> Vec<Seen> {
    let mut command = program();
    command.arg("read").arg(config_map()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    let writer = thread::spawn(move || input.write_all((lines.join("\n") + "\n").as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "see above");
    let answers = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<Seen> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seen.len(), objects.len());
    seen
}
