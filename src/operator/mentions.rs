//! Which objects name which ModelVersions, so that a version that appears or is revoked wakes those it matters to, and
//! they are found without a look at everything. The same for the models of channels.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

/// Namespace and name.
pub type Place = (String, String);

/// Names of versions by the object that names them, and the other way round.
#[derive(Debug, Default)]
pub struct Mentions(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    by_object: BTreeMap<Place, BTreeSet<String>>,
    by_version: BTreeMap<Place, BTreeSet<String>>,
    /// A relist in progress.
    relist: Option<Relist>,
}

#[derive(Debug, Default)]
struct Relist {
    /// Objects that it showed; what it did not is gone.
    seen: BTreeSet<Place>,
    /// Versions that they name or named.
    touched: BTreeSet<Place>,
}

impl Mentions {
    /// Takes in what an object names now; gives the versions that it names or named. During a relist they are kept for
    /// its end, as nothing that it shows counts before.
    pub fn set(&self, object: &Place, versions: &BTreeSet<String>) -> BTreeSet<Place> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let touched = state.put(object, versions);
        match state.relist.as_mut() {
            Some(relist) => {
                relist.seen.insert(object.clone());
                relist.touched.extend(touched);
                BTreeSet::new()
            }
            None => touched,
        }
    }

    /// An object is there, and what it names is not known: what it named before stands. Nothing is touched.
    pub fn keep(&self, object: &Place) -> BTreeSet<Place> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(relist) = state.relist.as_mut() {
            relist.seen.insert(object.clone());
        }
        BTreeSet::new()
    }

    /// A relist begins.
    pub fn relist(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).relist = Some(Relist::default());
    }

    /// A relist is complete: what it did not show is gone. Gives the versions that were touched.
    pub fn relisted(&self) -> BTreeSet<Place> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Relist { seen, mut touched }) = state.relist.take() else { return BTreeSet::new() };
        let gone: Vec<Place> = state.by_object.keys().filter(|o| !seen.contains(*o)).cloned().collect();
        for object in gone {
            touched.extend(state.put(&object, &BTreeSet::new()));
        }
        touched
    }

    /// Names of the objects that name this version.
    pub fn of(&self, namespace: &str, version: &str) -> Vec<String> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = state.by_version.get(&(namespace.to_owned(), version.to_owned()));
        found.map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }
}

impl State {
    fn put(&mut self, object: &Place, versions: &BTreeSet<String>) -> BTreeSet<Place> {
        let (namespace, name) = object;
        let before = if versions.is_empty() {
            self.by_object.remove(object)
        } else {
            self.by_object.insert(object.clone(), versions.clone())
        }
        .unwrap_or_default();
        for lost in before.difference(versions) {
            let key = (namespace.clone(), lost.clone());
            if let Some(names) = self.by_version.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    self.by_version.remove(&key);
                }
            }
        }
        for new in versions.difference(&before) {
            self.by_version.entry((namespace.clone(), new.clone())).or_default().insert(name.clone());
        }
        before.union(versions).map(|version| (namespace.clone(), version.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }
    fn place(name: &str) -> Place {
        ("ns".to_owned(), name.to_owned())
    }

    fn places(names: &[&str]) -> BTreeSet<Place> {
        names.iter().map(|n| place(n)).collect()
    }

    #[test]
    fn what_was_named_before_is_touched_once_more() {
        let mentions = Mentions::default();
        assert_eq!(mentions.set(&place("wine"), &set(&["v1"])), places(&["v1"]));
        assert_eq!(mentions.set(&place("wine"), &set(&["v2"])), places(&["v1", "v2"]));
        assert_eq!(mentions.of("ns", "v1"), Vec::<String>::new());
        assert_eq!(mentions.of("ns", "v2"), ["wine"]);
        assert_eq!(mentions.set(&place("wine"), &set(&[])), places(&["v2"]));
        assert_eq!(mentions.of("ns", "v2"), Vec::<String>::new());
    }

    #[test]
    fn what_a_relist_does_not_show_is_gone_when_it_is_complete() {
        let mentions = Mentions::default();
        mentions.set(&place("wine"), &set(&["v1"]));
        mentions.set(&place("pear"), &set(&["v1"]));
        mentions.set(&place("fig"), &set(&["v3"]));
        mentions.relist();
        assert_eq!(mentions.set(&place("pear"), &set(&["v2"])), places(&[]));
        mentions.keep(&place("fig"));
        assert_eq!(mentions.of("ns", "v1"), ["wine"]);
        assert_eq!(mentions.relisted(), places(&["v1", "v2"]));
        assert_eq!(mentions.of("ns", "v1"), Vec::<String>::new());
        assert_eq!(
            (mentions.of("ns", "v2"), mentions.of("ns", "v3")),
            (vec!["pear".into()], vec!["fig".into()])
        );
    }
}
