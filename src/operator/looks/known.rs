//! What earlier answers have taught about the size of later ones. Nothing but the form of the next query depends on it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::plan::Want;

/// After this long without a look a candidate is forgotten.
const KEPT: Duration = Duration::from_mins(15);

/// What a candidate's samples cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Bytes of an answer for a second of its range, once there was an answer.
    pub rate: Option<f64>,
    /// Whether it is asked about alone, as it makes others wait.
    pub alone: bool,
}

/// Costs by namespace and candidate.
#[derive(Debug, Default)]
pub struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    costs: HashMap<(String, String), (Cost, Instant)>,
    /// As many as there were when the forgotten were last thrown out.
    kept: usize,
}

impl Known {
    pub fn of(&self, namespace: &str, want: &Want) -> Cost {
        let found = self.lock().costs.get(&key(namespace, want)).map(|(cost, _)| *cost);
        found.unwrap_or_default()
    }

    pub fn learn(&self, namespace: &str, want: &Want, cost: Cost) {
        let mut state = self.lock();
        let now = Instant::now();
        state.costs.insert(key(namespace, want), (cost, now));
        if state.costs.len() > 2 * state.kept + 64 {
            state.costs.retain(|_, (_, seen)| now.duration_since(*seen) < KEPT);
            state.kept = state.costs.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means a panic in this file; guesses are not worth another one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first name is the candidate's, where there is one: it is new at each rollout.
fn key(namespace: &str, want: &Want) -> (String, String) {
    (namespace.to_owned(), want.deployments.first().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_no_more_is_forgotten() {
        let known = Known::default();
        let want = |name: String| Want { series: [].into(), deployments: vec![name], from: 0, until: 1 };
        let cost = Cost { rate: Some(2.0), alone: true };
        for n in 0..500 {
            known.learn("ns", &want(n.to_string()), cost);
            let state = known.lock();
            assert!(state.costs.len() <= 2 * state.kept + 64);
            drop(state);
            let long_ago = Instant::now().checked_sub(2 * KEPT).unwrap();
            known.lock().costs.values_mut().for_each(|(_, seen)| *seen = long_ago);
        }
        assert_eq!(known.of("ns", &want("499".into())), cost);
        assert_eq!(known.of("ns", &want("0".into())), Cost::default());
        assert_eq!(known.of("other", &want("499".into())), Cost::default());
    }
}
