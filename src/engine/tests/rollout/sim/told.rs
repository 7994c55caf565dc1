//! What others see of a story: each status that is written, and each change of the spec that it does not speak of yet.
//! `e2e/tests/gitops.rs` asks Argo CD and kstatus what they make of it.

use chrono::{DateTime, Utc};
use serin_api::{ModelDeploymentSpec, ModelDeploymentStatus};
use serin_engine::World;

use super::Sim;

/// What there was at one moment.
#[derive(Clone)]
#[allow(dead_code, reason = "read by those who take this module in")]
pub struct Moment {
    pub now: DateTime<Utc>,
    pub spec: ModelDeploymentSpec,
    pub generation: i64,
    pub status: ModelDeploymentStatus,
    pub world: World,
}

impl Sim {
    /// For the onlooker, if there is one.
    pub(super) fn tell(&mut self) {
        if let Some(mut told) = self.told.take() {
            told.push(Moment {
                now: self.now(),
                spec: self.spec.clone(),
                generation: self.generation,
                status: self.status.clone(),
                world: self.cluster.observe(),
            });
            self.told = Some(told);
        }
    }
}
