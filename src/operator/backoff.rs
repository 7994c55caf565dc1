//! Per-object retry delays; kube keeps none (kube issue 1916).

use std::{collections::HashMap, sync::Mutex, time::Duration};

use crate::owner::Name;

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<Name, u32>>);

/// Longest delay.
const MAX: Duration = Duration::from_mins(5);
/// First delay.
const FIRST: Duration = Duration::from_millis(500);

impl Backoff {
    /// Delay after one more failure: doubling, with up to a quarter of jitter taken from the name, so that objects
    /// that failed together do not come back together.
    pub fn failed(&self, object: &Name) -> Duration {
        let mut all = self.lock();
        let n = all.entry(object.clone()).or_insert(0);
        let delay = FIRST.saturating_mul(1 << (*n).min(10)).min(MAX);
        *n = n.saturating_add(1);
        let bytes = object.name.bytes().chain(object.namespace.bytes());
        let spread = bytes.fold(0_u32, |h, b| h.wrapping_mul(31) ^ u32::from(b));
        delay + delay.mul_f64(f64::from(spread % 256) / 1024.0)
    }

    /// It worked, or it is gone.
    pub fn reset(&self, object: &Name) {
        let mut all = self.lock();
        if !all.is_empty() {
            all.remove(object);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, u32>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
