//! Where a version comes from and what became of it, as a tree: artifact, what it was made of, the run with its
//! attempts, evaluations, replays, deployments, outcomes, and the versions before it.
//!
//! - `origin` is how it was made, `life` what happened since
//! - [`text`] draws the tree

mod life;
mod origin;
pub mod text;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serin_api::{
    Digest, Level, ModelDeployment, ModelVersion, TrainingRun,
    conditions::{self, Type},
    labels,
};

use crate::paint::Tone;

/// Most versions in a chain of parents.
const CHAIN_MAX: usize = 20;

/// One thing, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is: `version`, `data`, `attempt`.
    pub kind: &'static str,
    /// Name and facts in one line.
    pub text: String,
    /// How it went.
    pub tone: Tone,
    /// What belongs to it.
    pub children: Vec<Node>,
}

/// What else is in the namespace.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// ModelVersions.
    pub versions: &'a [ModelVersion],
    /// TrainingRuns.
    pub runs: &'a [TrainingRun],
    /// ModelDeployments.
    pub deployments: &'a [ModelDeployment],
}

impl Node {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), tone: Tone::Plain, children: Vec::new() }
    }

    fn toned(mut self, good: bool) -> Self {
        self.tone = if good { Tone::Good } else { Tone::Bad };
        self
    }

    fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut node = json!({"kind": self.kind, "text": self.text});
        if !self.children.is_empty() {
            node["children"] = self.children.iter().map(Self::to_json).collect();
        }
        node
    }
}

/// The tree of a version.
pub fn tree(version: &ModelVersion, namespace: Namespace<'_>) -> Node {
    let name = version.metadata.name.as_deref().unwrap_or_default();
    let mut seen = BTreeSet::from([name.to_owned()]);
    title(version)
        .with(revoked(version))
        .with(approved(version))
        .with([origin::artifact(version)])
        .with(origin::inputs(version, namespace))
        .with(origin::run(version, namespace))
        .with(life::evaluations(version))
        .with(life::replays(version))
        .with(life::reuses(name, namespace))
        .with(life::deployments(version, namespace))
        .with(life::outcomes(version))
        .with(life::bars(version))
        .with(parent(version, namespace, &mut seen))
}

/// Name, level and digest.
fn title(version: &ModelVersion) -> Node {
    let spec = &version.spec;
    let name = version.metadata.name.as_deref().unwrap_or_default();
    let level = version.status.as_ref().and_then(|s| s.level);
    let level = level.map(|level| format!(", {}", level_name(level))).unwrap_or_default();
    let text = format!("{name} ({:?}{level}) {}", spec.origin, short(&spec.artifact.digest));
    Node::new("version", text)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Traceable => "Traceable",
        Level::Pinned => "Pinned",
        Level::Replayed => "Replayed",
        Level::Identical => "Identical",
    }
}

fn revoked(version: &ModelVersion) -> Option<Node> {
    let all = version.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let condition = conditions::get(all, Type::Revoked).filter(|c| c.status == "True")?;
    Some(Node::new("revoked", condition.message.clone()).toned(false))
}

/// Why a person lets it into channels.
fn approved(version: &ModelVersion) -> Option<Node> {
    let why = version.metadata.annotations.as_ref()?.get(labels::APPROVED)?;
    Some(Node::new("approved", why.clone()).toned(true))
}

/// The chain of champions before it, each below the one after it.
fn parent(version: &ModelVersion, namespace: Namespace<'_>, seen: &mut BTreeSet<String>) -> Option<Node> {
    let name = version.spec.parent.as_ref()?;
    if seen.len() > CHAIN_MAX || !seen.insert(name.clone()) {
        return Some(Node::new("parent", format!("{name} …")));
    }
    let Some(parent) = find(namespace, name) else {
        return Some(Node::new("parent", format!("{name} (deleted)")));
    };
    let mut node = title(parent).with(revoked(parent)).with(life::outcomes(parent).pop());
    node.kind = "parent";
    Some(node.with(self::parent(parent, namespace, seen)))
}

fn find<'a>(namespace: Namespace<'a>, name: &str) -> Option<&'a ModelVersion> {
    namespace.versions.iter().find(|v| v.metadata.name.as_deref() == Some(name))
}

/// `sha256:` and the first twelve digits.
fn short(digest: &Digest) -> String {
    format!("sha256:{}…", digest.short())
}
