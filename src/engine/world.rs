//! What was observed, in the terms that a decision needs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serin_api::{Artifact, IntOrString, Slot, Storage, VersionBar};

use crate::{
    objects::user_route::Place,
    plan::{Journal, Weights},
};

/// Our children as the caches show them. Objects without our UID in their owner reference are not in here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Deployments, one a revision.
    pub deployments: Vec<ObservedDeployment>,
    /// The object that carries the weights.
    pub traffic: Option<ObservedTraffic>,
    /// Why the route that the user names cannot be used; there is no `traffic` then.
    pub unusable_route: Option<String>,
    /// Gateway mode: which of the two slot Services exist as they should.
    pub slot_services: Vec<Slot>,
    /// The PodDisruptionBudget.
    pub budget: Option<ObservedBudget>,
    /// Names that we need and that somebody else's object bears: `Service wine-a`.
    pub taken: Vec<String>,
    /// Names still borne by children of a deleted namesake; the garbage collector is on its way.
    pub leftovers_of_namesake: bool,
    /// Whether the cluster serves `HTTPRoute`.
    pub gateway_api: bool,
    /// Whether the gateways of our route copy requests; asked where [`crate::decide::mirrored`] says so.
    pub mirroring: Mirroring,
    /// Whether the cluster's `HTTPRoute` has the field `sessionPersistence`; `None` while that is not known.
    pub session_persistence: Option<bool>,
    /// The ModelVersions that spec and status name, as far as they exist; and all of the channel's model.
    pub versions: BTreeMap<String, ObservedVersion>,
}

/// Whether the gateways of a route can do a `RequestMirror` filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mirroring {
    /// Nobody wanted to know.
    #[default]
    Unasked,
    /// All of them, as many of the requests as are wanted.
    Supported,
    /// One of them cannot, or nobody knows whether it can: why, and what to do about it.
    Unsupported(String),
}

/// A ModelVersion, as far as a deployment cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedVersion {
    /// UID.
    pub uid: String,
    /// Its model.
    pub model: String,
    /// When it was recorded: the object's creation.
    pub recorded_at: DateTime<Utc>,
    /// Its files.
    pub artifact: Artifact,
    /// How pods reach them.
    pub storage: Storage,
    /// Why it must not be served any more.
    pub revoked: Option<String>,
    /// Whether an evaluation refused it.
    pub refused: bool,
    /// Whether it passed its evaluation.
    pub evaluated: bool,
    /// Whether a person approved it.
    pub approved: bool,
    /// That it was rolled back in the deployment that looks, as recorded there.
    pub bar: Option<VersionBar>,
}

/// One of our Deployments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDeployment {
    /// Name.
    pub name: String,
    /// UID, the precondition of a deletion.
    pub uid: String,
    /// Revision label.
    pub revision: String,
    /// Slot label.
    pub slot: Slot,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.availableReplicas`, 0 while the status is of an older generation.
    pub available: i32,
    /// Being deleted.
    pub deleting: bool,
    /// Pods that no node has taken.
    pub unscheduled: i32,
    /// The worst that its pods tell, beside crashes.
    pub trouble: Option<PodTrouble>,
    /// The container that crashed most often and waits to be started again.
    pub crashed: Option<Crashed>,
}

/// A container that crashed and waits to be started again. How often is too often, the spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crashed {
    /// How often it was started again.
    pub restarts: i32,
    /// Its last words or exit code.
    pub message: String,
}

/// Why pods do not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodTrouble {
    /// The model was not fetched, or is not the one that was asked for. It is tried again.
    Model {
        /// What the agent says.
        message: String,
    },
    /// The image cannot be pulled.
    ImagePull {
        /// What the kubelet says.
        message: String,
    },
    /// No node fits.
    Unschedulable {
        /// What the scheduler says.
        message: String,
    },
}

impl PodTrouble {
    /// Whether a pod that goes would help: not where no node is of the kind that is asked for. These are the scheduler's words
    /// (<https://kubernetes.io/docs/concepts/scheduling-eviction/>).
    pub fn lacks_room(&self) -> bool {
        let full = ["Insufficient ", "Too many pods", "cannot allocate all claims", "free ports"];
        matches!(self, Self::Unschedulable { message } if full.iter().any(|word| message.contains(word)))
    }
}

/// Our PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedBudget {
    /// UID, the precondition of a change.
    pub uid: String,
    /// `spec.maxUnavailable`; `None` if somebody replaced it by something else.
    pub max_unavailable: Option<IntOrString>,
    /// Being deleted.
    pub deleting: bool,
}

/// The HTTPRoute, or in replica-ratio mode the Service, that divides the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTraffic {
    /// UID, so that an update never touches a namesake.
    pub uid: String,
    /// Percent to each slot.
    pub weights: Weights,
    /// The decision that the weights were written for.
    pub journal: Option<Journal>,
    /// The gateway (or nobody, in replica-ratio mode) has confirmed exactly this object: accepted, references
    /// resolved, observed generation current.
    pub confirmed: bool,
    /// Everything but the weights is as it should be.
    pub intact: bool,
    /// Why the gateway refuses it, if it does.
    pub refused: Option<String>,
    /// Where the weights stand in a route that the user owns.
    pub place: Option<Place>,
}

impl World {
    /// The Deployment of a revision.
    pub fn of(&self, revision: &str) -> Option<&ObservedDeployment> {
        self.deployments.iter().find(|d| d.revision == revision)
    }
    /// What a revision's worst container says that crashed `most` times or more.
    pub fn crash_loop(&self, revision: &str, most: i32) -> Option<&Crashed> {
        self.of(revision)?.crashed.as_ref().filter(|crashed| crashed.restarts >= most)
    }
    /// Available pods of a revision.
    pub fn available(&self, revision: &str) -> i32 {
        self.of(revision).filter(|d| !d.deleting).map_or(0, |d| d.available)
    }
}
