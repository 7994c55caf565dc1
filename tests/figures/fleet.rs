//! Ten thousand ModelDeployments and a thousand TrainingRuns: what it takes to keep them, to change some of them, and to
//! start again. `SERIN_FIGURES_MODELS` and `SERIN_FIGURES_RUNS` ask for other numbers.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use serin_api::ModelDeployment;
use serin_tests::operator::{Launch, Operator};
use serin_tests::{Change as _, World, wine};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bare::Bare;
use crate::births::{Birth, births};
use crate::process;
use crate::table::{Table, Times};
use crate::telemetry::{metrics, reconciles, rests, training_reconciles, until, writes};
use crate::training::held;

/// Writers at the same time, on both sides.
const AT_ONCE: usize = 16;
/// Changes, one at a time.
const SINGLE: usize = 50;
/// Changes at a steady rate, and at once.
const MANY: usize = 1000;
/// Changes in a second, at the steady rate.
const RATE: u32 = 100;

fn asked(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}

fn object(version: &str, n: usize) -> ModelDeployment {
    wine(version).named(&format!("wine-{n}")).replicas(0)
}

/// The world, and how much is in it. Each change is the first one of its object: a second one would first take the first
/// one back.
struct Fleet {
    world: World,
    /// Where no operator looks.
    other: World,
    launch: Launch,
    models: usize,
    runs: usize,
    /// The first object that was not changed yet.
    fresh: usize,
    /// Writes of the operator for one change, of which the first is seen as a Deployment.
    writes: usize,
    born: UnboundedReceiver<Birth>,
    born_bare: UnboundedReceiver<Birth>,
    what: String,
}

pub async fn measure(table: &mut Table) {
    let models = asked("SERIN_FIGURES_MODELS", 10_000);
    let runs = asked("SERIN_FIGURES_RUNS", 1000);
    let (mut world, other) = (World::without_history().await, World::without_history().await);
    let launch = world.direct_launch().await;
    world.operator = Some(Operator::start(launch.clone()));
    let born = births::<Deployment>(&world.client, &world.namespace).await;
    let born_bare = births::<Deployment>(&other.client, &other.namespace).await;
    let what = format!("{models} + {runs}");
    let mut fleet = Fleet { world, other, launch, models, runs, fresh: 0, writes: 0, born, born_bare, what };
    fleet.create(table).await;
    let (before, _) = fleet.memory();
    fleet.singly(table).await;
    fleet.steadily(table).await;
    fleet.at_once(table).await;
    fleet.churn(table, before).await;
    fleet.cold_start(table).await;
    fleet.counted_start(table).await;
    fleet.looks(table).await;
}

impl Fleet {
    /// The next so many objects, or a fifth of all.
    fn next(&mut self, count: usize) -> Range<usize> {
        let from = self.fresh;
        self.fresh += count.min(self.models / 5);
        from..self.fresh
    }

    fn memory(&self) -> (f64, f64) {
        process::memory(self.world.operator().pid().unwrap())
    }

    fn processor(&self) -> Duration {
        process::processor(self.world.operator().pid().unwrap())
    }

    /// All of them, as fast as sixteen writers can.
    async fn create(&mut self, table: &mut Table) {
        rests(&self.world).await;
        let (empty, _) = self.memory();
        let (wrote, used, started) = (writes(&metrics(&self.world).await), self.processor(), Instant::now());
        let api = self.world.models();
        let posts = stream::iter(0..self.models).map(|n| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &object("v1", n)).await.unwrap() }
        });
        posts.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
        last_of(&mut self.born, self.models).await;
        let burst = started.elapsed().as_secs_f64();
        rests(&self.world).await;
        let wrote = writes(&metrics(&self.world).await) - wrote;
        let used = self.processor().saturating_sub(used).as_secs_f64();
        let (models, what) = (self.models, &self.what);
        table.add(format!("{models} created at once: last child"), format!("{burst:.1} s"), "-", "-");
        table.add(
            "writes of the operator for a second of processor",
            format!("{:.0}", wrote as f64 / used),
            "2000",
            "-",
        );

        let mut jobs = births::<Job>(&self.world.client, &self.world.namespace).await;
        let api = self.world.runs();
        let posts = stream::iter(0..self.runs).map(|n| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &held(n)).await.unwrap() }
        });
        posts.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
        last_of(&mut jobs, self.runs).await;
        rests(&self.world).await;
        let (now, most) = self.memory();
        table.add(
            format!("{what}: memory, empty / after they were made / at most"),
            format!("{empty:.0} / {now:.0} / {most:.0} MB"),
            "64 / 96 MB",
            "-",
        );
    }

    async fn patch(&self, world: &World, version: &str, n: usize) {
        let params = PatchParams::apply("user").force();
        let name = format!("wine-{n}");
        world.models().patch(&name, &params, &Patch::Apply(object(version, n))).await.unwrap();
    }

    /// What the bare client does for one change: the change itself, the quorum read, the child, and as many more writes as
    /// the operator makes.
    async fn bare(&self, version: &str, n: usize) {
        let bare = Bare { client: self.world.client.clone(), namespace: self.other.namespace.clone() };
        let params = PatchParams::apply("user").force();
        let api = self.other.models();
        let changed =
            api.patch(&format!("wine-{n}"), &params, &Patch::Apply(object(version, n))).await.unwrap();
        bare.deployment(&changed).await;
        bare.statuses(&changed, self.writes.saturating_sub(1)).await;
    }

    /// One at a time, each to an operator at rest.
    async fn singly(&mut self, table: &mut Table) {
        let (mut times, mut yardstick) = (Times::default(), Times::default());
        let wrote = writes(&metrics(&self.world).await);
        let changed = self.next(SINGLE);
        let many = changed.len();
        for n in changed {
            let started = Instant::now();
            self.patch(&self.world, "v2", n).await;
            times.push(self.born.recv().await.unwrap().at - started);
            tokio::time::sleep(Duration::from_millis(200)).await;
            let started = Instant::now();
            self.bare("v2", n).await;
            yardstick.push(self.born_bare.recv().await.unwrap().at - started);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let what = format!("{}: PATCH -> next Deployment seen, p50 / p99", self.what);
        table.add(what, times.told(), "5 / 20 ms", yardstick.told());
        rests(&self.world).await;
        self.writes = (writes(&metrics(&self.world).await) - wrote).div_ceil(many);
        table.add("writes for one change, until the new version starts", self.writes.to_string(), "-", "-");
    }

    /// A hundred a second.
    async fn steadily(&mut self, table: &mut Table) {
        let pace = Duration::from_secs(1) / RATE;
        let (changed, mut told) = (self.next(MANY), Vec::new());
        for serin in [false, true] {
            let mut started = HashMap::new();
            let mut due = tokio::time::interval(pace);
            let fleet = &*self;
            let mut changes = stream::FuturesUnordered::new();
            for n in changed.clone() {
                tokio::select! {
                    _ = due.tick() => {}
                    () = async { while changes.next().await.is_some() {} std::future::pending().await } => {}
                }
                started.insert(format!("wine-{n}"), Instant::now());
                changes.push(async move {
                    if serin { fleet.patch(&fleet.world, "v2", n).await } else { fleet.bare("v2", n).await }
                });
            }
            while changes.next().await.is_some() {}
            drop(changes);
            let born = if serin { &mut self.born } else { &mut self.born_bare };
            let mut times = Times::default();
            for birth in last_of(born, started.len()).await {
                times.push(birth.at - started[&birth.owner]);
            }
            told.push(times.told());
            rests(&self.world).await;
        }
        let what = format!("{}: the same at {RATE} changes a second", self.what);
        table.add(what, told[1].clone(), "- / 150 ms", told[0].clone());
    }

    /// A thousand at the same moment.
    async fn at_once(&mut self, table: &mut Table) {
        let (changed, mut told) = (self.next(MANY), Vec::new());
        let many = changed.len();
        for serin in [false, true] {
            let fleet = &*self;
            let started = Instant::now();
            let changes = stream::iter(changed.clone()).map(|n| async move {
                if serin { fleet.patch(&fleet.world, "v2", n).await } else { fleet.bare("v2", n).await }
            });
            changes.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
            let born = if serin { &mut self.born } else { &mut self.born_bare };
            let last = last_of(born, many).await.into_iter().map(|birth| birth.at).max().unwrap();
            told.push((last - started).as_secs_f64());
            rests(&self.world).await;
        }
        let what = format!("{}: {many} changes at once, last child", self.what);
        let reached = format!("{:.2} s ({:.2} x)", told[1], told[1] / told[0]);
        table.add(what, reached, "1.3 x", format!("{:.2} s", told[0]));
    }

    /// Change after change; a day of them takes a day.
    async fn churn(&mut self, table: &mut Table, before: f64) {
        for _ in 0..2 {
            let changed = self.next(MANY);
            let (fleet, many) = (&*self, changed.len());
            let changes = stream::iter(changed).map(|n| fleet.patch(&fleet.world, "v2", n));
            changes.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
            last_of(&mut self.born, many).await;
            rests(&self.world).await;
        }
        let (now, most) = self.memory();
        table.add(
            format!("{}: memory before / after {} changes / at most", self.what, self.fresh),
            format!("{before:.0} / {now:.0} / {most:.0} MB"),
            "+ 5 %",
            "-",
        );
    }

    /// Without a proxy in between: for time and memory.
    async fn cold_start(&mut self, table: &mut Table) {
        self.world.operator = None;
        let started = Instant::now();
        self.world.operator = Some(Operator::start(self.launch.clone()));
        let synced = until(&self.world, started, |text| reconciles(text) > 0).await;
        let (models, runs) = (self.models, self.runs);
        let all = |text: &str| reconciles(text) >= models && training_reconciles(text) >= runs;
        let reconciled = until(&self.world, started, all).await;
        let used = self.processor().as_secs_f64();
        let reached = format!("{:.2} / {:.2} s", synced.as_secs_f64(), reconciled.as_secs_f64());
        table.add(format!("{}: cold start, first / all reconciled", self.what), reached, "2 / 5 s", "-");
        // With all that a start costs besides: reading the lists is most of it.
        let rate = format!("{:.0}", (models + runs) as f64 / used);
        table.add("objects listed and reconciled for a second of processor", rate, "20000", "-");
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (now, most) = self.memory();
        let what = format!("{}: memory after a cold start, now / at most", self.what);
        table.add(what, format!("{now:.0} / {most:.0} MB"), "64 / 96 MB", "-");
    }

    /// With a proxy in between, which counts.
    async fn counted_start(&mut self, table: &mut Table) {
        self.world.operator = None;
        let mark = self.world.proxy.calls().mark();
        let kubeconfig = self.world.proxy.kubeconfig().to_owned();
        self.world.operator = Some(Operator::start(Launch { kubeconfig, ..self.launch.clone() }));
        let (models, runs) = (self.models, self.runs);
        let all = |text: &str| reconciles(text) >= models && training_reconciles(text) >= runs;
        until(&self.world, Instant::now(), all).await;
        rests(&self.world).await;
        let cost = self.world.cost_since(mark);
        let reached =
            format!("{}, {}", cost.writes.len() + cost.events, cost.confirmations + cost.reads.len());
        table.add(format!("{}: cold start, writes and reads", self.what), reached, "0, lists", "-");

        let (mark, before) = (self.world.proxy.calls().mark(), self.processor());
        tokio::time::sleep(Duration::from_mins(1)).await;
        let calls = self.world.proxy.calls().since(mark);
        let used = self.processor().saturating_sub(before).as_secs_f64();
        let wrote = calls.iter().filter(|call| call.is_write()).count();
        let reached = format!("{:.2} /s, {wrote}", calls.len() as f64 / 60.0);
        table.add(format!("{}: a minute at rest, requests and writes", self.what), reached, "0.5 /s, 0", "-");
        let reached = format!("{:.1} mcore", used / 60.0 * 1000.0);
        table.add(format!("{}: a minute at rest, processor", self.what), reached, "5 mcore", "-");
    }

    /// Objects that change in nothing that matters: a look at each, and no write.
    async fn looks(&self, table: &mut Table) {
        let many = self.models.min(5 * MANY);
        let (before, used) = (metrics(&self.world).await, self.processor());
        let api = self.world.models();
        let touched = stream::iter(0..many).map(|n| {
            let (api, name) = (api.clone(), format!("wine-{n}"));
            let label = json!({"metadata": {"labels": {"touched": "yes"}}});
            async move { api.patch(&name, &PatchParams::default(), &Patch::Merge(label)).await.unwrap() }
        });
        touched.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
        let looked = |text: &str| reconciles(text) - reconciles(&before) >= many;
        until(&self.world, Instant::now(), looked).await;
        let used = self.processor().saturating_sub(used).as_secs_f64();
        let after = metrics(&self.world).await;
        assert_eq!(writes(&after), writes(&before), "nothing was to be written");
        let rate = (reconciles(&after) - reconciles(&before)) as f64 / used;
        let what = "reconciles without a write for a second of processor, with their events";
        table.add(what, format!("{rate:.0}"), "20000", "-");
    }
}

/// So many births.
async fn last_of(born: &mut UnboundedReceiver<Birth>, count: usize) -> Vec<Birth> {
    let mut all = Vec::with_capacity(count);
    let limit = Duration::from_mins(9);
    while all.len() < count {
        all.push(tokio::time::timeout(limit, born.recv()).await.unwrap().unwrap());
    }
    all
}
