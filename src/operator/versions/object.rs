//! A ModelVersion as it is kept: what decisions ask for, and what of its status is ours to keep true.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Resource, core::DeserializeGuard};
use serde::{Deserialize, Deserializer};
use serin_api::{
    Digest, Level, ModelFiles, ModelVersion, Origin, Outcome, Reason, Role, Serving, Storage, VersionBar,
    conditions::{Type, from_time},
    labels,
};
use serin_engine::{
    ObservedVersion,
    training::{Judgement, KnownVersion},
};

use super::record::Life;
use crate::owner::{Main, OwnerKind};

/// A version, or what is wrong with it.
#[derive(Clone, Debug)]
pub struct VersionObject {
    /// Name, namespace, UID, version and generation only.
    metadata: ObjectMeta,
    pub view: Result<Arc<VersionView>, Arc<str>>,
}

/// What is kept of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionView {
    /// For runs.
    pub known: Arc<KnownVersion>,
    /// Resource version; 0 if it is no number.
    pub version: u64,
    pub deleting: bool,
    pub created_at: Option<DateTime<Utc>>,
    /// Declared by a person.
    pub imported: bool,
    /// Whether it passed its evaluation; `None`: nobody has judged it.
    pub passed: Option<bool>,
    /// Whether a person lets it into channels.
    pub approved: bool,
    /// Deployments that rolled it back.
    pub bars: Vec<VersionBar>,
    pub recorded: Recorded,
}

/// What of the status is ours to keep true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub ready: Option<bool>,
    pub revoked: Option<bool>,
    pub stalled: Option<bool>,
    pub in_use: Option<bool>,
    pub deployments: Vec<Serving>,
    pub outcomes: Vec<OutcomeKey>,
}

/// What tells one outcome from another.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct OutcomeKey {
    pub uid: String,
    pub revision: String,
    pub result: Outcome,
    pub at: DateTime<Utc>,
}

impl VersionView {
    /// For the deployment of this name.
    pub fn observed(&self, deployment: &str) -> ObservedVersion {
        let ModelFiles { uri, digest, layout, .. } = &self.known.files;
        ObservedVersion {
            uid: self.known.uid.clone(),
            model: self.known.model.clone(),
            recorded_at: self.created_at.unwrap_or_default(),
            artifact: serin_api::Artifact { uri: uri.clone(), digest: digest.clone(), layout: *layout },
            storage: self.known.storage.clone(),
            revoked: self.known.revoked.clone(),
            refused: self.passed == Some(false),
            evaluated: self.passed == Some(true),
            approved: self.approved,
            bar: self.bars.iter().find(|bar| bar.deployment == deployment).cloned(),
        }
    }

    /// For the record.
    pub fn life(&self) -> Life<'_> {
        Life { revoked: self.known.revoked.as_deref(), imported: self.imported }
    }

    /// Whether a decision somewhere may change when this becomes `new`.
    pub fn matters(&self, new: &Self) -> bool {
        self.known.uid != new.known.uid
            || self.known.revoked != new.known.revoked
            || self.passed != new.passed
            || self.approved != new.approved
            || self.bars != new.bars
    }
}

#[derive(kube::Resource, Deserialize, Clone, Debug)]
#[resource(inherit = ModelVersion)]
struct Slim {
    metadata: ObjectMeta,
    spec: SlimSpec,
    #[serde(default)]
    status: SlimStatus,
}
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct SlimSpec {
    model: String,
    origin: Origin,
    artifact: ModelFiles,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    inputs_digest: Option<Digest>,
}
#[derive(Deserialize, Clone, Debug, Default)]
struct SlimStatus {
    #[serde(default)]
    conditions: Vec<SlimCondition>,
    #[serde(default)]
    level: Option<Level>,
    #[serde(default)]
    evaluations: Vec<SlimEvaluation>,
    #[serde(default)]
    deployments: Vec<Serving>,
    #[serde(default)]
    outcomes: Vec<OutcomeKey>,
    #[serde(default)]
    bars: Vec<VersionBar>,
}
#[derive(Deserialize, Clone, Debug)]
struct SlimCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct SlimEvaluation {
    passed: bool,
    #[serde(default)]
    spec_hash: Option<String>,
}

/// Longest reason for a revocation that is kept, in characters; whoever writes the annotation is not asked to be brief.
const WHY_MAX: usize = 300;

fn view(slim: Slim) -> VersionView {
    let Slim { metadata, spec, status } = slim;
    let condition = |ty: Type| status.conditions.iter().find(|c| c.type_ == ty.as_str());
    let holds = |ty: Type| {
        condition(ty).and_then(|c| match c.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        })
    };
    let annotation = metadata.annotations.as_ref().and_then(|a| a.get(labels::REVOKED));
    let revocation = annotation.map(|why| line(why));
    let recorded = condition(Type::Revoked).filter(|c| c.status == "True").map(|c| line(&c.message));
    let refused = condition(Type::Evaluated)
        .is_some_and(|c| c.status == "False" && c.reason == Reason::GateFailed.as_str());
    let stable = status.deployments.iter().filter(|d| d.role == Role::Stable);
    let known = KnownVersion {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        model: spec.model,
        files: spec.artifact,
        storage: spec.storage,
        inputs_digest: spec.inputs_digest,
        // The first word stands: the annotation may be changed later, or taken away.
        revoked: recorded.or(revocation),
        serves_since: stable.map(|d| d.since).max(),
        level: status.level,
        judgements: status
            .evaluations
            .iter()
            .map(|e| Judgement { passed: e.passed, spec_hash: e.spec_hash.clone() })
            .collect(),
    };
    VersionView {
        known: Arc::new(known),
        version: metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
        deleting: metadata.deletion_timestamp.is_some(),
        created_at: metadata.creation_timestamp.as_ref().and_then(from_time),
        imported: spec.origin == Origin::Imported,
        passed: if refused { Some(false) } else { holds(Type::Evaluated).filter(|passed| *passed) },
        approved: metadata.annotations.as_ref().is_some_and(|a| a.contains_key(labels::APPROVED)),
        bars: status.bars,
        recorded: Recorded {
            ready: holds(Type::Ready),
            revoked: holds(Type::Revoked),
            stalled: holds(Type::Stalled),
            in_use: holds(Type::InUse),
            deployments: status.deployments,
            outcomes: status.outcomes,
        },
    }
}

/// One bounded line that says something.
fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_MAX).collect();
    let clean = clean.trim();
    if clean.is_empty() { "no reason given".to_owned() } else { clean.to_owned() }
}

impl<'de> Deserialize<'de> for VersionObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DeserializeGuard(read) = DeserializeGuard::<Slim>::deserialize(deserializer)?;
        Ok(match read {
            Ok(slim) => Self { metadata: identity(&slim.metadata), view: Ok(Arc::new(view(slim))) },
            Err(invalid) => Self { metadata: identity(&invalid.metadata), view: Err(invalid.error.into()) },
        })
    }
}

/// What of the metadata is kept.
pub fn identity(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        generation: meta.generation,
        deletion_timestamp: meta.deletion_timestamp.clone(),
        ..ObjectMeta::default()
    }
}

impl Resource for VersionObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;
    fn kind((): &()) -> Cow<'_, str> {
        ModelVersion::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        ModelVersion::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        ModelVersion::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        ModelVersion::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Main for ModelVersion {
    const KIND: OwnerKind = OwnerKind::ModelVersion;
}

impl Main for VersionObject {
    const KIND: OwnerKind = OwnerKind::ModelVersion;
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A version as the apiserver sends it.
    pub fn version(name: &str, annotations: &Value, status: &Value) -> VersionObject {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelVersion",
            "metadata": {
                "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "7",
                "generation": 1, "annotations": annotations, "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {
                "model": "wine", "origin": "Imported",
                "artifact": {
                    "uri": "s3://models/wine", "digest": format!("sha256:{}", "1".repeat(64)),
                    "sizeBytes": 12,
                },
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_version_is_revoked_by_the_annotation_and_stays_so_by_the_condition() {
        let revoked = |annotations: Value, status: Value| {
            version("v1", &annotations, &status).view.unwrap().known.revoked.clone()
        };
        let condition = json!({"conditions": [{
            "type": "Revoked", "status": "True", "reason": "Revoked", "message": "leaked labels",
        }]});
        assert_eq!(revoked(json!({}), json!({})), None);
        assert_eq!(
            revoked(json!({"serin.dev/revoked": "bad\ndata"}), json!({})).as_deref(),
            Some("bad data")
        );
        assert_eq!(revoked(json!({"serin.dev/revoked": ""}), json!({})).as_deref(), Some("no reason given"));
        assert_eq!(revoked(json!({}), condition.clone()).as_deref(), Some("leaked labels"));
        assert_eq!(
            revoked(json!({"serin.dev/revoked": "other"}), condition).as_deref(),
            Some("leaked labels")
        );
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let status = json!({
            "level": "Pinned",
            "evaluations": [{"passed": true, "specHash": "h", "message": "m", "metrics": []}],
            "deployments": [
                {"name": "a", "uid": "a", "role": "Stable", "since": "2026-01-02T00:00:00Z"},
                {"name": "b", "uid": "b", "role": "Candidate", "since": "2026-01-03T00:00:00Z"},
            ],
        });
        let object = version("v1", &json!({}), &status);
        assert!(object.meta().managed_fields.is_none() && object.meta().annotations.is_none());
        let known = object.view.unwrap().known.clone();
        assert_eq!(known.level, Some(Level::Pinned));
        assert_eq!(known.judgements, [Judgement { passed: true, spec_hash: Some("h".into()) }]);
        assert_eq!(known.serves_since.map(|s| s.to_rfc3339()).as_deref(), Some("2026-01-02T00:00:00+00:00"));
    }

    #[test]
    fn what_channels_ask_for_is_kept() {
        let judged = |status: &str| json!({"conditions": [{"type": "Evaluated", "status": status, "reason": "GatePassed"}]});
        let view = |annotations: Value, status: Value| version("v1", &annotations, &status).view.unwrap();
        let plain = view(json!({}), json!({}));
        assert!(plain.passed.is_none() && !plain.approved && plain.bars.is_empty());
        let passed = |status: &str| view(json!({}), judged(status)).observed("wine").evaluated;
        assert!(passed("True") && !passed("Unknown") && !passed("False"));
        let approved = view(json!({"serin.dev/approved": ""}), json!({}));
        assert!(approved.approved && plain.matters(&approved));
        let bar = json!({
            "deployment": "wine", "revision": "r1-2", "reason": "AnalysisFailed", "at": "2026-01-02T00:00:00Z",
        });
        let barred = view(json!({}), json!({"bars": [bar]}));
        assert!(plain.matters(&barred));
        assert_eq!(barred.observed("wine").bar.unwrap().revision, "r1-2");
        assert_eq!(barred.observed("pear").bar, None);
    }

    #[test]
    fn one_that_does_not_fit_is_still_an_object() {
        let object: VersionObject = serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelVersion",
            "metadata": {"name": "v1", "namespace": "ns"}, "spec": {"model": 7},
        }))
        .unwrap();
        assert_eq!(object.meta().name.as_deref(), Some("v1"));
        assert!(object.view.is_err());
    }
}
