//! A cluster in memory: Deployments whose pods take their time, a gateway that confirms late, and whatever goes wrong.

use std::collections::BTreeMap;

use serin_api::{RevisionSpec, Slot, TrafficMode};
use serin_engine::{
    Crashed, Journal, Mirror, Mirroring, ObservedBudget, ObservedDeployment, ObservedTraffic,
    ObservedVersion, PodTrouble, Weights, World, Write, objects::user_route::Place, revision,
};

pub const NAME: &str = "wine";
pub const UID: &str = "0d5f4f0e-0000-4000-8000-000000000001";

/// How the pods of a version behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temper {
    /// Ready after the usual time.
    #[default]
    Fine,
    /// Crash again and again.
    CrashLoop,
    /// Run but never become ready.
    NeverReady,
    /// Image cannot be pulled.
    NoImage,
    /// The cluster has room for so many.
    AtMost(i32),
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub name: String,
    pub uid: String,
    pub revision: String,
    pub version: String,
    pub slot: Slot,
    pub replicas: i32,
    pub born: i64,
    /// When each pod is ready; `None`: never.
    pub pods: Vec<Option<i64>>,
    /// When it is gone.
    pub gone_at: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub weights: Weights,
    pub journal: Option<Journal>,
    pub confirmed_at: i64,
    pub uid: String,
    /// It asks the gateway to keep sessions.
    pub sessions: bool,
}

/// What an apiserver refuses.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Exists,
    Gone,
    InUse,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is something that may be so or not, by itself")]
pub struct Cluster {
    pub now: i64,
    pub mode: TrafficMode,
    pub deployments: Vec<Deployment>,
    pub route: Option<Route>,
    /// The route is the user's.
    pub user_route: bool,
    pub services: Vec<Slot>,
    pub budget: Option<ObservedBudget>,
    pub versions: BTreeMap<String, ObservedVersion>,
    pub tempers: BTreeMap<String, Temper>,
    /// Pods of all versions that the nodes have room for, also those that are on their way out.
    pub room: Option<i32>,
    /// Until when pods that go hold their places.
    leaving: Vec<i64>,
    pub startup: i64,
    pub gateway_delay: i64,
    pub gateway_refuses: bool,
    /// What the gateway says if it is asked whether it copies requests.
    pub mirrors: bool,
    /// The spec asks for sessions that are kept.
    pub sessions_asked: bool,
    /// Whether HTTPRoute has a field for it.
    pub session_field: Option<bool>,
    /// Deployments made so far, of each version: more than one of a version is a loss somewhere.
    pub made: BTreeMap<String, i32>,
    uids: u32,
}

const CRASHES_SHOW_AFTER: [i64; 3] = [40, 120, 200];
const TROUBLE_SHOWS_AFTER: i64 = 5;
const DELETION_TAKES: i64 = 3;
/// Seconds that a pod that goes takes to end.
const ENDING_TAKES: i64 = 4;

impl Cluster {
    pub fn new(mode: TrafficMode) -> Self {
        Self {
            now: 0,
            mode,
            deployments: Vec::new(),
            route: None,
            user_route: false,
            services: Vec::new(),
            budget: None,
            versions: BTreeMap::new(),
            tempers: BTreeMap::new(),
            room: None,
            leaving: Vec::new(),
            startup: 5,
            gateway_delay: 2,
            gateway_refuses: false,
            mirrors: true,
            sessions_asked: false,
            session_field: Some(true),
            made: BTreeMap::new(),
            uids: 0,
        }
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub fn of_version(&self, version: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|d| d.version == version && d.gone_at.is_none())
    }

    pub fn at_slot(&self, slot: Slot) -> Option<&Deployment> {
        self.deployments.iter().find(|d| d.slot == slot && d.gone_at.is_none())
    }

    pub fn available(&self, d: &Deployment) -> i32 {
        if d.gone_at.is_some() {
            return 0;
        }
        let ready = d.pods.iter().filter(|p| p.is_some_and(|at| at <= self.now)).count();
        i32::try_from(ready).unwrap()
    }

    pub fn available_of(&self, revision: &str) -> i32 {
        self.deployments.iter().find(|d| d.revision == revision).map_or(0, |d| self.available(d))
    }

    pub fn weight(&self, slot: Slot) -> i32 {
        self.route.as_ref().map_or(0, |r| r.weights.of(slot))
    }

    /// Who gets copies of requests.
    pub fn mirror(&self) -> Option<Mirror> {
        self.route.as_ref()?.weights.mirror
    }

    fn temper(&self, version: &str) -> Temper {
        self.tempers.get(version).copied().unwrap_or_default()
    }

    fn trouble(&self, d: &Deployment) -> Option<PodTrouble> {
        let age = self.now - d.born;
        if self.available(d) >= d.replicas {
            return None;
        }
        match self.temper(&d.version) {
            Temper::NoImage if age >= TROUBLE_SHOWS_AFTER => {
                Some(PodTrouble::ImagePull { message: "not found".to_owned() })
            }
            Temper::AtMost(_) if age >= TROUBLE_SHOWS_AFTER => {
                Some(PodTrouble::Unschedulable { message: "0/3 nodes".to_owned() })
            }
            _ if age >= TROUBLE_SHOWS_AFTER && self.unscheduled(d) > 0 => {
                let message = "0/3 nodes are available: 3 Insufficient example.com/gpu".to_owned();
                Some(PodTrouble::Unschedulable { message })
            }
            _ => None,
        }
    }

    /// A container that crashes: three times by the first moment, and once more at each of the others.
    fn crashed(&self, d: &Deployment) -> Option<Crashed> {
        let age = self.now - d.born;
        let crashes = self.temper(&d.version) == Temper::CrashLoop && self.available(d) < d.replicas;
        let more = CRASHES_SHOW_AFTER.into_iter().filter(|after| *after <= age).count();
        let restarts = 2 + i32::try_from(more).unwrap();
        (crashes && more > 0).then(|| Crashed { restarts, message: "exit code 1".to_owned() })
    }

    /// Whether a route that is written now asks for it.
    fn keeps_sessions(&self, weights: Weights) -> bool {
        self.sessions_asked && self.session_field == Some(true) && weights.a > 0 && weights.b > 0
    }

    pub fn observe(&self) -> World {
        let deployments = self.deployments.iter().map(|d| ObservedDeployment {
            name: d.name.clone(),
            uid: d.uid.clone(),
            revision: d.revision.clone(),
            slot: d.slot,
            replicas: d.replicas,
            available: self.available(d),
            deleting: d.gone_at.is_some(),
            trouble: self.trouble(d),
            crashed: self.crashed(d),
            unscheduled: self.unscheduled(d),
        });
        let traffic = self.route.as_ref().map(|r| ObservedTraffic {
            uid: r.uid.clone(),
            weights: r.weights,
            journal: r.journal.clone(),
            confirmed: !self.gateway_refuses && r.confirmed_at <= self.now,
            intact: r.sessions == self.keeps_sessions(r.weights),
            refused: self.gateway_refuses.then(|| "no such gateway".to_owned()),
            place: self.user_route.then_some(Place { rule: 1, a: 0, b: 2, bare: None }),
        });
        let lost = self.user_route && traffic.is_none();
        World {
            deployments: deployments.collect(),
            traffic,
            unusable_route: lost.then(|| "HTTPRoute front does not exist".to_owned()),
            slot_services: self.services.clone(),
            budget: self.budget.clone(),
            taken: Vec::new(),
            leftovers_of_namesake: false,
            gateway_api: true,
            mirroring: Mirroring::Unasked,
            session_persistence: self.session_field,
            versions: self.versions.clone(),
        }
    }

    /// Those that are not ready yet go first.
    fn resize(&mut self, index: usize, replicas: i32) {
        let (now, limited) = (self.now, self.room.is_some());
        let d = &mut self.deployments[index];
        d.replicas = replicas;
        let wanted = usize::try_from(replicas).unwrap();
        d.pods.sort_by_key(|p| p.unwrap_or(i64::MAX));
        let going = d.pods.len().saturating_sub(wanted);
        d.pods.truncate(wanted);
        if limited {
            self.leaving.extend(std::iter::repeat_n(now + ENDING_TAKES, going));
        }
        self.place();
    }

    /// Pods get their places, as far as there is room: the oldest Deployment's first.
    fn place(&mut self) {
        let now = self.now;
        let startup = self.startup;
        self.leaving.retain(|until| *until > now);
        let placed: usize = self.deployments.iter().map(|d| d.pods.len()).sum();
        let mut free = self.room.map(|room| usize::try_from(room).unwrap());
        free = free.map(|room| room.saturating_sub(placed + self.leaving.len()));
        let tempers = self.tempers.clone();
        for d in self.deployments.iter_mut().filter(|d| d.gone_at.is_none()) {
            let temper = tempers.get(&d.version).copied().unwrap_or_default();
            while d.pods.len() < usize::try_from(d.replicas).unwrap() && free != Some(0) {
                free = free.map(|free| free - 1);
                let place = i32::try_from(d.pods.len()).unwrap();
                d.pods.push(match temper {
                    Temper::Fine => Some(now + startup),
                    Temper::AtMost(n) if place < n => Some(now + startup),
                    _ => None,
                });
            }
        }
    }

    fn unscheduled(&self, d: &Deployment) -> i32 {
        let without_place = d.replicas - i32::try_from(d.pods.len()).unwrap();
        match self.temper(&d.version) {
            Temper::AtMost(n) => without_place + (d.replicas - n).max(0),
            _ => without_place,
        }
    }

    pub fn write(&mut self, write: &Write) -> Result<(), Refused> {
        match write {
            Write::CreateDeployment { revision, spec, slot, replicas } => {
                self.create(revision, spec, *slot, *replicas)?;
            }
            Write::Scale { name, uid, replicas } => {
                let i = self.find(name, uid)?;
                self.resize(i, *replicas);
            }
            Write::ConfirmNoTraffic(slot) => {
                if self.route.as_ref().is_some_and(|r| r.weights.reaches(*slot)) {
                    return Err(Refused::InUse);
                }
            }
            Write::DeleteDeployment { name, uid } => {
                let i = self.find(name, uid)?;
                let gone_at = self.now + DELETION_TAKES;
                self.deployments[i].gone_at.get_or_insert(gone_at);
            }
            Write::CreateSlotService(slot) => {
                if self.services.contains(slot) {
                    return Err(Refused::Exists);
                }
                self.services.push(*slot);
            }
            Write::SetBudget { uid, max_unavailable } => {
                let present = self.budget.as_ref().map(|b| b.uid.clone());
                match (&present, uid) {
                    (Some(_), None) => return Err(Refused::Exists),
                    (p, Some(_)) if p != uid => return Err(Refused::Gone),
                    _ => {}
                }
                let uid = present.unwrap_or_else(|| self.uid());
                let max_unavailable = Some(max_unavailable.clone());
                self.budget = Some(ObservedBudget { uid, max_unavailable, deleting: false });
            }
            Write::DeleteBudget { uid } => {
                self.budget.take_if(|b| b.uid == *uid).ok_or(Refused::Gone)?;
            }
            Write::PatchWeights { uid, weights, journal, .. } => {
                let confirmed_at = self.confirmation();
                let found = self.route.as_mut().filter(|r| r.uid == *uid).ok_or(Refused::Gone)?;
                let (weights, journal, uid) = (*weights, Some(journal.clone()), uid.clone());
                *found = Route { weights, journal, confirmed_at, uid, sessions: false };
            }
            Write::SetBar { version, uid, bar } => {
                let version =
                    self.versions.get_mut(version).filter(|v| v.uid == *uid).ok_or(Refused::Gone)?;
                version.bar.clone_from(bar);
            }
            Write::SetWeights { uid, weights, journal } => {
                let present = self.route.as_ref().map(|r| r.uid.clone());
                match (&present, uid) {
                    (Some(_), None) => return Err(Refused::Exists),
                    (Some(p), Some(u)) if p != u => return Err(Refused::Gone),
                    (None, Some(_)) => return Err(Refused::Gone),
                    _ => {}
                }
                let uid = present.unwrap_or_else(|| self.uid());
                let journal = Some(journal.clone());
                let (weights, confirmed_at) = (*weights, self.confirmation());
                let sessions = self.keeps_sessions(weights);
                self.route = Some(Route { weights, journal, confirmed_at, uid, sessions });
            }
        }
        Ok(())
    }

    fn confirmation(&self) -> i64 {
        match self.mode {
            TrafficMode::Gateway => self.now + self.gateway_delay,
            TrafficMode::ReplicaRatio => self.now,
        }
    }

    fn create(
        &mut self,
        revision: &str,
        spec: &RevisionSpec,
        slot: Slot,
        replicas: i32,
    ) -> Result<(), Refused> {
        let name = revision::child_name(NAME, UID, revision);
        if self.deployments.iter().any(|d| d.name == name) {
            return Err(Refused::Exists);
        }
        let version = revision::version_of(spec);
        *self.made.entry(version.clone()).or_default() += 1;
        let uid = self.uid();
        self.deployments.push(Deployment {
            name,
            uid,
            revision: revision.to_owned(),
            version,
            slot,
            replicas: 0,
            born: self.now,
            pods: Vec::new(),
            gone_at: None,
        });
        self.resize(self.deployments.len() - 1, replicas);
        Ok(())
    }

    fn find(&self, name: &str, uid: &str) -> Result<usize, Refused> {
        self.deployments.iter().position(|d| d.name == name && d.uid == uid).ok_or(Refused::Gone)
    }

    /// All pods of a version go; they are back after so many seconds, or never by themselves.
    pub fn kill(&mut self, version: &str, back_after: Option<i64>) {
        let back = back_after.map(|s| self.now + s);
        for d in self.deployments.iter_mut().filter(|d| d.version == version) {
            d.pods.iter_mut().for_each(|p| *p = back);
        }
    }

    /// Somebody deletes a Deployment behind our back.
    pub fn lose(&mut self, version: &str) {
        self.deployments.retain(|d| d.version != version);
        self.place();
    }

    /// Somebody edits the weights; the annotation with the journal stays, as it does in reality.
    pub fn edit_route(&mut self, weights: Weights) {
        let confirmed_at = self.confirmation();
        if let Some(r) = &mut self.route {
            r.weights = weights;
            r.confirmed_at = confirmed_at;
        }
    }

    /// The user makes the route, with the weights that a backend has by default.
    pub fn make_user_route(&mut self) {
        let (uid, confirmed_at) = (self.uid(), self.confirmation());
        let weights = Weights { a: 1, b: 1, testers: None, mirror: None };
        self.user_route = true;
        self.route = Some(Route { weights, journal: None, confirmed_at, uid, sessions: false });
    }

    /// What the clock alone does.
    pub fn evolve(&mut self) {
        let now = self.now;
        self.deployments.retain(|d| d.gone_at.is_none_or(|at| at > now));
        self.place();
    }

    /// When the clock alone changes something next.
    pub fn next_change(&self) -> Option<i64> {
        let pods = self.deployments.iter().flat_map(|d| d.pods.iter().flatten().copied());
        let gone = self.deployments.iter().filter_map(|d| d.gone_at);
        let shows_after = || CRASHES_SHOW_AFTER.into_iter().chain([TROUBLE_SHOWS_AFTER]);
        let trouble = self.deployments.iter().flat_map(|d| shows_after().map(|after| d.born + after));
        let route = self.route.iter().map(|r| r.confirmed_at).chain(self.leaving.iter().copied());
        pods.chain(gone).chain(trouble).chain(route).filter(|at| *at > self.now).min()
    }
}
