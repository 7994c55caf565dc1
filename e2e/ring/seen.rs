//! Every status and every weight there was: what a poll between two changes would miss decides most scenarios.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use serin_api::{ModelDeployment, conditions};
use tokio::task::JoinHandle;

/// One thing that was seen.
#[derive(Clone, Debug)]
enum Sight {
    /// A version of a `ModelDeployment`.
    Model(Box<ModelDeployment>),
    /// Weights of slots a and b on the route.
    Weights(i64, i64),
    /// One of the two was deleted.
    Gone(&'static str),
}

/// What was seen in a namespace so far.
#[derive(Debug)]
pub struct Seen {
    sights: Arc<Mutex<Vec<(Instant, Sight)>>>,
    start: Instant,
    task: JoinHandle<()>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    /// Watches a namespace from now on.
    pub fn watch(kube: &Client, namespace: &str) -> Self {
        let models: Api<ModelDeployment> = Api::namespaced(kube.clone(), namespace);
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let routes: Api<DynamicObject> =
            Api::namespaced_with(kube.clone(), namespace, &ApiResource::from_gvk(&kind));
        let models = kube::runtime::watcher(models, watcher::Config::default()).default_backoff();
        let models = models.filter_map(async |event| match event {
            Ok(Event::Apply(md) | Event::InitApply(md)) => Some(Sight::Model(Box::new(md))),
            Ok(Event::Delete(_)) => Some(Sight::Gone("ModelDeployment")),
            _ => None,
        });
        let routes = kube::runtime::watcher(routes, watcher::Config::default()).default_backoff();
        let routes = routes.filter_map(async |event| match event {
            Ok(Event::Apply(route) | Event::InitApply(route)) => {
                let (a, b) = weights(&route);
                Some(Sight::Weights(a, b))
            }
            Ok(Event::Delete(_)) => Some(Sight::Gone("HTTPRoute")),
            _ => None,
        });
        let sights = Arc::new(Mutex::new(Vec::new()));
        let into = sights.clone();
        let task = tokio::spawn(async move {
            let mut all = stream::select(models.boxed(), routes.boxed());
            while let Some(sight) = all.next().await {
                into.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), sight));
            }
        });
        Self { sights, start: Instant::now(), task }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Sight)>> {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Weights of slots a and b, in order, each once until it changed.
    pub fn weights(&self) -> Vec<(i64, i64)> {
        self.weights_since(self.start)
    }

    /// The same from a moment on: what was in force then, and what came after.
    pub fn weights_since(&self, moment: Instant) -> Vec<(i64, i64)> {
        let mut all: Vec<(i64, i64)> = Vec::new();
        for (at, sight) in self.lock().iter() {
            if let Sight::Weights(a, b) = sight {
                if *at < moment {
                    all.clear();
                }
                if all.last() != Some(&(*a, *b)) {
                    all.push((*a, *b));
                }
            }
        }
        all
    }

    /// Every version of the `ModelDeployment` since a moment.
    pub fn models_since(&self, moment: Instant) -> Vec<ModelDeployment> {
        let sights = self.lock();
        let models = sights.iter().filter(|(at, _)| *at >= moment).filter_map(|(_, s)| match s {
            Sight::Model(md) => Some((**md).clone()),
            _ => None,
        });
        models.collect()
    }

    /// All of it as text, one line a change.
    pub fn story(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut last = String::new();
        for (at, sight) in self.lock().iter() {
            let line = match sight {
                Sight::Model(md) => words(md),
                Sight::Weights(a, b) => format!("route: a {a}, b {b}"),
                Sight::Gone(kind) => format!("{kind} is gone"),
            };
            if line != last {
                lines.push(format!("[{:6.1} s] {line}", seconds(at.saturating_duration_since(self.start))));
                last = line;
            }
        }
        lines.join("\n")
    }
}

fn seconds(d: Duration) -> f64 {
    d.as_secs_f64()
}

fn words(md: &ModelDeployment) -> String {
    let s = md.status.clone().unwrap_or_default();
    let stable = s.stable.map_or_else(|| "-".to_owned(), |s| s.version);
    let candidate = s
        .candidate
        .map_or_else(|| "-".to_owned(), |c| format!("{} {:?} {} % {}", c.version, c.phase, c.weight, c.step));
    let progress = conditions::get(&s.conditions, conditions::Type::Progressing);
    let progress = progress.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default();
    let verdict = s.verdict.map_or_else(|| "-".to_owned(), |v| format!("{v:?}"));
    format!("stable {stable} | candidate {candidate} | {verdict} | {progress}")
}

/// Weights of the slots on a route of ours, testers apart; the names of the Services end in the slot.
fn weights(route: &DynamicObject) -> (i64, i64) {
    let rules = route.data["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules
        .filter(|r| r["matches"][0]["headers"].is_null())
        .flat_map(|r| r["backendRefs"].as_array().into_iter().flatten());
    let mut all = (0, 0);
    for backend in backends {
        let weight = backend["weight"].as_i64().unwrap_or(1);
        match backend["name"].as_str().and_then(|n| n.rsplit_once('-')) {
            Some((_, "a")) => all.0 += weight,
            Some((_, "b")) => all.1 += weight,
            _ => {}
        }
    }
    all
}
