//! A cluster in memory: Jobs whose pods take their time, a queue, and whatever goes wrong.

mod pods;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use serin_api::{ModelVersionSpec, ModelVersionStatus};
use serin_engine::training::{
    Child, ContainerEnd, EvaluationJob, JobEnd, Judgement, KnownVersion, ObservedJob, ObservedPod,
    ObservedService, PodPhase, Wait, World, Write, record,
};

use super::{NAME, OUTPUT, UID, at};

/// What an attempt does.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Runs for a minute and publishes.
    Good,
    /// Exits so after half a minute.
    Exit(i32),
    /// `prepare` exits so.
    Prepare(i32),
    /// Loses a node after half a minute.
    Disrupted,
    /// The same, but another rank notices first and crashes.
    Blamed,
    /// Runs for ever.
    Hangs,
    /// The last rank finds no node.
    NoNode,
    /// No rank gets its image.
    NoImage,
    /// Ends well after a minute, with these words.
    Says(fn(&Job) -> String),
    /// Ends well, and its pod is gone before anybody looks.
    Gone,
}

/// What an evaluation does.
#[derive(Clone, Copy, Debug)]
pub enum Judge {
    /// Measures so much accuracy of the candidate; the champion has 0.8.
    Scores(f64),
    /// Exits so.
    Exit(i32),
    /// Ends well, with these words.
    Says(fn(&EvaluationJob) -> String),
    /// Ends well, and its pod is gone before anybody looks.
    Gone,
    /// Does not end before its deadline.
    Hangs,
}

/// Seconds from admission to running.
const STARTUP: i64 = 5;
const TRAINS: i64 = 60;
const CRASHES_AFTER: i64 = 30;
const JUDGES: i64 = 10;
const JUDGE_DEADLINE: i64 = 300;
const KILLING_TAKES: i64 = 3;

#[derive(Clone, Debug)]
pub struct Pod {
    pub index: i32,
    starts: Option<i64>,
    ends: Option<(i64, i32, String)>,
    prepare: Option<(i64, i32)>,
    disrupted: Option<i64>,
    waits: Option<Wait>,
    /// Deleted, whatever it did.
    gone_at: Option<i64>,
}

impl Pod {
    /// One that starts then, and of whose end nothing is known.
    fn new(index: i32, starts: i64) -> Self {
        Self {
            index,
            starts: Some(starts),
            ends: None,
            prepare: None,
            disrupted: None,
            waits: None,
            gone_at: None,
        }
    }
}

/// Ok is Complete, else reason and message of Failed.
type Condition = Result<(), (String, String)>;

#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub uid: String,
    pub child: Child,
    pub run_hash: String,
    pub created: i64,
    pub suspended: bool,
    pub admitted: Option<i64>,
    pub nodes: i32,
    evaluation: Option<EvaluationJob>,
    pods: Vec<Pod>,
    /// When its condition comes.
    end: Option<(i64, Condition)>,
    pub gone_at: Option<i64>,
}

impl Job {
    pub fn number(&self) -> i32 {
        match self.child {
            Child::Attempt(n) | Child::Evaluation(n) => n,
        }
    }
    pub fn is_over(&self, now: i64) -> bool {
        self.end.as_ref().is_some_and(|(at, _)| *at <= now)
    }
}

/// Whether anything was written.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    Wrote,
    /// It was looked at, and nothing was to be done.
    Read,
}

/// What an apiserver refuses, or has changed meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct Outrun;

#[derive(Clone)]
pub struct Cluster {
    pub now: i64,
    pub jobs: Vec<Job>,
    pub services: Vec<(i32, String)>,
    pub versions: BTreeMap<String, (ModelVersionSpec, ModelVersionStatus)>,
    pub revoked: BTreeMap<String, String>,
    /// The version that a deployment serves.
    pub serves: Option<String>,
    /// What each attempt does; after the last one, Good.
    pub programs: Vec<Program>,
    /// What each evaluation does; after the last one, 0.9.
    pub judges: Vec<Judge>,
    /// First digit of what training produces.
    pub bytes: char,
    pub queue: bool,
    pub nodes: i32,
    pub run_hash: String,
    /// Seconds that a deletion takes.
    pub deletion: i64,
    /// Seconds that the cache of pods is behind that of Jobs.
    pub pod_lag: i64,
    /// Jobs made so far, of each name.
    pub made: BTreeMap<String, i32>,
    uids: u32,
}

pub fn hex(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

/// What attempt `attempt` of the run leaves if all is well.
pub fn published(run_uid: &str, attempt: i32, digit: char) -> String {
    json!({
        "schema": "serin.dev/training-result/v1", "runUid": run_uid, "attempt": attempt,
        "output": {
            "uri": format!("{OUTPUT}/{}/model.json", hex(digit)), "digest": format!("sha256:{}", hex(digit)),
            "layout": "File", "sizeBytes": 1000, "files": 1,
        },
    })
    .to_string()
}

/// What an evaluation leaves if all is well.
pub fn measured(job: &EvaluationJob, accuracy: f64) -> String {
    let mut metrics = vec![json!({"name": "accuracy", "value": accuracy})];
    let champion = job.champion.as_ref().map(|c| c.model.digest.0.clone());
    if champion.is_some() {
        metrics.push(json!({"name": "accuracy", "arm": "champion", "value": 0.8}));
    }
    let mut result = json!({
        "schema": "serin.dev/evaluation-result/v1", "runUid": UID, "number": job.number, "nonce": job.nonce,
        "modelDigest": job.candidate.digest.0, "evalSetDigest": format!("sha256:{}", hex('e')), "metrics": metrics,
    });
    if let Some(champion) = champion {
        result["championDigest"] = json!(champion);
    }
    result.to_string()
}

impl Cluster {
    pub fn new() -> Self {
        Self {
            now: 0,
            jobs: Vec::new(),
            services: Vec::new(),
            versions: BTreeMap::new(),
            revoked: BTreeMap::new(),
            serves: None,
            programs: Vec::new(),
            judges: Vec::new(),
            bytes: 'a',
            queue: false,
            nodes: 1,
            run_hash: String::new(),
            deletion: 2,
            pod_lag: 0,
            made: BTreeMap::new(),
            uids: 0,
        }
    }

    pub fn job(&self, child: Child) -> Option<&Job> {
        self.jobs.iter().find(|j| j.child == child)
    }

    /// Attempts with a pod that may run.
    pub fn alive(&self) -> Vec<i32> {
        let now = self.now;
        let attempts = self.jobs.iter().filter(|j| matches!(j.child, Child::Attempt(_)));
        attempts.filter(|j| !j.is_over(now) && !j.suspended).map(Job::number).collect()
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub fn evolve(&mut self) {
        let now = self.now;
        self.jobs.retain(|j| j.gone_at.is_none_or(|t| t > now));
    }

    pub fn next_change(&self) -> Option<i64> {
        let mut times = Vec::new();
        for job in &self.jobs {
            let end = job.end.as_ref().map(|(t, _)| *t);
            times.extend(end);
            times.extend(job.gone_at);
            for pod in &job.pods {
                let all = [
                    pod.starts,
                    pod.ends.as_ref().map(|e| e.0),
                    pod.prepare.map(|p| p.0),
                    pod.disrupted,
                    pod.gone_at,
                    end,
                ];
                times.extend(all.into_iter().flatten().map(|t| t + self.pod_lag));
            }
        }
        times.into_iter().filter(|t| *t > self.now).min()
    }

    /// Pods are made, and what will become of them is known.
    fn admit(&mut self, uid: &str) {
        let (now, bytes) = (self.now, self.bytes);
        let (programs, judges) = (self.programs.clone(), self.judges.clone());
        let Some(job) = self.jobs.iter_mut().find(|j| j.uid == uid) else { return };
        job.suspended = false;
        job.admitted = Some(now);
        let index = usize::try_from(job.number()).unwrap() - 1;
        match job.evaluation.clone() {
            None => pods::train(job, programs.get(index).copied().unwrap_or(Program::Good), now, bytes),
            Some(task) => {
                pods::judge(job, &task, judges.get(index).copied().unwrap_or(Judge::Scores(0.9)), now);
            }
        }
    }

    /// The queue lets go what it holds.
    pub fn let_go(&mut self) {
        let held: Vec<_> = self.jobs.iter().filter(|j| j.suspended).map(|j| j.uid.clone()).collect();
        for uid in held {
            self.admit(&uid);
        }
    }

    /// The queue takes back what it let go.
    pub fn evict(&mut self) {
        let now = self.now;
        for job in self.jobs.iter_mut().filter(|j| !j.is_over(now) && j.gone_at.is_none()) {
            job.suspended = true;
            job.admitted = None;
            job.pods.clear();
            job.end = None;
        }
    }

    pub fn lose(&mut self, child: Child) {
        let gone_at = self.now + self.deletion;
        if let Some(job) = self.jobs.iter_mut().find(|j| j.child == child) {
            job.gone_at.get_or_insert(gone_at);
        }
    }

    pub fn lose_all(&mut self) {
        self.jobs.clear();
        self.services.clear();
    }

    /// What the caches show.
    pub fn observe(&self) -> World {
        self.seen(self.pod_lag)
    }

    /// What the apiserver knows.
    fn observe_now(&self) -> World {
        self.seen(0)
    }

    fn seen(&self, pod_lag: i64) -> World {
        let now = self.now;
        let mut world = World::default();
        for job in &self.jobs {
            let end = job.end.as_ref().filter(|(t, _)| *t <= now).map(|(t, end)| match end {
                Ok(()) => JobEnd::Complete { at: at(*t) },
                Err((reason, message)) => {
                    JobEnd::Failed { reason: reason.clone(), message: message.clone(), at: at(*t) }
                }
            });
            let pods: Vec<_> =
                job.pods.iter().filter_map(|p| pods::observed(job, p, now - pod_lag)).collect();
            let live = i32::from(end.is_none() && !job.suspended) * job.nodes;
            world.jobs.push(ObservedJob {
                name: job.name.clone(),
                uid: job.uid.clone(),
                child: job.child,
                run_hash: Some(job.run_hash.clone()),
                created_at: at(job.created),
                started_at: job.admitted.map(at),
                suspended: job.suspended,
                parallelism: job.nodes,
                active: if job.gone_at.is_none() { live } else { 0 },
                terminating: if job.gone_at.is_some() { live } else { 0 },
                end,
                deleting: job.gone_at.is_some(),
            });
            world.pods.extend(pods);
        }
        for (attempt, uid) in &self.services {
            let name = Child::Attempt(*attempt).name(NAME);
            world.services.push(ObservedService {
                name,
                uid: uid.clone(),
                attempt: *attempt,
                deleting: false,
            });
        }
        world.versions = self.versions.iter().map(|(name, v)| Arc::new(self.known(name, v))).collect();
        world
    }

    fn known(&self, name: &str, (spec, status): &(ModelVersionSpec, ModelVersionStatus)) -> KnownVersion {
        let judged = status.evaluations.iter();
        KnownVersion {
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
            model: spec.model.clone(),
            files: spec.artifact.clone(),
            storage: spec.storage.clone(),
            inputs_digest: spec.inputs_digest.clone(),
            revoked: self.revoked.get(name).cloned(),
            serves_since: (self.serves.as_deref() == Some(name)).then(|| at(0)),
            level: status.level,
            judgements: judged
                .map(|e| Judgement { passed: e.passed, spec_hash: e.spec_hash.clone() })
                .collect(),
        }
    }

    /// Does one write, or refuses it.
    pub fn write(&mut self, write: &Write) -> Result<Done, Outrun> {
        match write {
            Write::CreateService { attempt } => {
                if self.services.iter().any(|(n, _)| n == attempt) {
                    return Err(Outrun);
                }
                let uid = self.uid();
                self.services.push((*attempt, uid));
            }
            Write::CreateAttempt { attempt, .. } => {
                self.create(Child::Attempt(*attempt), self.nodes, None)?;
            }
            Write::CreateEvaluation(job) => {
                self.create(Child::Evaluation(job.number), 1, Some((**job).clone()))?;
            }
            Write::ConfirmAbsent { uid, .. } => {
                if self.jobs.iter().any(|j| j.uid == *uid) {
                    return Err(Outrun);
                }
                return Ok(Done::Read);
            }
            Write::ConfirmPods { job_uid, ended } => {
                let pods = self.observe_now().pods;
                let mut of_job = pods.iter().filter(|p| p.job_uid == *job_uid && !p.is_live());
                if of_job.any(|p| !ended.contains(&p.name)) {
                    return Err(Outrun);
                }
                return Ok(Done::Read);
            }
            Write::DeleteJob { uid, .. } => {
                let gone_at = self.now + self.deletion;
                if let Some(job) = self.jobs.iter_mut().find(|j| j.uid == *uid) {
                    job.gone_at.get_or_insert(gone_at);
                }
            }
            Write::DeleteService { uid, .. } => self.services.retain(|(_, u)| u != uid),
            Write::CreateVersion { name, spec } => match self.versions.get(name) {
                Some((there, _)) => {
                    let same = there.artifact.digest == spec.artifact.digest
                        && there.inputs_digest == spec.inputs_digest;
                    return if same { Ok(Done::Read) } else { Err(Outrun) };
                }
                None => {
                    self.versions.insert(name.clone(), ((**spec).clone(), ModelVersionStatus::default()));
                }
            },
            Write::VersionStatus { name, news } => {
                let now = at(self.now);
                let Some((_, status)) = self.versions.get_mut(name) else { return Err(Outrun) };
                let told = record(status, news, Some(1), now);
                if told == *status {
                    return Ok(Done::Read);
                }
                *status = told;
            }
        }
        Ok(Done::Wrote)
    }

    fn create(&mut self, child: Child, nodes: i32, evaluation: Option<EvaluationJob>) -> Result<(), Outrun> {
        if self.jobs.iter().any(|j| j.child == child) {
            return Err(Outrun);
        }
        let (name, uid) = (child.name(NAME), self.uid());
        *self.made.entry(name.clone()).or_default() += 1;
        self.jobs.push(Job {
            name,
            uid: uid.clone(),
            child,
            run_hash: self.run_hash.clone(),
            created: self.now,
            suspended: true,
            admitted: None,
            nodes,
            evaluation,
            pods: Vec::new(),
            end: None,
            gone_at: None,
        });
        if !self.queue {
            self.admit(&uid);
        }
        Ok(())
    }
}
