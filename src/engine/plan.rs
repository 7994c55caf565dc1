//! A plan: effects as values, in an order in which every prefix is safe.

use std::{fmt, time::Duration};

use serin_api::{IntOrString, ModelDeploymentStatus, Reason, RevisionSpec, Slot, VersionBar};

use crate::objects::user_route::Place;

/// What a reconcile will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Writes to children, to be done one after the other.
    pub writes: Vec<Write>,
    /// The whole status; written after `writes`, if it differs from the present one.
    pub status: ModelDeploymentStatus,
    /// Events, published after the status was written.
    pub notes: Vec<Note>,
    /// When to look again without being told.
    pub recheck: Option<Duration>,
    /// Whether the present spec and status must be confirmed by a quorum read first: it starts, ends or turns round
    /// a rollout.
    pub decisive: bool,
}

/// One write to one child.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// POST; a name that is taken is found out here and never adopted.
    CreateDeployment {
        /// Revision id.
        revision: String,
        /// Content.
        spec: Box<RevisionSpec>,
        /// Slot for life.
        slot: Slot,
        /// Pods.
        replicas: i32,
    },
    /// Merge patch of `spec.replicas` with the UID as precondition.
    Scale {
        /// Deployment.
        name: String,
        /// Its UID.
        uid: String,
        /// Pods.
        replicas: i32,
    },
    /// GET of the route, before the revision of a slot goes. If it sends anything there: outrun. A watch that is down shows
    /// no weight that somebody else set meanwhile, and pods that have gone do not come back at once.
    ConfirmNoTraffic(Slot),
    /// DELETE with the UID as precondition.
    DeleteDeployment {
        /// Deployment.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// POST of the Service of a slot.
    CreateSlotService(Slot),
    /// POST or server-side apply of the PodDisruptionBudget.
    SetBudget {
        /// UID of the present one; `None`: POST.
        uid: Option<String>,
        /// Pods that may be missing.
        max_unavailable: IntOrString,
    },
    /// DELETE of it, with the UID as precondition.
    DeleteBudget {
        /// Its UID.
        uid: String,
    },
    /// GET of a ModelVersion and PATCH of its status, valid only for what was read: what this deployment says of it.
    SetBar {
        /// Name of the ModelVersion.
        version: String,
        /// Its UID.
        uid: String,
        /// That it was rolled back here; `None`: no longer.
        bar: Option<VersionBar>,
    },
    /// POST or server-side apply of the object that carries the weights.
    SetWeights {
        /// UID of the present one; `None`: POST.
        uid: Option<String>,
        /// Percent to each slot.
        weights: Weights,
        /// What they are for.
        journal: Journal,
    },
    /// JSON patch of the weights in a route that the user owns; see [`crate::objects::user_route`].
    PatchWeights {
        /// UID of the route.
        uid: String,
        /// Where they stand.
        place: Place,
        /// Percent to each slot.
        weights: Weights,
        /// What they are for.
        journal: Journal,
    },
}

/// Percent of the traffic to each slot; they add up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// To slot a.
    pub a: i32,
    /// To slot b.
    pub b: i32,
    /// Where testers' requests go, if not where all go.
    pub testers: Option<Slot>,
    /// Who gets copies of everybody's requests.
    pub mirror: Option<Mirror>,
}

/// Copies of requests. Nobody gets the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where they go.
    pub to: Slot,
    /// Of how many of all requests, 1 to 100.
    pub percent: i32,
}

impl Weights {
    /// `weight` percent to `slot`, the rest to the other one.
    pub fn to(slot: Slot, weight: i32) -> Self {
        match slot {
            Slot::A => Self { a: weight, b: 100 - weight, testers: None, mirror: None },
            Slot::B => Self { a: 100 - weight, b: weight, testers: None, mirror: None },
        }
    }
    /// Whether any request goes to a slot, a copy included.
    pub fn reaches(self, slot: Slot) -> bool {
        self.of(slot) > 0 || self.testers == Some(slot) || self.mirror.is_some_and(|m| m.to == slot)
    }
    /// Percent to a slot.
    pub fn of(self, slot: Slot) -> i32 {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }
}

/// The decision that weights were written for. It is written together with them, so that a restart between the
/// weights and the status finishes the decision instead of taking it again (Prometheus may be away by then). Weights
/// that somebody edited by hand carry no matching journal and count as drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Revision that the decision is about.
    pub revision: String,
    /// What was decided.
    pub entry: Entry,
    /// Percent to the candidate, while pods and weights take turns on the way there.
    pub on_the_way: Option<i32>,
}
impl Journal {
    /// Of a decision that these weights fulfil.
    pub fn of(revision: &str, entry: Entry) -> Self {
        Self { revision: revision.to_owned(), entry, on_the_way: None }
    }
    /// Of one that they lead to.
    pub fn toward(revision: &str, entry: Entry, weight: i32) -> Self {
        Self { on_the_way: Some(weight), ..Self::of(revision, entry) }
    }
}

/// See [`Journal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// All traffic to the stable revision.
    Stable,
    /// The candidate's step, from 1.
    Step(i32),
    /// All traffic to the candidate, which thereby becomes stable.
    Promote,
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Entry::Stable => write!(f, "{}/stable", self.revision),
            Entry::Step(n) => write!(f, "{}/{n}", self.revision),
            Entry::Promote => write!(f, "{}/promote", self.revision),
        }?;
        self.on_the_way.map_or(Ok(()), |weight| write!(f, "@{weight}"))
    }
}

impl Journal {
    /// Reads what [`fmt::Display`] wrote; anything else is no journal.
    pub fn parse(text: &str) -> Option<Self> {
        let (revision, entry) = text.rsplit_once('/')?;
        let (entry, on_the_way) = match entry.split_once('@') {
            Some((entry, weight)) => (entry, Some(weight.parse().ok().filter(|w| (0..=100).contains(w))?)),
            None => (entry, None),
        };
        let entry = match entry {
            "stable" => Entry::Stable,
            "promote" => Entry::Promote,
            n => Entry::Step(n.parse().ok().filter(|n| *n > 0)?),
        };
        Some(Self { revision: revision.to_owned(), entry, on_the_way })
    }
}

/// An Event to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Warning instead of Normal.
    pub warning: bool,
    /// Why.
    pub reason: Reason,
    /// What: part of the event's identity, so that two steps are two events.
    pub action: String,
    /// In words.
    pub message: String,
}
