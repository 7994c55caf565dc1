//! Places for reconciles at work. One that waits for Prometheus leaves its place to another: looks that are to share a query
//! have to wait for it at the same time, and a slow metrics server must hold nobody else.

use std::{future::Future, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reconciles that wait for Prometheus at the same time, beside those at work.
pub const WAITING: u16 = 1024;

/// A reconcile's place.
pub struct Place {
    all: Arc<Semaphore>,
    mine: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Waits for one.
    pub async fn take(all: &Arc<Semaphore>) -> Self {
        // The semaphore is never closed.
        Self { all: Arc::clone(all), mine: Arc::clone(all).acquire_owned().await.ok() }
    }

    /// Waits for something outside of it.
    pub async fn outside<T>(&mut self, something: impl Future<Output = T>) -> T {
        self.mine = None;
        let found = something.await;
        self.mine = Arc::clone(&self.all).acquire_owned().await.ok();
        found
    }
}
