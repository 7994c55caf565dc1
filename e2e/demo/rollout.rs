//! The second half: served, tried on live traffic, kept or taken back.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serin_api::{ModelDeployment, Outcome, conditions};

use super::{
    Shared,
    learn::Learned,
    timeline::{Row, lock},
};
use crate::{Error, client, load::Load, wine::Wine};

/// A rollout of the demo takes about 40 s; a slow machine gets its time.
const PATIENCE: Duration = Duration::from_mins(4);

/// What the rollouts act with.
pub struct Live<'a> {
    /// An administrator's client.
    pub kube: &'a Client,
    /// The deployment.
    pub wine: &'a Wine,
    /// What is known so far.
    pub timeline: &'a Shared,
    /// Load, once there is some.
    pub load: Option<Load>,
}

impl Live<'_> {
    /// The first version serves.
    pub async fn begin(&self, v1: &Learned) -> Result<(), Error> {
        self.wine.put(self.kube, &self.wine.object_of(&v1.version)).await?;
        let serves = |md: &ModelDeployment| {
            let s = status(md);
            conditions::is_true(&s.conditions, conditions::Type::Ready)
                && s.stable.is_some_and(|s| s.digest == v1.digest)
        };
        self.watch("v1 serves", serves).await.map(drop)
    }

    /// v2 is good: it must be promoted, by pointer.
    pub async fn promote(&self, v2: &Learned) -> Result<(), Error> {
        let t = self.timeline;
        lock(t).begin("v2", "a better model: it should be promoted");
        self.wine.put(self.kube, &self.wine.object_of(&v2.version)).await?;
        let mut canary = BTreeMap::new();
        let mut last_weight = 0;
        let md = loop {
            let md = self
                .watch("v2 moves on", |md| {
                    let s = status(md);
                    s.candidate.as_ref().map_or(0, |c| c.weight) > last_weight
                        || s.history.first().is_some_and(|h| h.digest == v2.digest)
                })
                .await?;
            if status(&md).history.first().is_some_and(|h| h.digest == v2.digest) {
                break md;
            }
            last_weight = status(&md).candidate.map_or(0, |c| c.weight);
            canary = self.pods(&v2.digest).await?;
        };
        let outcome = status(&md).history.first().map(|h| h.outcome);
        if outcome != Some(Outcome::Promoted) {
            return Err(format!("v2 should have been promoted, but was {outcome:?}").into());
        }
        let after = self.pods(&v2.digest).await?;
        let replaced = canary.keys().filter(|uid| !after.contains_key(*uid)).count();
        let mut timeline = lock(t);
        timeline.facts.promoted_pods_replaced = i64::try_from(replaced)?;
        let began = timeline.phases.last().map(|p| p.began).unwrap_or_default();
        let took = timeline.start.elapsed().saturating_sub(began).as_secs();
        timeline.done(&format!("promoted after {took} s on evidence; {replaced} of its pods were replaced"));
        Ok(())
    }

    /// v3 fails for a share of the requests: it must go.
    pub async fn roll_back(&self, v3: &Learned) -> Result<(), Error> {
        let t = self.timeline;
        lock(t).begin(
            "v3",
            "good on paper, but it needs a column that no client sends: it should be rolled back",
        );
        self.wine.put(self.kube, &self.wine.object_of(&v3.version)).await?;
        self.watch("v3 has traffic", |md| status(md).candidate.is_some_and(|c| c.weight > 0)).await?;
        let gone = |md: &ModelDeployment| status(md).history.first().is_some_and(|h| h.digest == v3.digest);
        let md = self.watch("v3 is gone from the traffic", gone).await?;
        let zero = chrono::Utc::now().timestamp_millis();
        let s = status(&md);
        let outcome = s.history.first().map(|h| h.outcome);
        if outcome != Some(Outcome::RolledBack) {
            return Err(format!("v3 should have been rolled back, but was {outcome:?}").into());
        }
        let load = self.load.as_ref().ok_or("no load")?;
        // The load's own clock says when the first request met it; the status says when the last weight was gone.
        let (first, counts) = client::until("the load reports v3", Duration::from_secs(10), || async {
            let counts = load.counts();
            let first = counts.of(&v3.digest).first_unix_ms;
            first.map(|first| (first, counts)).ok_or_else(|| "nothing yet".to_owned())
        })
        .await?;
        let seconds = (zero - first) as f64 / 1000.0;
        let met = counts.of(&v3.digest);
        let mut timeline = lock(t);
        timeline.facts.bad_first_request_to_zero_seconds = Some(seconds);
        timeline.counts = counts;
        let why = s.last_failed.map(|f| format!("{}: {}", f.reason, f.message)).unwrap_or_default();
        timeline.done(&format!(
            "{} of {} requests failed; rolled back {seconds:.1} s after the first ({why})",
            met.failed(),
            met.total
        ));
        Ok(())
    }

    /// Waits until the load was answered by a version.
    pub async fn answered(&self, by: &Learned) -> Result<(), Error> {
        let load = self.load.as_ref().ok_or("no load")?;
        let before = load.counts().of(&by.digest).total;
        client::until("answers", Duration::from_mins(1), || async {
            let counts = load.counts();
            lock(self.timeline).counts = counts.clone();
            let now = counts.of(&by.digest).total;
            if now > before + 20 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await
    }

    /// Follows the deployment, showing it, until `done`.
    pub async fn watch(
        &self,
        what: &str,
        done: impl Fn(&ModelDeployment) -> bool,
    ) -> Result<ModelDeployment, Error> {
        client::until(what, PATIENCE, || async {
            let md = self.wine.get(self.kube).await.map_err(|e| e.to_string())?;
            let row = row(&md);
            let progress = row.progress.clone();
            let mut timeline = lock(self.timeline);
            timeline.saw(row);
            if let Some(load) = &self.load {
                timeline.counts = load.counts();
            }
            if done(&md) { Ok(md) } else { Err(progress) }
        })
        .await
    }

    async fn all_pods(&self) -> Result<Vec<Pod>, Error> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.wine.namespace);
        let selector = format!("{}={}", serin_api::labels::DEPLOYMENT, self.wine.name);
        Ok(api.list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// UID and name of the pods that serve a digest and are not on their way out.
    async fn pods(&self, digest: &str) -> Result<BTreeMap<String, String>, Error> {
        let serves = |p: &Pod| {
            let inits = p.spec.as_ref().and_then(|s| s.init_containers.as_ref());
            inits.into_iter().flatten().filter_map(|c| c.args.as_ref()).flatten().any(|a| a == digest)
        };
        Ok(self
            .all_pods()
            .await?
            .into_iter()
            .filter(|p| p.metadata.deletion_timestamp.is_none() && serves(p))
            .filter_map(|p| Some((p.metadata.uid?, p.metadata.name?)))
            .collect())
    }

    /// Restarts of all containers of its pods.
    pub async fn restarts(&self) -> Result<i64, Error> {
        let of = |p: &Pod| -> i64 {
            let containers = p.status.as_ref().and_then(|s| s.container_statuses.as_ref());
            containers.into_iter().flatten().map(|c| i64::from(c.restart_count)).sum()
        };
        Ok(self.all_pods().await?.iter().map(of).sum())
    }
}

pub fn status(md: &ModelDeployment) -> serin_api::ModelDeploymentStatus {
    md.status.clone().unwrap_or_default()
}

fn row(md: &ModelDeployment) -> Row {
    let s = status(md);
    let progress = conditions::get(&s.conditions, conditions::Type::Progressing)
        .map(|c| format!("{}: {}", c.reason, c.message))
        .unwrap_or_default();
    let c = s.candidate.as_ref();
    Row {
        stable: s.stable.map(|s| s.version).unwrap_or_default(),
        candidate: c.map(|c| c.version.clone()).unwrap_or_default(),
        weight: c.map_or(0, |c| i64::from(c.weight)),
        step: c.map(|c| c.step.clone()).unwrap_or_default(),
        verdict: s.verdict.map(|v| format!("{v:?}")).unwrap_or_default(),
        progress,
    }
}
