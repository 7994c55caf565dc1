//! A world in memory in which plans are carried out, one effect after the other, on a virtual clock. The operator in it
//! may die after any effect; what is left is the cluster and the status, as in reality.

pub mod channel;
pub mod check;
pub mod check_pods;
pub mod cluster;
pub mod end;
pub mod metrics;
pub mod rooms;
pub mod script;
pub mod shadows;
pub mod told;
mod words;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use serin_api::{Approval, Candidate, ModelDeploymentSpec, ModelDeploymentStatus, TrafficMode};
use serin_engine::{
    Input, Mirroring, ObservedVersion, Orders, Plan, Reading, Revision, Weights, World, Write, decide,
    decide::{measurement, mirrored, mode},
};

use channel::{MODEL, channel};
use cluster::{Cluster, NAME, Temper, UID};
use metrics::{Metrics, Quality};
use told::Moment;
use words::{describe, summary};

/// Something that a person, the cluster or Prometheus does.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A person asks for a version.
    Apply(&'static str),
    /// A person asks for a ModelVersion by name.
    Reference(&'static str),
    /// A person asks for the newest version of the model.
    Channel(Approval),
    /// A person approves a ModelVersion, or no longer does.
    Approve(&'static str, bool),
    /// Somebody deletes the ModelDeployment, and makes the same one again.
    MadeAgain,
    /// The ModelVersion is there; or it is there no more.
    Version(&'static str, bool),
    /// Somebody revokes it.
    Revoke(&'static str),
    /// An evaluation refuses it.
    Refuse(&'static str),
    /// A person or an autoscaler sets the number of pods.
    Replicas(i32),
    /// Any other change of the spec.
    Edit(fn(&mut ModelDeploymentSpec)),
    /// The retry annotation for a version, with a word that makes it new.
    Retry(&'static str, &'static str),
    /// The promote annotation, likewise.
    Promote(&'static str, &'static str),
    /// The abort annotation, likewise.
    Abort(&'static str, &'static str),
    /// The skip annotation for a step of a version.
    Skip(&'static str, &'static str),
    /// All pods of a version go, and come back after so many seconds.
    Kill(&'static str, Option<i64>),
    /// How new pods of a version behave from now on.
    Temper(&'static str, Temper),
    /// The nodes have room for so many pods of all versions from now on.
    Room(i32),
    /// What the requests of a version tell from now on.
    Quality(&'static str, Quality),
    /// Prometheus goes away or comes back.
    Away(bool),
    /// Somebody edits the route.
    EditRoute(i32, i32),
    /// Somebody deletes the route or the Service that carries the weights.
    LoseRoute,
    /// The user makes the route (again).
    MakeRoute,
    /// Somebody deletes a child Deployment.
    Lose(&'static str),
    /// The gateway refuses the route, or no longer does.
    GatewayRefuses(bool),
    /// The gateway copies requests, or does not.
    GatewayMirrors(bool),
    /// The cluster's HTTPRoute gets or loses the field for sessions, or it is not known.
    SessionField(Option<bool>),
    /// The operator dies here and is back after so many seconds.
    Crash(i64),
}

/// What was done to the cluster, and when.
#[derive(Clone, Debug)]
pub struct Effect {
    pub at: i64,
    pub text: String,
    pub status: bool,
}

#[derive(Clone)]
pub struct Sim {
    pub cluster: Cluster,
    pub metrics: Metrics,
    pub spec: ModelDeploymentSpec,
    pub generation: i64,
    /// Values of the annotations retry, promote, abort, skip.
    pub orders: [Option<String>; 4],
    pub status: ModelDeploymentStatus,
    pub effects: Vec<Effect>,
    pub notes: Vec<String>,
    /// Each look at the world, for the message of a failure.
    pub looks: usize,
    pub failed: Option<(String, DateTime<Utc>)>,
    events: Vec<(i64, Event)>,
    recheck_at: Option<i64>,
    seen: Option<(World, i64, ModelDeploymentStatus, [Option<String>; 4])>,
    /// Die after this many effects, and be back so many seconds later.
    pub crash: Option<(usize, i64)>,
    /// Die after every effect.
    pub crash_always: bool,
    down_until: Option<i64>,
    /// Look number n sees the world as it was at the look before.
    pub stale_look: Option<usize>,
    /// Looks at which something was written.
    pub busy_looks: Vec<usize>,
    before: Option<World>,
    /// What an onlooker saw, if one looks on.
    pub told: Option<Vec<Moment>>,
}

/// Looks at one instant before the engine is said to run in circles.
const LOOKS_AT_ONCE: usize = 30;

/// Writes at one instant before the engine is said to write in circles; an operator that dies all the time never looks
/// often enough at once to be caught by the other limit.
const WRITES_AT_ONCE: usize = 60;

/// The spec that asks for a version.
pub fn spec(version: &str) -> ModelDeploymentSpec {
    let digest = version.bytes().next_back().unwrap_or(b'0');
    serde_json::from_value(json!({
        "model": {
            "artifact": { "uri": format!("pvc://models/{version}"), "digest": format!("sha256:{digest:064x}") },
            "version": version,
        },
        "server": { "image": "registry.example/wine-server" },
        "replicas": 3,
        "traffic": { "gateway": { "parentRefs": [{ "name": "public" }] } },
        "rollout": { "steps": [{ "weight": 10 }, { "weight": 25 }, { "weight": 50 }, { "weight": 100 }] },
    }))
    .unwrap()
}

fn asks_for_sessions(spec: &ModelDeploymentSpec) -> bool {
    spec.traffic.gateway.as_ref().is_some_and(|gateway| gateway.session_persistence.is_some())
}

pub fn at(seconds: i64) -> DateTime<Utc> {
    // Far from zero, as time is.
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

impl Sim {
    pub fn new(spec: ModelDeploymentSpec) -> Self {
        let mut cluster = Cluster::new(mode(&spec));
        if spec.traffic.http_route.is_some() {
            cluster.make_user_route();
        }
        cluster.sessions_asked = asks_for_sessions(&spec);
        Self {
            cluster,
            metrics: Metrics::new(),
            spec,
            generation: 1,
            orders: [const { None }; 4],
            status: ModelDeploymentStatus::default(),
            effects: Vec::new(),
            notes: Vec::new(),
            looks: 0,
            failed: None,
            events: Vec::new(),
            recheck_at: None,
            seen: None,
            crash: None,
            crash_always: false,
            down_until: None,
            stale_look: None,
            busy_looks: Vec::new(),
            before: None,
            told: None,
        }
    }

    pub fn schedule(&mut self, events: &[(i64, Event)]) {
        self.events.extend_from_slice(events);
        self.events.sort_by_key(|(at, _)| *at);
    }

    pub fn now(&self) -> DateTime<Utc> {
        at(self.cluster.now)
    }

    pub fn target(&self) -> Revision {
        let by_name = || self.by_name(self.spec.model.version_ref.as_deref().or(self.asked_for())?);
        // While the version is missing, what serves is what is asked for.
        let serves = || self.status.stable.as_ref().map(|s| s.spec.model.clone());
        let model = self.spec.model.resolved().or_else(by_name).or_else(serves);
        Revision::of(&self.spec, model.unwrap())
    }

    pub fn candidate(&self) -> &Candidate {
        self.status.candidate.as_ref().unwrap_or_else(|| panic!("no candidate\n{}", self.log()))
    }

    pub fn stable(&self) -> &str {
        self.status.stable.as_ref().map_or("", |s| &s.version)
    }

    /// Percent of the traffic that a version has.
    pub fn weight(&self, version: &str) -> i32 {
        self.cluster.of_version(version).map_or(0, |d| self.cluster.weight(d.slot))
    }

    pub fn reason(&self) -> &str {
        self.condition("Progressing").1
    }

    /// Status and reason of a condition.
    pub fn condition(&self, ty: &str) -> (&str, &str) {
        let found = self.status.conditions.iter().find(|c| c.type_ == ty);
        found.map_or(("", ""), |c| (c.status.as_str(), c.reason.as_str()))
    }

    pub fn log(&self) -> String {
        let lines = self.effects.iter().map(|e| format!("{:>6} s  {}", e.at, e.text));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Lets the world go on until `end`.
    pub fn run_until(&mut self, end: i64) {
        self.happen();
        loop {
            self.settle();
            let Some(next) = self.next_time().filter(|t| *t <= end) else { break };
            self.cluster.now = next;
            self.cluster.evolve();
            self.happen();
        }
        self.cluster.now = end;
    }

    fn next_time(&self) -> Option<i64> {
        let event = self.events.first().map(|(at, _)| *at);
        let down = self.down_until;
        let recheck = if down.is_some() { None } else { self.recheck_at };
        let next = [event, down, recheck, self.cluster.next_change()].into_iter().flatten().min();
        next.map(|t| t.max(self.cluster.now))
    }

    fn happen(&mut self) {
        if self.down_until.is_some_and(|t| t <= self.cluster.now) {
            self.down_until = None;
        }
        while self.events.first().is_some_and(|(at, _)| *at <= self.cluster.now) {
            let (_, event) = self.events.remove(0);
            self.play(event);
        }
    }

    fn change(&mut self, edit: impl FnOnce(&mut ModelDeploymentSpec)) {
        let before = self.spec.clone();
        edit(&mut self.spec);
        if self.spec != before {
            self.generation += 1;
            self.tell();
        }
        self.cluster.sessions_asked = asks_for_sessions(&self.spec);
    }

    pub fn play(&mut self, event: Event) {
        self.effects.push(Effect { at: self.cluster.now, text: format!("-- {event:?}"), status: false });
        match event {
            Event::Apply(version) => self.change(|s| s.model = spec(version).model),
            Event::Reference(name) => self.change(|s| {
                s.model = serde_json::from_value(json!({ "versionRef": name })).unwrap();
            }),
            Event::Version(name, true) => {
                let model = spec(name).model.resolved().unwrap();
                let version = ObservedVersion {
                    uid: format!("uid-of-{name}"),
                    artifact: model.artifact,
                    storage: model.storage,
                    model: MODEL.to_owned(),
                    recorded_at: self.now(),
                    revoked: None,
                    refused: false,
                    evaluated: true,
                    approved: false,
                    bar: None,
                };
                self.cluster.versions.entry(name.to_owned()).or_insert(version);
            }
            Event::Version(name, false) => {
                self.cluster.versions.remove(name);
            }
            Event::Revoke(name) => {
                self.version(name, |v| v.revoked = Some("trained on bad data".to_owned()));
            }
            Event::Refuse(name) => {
                self.version(name, |v| (v.refused, v.evaluated) = (true, false));
            }
            Event::Channel(approval) => self.change(|s| s.model = channel(approval)),
            Event::Approve(name, approved) => {
                self.version(name, |v| v.approved = approved);
            }
            Event::MadeAgain => self.made_again(),
            Event::Replicas(n) => self.change(|s| s.replicas = n),
            Event::Edit(edit) => self.change(edit),
            Event::Retry(version, word) => self.orders[0] = Some(self.order(version, word)),
            Event::Promote(version, word) => self.orders[1] = Some(self.order(version, word)),
            Event::Abort(version, word) => self.orders[2] = Some(self.order(version, word)),
            Event::Skip(version, step) => self.orders[3] = Some(self.order(version, step)),
            Event::Kill(version, back) => self.cluster.kill(version, back),
            Event::Temper(version, temper) => {
                self.cluster.tempers.insert(version.to_owned(), temper);
            }
            Event::Room(pods) => {
                self.cluster.room = Some(pods);
                self.cluster.evolve();
            }
            Event::Quality(version, quality) => {
                self.metrics.qualities.insert(version.to_owned(), quality);
            }
            Event::Away(away) => self.metrics.away = away,
            Event::EditRoute(a, b) => self.cluster.edit_route(Weights { a, b, testers: None, mirror: None }),
            Event::LoseRoute => self.cluster.route = None,
            Event::MakeRoute => self.cluster.make_user_route(),
            Event::Lose(version) => self.cluster.lose(version),
            Event::GatewayRefuses(refuses) => {
                self.cluster.gateway_refuses = refuses && self.cluster.mode == TrafficMode::Gateway;
            }
            Event::GatewayMirrors(mirrors) => self.cluster.mirrors = mirrors,
            Event::SessionField(field) => self.cluster.session_field = field,
            Event::Crash(seconds) => self.die(seconds),
        }
    }

    fn order(&self, version: &str, word: &str) -> String {
        let by_name = self.spec.model.artifact.is_none().then(|| self.by_name(version)).flatten();
        let model = by_name.or_else(|| spec(version).model.resolved());
        format!("{} {word}", Revision::of(&self.spec, model.unwrap()).id)
    }

    fn die(&mut self, seconds: i64) {
        self.down_until = Some(self.cluster.now + seconds);
        self.recheck_at = None;
        self.seen = None;
    }

    /// Reconciles as long as there is something new to see at this instant, as watches would.
    fn settle(&mut self) {
        for _ in 0..LOOKS_AT_ONCE {
            if self.down_until.is_some() || !self.due() {
                return;
            }
            self.reconcile();
        }
        panic!("runs in circles\n{}", self.log());
    }

    fn due(&self) -> bool {
        let recheck = self.recheck_at.is_some_and(|at| at <= self.cluster.now);
        let same = self.seen.as_ref().is_some_and(|(world, generation, status, orders)| {
            *world == self.cluster.observe()
                && *generation == self.generation
                && *status == self.status
                && *orders == self.orders
        });
        recheck || !same
    }

    fn reconcile(&mut self) {
        self.looks += 1;
        let present = self.cluster.observe();
        let old = self.before.replace(present.clone());
        let stale = self.stale_look == Some(self.looks);
        let world = old.filter(|_| stale).unwrap_or(present);
        let (plan, reading) = self.ask(&world);
        self.seen = Some((world, self.generation, self.status.clone(), self.orders.clone()));
        check::look(self, &reading);
        let wait = plan.recheck.map(|d| i64::try_from(d.as_millis().div_ceil(1000)).unwrap());
        // Less than a second is "at once" on this clock, if something is to come of it.
        let at_once = plan.recheck.is_some_and(|d| d < Duration::from_secs(1));
        self.recheck_at = wait.map(|s| self.cluster.now + if at_once && !stale { 0 } else { s });
        if stale {
            self.seen = None;
        }
        if !plan.writes.is_empty() || plan.status != self.status {
            self.busy_looks.push(self.looks);
        }
        for write in &plan.writes {
            check::write(self, write, &reading, stale);
            if let Err(refused) = self.cluster.write(write) {
                assert!(stale, "{refused:?}: {write:?}\n{}", self.log());
                return;
            }
            let read = matches!(write, Write::ConfirmNoTraffic(_));
            if !read && self.count(describe(write), false) {
                return;
            }
        }
        if plan.status != self.status {
            check::status(self, &plan.status, &reading);
            let text = summary(&plan.status);
            self.status = wire(&plan.status);
            self.tell();
            if self.count(text, true) {
                return;
            }
        }
        self.notes.extend(plan.notes.iter().map(|n| format!("{}/{}", n.reason, n.action)));
    }

    /// The plan for the present moment. Metrics and gateways are asked only where the engine wants to know.
    pub fn ask(&mut self, world: &World) -> (Plan, Reading) {
        let mut world = world.clone();
        if mirrored(&self.input(&world)).is_some() {
            world.mirroring = self.mirroring();
        }
        let version = self.status.candidate.as_ref().map_or_else(String::new, |c| c.version.clone());
        let now = self.now();
        let wanted = measurement(&self.input(&world));
        let reading = wanted.map_or(Reading::NotAsked, |m| self.metrics.read(&m, &version, now));
        (decide(&Input { reading: &reading, ..self.input(&world) }), reading)
    }

    /// Whether the engine wants to know if the gateway copies requests.
    pub fn asks_the_gateway(&self) -> bool {
        let world = self.cluster.observe();
        mirrored(&self.input(&world)).is_some()
    }

    fn input<'a>(&'a self, world: &'a World) -> Input<'a> {
        let [retry, promote, abort, skip] = self.orders.each_ref().map(Option::as_deref);
        Input {
            name: NAME,
            uid: UID,
            generation: Some(self.generation),
            orders: Orders { retry, promote, abort, skip },
            spec: &self.spec,
            status: &self.status,
            world,
            reading: &Reading::NotAsked,
            now: self.now(),
        }
    }

    fn mirroring(&self) -> Mirroring {
        if self.cluster.mirrors {
            return Mirroring::Supported;
        }
        Mirroring::Unsupported("Gateway public is not known to copy requests".to_owned())
    }

    /// Notes an effect; `true` if the operator dies right after it.
    fn count(&mut self, text: String, status: bool) -> bool {
        self.effects.push(Effect { at: self.cluster.now, text, status });
        let at_once = self.effects.iter().rev().take_while(|e| e.at == self.cluster.now).count();
        assert!(at_once < WRITES_AT_ONCE, "writes in circles\n{}", self.log());
        let done = self.done();
        match self.crash {
            Some((n, seconds)) if n == done => {
                self.crash = None;
                self.die(seconds);
                true
            }
            _ => {
                if self.crash_always {
                    self.die(0);
                }
                self.crash_always
            }
        }
    }

    /// Effects of the operator so far.
    pub fn done(&self) -> usize {
        self.effects.iter().filter(|e| !e.text.starts_with("--")).count()
    }

    /// Effects of the operator since a moment.
    pub fn since(&self, seconds: i64) -> Vec<&Effect> {
        self.effects.iter().filter(|e| e.at >= seconds && !e.text.starts_with("--")).collect()
    }
}

/// What comes back from the apiserver is what JSON can hold.
fn wire(status: &ModelDeploymentStatus) -> ModelDeploymentStatus {
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}
