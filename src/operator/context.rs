//! What every reconcile shares. Built once, by [`Context::new`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::{Client, core::DeserializeGuard};
use kube_runtime::{
    events::{Recorder, Reporter},
    reflector::{self, Store, store::Writer},
};
use serin_api::ModelDeployment;
use tokio::sync::Semaphore;

use crate::{
    backoff::Backoff,
    children::{
        HttpRoute, SlimBudget, SlimDeployment, SlimJob, SlimPod, SlimRank, SlimRendezvous, SlimService,
    },
    fresh::OwnWrites,
    gateways::Gateways,
    index::Index,
    leader::Standing,
    looks::Looks,
    mentions::{Mentions, Place},
    owner::{Name, OwnerKind},
    prometheus::Prometheus,
    retrain::PolicyObject,
    running::Running,
    sessions::SessionField,
    taken::Taken,
    telemetry::Telemetry,
    training::RunObject,
    unreadable::Unreadable,
    user_routes::UserRoutes,
    versions::{Shelf, VersionObject},
};

/// Name of the reporter in Events.
const CONTROLLER: &str = "serin";

/// Clients, caches and counters of the process.
pub struct Context {
    pub client: Client,
    pub recorder: Recorder,
    pub prometheus: Prometheus,
    /// The same, for looks at candidates.
    pub looks: Arc<Looks>,
    /// Places for ModelDeployments that are being reconciled.
    pub places: Arc<Semaphore>,
    pub agent_image: String,
    /// ModelDeployments.
    pub models: Store<DeserializeGuard<ModelDeployment>>,
    pub model_mentions: Mentions,
    /// Models whose newest version a ModelDeployment asks for.
    pub channels: Mentions,
    pub deployments: Index<SlimDeployment>,
    pub services: Index<SlimService>,
    pub routes: Index<HttpRoute>,
    /// Routes that users own, and who names them.
    pub user_routes: UserRoutes,
    pub route_mentions: Mentions,
    pub budgets: Index<SlimBudget>,
    pub pods: Index<SlimPod>,
    /// Whether the cluster serves HTTPRoute.
    pub gateway_api: AtomicBool,
    /// Which gateways copy requests.
    pub gateways: Gateways,
    /// Whether an HTTPRoute can ask for sessions that are kept.
    pub session_field: SessionField,
    /// TrainingRuns.
    pub runs: Store<RunObject>,
    pub run_mentions: Mentions,
    pub jobs: Index<SlimJob>,
    pub rendezvous: Index<SlimRendezvous>,
    pub ranks: Index<SlimRank>,
    /// ModelVersions.
    pub versions: Shelf,
    /// The deployments that RetrainPolicies name.
    pub policy_mentions: Mentions,
    pub look_jobs: Index<SlimJob>,
    pub look_pods: Index<SlimRank>,
    wakes: Wakes,
    pub own_writes: OwnWrites,
    /// Names found taken by strangers when they were to be created; asked again later.
    pub taken: Taken,
    pub backoff: Backoff,
    pub unreadable: Unreadable,
    pub telemetry: Telemetry,
    /// Whether this operator decides.
    pub standing: Standing,
    /// Looks at objects at this moment.
    pub running: Running,
    stopping: AtomicBool,
}

/// Who fills the stores, and hears what one controller wakes in another.
pub struct Feeds {
    pub models: Feed<DeserializeGuard<ModelDeployment>>,
    pub runs: Feed<RunObject>,
    pub versions: Feed<VersionObject>,
    pub policies: Feed<PolicyObject>,
}

/// Of one kind.
pub struct Feed<K: kube::Resource<DynamicType = ()> + Clone + 'static> {
    pub store: Store<K>,
    pub writer: Writer<K>,
    pub woken: UnboundedReceiver<Place>,
}

struct Wakes {
    models: UnboundedSender<Place>,
    runs: UnboundedSender<Place>,
    versions: UnboundedSender<Place>,
    policies: UnboundedSender<Place>,
}

fn feed<K: kube::Resource<DynamicType = ()> + Clone + 'static>() -> (Feed<K>, UnboundedSender<Place>) {
    let (store, writer) = reflector::store();
    let (sender, woken) = unbounded();
    (Feed { store, writer, woken }, sender)
}

impl Context {
    pub fn new(
        client: Client,
        prometheus: Prometheus,
        agent_image: String,
        gateways: Gateways,
        places: u16,
        telemetry: Telemetry,
        standing: Standing,
    ) -> (Self, Feeds) {
        let instance = std::env::var("HOSTNAME").ok();
        let recorder =
            Recorder::new(client.clone(), Reporter { controller: CONTROLLER.to_owned(), instance });
        let ((models, wake_models), (runs, wake_runs), (versions, wake_versions)) = (feed(), feed(), feed());
        let (policies, wake_policies) = feed();
        let feeds = Feeds { models, runs, versions, policies };
        let context = Self {
            client,
            recorder,
            looks: Looks::new(prometheus.clone()),
            prometheus,
            places: Arc::new(Semaphore::new(usize::from(places))),
            agent_image,
            models: feeds.models.store.clone(),
            model_mentions: Mentions::default(),
            channels: Mentions::default(),
            deployments: Index::default(),
            services: Index::default(),
            routes: Index::default(),
            user_routes: UserRoutes::default(),
            route_mentions: Mentions::default(),
            budgets: Index::default(),
            pods: Index::default(),
            gateway_api: AtomicBool::new(false),
            gateways,
            session_field: SessionField::default(),
            runs: feeds.runs.store.clone(),
            run_mentions: Mentions::default(),
            jobs: Index::default(),
            rendezvous: Index::default(),
            ranks: Index::default(),
            versions: Shelf::default(),
            policy_mentions: Mentions::default(),
            look_jobs: Index::default(),
            look_pods: Index::default(),
            wakes: Wakes {
                models: wake_models,
                runs: wake_runs,
                versions: wake_versions,
                policies: wake_policies,
            },
            own_writes: OwnWrites::default(),
            taken: Taken::default(),
            backoff: Backoff::default(),
            unreadable: Unreadable::default(),
            telemetry,
            standing,
            running: Running::default(),
            stopping: AtomicBool::new(false),
        };
        (context, feeds)
    }

    /// Each cache, and whether it has seen its first list.
    pub fn caches(&self) -> [(&'static str, bool); 12] {
        [
            ("deployments", self.deployments.synced()),
            ("services", self.services.synced()),
            ("pods", self.pods.synced()),
            ("httproutes", self.routes.synced()),
            ("httproutes of users", self.user_routes.synced()),
            ("poddisruptionbudgets", self.budgets.synced()),
            ("modelversions", self.versions.synced()),
            ("jobs", self.jobs.synced()),
            ("services of runs", self.rendezvous.synced()),
            ("pods of runs", self.ranks.synced()),
            ("jobs of looks", self.look_jobs.synced()),
            ("pods of looks", self.look_pods.synced()),
        ]
    }

    /// Whether every cache has seen its first list: before that, what is missing may only be unknown.
    pub fn synced(&self) -> bool {
        self.caches().iter().all(|(_, synced)| *synced)
    }

    pub fn gateway_api(&self) -> bool {
        self.gateway_api.load(Ordering::Acquire)
    }

    /// Nobody is to count on this operator any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Has another controller's object looked at again.
    pub fn wake(&self, kind: OwnerKind, place: Place) {
        let sender = match kind {
            OwnerKind::ModelDeployment => &self.wakes.models,
            OwnerKind::TrainingRun => &self.wakes.runs,
            OwnerKind::ModelVersion => &self.wakes.versions,
            OwnerKind::RetrainPolicy => &self.wakes.policies,
        };
        // Nobody hears it any more: we are stopping.
        let _ = sender.unbounded_send(place);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, gone: &Name) {
        self.own_writes.forget(gone);
        self.backoff.reset(gone);
        self.unreadable.forget(gone);
    }
}
