//! Our own writes, remembered until the caches show them. Deciding on an older world would do things twice: a
//! Deployment created again, a step taken again (argo-rollouts issues 720 and 4073, KEP-5647).

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::owner::{Name, OwnerKey};

/// What must be visible before the next decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This object, at least as new as this resource version.
    AtLeast(u64),
    /// This incarnation is gone or on its way out.
    Leaving {
        /// Its UID.
        uid: String,
    },
}

/// A kind of child, for the map's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The object itself.
    Main,
    /// A Deployment.
    Deployment,
    /// A Service.
    Service,
    /// An HTTPRoute.
    Route,
    /// A PodDisruptionBudget.
    Budget,
    /// A Job.
    Job,
    /// A ModelVersion.
    Version,
    /// A TrainingRun.
    Run,
}

/// After this long a cache that does not show our write is believed: the object was deleted at once by somebody else,
/// or the watch is broken and will relist.
const GIVE_UP: Duration = Duration::from_secs(10);

type Writes = HashMap<(Kind, String), (Expect, Instant)>;

/// Writes by owner.
#[derive(Debug, Default)]
pub struct OwnWrites(Mutex<HashMap<OwnerKey, Writes>>);

impl OwnWrites {
    /// Remembers a write.
    pub fn expect(&self, owner: &OwnerKey, kind: Kind, name: &str, expect: Expect) {
        let mut all = self.lock();
        all.entry(owner.clone()).or_default().insert((kind, name.to_owned()), (expect, Instant::now()));
    }

    /// Whether everything we wrote is visible; `seen` looks an object up: its version, UID and whether it is leaving.
    pub fn visible(
        &self,
        owner: &OwnerKey,
        seen: impl Fn(Kind, &str) -> Option<(u64, String, bool)>,
    ) -> bool {
        let mut all = self.lock();
        let Some(writes) = all.get_mut(owner) else { return true };
        writes.retain(|(kind, name), (expect, at)| {
            let found = seen(*kind, name);
            let shown = match (&*expect, found) {
                (Expect::AtLeast(version), Some((now, _, _))) => now == 0 || now >= *version,
                (Expect::AtLeast(_), None) => false,
                (Expect::Leaving { uid }, Some((_, now, leaving))) => now != *uid || leaving,
                (Expect::Leaving { .. }, None) => true,
            };
            !shown && at.elapsed() < GIVE_UP
        });
        let done = writes.is_empty();
        if done {
            all.remove(owner);
        }
        done
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, gone: &Name) {
        self.lock()
            .retain(|k, _| k.kind != gone.kind || k.namespace != gone.namespace || k.name != gone.name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OwnerKey, Writes>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::OwnerKind;

    #[test]
    fn a_write_is_waited_for_until_the_cache_shows_it() {
        let writes = OwnWrites::default();
        let kind = OwnerKind::ModelDeployment;
        let owner = OwnerKey { kind, namespace: "ns".into(), name: "wine".into(), uid: "u".into() };
        writes.expect(&owner, Kind::Deployment, "wine-1", Expect::AtLeast(7));
        assert!(!writes.visible(&owner, |_, _| None));
        assert!(!writes.visible(&owner, |_, _| Some((6, "d".into(), false))));
        assert!(writes.visible(&owner, |_, _| Some((7, "d".into(), false))));
        writes.expect(&owner, Kind::Deployment, "wine-1", Expect::Leaving { uid: "d".into() });
        assert!(!writes.visible(&owner, |_, _| Some((7, "d".into(), false))));
        assert!(writes.visible(&owner, |_, _| Some((8, "d".into(), true))));
        assert!(writes.visible(&owner, |_, _| None));
    }
}
