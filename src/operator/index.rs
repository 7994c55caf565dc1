//! Views of one kind by owner, fed by one watch.

use std::{
    collections::BTreeMap,
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use kube_runtime::watcher::Event;

use crate::{
    children::{Child, Ident, ident},
    owner::OwnerKey,
};

/// All children of a kind, by owner.
#[derive(Debug)]
pub struct Index<C: Child> {
    state: RwLock<State<C::View>>,
    synced: AtomicBool,
}

#[derive(Debug)]
struct State<V> {
    by_owner: BTreeMap<OwnerKey, Vec<V>>,
    /// A relist in progress: it replaces the rest when it is complete.
    relist: Option<BTreeMap<OwnerKey, Vec<V>>>,
}

impl<C: Child> Default for Index<C> {
    fn default() -> Self {
        let state = State { by_owner: BTreeMap::new(), relist: None };
        Self { state: RwLock::new(state), synced: AtomicBool::new(false) }
    }
}

impl<C: Child> Index<C> {
    /// Whether the first list has arrived.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Says that there is nothing to list (the kind is not served).
    pub fn nothing_to_list(&self) {
        self.synced.store(true, Ordering::Release);
    }

    /// The children of an owner.
    pub fn of(&self, owner: &OwnerKey) -> Vec<C::View> {
        self.read().by_owner.get(owner).cloned().unwrap_or_default()
    }

    /// Whether an object of this name belongs to another incarnation of the same name.
    pub fn belongs_to_namesake(&self, owner: &OwnerKey, name: &str) -> bool {
        self.any_of_namesake(owner, |view| C::ident(view).name == name)
    }

    /// Whether any object belongs to another incarnation of the same name.
    pub fn has_namesake(&self, owner: &OwnerKey) -> bool {
        self.any_of_namesake(owner, |_| true)
    }

    /// Forgets the children of an owner that needs them no more.
    pub fn forget(&self, owner: &OwnerKey) {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner).by_owner.remove(owner);
    }

    fn any_of_namesake(&self, owner: &OwnerKey, is_it: impl Fn(&C::View) -> bool) -> bool {
        // Keys are ordered by kind, namespace, name, UID: the incarnations stand together.
        let first = OwnerKey { uid: String::new(), ..owner.clone() };
        let state = self.read();
        let mut incarnations = state.by_owner.range(first..).take_while(|(k, _)| {
            k.kind == owner.kind && k.namespace == owner.namespace && k.name == owner.name
        });
        incarnations.any(|(k, views)| k.uid != owner.uid && views.iter().any(&is_it))
    }

    /// Takes an event in; the owners to look at again. Children of an owner that is not `wanted` are let go at once.
    pub fn take(&self, event: Event<C>, wanted: impl Fn(&OwnerKey) -> bool) -> Vec<OwnerKey> {
        let entry = |object: &C| entry(object).filter(|(owner, _)| wanted(owner));
        let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Init => {
                state.relist = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some((owner, view)), Some(relist)) = (entry(&object), state.relist.as_mut()) {
                    put::<C>(relist, &owner, view);
                }
                Vec::new()
            }
            Event::InitDone => {
                let new = state.relist.take().unwrap_or_default();
                let mut changed: Vec<OwnerKey> =
                    state.by_owner.keys().filter(|k| !new.contains_key(*k)).cloned().collect();
                changed.extend(
                    new.iter().filter(|(k, v)| state.by_owner.get(*k) != Some(v)).map(|(k, _)| k.clone()),
                );
                state.by_owner = new;
                self.synced.store(true, Ordering::Release);
                changed
            }
            Event::Apply(object) => {
                let Some((owner, view)) = entry(&object) else { return Vec::new() };
                if put::<C>(&mut state.by_owner, &owner, view) { vec![owner] } else { Vec::new() }
            }
            Event::Delete(object) => {
                let Some((owner, view)) = entry(&object) else { return Vec::new() };
                remove::<C>(&mut state.by_owner, &owner, C::ident(&view));
                vec![owner]
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State<C::View>> {
        // A poisoned lock means a panic in this file; what it guards is still a cache that the next event mends.
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn entry<C: Child>(object: &C) -> Option<(OwnerKey, C::View)> {
    let owner = object.owner()?;
    Some((owner, object.view(ident(object.meta()))))
}

/// `true` if something changed.
fn put<C: Child>(map: &mut BTreeMap<OwnerKey, Vec<C::View>>, owner: &OwnerKey, view: C::View) -> bool {
    let views = map.entry(owner.clone()).or_default();
    match views.iter_mut().find(|v| C::ident(v).name == C::ident(&view).name) {
        Some(old) if *old == view => false,
        Some(old) => {
            *old = view;
            true
        }
        None => {
            views.push(view);
            true
        }
    }
}

fn remove<C: Child>(map: &mut BTreeMap<OwnerKey, Vec<C::View>>, owner: &OwnerKey, gone: &Ident) {
    if let Some(views) = map.get_mut(owner) {
        views.retain(|v| C::ident(v).uid != gone.uid);
        if views.is_empty() {
            map.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{children::SlimRank, owner::OwnerKind};
    use serde_json::json;

    fn pod(name: &str, run: &str, uid: &str) -> SlimRank {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "ns", "uid": format!("uid-{name}"),
                "labels": {"serin.dev/training-run": run, "serin.dev/run-uid": uid},
            },
        }))
        .unwrap()
    }
    fn owner(kind: OwnerKind, uid: &str) -> OwnerKey {
        OwnerKey { kind, namespace: "ns".into(), name: "wine".into(), uid: uid.into() }
    }

    #[test]
    fn children_of_an_owner_that_needs_none_are_let_go() {
        let index: Index<SlimRank> = Index::default();
        let (one, over) = (owner(OwnerKind::TrainingRun, "1"), owner(OwnerKind::TrainingRun, "2"));
        let wanted = |o: &OwnerKey| o.uid != "2";
        assert_eq!(index.take(Event::Apply(pod("a", "wine", "1")), wanted), std::slice::from_ref(&one));
        assert_eq!(index.take(Event::Apply(pod("b", "wine", "2")), wanted), []);
        index.take(Event::Init, wanted);
        index.take(Event::InitApply(pod("a", "wine", "1")), wanted);
        index.take(Event::InitApply(pod("b", "wine", "2")), wanted);
        assert_eq!(index.take(Event::InitDone, wanted), []);
        assert_eq!((index.of(&one).len(), index.of(&over).len()), (1, 0));
        index.forget(&one);
        assert!(index.of(&one).is_empty());
    }

    #[test]
    fn a_namesake_is_of_the_same_kind_and_name() {
        let index: Index<SlimRank> = Index::default();
        index.take(Event::Apply(pod("a", "wine", "1")), |_| true);
        assert!(!index.has_namesake(&owner(OwnerKind::TrainingRun, "1")));
        assert!(index.has_namesake(&owner(OwnerKind::TrainingRun, "2")));
        assert!(!index.has_namesake(&owner(OwnerKind::ModelDeployment, "2")));
        assert!(index.belongs_to_namesake(&owner(OwnerKind::TrainingRun, "2"), "a"));
        assert!(!index.belongs_to_namesake(&owner(OwnerKind::TrainingRun, "2"), "b"));
    }
}
