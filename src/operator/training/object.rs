//! A TrainingRun as it is kept. One that goes on is kept whole: the spec is what decisions are about. Of one that is over
//! a stub remains, as nothing is ever decided about it again but when its Jobs go.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Resource, core::DeserializeGuard};
use serde::{Deserialize, Deserializer};
use serin_api::{TrainingRun, conditions::from_time, labels};
use serin_engine::{
    retrain::{ObservedRun, RunEnd},
    training::decide::MANAGER,
};

use crate::{
    owner::{Main, OwnerKey, OwnerKind},
    versions::identity,
};

/// A run, as far as there is something to do for it.
#[derive(Clone, Debug)]
pub enum RunObject {
    /// It goes on.
    Live(Arc<TrainingRun>),
    /// Anything else; of the metadata only the identity is kept, and what its policy has to know.
    Stub(Box<ObjectMeta>, Stub, Option<Box<OfPolicy>>),
}

/// A run that a RetrainPolicy started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPolicy {
    /// Its policy.
    pub policy: OwnerKey,
    /// Resource version of the run; 0 if it is no number.
    pub version: u64,
    pub run: ObservedRun,
}

impl OfPolicy {
    fn of(run: &TrainingRun) -> Option<Self> {
        let meta = &run.metadata;
        let policy = OwnerKey::by_reference(OwnerKind::RetrainPolicy, meta)?;
        let label = |key: &str| meta.labels.as_ref()?.get(key).cloned();
        let completion = run.status.as_ref().and_then(|s| s.completion.as_ref());
        let version = run.status.as_ref().and_then(|s| s.model_version.clone());
        Some(Self {
            policy,
            version: meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
            run: ObservedRun {
                name: meta.name.clone()?,
                uid: meta.uid.clone()?,
                number: label(labels::RETRAIN_NUMBER)?.parse().ok().filter(|n| *n > 0)?,
                trigger: label(labels::TRIGGER).unwrap_or_default(),
                inputs: label(labels::RETRAIN_INPUTS).unwrap_or_default(),
                created_at: meta.creation_timestamp.as_ref().and_then(from_time).unwrap_or_default(),
                end: completion.map(|c| RunEnd {
                    result: c.result,
                    reason: c.reason.clone(),
                    version,
                    at: c.at,
                }),
            },
        })
    }
}

/// Why a run is not kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stub {
    /// It is over.
    Over(Over),
    /// Another controller's.
    Foreign,
    /// It does not fit our types.
    Unreadable(Arc<str>),
}

/// What is left of a run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// When its Jobs go.
    pub jobs_go_at: DateTime<Utc>,
    /// Whether its status speaks of an older generation.
    pub lags: bool,
}

fn of(mut run: TrainingRun) -> RunObject {
    if run.spec.managed_by.as_deref().is_some_and(|m| m != MANAGER) {
        let of_policy = OfPolicy::of(&run).map(Box::new);
        return RunObject::Stub(Box::new(identity(&run.metadata)), Stub::Foreign, of_policy);
    }
    if let Some(status) = &run.status
        && let Some(completion) = &status.completion
    {
        let kept = TimeDelta::try_seconds(run.spec.retention.jobs_seconds).unwrap_or_default();
        let over = Over {
            jobs_go_at: completion.at.checked_add_signed(kept).unwrap_or(DateTime::<Utc>::MAX_UTC),
            lags: status.observed_generation != run.metadata.generation,
        };
        let of_policy = OfPolicy::of(&run).map(Box::new);
        return RunObject::Stub(Box::new(identity(&run.metadata)), Stub::Over(over), of_policy);
    }
    // `kubectl apply` keeps a second copy of the spec in here.
    run.metadata.annotations = None;
    run.metadata.managed_fields = None;
    RunObject::Live(Arc::new(run))
}

/// The versions that a run names.
pub fn named(run: &TrainingRun) -> BTreeSet<String> {
    let spec = &run.spec;
    let base = spec.base_model.as_ref().and_then(|b| b.version_ref.as_ref());
    let champion = spec.evaluation.as_ref().and_then(|e| e.champion.as_ref());
    let recorded = run.status.iter().flat_map(|status| {
        let champion = status.evaluation.as_ref().and_then(|e| e.champion.as_ref()).map(|c| &c.version);
        status.model_version.iter().chain(champion)
    });
    base.into_iter().chain(champion).chain(&spec.replay_of).chain(recorded).cloned().collect()
}

impl RunObject {
    /// What its policy has to know, if it has one.
    pub fn of_policy(&self) -> Option<OfPolicy> {
        match self {
            Self::Live(run) => OfPolicy::of(run),
            Self::Stub(_, _, of_policy) => of_policy.as_deref().cloned(),
        }
    }

    /// Whether nothing of its pods is of interest any more.
    pub fn needs_no_pods(&self) -> bool {
        match self {
            Self::Live(_) => false,
            Self::Stub(_, stub, _) => match stub {
                Stub::Over(_) | Stub::Foreign => true,
                Stub::Unreadable(_) => false,
            },
        }
    }
}

impl<'de> Deserialize<'de> for RunObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DeserializeGuard(read) = DeserializeGuard::<TrainingRun>::deserialize(deserializer)?;
        Ok(match read {
            Ok(run) => of(run),
            Err(invalid) => {
                let identity = Box::new(identity(&invalid.metadata));
                Self::Stub(identity, Stub::Unreadable(invalid.error.into()), None)
            }
        })
    }
}

impl Resource for RunObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;
    fn kind((): &()) -> Cow<'_, str> {
        TrainingRun::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        TrainingRun::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        TrainingRun::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        TrainingRun::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Live(run) => &run.metadata,
            Self::Stub(metadata, ..) => metadata,
        }
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Live(run) => &mut Arc::make_mut(run).metadata,
            Self::Stub(metadata, ..) => metadata,
        }
    }
}

impl Main for RunObject {
    const KIND: OwnerKind = OwnerKind::TrainingRun;
}

impl Main for TrainingRun {
    const KIND: OwnerKind = OwnerKind::TrainingRun;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(change: impl Fn(&mut Value)) -> RunObject {
        let digest = format!("sha256:{}", "1".repeat(64));
        let mut run = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "TrainingRun",
            "metadata": {
                "name": "wine", "namespace": "ns", "uid": "u", "generation": 3, "resourceVersion": "7",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {
                "model": "wine", "trainer": {"image": "i", "command": ["train"]},
                "output": {"uri": "s3://models/wine"}, "baseModel": {"versionRef": "wine-1"},
                "evaluation": {
                    "image": "e", "command": ["judge"], "champion": "wine-2",
                    "dataset": {"name": "test", "uri": "s3://data/test", "digest": digest},
                    "gate": {"metrics": [{"name": "accuracy", "min": "0.5"}]},
                },
                "retention": {"jobsSeconds": 60},
            },
        });
        change(&mut run);
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn a_run_that_goes_on_is_whole_and_one_that_is_over_a_stub() {
        let RunObject::Live(live) = run(|_| ()) else { panic!("it goes on") };
        assert!(live.metadata.annotations.is_none());
        assert_eq!(named(&live), BTreeSet::from(["wine-1".to_owned(), "wine-2".to_owned()]));
        let over = run(|r| {
            r["status"] = json!({"observedGeneration": 2, "completion": {
                "result": "Failed", "reason": "Crashed", "message": "m", "at": "2026-01-01T00:00:00Z",
            }});
        });
        assert!(over.needs_no_pods());
        let RunObject::Stub(meta, Stub::Over(over), _) = over else { panic!("it is over") };
        assert_eq!((meta.uid.as_deref(), meta.annotations), (Some("u"), None));
        let expected = Over { jobs_go_at: "2026-01-01T00:01:00Z".parse().unwrap(), lags: true };
        assert_eq!(over, expected);
    }

    #[test]
    fn another_controllers_run_is_left_alone() {
        let foreign = run(|r| r["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue"));
        assert!(matches!(foreign, RunObject::Stub(_, Stub::Foreign, _)));
        let ours = run(|r| r["spec"]["managedBy"] = json!("serin.dev/operator"));
        assert!(matches!(ours, RunObject::Live(_)));
    }

    #[test]
    fn one_that_does_not_fit_is_still_an_object() {
        let object = run(|r| r["spec"]["trainer"] = json!(7));
        assert!(!object.needs_no_pods());
        assert!(matches!(object, RunObject::Stub(_, Stub::Unreadable(_), _)));
    }
}
