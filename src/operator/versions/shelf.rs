//! All versions, by name and by model, fed by one watch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Utc};
use kube::Resource;
use kube_runtime::watcher::Event;
use serin_engine::training::KnownVersion;

use super::object::{VersionObject, VersionView};
use crate::mentions::Place;

/// Every version that can be read.
#[derive(Debug, Default)]
pub struct Shelf {
    state: RwLock<State>,
    synced: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    now: Namespaces,
    /// A relist in progress: it replaces the rest when it is complete.
    relist: Option<Namespaces>,
}

/// A version that has come, gone or changed, and the models that it is or was of.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    pub place: Place,
    pub models: BTreeSet<String>,
}

type Namespaces = BTreeMap<String, Versions>;

/// The versions of a namespace.
#[derive(Debug, Default)]
struct Versions {
    by_name: BTreeMap<String, Arc<VersionView>>,
    by_model: BTreeMap<String, BTreeSet<String>>,
}

impl Shelf {
    /// Whether the first list has arrived.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// A version by name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<VersionView>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.now.get(namespace)?.by_name.get(name).cloned()
    }

    /// The versions of a model.
    pub fn of_model(&self, namespace: &str, model: &str) -> Vec<Arc<VersionView>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(versions) = state.now.get(namespace) else { return Vec::new() };
        let names = versions.by_model.get(model).into_iter().flatten();
        names.filter_map(|name| versions.by_name.get(name)).map(Arc::clone).collect()
    }

    /// The versions of a model, and those of these names.
    pub fn of(&self, namespace: &str, model: &str, names: &BTreeSet<String>) -> Vec<Arc<KnownVersion>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(versions) = state.now.get(namespace) else { return Vec::new() };
        let of_model = versions.by_model.get(model);
        let others = names.iter().filter(|n| !of_model.is_some_and(|m| m.contains(*n)));
        let wanted = of_model.into_iter().flatten().chain(others);
        wanted.filter_map(|name| versions.by_name.get(name)).map(|v| Arc::clone(&v.known)).collect()
    }

    /// When the newest version of a model was made that no evaluation refused.
    pub fn newest(&self, namespace: &str, model: &str) -> Option<DateTime<Utc>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let versions = state.now.get(namespace)?;
        let of_model = versions.by_model.get(model)?.iter().filter_map(|name| versions.by_name.get(name));
        of_model.filter(|v| v.passed != Some(false)).filter_map(|v| v.created_at).max()
    }

    /// Takes an event in; gives the versions that have come, gone, or changed in what matters to others.
    pub fn take(&self, event: &Event<VersionObject>) -> Vec<Moved> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                state.relist = Some(Namespaces::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some(relist), Some((place, view))) = (state.relist.as_mut(), entry(object)) {
                    put(relist, &place, view.as_ref());
                }
                Vec::new()
            }
            Event::InitDone => {
                let new = state.relist.take().unwrap_or_default();
                let old = std::mem::replace(&mut state.now, new);
                self.synced.store(true, Ordering::Release);
                differences(&old, &state.now)
            }
            Event::Apply(object) => match entry(object) {
                Some((place, view)) => {
                    let old = put(&mut state.now, &place, view.as_ref());
                    let matters = match (&old, &view) {
                        (Some(old), Some(new)) => old.matters(new),
                        (old, new) => old.is_some() || new.is_some(),
                    };
                    if matters { vec![moved(place, [old, view])] } else { Vec::new() }
                }
                None => Vec::new(),
            },
            Event::Delete(object) => match entry(object) {
                Some((place, _)) => {
                    let old = put(&mut state.now, &place, None);
                    vec![moved(place, [old, None])]
                }
                None => Vec::new(),
            },
        }
    }
}

fn moved(place: Place, views: [Option<Arc<VersionView>>; 2]) -> Moved {
    Moved { place, models: views.into_iter().flatten().map(|view| view.known.model.clone()).collect() }
}

/// Where it stands, and what is there; one that cannot be read is not there.
fn entry(object: &VersionObject) -> Option<(Place, Option<Arc<VersionView>>)> {
    let place = (object.meta().namespace.clone()?, object.meta().name.clone()?);
    Some((place, object.view.as_ref().ok().cloned()))
}

fn put(all: &mut Namespaces, place: &Place, view: Option<&Arc<VersionView>>) -> Option<Arc<VersionView>> {
    let (namespace, name) = place;
    let versions = all.entry(namespace.clone()).or_default();
    let old = match view {
        Some(view) => {
            versions.by_model.entry(view.known.model.clone()).or_default().insert(name.clone());
            versions.by_name.insert(name.clone(), Arc::clone(view))
        }
        None => versions.by_name.remove(name),
    };
    if let Some(old) = &old
        && view.is_none_or(|v| v.known.model != old.known.model)
        && let Some(names) = versions.by_model.get_mut(&old.known.model)
    {
        names.remove(name);
        if names.is_empty() {
            versions.by_model.remove(&old.known.model);
        }
    }
    if versions.by_name.is_empty() {
        all.remove(namespace);
    }
    old
}

fn differences(old: &Namespaces, new: &Namespaces) -> Vec<Moved> {
    let get = |all: &Namespaces, (namespace, name): &Place| {
        all.get(namespace).and_then(|v| v.by_name.get(name)).cloned()
    };
    let places: BTreeSet<Place> = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|(namespace, v)| v.by_name.keys().map(|name| (namespace.clone(), name.clone())))
        .collect();
    let compared = places.into_iter().map(|place| (get(old, &place), get(new, &place), place));
    let matter = compared.filter(|(old, new, _)| match (old, new) {
        (Some(old), Some(new)) => old.matters(new),
        _ => true,
    });
    matter.map(|(old, new, place)| moved(place, [old, new])).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::object::tests::version, *};
    use serde_json::json;

    fn plain(name: &str) -> VersionObject {
        version(name, &json!({}), &json!({}))
    }
    fn moved(name: &str) -> Moved {
        let models = BTreeSet::from(["wine".to_owned()]);
        Moved { place: ("ns".to_owned(), name.to_owned()), models }
    }

    #[test]
    fn coming_going_and_revocation_are_told_and_nothing_else() {
        let shelf = Shelf::default();
        let in_use = json!({"conditions": [{"type": "InUse", "status": "True"}]});
        assert_eq!(shelf.take(&Event::Apply(plain("v1"))), [moved("v1")]);
        assert_eq!(shelf.take(&Event::Apply(version("v1", &json!({}), &in_use))), []);
        assert!(shelf.get("ns", "v1").unwrap().recorded.in_use.unwrap());
        let revoked = version("v1", &json!({"serin.dev/revoked": "bad"}), &json!({}));
        assert_eq!(shelf.take(&Event::Apply(revoked)), [moved("v1")]);
        assert_eq!(shelf.take(&Event::Delete(plain("v1"))), [moved("v1")]);
        assert!(shelf.get("ns", "v1").is_none());
        assert!(shelf.of("ns", "wine", &BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_relist_replaces_everything_when_it_is_complete() {
        let shelf = Shelf::default();
        shelf.take(&Event::Apply(plain("v1")));
        shelf.take(&Event::Init);
        shelf.take(&Event::InitApply(plain("v2")));
        assert!(shelf.get("ns", "v1").is_some() && !shelf.synced());
        assert_eq!(shelf.take(&Event::InitDone), [moved("v1"), moved("v2")]);
        assert!(shelf.get("ns", "v1").is_none() && shelf.synced());
        let names = |model: &str, also: &[&str]| -> Vec<String> {
            let also = also.iter().map(|n| (*n).to_owned()).collect();
            shelf.of("ns", model, &also).iter().map(|v| v.name.clone()).collect()
        };
        assert_eq!(names("wine", &["v2", "v3"]), ["v2"]);
        assert_eq!(shelf.of_model("ns", "wine").len(), 1);
        assert!(shelf.of_model("ns", "pear").is_empty() && shelf.of_model("other", "wine").is_empty());
        assert_eq!(names("pear", &["v2"]), ["v2"]);
        assert!(names("pear", &[]).is_empty());
    }
}
