//! What every reconcile shares. Built once, by [`Context::new`].

use std::sync::atomic::{AtomicBool, Ordering};

use kube::Client;
use kube_runtime::events::{Recorder, Reporter};

use crate::{
    backoff::Backoff,
    children::{HttpRoute, SlimDeployment, SlimPod, SlimService},
    fresh::OwnWrites,
    index::Index,
    prometheus::Prometheus,
    telemetry::Telemetry,
};

/// Name of the reporter in Events.
const CONTROLLER: &str = "serin";

/// Clients, caches and counters of the process.
pub struct Context {
    pub client: Client,
    pub recorder: Recorder,
    pub prometheus: Prometheus,
    pub agent_image: String,
    pub deployments: Index<SlimDeployment>,
    pub services: Index<SlimService>,
    pub routes: Index<HttpRoute>,
    pub pods: Index<SlimPod>,
    /// Whether the cluster serves HTTPRoute.
    pub gateway_api: AtomicBool,
    pub own_writes: OwnWrites,
    /// Names found taken by strangers when they were to be created; asked again later.
    pub taken: crate::taken::Taken,
    pub backoff: Backoff,
    pub unreadable: crate::unreadable::Unreadable,
    pub telemetry: Telemetry,
}

impl Context {
    pub fn new(client: Client, prometheus: Prometheus, agent_image: String, telemetry: Telemetry) -> Self {
        let instance = std::env::var("HOSTNAME").ok();
        let recorder =
            Recorder::new(client.clone(), Reporter { controller: CONTROLLER.to_owned(), instance });
        Self {
            client,
            recorder,
            prometheus,
            agent_image,
            deployments: Index::default(),
            services: Index::default(),
            routes: Index::default(),
            pods: Index::default(),
            gateway_api: AtomicBool::new(false),
            own_writes: OwnWrites::default(),
            taken: crate::taken::Taken::default(),
            backoff: Backoff::default(),
            unreadable: crate::unreadable::Unreadable::default(),
            telemetry,
        }
    }

    /// Whether every cache has seen its first list: before that, what is missing may only be unknown.
    pub fn synced(&self) -> bool {
        self.deployments.synced() && self.services.synced() && self.routes.synced() && self.pods.synced()
    }

    pub fn gateway_api(&self) -> bool {
        self.gateway_api.load(Ordering::Acquire)
    }
}
