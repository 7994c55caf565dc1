//! Names that we need and strangers bear, found out by trying to create them.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::owner::OwnerKey;

/// Names that strangers bear, by owner; forgotten after a while, so that a renamed stranger is noticed.
#[derive(Debug, Default)]
pub struct Taken(Mutex<HashMap<OwnerKey, (Vec<String>, Instant)>>);

/// How long a taken name is believed.
const TAKEN_FOR: Duration = Duration::from_secs(30);

impl Taken {
    pub fn remember(&self, owner: &OwnerKey, what: String) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (names, at) = all.entry(owner.clone()).or_insert_with(|| (Vec::new(), Instant::now()));
        *at = Instant::now();
        if !names.contains(&what) {
            names.push(what);
        }
    }
    /// The names of this owner that were found taken.
    pub fn of(&self, owner: &OwnerKey) -> Vec<String> {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.retain(|_, (_, at)| at.elapsed() < TAKEN_FOR);
        all.get(owner).map(|(names, _)| names.clone()).unwrap_or_default()
    }
    /// Whether any name of this owner was found taken.
    pub fn any(&self, owner: &OwnerKey) -> bool {
        !self.of(owner).is_empty()
    }
    pub const fn recheck() -> Duration {
        TAKEN_FOR
    }
}
