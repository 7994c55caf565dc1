//! The lease: `serin-lease` says what to do, this does it.

use std::{
    future::{pending, ready},
    panic::AssertUnwindSafe,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use kube_runtime::{WatchStreamExt, watcher};
use serin_api::labels;
use serin_lease::{Ask, Candidate, Claim, Event, Role, Step};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    clock,
    fence::Fence,
    object,
    standing::{Rank, Standing},
};
use crate::telemetry::Telemetry;

/// What an election is about.
pub struct Campaign {
    /// One of its own, outside of the fence: how else would it open?
    pub client: Client,
    /// Where the lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Ours; no other process has it, nor ever had.
    pub holder: String,
    /// What it opens and closes.
    pub fence: Fence,
    pub standing: Standing,
    pub telemetry: Telemetry,
}

/// The election at work. When the lease is lost, it ends the process.
pub struct Elected {
    leads: watch::Receiver<bool>,
    leave: oneshot::Sender<()>,
    fence: Fence,
    task: JoinHandle<()>,
}

impl Elected {
    /// Starts it.
    pub fn start(campaign: Campaign) -> Self {
        let (told, leads) = watch::channel(false);
        let (leave, leaving) = oneshot::channel();
        let fence = campaign.fence.clone();
        let task = tokio::spawn(async move {
            let election = AssertUnwindSafe(Driver::new(campaign, told).run(leaving)).catch_unwind();
            if election.await.is_err() {
                // Nobody would renew any more: the same as a loss, only sooner.
                tracing::error!("the election died; the log before this says how");
                std::process::exit(1);
            }
        });
        Self { leads, leave, fence, task }
    }

    /// Returns when the lease is ours.
    pub async fn leads(&mut self) {
        if self.leads.wait_for(|leads| *leads).await.is_err() {
            // The task is gone, and the process about to be.
            pending::<()>().await;
        }
    }

    /// Closes the fence, waits until nothing that was sent can happen any more, and gives the lease back. Until then it
    /// is renewed.
    pub async fn leave(self) {
        self.fence.close();
        while let Some(left) = unresolved(&self.fence) {
            sleep(left).await;
        }
        // The task ends by this word alone.
        let _ = self.leave.send(());
        let _ = self.task.await;
    }
}

/// For how long to wait before asking again whether everything is over.
fn unresolved(fence: &Fence) -> Option<Duration> {
    match fence.quiet() {
        None => Some(Duration::from_millis(10)),
        Some(quiet) => Some(quiet.saturating_sub(clock::now())).filter(|left| !left.is_zero()),
    }
}

struct Driver {
    api: Api<Lease>,
    campaign: Campaign,
    candidate: Candidate,
    told: watch::Sender<bool>,
    /// Time of the last write: two renewals never say the same.
    wrote: DateTime<Utc>,
    role: Role,
    news: BoxStream<'static, Event>,
}

impl Driver {
    fn new(campaign: Campaign, told: watch::Sender<bool>) -> Self {
        let api: Api<Lease> = Api::namespaced(campaign.client.clone(), &campaign.namespace);
        let candidate = Candidate::new(campaign.holder.clone(), campaign.fence.timing());
        let news = news(api.clone(), &campaign.name).boxed();
        Self { api, campaign, candidate, told, wrote: DateTime::UNIX_EPOCH, role: Role::Follows, news }
    }

    async fn run(mut self, mut leaving: oneshot::Receiver<()>) {
        let mut left = false;
        let mut answer: Option<BoxFuture<'static, Event>> = None;
        let mut event = Event::Tick;
        loop {
            let Step { role, ask, wake } = self.candidate.on(event, clock::now());
            if self.told(role, left) {
                return;
            }
            if let Some(ask) = ask {
                answer = Some(self.send(ask));
            }
            let busy = answer.is_some();
            let follows = role == Role::Follows && !left && !busy;
            let reply = async {
                match &mut answer {
                    Some(answer) => answer.await,
                    None => pending().await,
                }
            };
            event = tokio::select! {
                biased;
                event = reply => { answer = None; event }
                _ = &mut leaving, if !left => { left = true; Event::Leave }
                Some(news) = self.news.next(), if follows => news,
                () = sleep(wake.saturating_sub(clock::now())) => Event::Tick,
            };
        }
    }

    /// Says what the candidate is; `true` when it is over.
    fn told(&mut self, role: Role, leaving: bool) -> bool {
        let Campaign { fence, standing, telemetry, holder, .. } = &self.campaign;
        standing.beat();
        let known = self.candidate.known();
        if let Some((_, epoch)) = known {
            telemetry.epoch(epoch);
        }
        match role {
            Role::Follows if leaving => {}
            Role::Follows => {
                if let Some((other, epoch)) = known
                    && standing.rank() == Rank::Unknown
                {
                    tracing::info!(holder = other, epoch, "standing by");
                    standing.set(Rank::StandsBy);
                }
            }
            Role::Leads { renewed, epoch } => {
                fence.renewed(renewed);
                if !matches!(self.role, Role::Leads { .. }) {
                    tracing::info!(%holder, epoch, "leading");
                    standing.set(Rank::Leads);
                    telemetry.leads(true);
                    self.told.send_replace(true);
                    // Nobody listens to it any more.
                    self.news = futures::stream::pending().boxed();
                }
            }
            // Nothing of what we are about to do may be done: no destructors, no drain.
            Role::Lost(why) if !leaving => {
                fence.close();
                tracing::error!(%holder, ?why, "the lease is lost");
                std::process::exit(1);
            }
            Role::Lost(_) | Role::Left => {
                tracing::info!(%holder, "the lease is given back");
                return true;
            }
        }
        self.role = role;
        false
    }

    fn send(&mut self, ask: Ask) -> BoxFuture<'static, Event> {
        let (api, name) = (self.api.clone(), self.campaign.name.clone());
        let timing = self.campaign.fence.timing();
        self.wrote = Utc::now().max(self.wrote + TimeDelta::microseconds(1));
        let (now, duration) = (self.wrote, timing.lease());
        // What a write is refused with when the lease is another one by now. A namespace that is not there is no such thing.
        let refused = match &ask {
            Ask::Read => [0, 0],
            Ask::Create(_) => [409, 0],
            Ask::Update(..) => [409, 404],
        };
        let request = async move {
            match ask {
                Ask::Read => api.get_opt(&name).await.map(|found| Event::Found(found.map(object::record))),
                Ask::Create(claim) => create(&api, &name, &claim, duration, now).await,
                Ask::Update(version, claim) => {
                    let patch = Patch::Merge(object::update(&version, &claim, duration, now));
                    api.patch(&name, &params(), &patch)
                        .await
                        .map(|lease| Event::Written(object::record(lease)))
                }
            }
        };
        async move {
            match timeout(timing.answer(), request).await {
                Ok(Ok(event)) => event,
                Ok(Err(kube::Error::Api(status))) if refused.contains(&status.code) => Event::Refused,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease cannot be read or written");
                    Event::Unknown
                }
                Err(_) => {
                    tracing::warn!("the lease: no answer in time");
                    Event::Unknown
                }
            }
        }
        .boxed()
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() }
}

async fn create(
    api: &Api<Lease>,
    name: &str,
    claim: &Claim,
    duration: Duration,
    now: DateTime<Utc>,
) -> kube::Result<Event> {
    let lease = serde_json::from_value(object::create(name, claim, duration, now));
    let lease = lease.map_err(kube::Error::SerdeError)?;
    let params = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
    api.create(&params, &lease).await.map(|lease| Event::Written(object::record(lease)))
}

/// The lease as it changes. A watch that breaks is opened again, later each time; what is missed meanwhile only makes us
/// wait longer.
fn news(api: Api<Lease>, name: &str) -> impl Stream<Item = Event> + Send + use<> {
    watcher::watch_object(api, name).default_backoff().filter_map(|seen| {
        let news = seen.inspect_err(|error| tracing::warn!(%error, "the lease cannot be watched"));
        ready(news.ok().map(|lease| Event::News(lease.map(object::record))))
    })
}
