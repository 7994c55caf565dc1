//! Reconciles at work. Each has a deadline; one that outlives it by far has taken its thread along.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Since when each has run.
#[derive(Debug, Default)]
pub struct Running {
    next: AtomicU64,
    since: Mutex<BTreeMap<u64, Instant>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Run<'a> {
    all: &'a Running,
    number: u64,
}

impl Running {
    /// One begins.
    pub fn begin(&self) -> Run<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Instant::now());
        Run { all: self, number }
    }

    /// For how long the oldest has run.
    pub fn longest(&self) -> Duration {
        // Numbers are given in the order of time.
        self.lock().first_key_value().map(|(_, since)| since.elapsed()).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts() {
        let running = Running::default();
        assert_eq!(running.longest(), Duration::ZERO);
        let first = running.begin();
        let since = Instant::now();
        let second = running.begin();
        assert!(running.longest() >= since.elapsed());
        drop(first);
        drop(second);
        assert_eq!(running.longest(), Duration::ZERO);
    }
}
