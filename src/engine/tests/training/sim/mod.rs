//! A world in memory in which plans are carried out, one effect after the other, on a virtual clock. The operator in it
//! may die after any effect; what is left is the cluster and the status, as in reality.

pub mod check;
pub mod cluster;
pub mod end;
pub mod script;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use serin_api::{ModelVersionStatus, TrainingRunSpec, TrainingRunStatus};
use serin_engine::training::{Child, Input, Plan, World, Write, decide, inputs};

use cluster::{Cluster, Done, Judge, Outrun, Program, hex};

pub const NAME: &str = "wine-7";
pub const UID: &str = "0d5f4f0e-0000-4000-8000-000000000007";
pub const OUTPUT: &str = "s3://models/wine";

/// Something that a person or the cluster does.
#[derive(Clone, Debug)]
pub enum Event {
    /// `spec.suspend`.
    Suspend(bool),
    /// Any other change of the spec.
    Edit(fn(&mut TrainingRunSpec)),
    /// What the attempts do from now on, from the first one.
    Programs(Vec<Program>),
    /// What the evaluations do.
    Judges(Vec<Judge>),
    /// The queue lets go what it holds.
    Admit,
    /// The queue takes back what it let go.
    Evict,
    /// Somebody deletes a Job.
    Lose(Child),
    /// Somebody deletes all Jobs, pods and Services, without any grace.
    LoseAll,
    /// Somebody deletes an attempt's Service.
    LoseService,
    /// A version appears, of the model, with these inputs and bytes.
    Version(&'static str, Option<&'static str>, char),
    /// A deployment serves it.
    Serves(&'static str),
    /// A person revokes it.
    Revoke(&'static str),
    /// Seconds that a deletion takes from now on.
    DeletionTakes(i64),
    /// The cache of pods is so many seconds behind from now on.
    PodsLag(i64),
    /// The operator dies here and is back after so many seconds.
    Crash(i64),
}

/// What was done to the cluster, and when.
#[derive(Clone, Debug)]
pub struct Effect {
    pub at: i64,
    pub text: String,
}

#[derive(Clone)]
pub struct Sim {
    pub cluster: Cluster,
    pub spec: TrainingRunSpec,
    pub generation: i64,
    pub status: TrainingRunStatus,
    pub effects: Vec<Effect>,
    pub notes: Vec<String>,
    pub looks: usize,
    events: Vec<(i64, Event)>,
    recheck_at: Option<i64>,
    seen: Option<(World, i64, TrainingRunStatus)>,
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
    /// What others see: each status that is written, and each change of the spec that it does not speak of yet.
    pub told: Vec<(i64, TrainingRunSpec, TrainingRunStatus)>,
}

/// Looks and writes at one instant before the engine is said to run in circles.
const LOOKS_AT_ONCE: usize = 30;
const WRITES_AT_ONCE: usize = 60;

/// A run with one pod and an evaluation.
pub fn spec() -> TrainingRunSpec {
    serde_json::from_value(json!({
        "model": "wine",
        "source": {"repo": "git+https://git.example/wine", "commit": "1".repeat(40)},
        "trainer": {"image": format!("registry.example/wine@sha256:{}", hex('1')), "command": ["train"]},
        "datasets": [{"name": "train", "uri": "s3://data/train.csv", "digest": format!("sha256:{}", hex('d'))}],
        "parameters": {"rate": "0.1"},
        "output": {"uri": OUTPUT},
        "evaluation": {
            "image": "registry.example/judge:1", "command": ["judge"],
            "dataset": {"name": "held", "uri": "s3://data/held.csv", "digest": format!("sha256:{}", hex('e'))},
            "gate": {"metrics": [{"name": "accuracy", "min": "0.5", "minImprovement": "0.0"}]},
        },
    }))
    .unwrap()
}

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

impl Sim {
    pub fn new(spec: TrainingRunSpec) -> Self {
        Self {
            cluster: Cluster::new(),
            spec,
            generation: 1,
            status: TrainingRunStatus::default(),
            effects: Vec::new(),
            notes: Vec::new(),
            looks: 0,
            events: Vec::new(),
            recheck_at: None,
            seen: None,
            crash: None,
            crash_always: false,
            down_until: None,
            stale_look: None,
            busy_looks: Vec::new(),
            before: None,
            told: Vec::new(),
        }
    }

    pub fn schedule(&mut self, events: &[(i64, Event)]) {
        self.events.extend_from_slice(events);
        self.events.sort_by_key(|(at, _)| *at);
    }

    pub fn now(&self) -> DateTime<Utc> {
        at(self.cluster.now)
    }

    fn tell(&mut self) {
        self.told.push((self.generation, self.spec.clone(), self.status.clone()));
    }

    /// Status and reason of a condition.
    pub fn condition(&self, ty: &str) -> (&str, &str) {
        let found = self.status.conditions.iter().find(|c| c.type_ == ty);
        found.map_or(("", ""), |c| (c.status.as_str(), c.reason.as_str()))
    }

    pub fn message(&self) -> &str {
        self.status.conditions.iter().find(|c| c.type_ == "Succeeded").map_or("", |c| c.message.as_str())
    }

    /// How the run ended: `Failed/Crashed`; empty while it goes on.
    pub fn ended(&self) -> String {
        self.status.completion.as_ref().map_or_else(String::new, |c| format!("{:?}/{}", c.result, c.reason))
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

    fn change(&mut self, edit: impl FnOnce(&mut TrainingRunSpec)) {
        let before = self.spec.clone();
        edit(&mut self.spec);
        if self.spec != before {
            self.generation += 1;
            self.tell();
        }
    }

    pub fn play(&mut self, event: Event) {
        self.effects.push(Effect { at: self.cluster.now, text: format!("-- {event:?}") });
        match event {
            Event::Suspend(suspend) => self.change(|s| s.suspend = suspend),
            Event::Edit(edit) => self.change(edit),
            Event::Programs(programs) => self.cluster.programs = programs,
            Event::Judges(judges) => self.cluster.judges = judges,
            Event::Admit => self.cluster.let_go(),
            Event::Evict => self.cluster.evict(),
            Event::Lose(child) => self.cluster.lose(child),
            Event::LoseAll => self.cluster.lose_all(),
            Event::LoseService => self.cluster.services.clear(),
            Event::Version(name, inputs, bytes) => {
                let spec = imported(inputs, bytes);
                self.cluster.versions.insert(name.to_owned(), (spec, ModelVersionStatus::default()));
            }
            Event::Serves(name) => self.cluster.serves = Some(name.to_owned()),
            Event::Revoke(name) => {
                self.cluster.revoked.insert(name.to_owned(), "bad data".to_owned());
            }
            Event::DeletionTakes(seconds) => self.cluster.deletion = seconds,
            Event::PodsLag(seconds) => self.cluster.pod_lag = seconds,
            Event::Crash(seconds) => self.die(seconds),
        }
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
        let same = self.seen.as_ref().is_some_and(|(world, generation, status)| {
            *world == self.cluster.observe() && *generation == self.generation && *status == self.status
        });
        recheck || !same
    }

    fn reconcile(&mut self) {
        self.looks += 1;
        self.cluster.queue = self.spec.queue_name.is_some();
        self.cluster.nodes = self.spec.trainer.nodes;
        self.cluster.run_hash = inputs::run_hash(&self.spec);
        let present = self.cluster.observe();
        let old = self.before.replace(present.clone());
        let stale = self.stale_look == Some(self.looks);
        let world = old.filter(|_| stale).unwrap_or(present);
        let plan = self.ask(&world);
        self.seen = Some((world, self.generation, self.status.clone()));
        let wait = plan.recheck.map(|d| i64::try_from(d.as_millis().div_ceil(1000)).unwrap());
        let at_once = plan.recheck.is_some_and(|d| d < Duration::from_secs(1));
        self.recheck_at = wait.map(|s| self.cluster.now + if at_once && !stale { 0 } else { s });
        if stale {
            self.seen = None;
        }
        if !plan.writes.is_empty() || plan.status != self.status {
            self.busy_looks.push(self.looks);
        }
        for write in &plan.writes {
            check::write(self, write, stale);
            match self.cluster.write(write) {
                Err(Outrun) => {
                    let late = matches!(write, Write::ConfirmPods { .. }) && self.cluster.pod_lag > 0;
                    assert!(stale || late, "refused: {write:?}\n{}", self.log());
                    self.recheck_at = Some(self.cluster.now + 1);
                    return;
                }
                Ok(Done::Read) => {}
                Ok(Done::Wrote) => {
                    if self.count(describe(write)) {
                        return;
                    }
                }
            }
        }
        if plan.status != self.status {
            check::status(self, &plan.status);
            let text = summary(&plan.status);
            self.status = wire(&plan.status);
            self.tell();
            if self.count(text) {
                return;
            }
        }
        self.notes.extend(plan.notes.iter().map(|n| format!("{}/{}", n.reason, n.action)));
    }

    /// The plan for the present moment.
    pub fn ask(&mut self, world: &World) -> Plan {
        decide(&Input {
            name: NAME,
            uid: UID,
            generation: Some(self.generation),
            spec: &self.spec,
            status: &self.status,
            world,
            nonce: &format!("{:032x}", self.looks),
            now: self.now(),
        })
    }

    /// Notes an effect; `true` if the operator dies right after it.
    fn count(&mut self, text: String) -> bool {
        self.effects.push(Effect { at: self.cluster.now, text });
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
        self.since(0).len()
    }

    /// Effects of the operator since a moment.
    pub fn since(&self, seconds: i64) -> Vec<&Effect> {
        self.effects.iter().filter(|e| e.at >= seconds && !e.text.starts_with("--")).collect()
    }
}

/// A version of the model; `inputs` are those of [`spec`] after an edit, or `None` of nobody knows what.
fn imported(inputs: Option<&str>, bytes: char) -> serin_api::ModelVersionSpec {
    let mut content: Value = json!({
        "model": "wine", "origin": "Imported",
        "artifact": {"uri": format!("{OUTPUT}/{0}/model.json", hex(bytes)), "digest": format!("sha256:{}", hex(bytes))},
    });
    if let Some(rate) = inputs {
        let mut of = spec();
        of.parameters.insert("rate".to_owned(), rate.to_owned());
        content["inputsDigest"] = json!(inputs::digest(&inputs::of(&of, None)).0);
    }
    serde_json::from_value(content).unwrap()
}

/// What comes back from the apiserver is what JSON can hold.
fn wire(status: &TrainingRunStatus) -> TrainingRunStatus {
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}

fn describe(write: &Write) -> String {
    match write {
        Write::CreateService { attempt } => format!("create Service {attempt}"),
        Write::CreateAttempt { attempt, remaining, .. } => {
            format!("create attempt {attempt} ({remaining:?} left)")
        }
        Write::CreateEvaluation(job) => format!("create evaluation {}", job.number),
        Write::ConfirmPods { job_uid, .. } => format!("confirm the pods of {job_uid}"),
        Write::ConfirmAbsent { job, .. } => format!("confirm that {job} is gone"),
        Write::DeleteJob { name, .. } => format!("delete Job {name}"),
        Write::DeleteService { name, .. } => format!("delete Service {name}"),
        Write::CreateVersion { name, .. } => format!("create version {name}"),
        Write::VersionStatus { name, .. } => format!("status of version {name}"),
    }
}

fn summary(status: &TrainingRunStatus) -> String {
    let attempts: Vec<_> = status
        .attempts
        .iter()
        .map(|a| match a.end {
            Some(end) => format!("{}:{end:?}", a.number),
            None if a.running_at.is_some() => format!("{}:runs", a.number),
            None => format!("{}:starts", a.number),
        })
        .collect();
    let evaluation = status
        .evaluation
        .as_ref()
        .map(|e| format!(" e{} {:?}", e.number, e.result.as_ref().map(|r| r.passed)));
    let reason = status.conditions.iter().find(|c| c.type_ == "Succeeded");
    let reason = reason.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default();
    format!("status: {:?} [{}]{} {reason}", status.phase, attempts.join(" "), evaluation.unwrap_or_default())
}
