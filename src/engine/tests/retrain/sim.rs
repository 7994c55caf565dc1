//! A world in which a policy lives: a clock, data that changes, runs that end, a deployment that serves.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use serin_api::{Digest, Live, Reason, RetrainPolicySpec, RetrainPolicyStatus, RunResult, TrainingRunSpec};
use serin_engine::retrain::{
    Input, LookEnd, ObservedLook, ObservedRun, Plan, RunEnd, Served, Share, World, Write, decide, look,
};

pub const UID: &str = "11111111-2222-3333-4444-555555555555";

pub fn digest(content: u8) -> String {
    format!("sha256:{}", format!("{content:02x}").repeat(32))
}

/// The smallest policy with these triggers.
pub fn policy(triggers: &Value) -> RetrainPolicySpec {
    serde_json::from_value(json!({
        "deploymentRef": "wine",
        "triggers": triggers,
        "data": [{"name": "train", "uri": "s3://data/train.csv"}],
        "template": {
            "model": "wine", "trainer": {"image": "trainer", "command": ["train"]},
            "output": {"uri": "s3://models/wine"},
        },
        "cooldownSeconds": 3600,
        "settleSeconds": 600,
    }))
    .unwrap()
}

pub fn quality() -> Value {
    json!([{"name": "mistakes", "quality": {
        "bad": {"series": "wrong_total"}, "all": {"series": "labelled_total"},
        "maxBadPermille": 200, "forSeconds": 600,
    }}])
}

/// How the runs end from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Version,
    Refused,
    Crashed,
    Goes,
}

#[derive(Clone)]
pub struct Sim {
    pub now: DateTime<Utc>,
    pub spec: RetrainPolicySpec,
    pub generation: i64,
    pub by_hand: Option<String>,
    pub status: RetrainPolicyStatus,
    pub runs: Vec<ObservedRun>,
    pub specs: Vec<TrainingRunSpec>,
    pub looks: Vec<ObservedLook>,
    pub served: Option<Served>,
    pub lives: BTreeMap<String, Live>,
    pub newest: Option<DateTime<Utc>>,
    /// Bad ones and all, in the window.
    pub share: Share,
    /// Content of the data and its bytes; `None`: it cannot be read.
    pub data: Option<(u8, u64)>,
    pub fate: Fate,
    pub run_seconds: i64,
    pub deployed_by_itself: bool,
    /// Events, with their reasons.
    pub events: Vec<(Reason, String)>,
    /// Looks that wrote anything.
    pub writes: usize,
    pub last: Option<Plan>,
}

impl Sim {
    pub fn new(spec: RetrainPolicySpec) -> Self {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        Self {
            now,
            spec,
            generation: 1,
            by_hand: None,
            status: RetrainPolicyStatus::default(),
            runs: vec![],
            specs: vec![],
            looks: vec![],
            served: Some(Served {
                revision: Some("r1-1".into()),
                pods: Some("wine-1".into()),
                version: Some("wine-v0".into()),
                changing: false,
                changed_at: Some(now - TimeDelta::days(3)),
            }),
            lives: BTreeMap::new(),
            newest: Some(now - TimeDelta::days(3)),
            share: Share::Counted { all: 1000.0, part: Some(100.0) },
            data: Some((1, 1000)),
            fate: Fate::Version,
            run_seconds: 300,
            deployed_by_itself: false,
            events: vec![],
            writes: 0,
            last: None,
        }
    }

    pub fn world(&self) -> World {
        World {
            runs: self.runs.clone(),
            looks: self.looks.clone(),
            taken: vec![],
            deployment: self.served.clone(),
            newest_version: self.newest,
            lives: self.lives.clone(),
        }
    }

    pub fn plan(&self) -> Plan {
        let world = self.world();
        let none = BTreeMap::new();
        let input = |shares| Input {
            name: "wine-weekly",
            uid: UID,
            generation: Some(self.generation),
            by_hand: self.by_hand.as_deref(),
            spec: &self.spec,
            status: &self.status,
            world: &world,
            shares,
            now: self.now,
        };
        let asked = input(&none).questions();
        let shares = asked.into_iter().map(|q| (q.trigger, self.share.clone())).collect();
        decide(&input(&shares))
    }

    /// One look; the operator dies before the write of this number (the status is the last one), if any.
    pub fn look(&mut self, dies_before: Option<usize>) -> Plan {
        let plan = self.plan();
        for (i, write) in plan.writes.iter().enumerate() {
            if dies_before == Some(i) {
                return plan;
            }
            self.write(write);
        }
        if dies_before == Some(plan.writes.len()) {
            return plan;
        }
        if plan.status != self.status {
            self.writes += 1;
            self.status = plan.status.clone();
        }
        self.events.extend(plan.notes.iter().map(|n| (n.reason, n.message.clone())));
        self.last = Some(plan.clone());
        plan
    }

    fn write(&mut self, write: &Write) {
        self.writes += 1;
        match write {
            Write::CreateRun(new) => {
                if self.runs.iter().any(|run| run.name == new.name) {
                    return;
                }
                self.check_start(&new.trigger);
                self.runs.push(ObservedRun {
                    name: new.name.clone(),
                    uid: format!("uid-{}", new.name),
                    number: new.number,
                    trigger: new.trigger.clone(),
                    inputs: new.inputs.clone(),
                    created_at: self.now,
                    end: None,
                });
                self.specs.push(new.spec.clone());
            }
            Write::CreateLook { number } => {
                let name = look::name("wine-weekly", *number);
                if self.looks.iter().all(|l| l.name != name) {
                    let uid = format!("uid-{name}");
                    self.looks.push(ObservedLook { name, uid, number: *number, deleting: false, end: None });
                }
            }
            Write::DeleteLook { uid, .. } => self.looks.retain(|l| l.uid != *uid),
        }
    }

    /// The rules that no start breaks, whatever happened before.
    fn check_start(&self, trigger: &str) {
        assert!(self.runs.iter().all(|run| run.end.is_some()), "two runs at a time");
        assert!(!self.spec.suspend, "a run of a suspended policy");
        if trigger == "by-hand" {
            return;
        }
        let ends = self.runs.iter().filter_map(|run| run.end.as_ref()).map(|end| end.at);
        if let Some(last) = ends.max() {
            assert!(last + TimeDelta::seconds(self.spec.cooldown_seconds) <= self.now, "no cooldown");
        }
        let served = self.served.as_ref().unwrap();
        assert!(!served.changing, "a run within a rollout");
        let span = TimeDelta::seconds(self.spec.budget.per_seconds);
        let recent = self.runs.iter().filter(|run| run.created_at + span > self.now).count();
        assert!(recent < usize::try_from(self.spec.budget.runs).unwrap(), "over budget");
    }

    /// The world goes on by itself.
    pub fn pass(&mut self, time: TimeDelta) {
        self.now += time;
        for look in self.looks.iter_mut().filter(|look| look.end.is_none()) {
            look.end = Some(match self.data {
                None => LookEnd::Failed("not found".into()),
                Some((content, bytes)) => LookEnd::Said(
                    json!({
                        "schema": "serin.dev/look-result/v1", "policyUid": UID, "number": look.number,
                        "objects": [{"name": "train", "digest": digest(content), "bytes": bytes}],
                    })
                    .to_string(),
                ),
            });
        }
        let (fate, now) = (self.fate, self.now);
        let length = TimeDelta::seconds(self.run_seconds);
        for run in self.runs.iter_mut().filter(|r| r.end.is_none() && r.created_at + length <= now) {
            let (result, reason, version) = match fate {
                Fate::Goes => continue,
                Fate::Version => {
                    (RunResult::Succeeded, Reason::VersionRecorded, Some(format!("wine-v{}", run.number)))
                }
                Fate::Refused => (RunResult::Failed, Reason::GateFailed, None),
                Fate::Crashed => (RunResult::Failed, Reason::Crashed, None),
            };
            if let Some(version) = &version {
                self.newest = Some(now);
                if self.deployed_by_itself {
                    self.served = Some(Served {
                        revision: Some(format!("r1-{}", run.number + 1)),
                        pods: Some(format!("wine-{}", run.number + 1)),
                        version: Some(version.clone()),
                        changing: false,
                        changed_at: Some(now),
                    });
                    self.lives.insert(version.clone(), Live::Promoted);
                }
            }
            run.end = Some(RunEnd { result, reason: reason.as_str().to_owned(), version, at: now });
        }
    }

    /// Looks again and again over this time: when a plan says so, when something happened, and every ten minutes.
    pub fn over(&mut self, time: TimeDelta) {
        let end = self.now + time;
        let mut looks = 0;
        loop {
            let plan = self.look(None);
            looks += 1;
            assert!(looks < 200_000, "it never rests");
            if self.plan().status != self.status || !self.plan().writes.is_empty() {
                self.settle();
            }
            if self.now >= end {
                return;
            }
            let next = plan.recheck.map_or(600, |r| i64::try_from(r.as_secs()).unwrap_or(600)).clamp(1, 600);
            self.pass(TimeDelta::seconds(next).min(end - self.now));
        }
    }

    /// Nothing more happens without time.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            let before = self.writes;
            self.look(None);
            if self.writes == before {
                return;
            }
        }
        panic!("it never rests: {:?}", self.status);
    }

    pub fn hours(&mut self, hours: i64) {
        self.over(TimeDelta::hours(hours));
    }
    pub fn minutes(&mut self, minutes: i64) {
        self.over(TimeDelta::minutes(minutes));
    }
    pub fn bad(&mut self, permille: f64) {
        self.share = Share::Counted { all: 1000.0, part: Some(permille) };
    }
    pub fn reason(&self) -> String {
        let ready = self.status.conditions.iter().find(|c| c.type_ == "Ready");
        ready.map(|c| c.reason.clone()).unwrap_or_default()
    }
    pub fn count(&self, reason: Reason) -> usize {
        self.events.iter().filter(|(r, _)| *r == reason).count()
    }
    pub fn trained_on(&self) -> Vec<Digest> {
        self.specs.iter().map(|s| s.datasets[0].digest.clone()).collect()
    }
}
