//! What must hold at every moment of every test, checked on the whole history in the apiserver's own order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::by_hand::BY_HAND;
use crate::history::{Change, Now};

/// A write rests on what was seen just before it. What became wrong less than this before it could not be known.
const GRACE: Duration = Duration::from_secs(1);

/// Each broken rule, in words.
pub fn broken(changes: &[Change]) -> Vec<String> {
    let mut replay = Replay::default();
    for change in changes {
        replay.take(change);
    }
    replay.broken
}

/// A history gone through, change by change.
#[derive(Default)]
struct Replay {
    now: Now,
    /// Since when a slot of a ModelDeployment has had nothing available.
    empty_since: BTreeMap<(String, String), Instant>,
    /// Since when it has had something.
    full_since: BTreeMap<(String, String), Instant>,
    /// Since when a slot has had traffic by the route's word, copies included.
    weight_since: BTreeMap<(String, String), Instant>,
    broken: Vec<String>,
}

impl Replay {
    fn take(&mut self, change: &Change) {
        let before = self.now.get(change.kind, &change.name).cloned();
        let name = owner(&change.object).unwrap_or_default();
        match change.kind {
            "HTTPRoute" if !change.gone && !name.is_empty() => self.route(&name, before.as_ref(), change),
            "Deployment" => self.leaving(&name, before.as_ref(), change),
            _ => {}
        }
        self.now.apply(change);
        if !name.is_empty() {
            self.note(&name, change.at);
        }
    }

    fn note(&mut self, name: &str, at: Instant) {
        let weights = self.now.get("HTTPRoute", name).map(weights).unwrap_or_default();
        for slot in ["a", "b"] {
            let key = (name.to_owned(), slot.to_owned());
            let empty = available(&self.now, name, slot) == 0;
            keep_since(&mut self.empty_since, &key, empty, at);
            keep_since(&mut self.full_since, &key, !empty, at);
            let copies = self.now.get("HTTPRoute", name).and_then(copies).is_some_and(|(to, _)| to == slot);
            let weight = copies || weights.get(slot).is_some_and(|weight| *weight > 0);
            keep_since(&mut self.weight_since, &key, weight, at);
        }
    }

    /// Weights add up, and none rises where nothing is available while something is elsewhere.
    fn route(&mut self, name: &str, before: Option<&Value>, change: &Change) {
        let after = &*change.object;
        let generation = |route: &Value| route["metadata"]["generation"].as_i64();
        let same = before.is_some_and(|before| generation(before) == generation(after));
        if same || !written_by_us(after) || by_hand(before, after) {
            return;
        }
        let weights_now = weights(after);
        let journal = after["metadata"]["annotations"]["serin.dev/journal"].as_str().unwrap_or_default();
        let told = format!("route of {name} ({journal}) {weights_now:?}");
        let sum: i64 = weights_now.values().sum();
        if sum != 100 {
            self.broken.push(format!("{told}: the weights add up to {sum}"));
        }
        let model = self.now.get("ModelDeployment", name);
        if let Some((to, _)) = copies(after) {
            let share = weights_now.get(&to).copied();
            let candidate = model.is_some_and(|model| model["status"]["candidate"]["slot"] == to.as_str());
            if share != Some(0) || !candidate {
                self.broken.push(format!("{told}: copies for {to}, which is no shadow"));
            }
        }
        let serves = model.is_some_and(|model| !model["status"]["stable"].is_null());
        let asleep = model.is_some_and(|model| model["spec"]["replicas"] == 0);
        let weights_before = before.map(weights).unwrap_or_default();
        for (slot, weight) in &weights_now {
            let was = weights_before.get(slot).copied().unwrap_or(0);
            let long = |map: &BTreeMap<(String, String), Instant>, slot: &String| {
                let since = map.get(&(name.to_owned(), slot.clone()));
                since.is_some_and(|since| change.at.duration_since(*since) > GRACE)
            };
            let long_empty = long(&self.empty_since, slot);
            let elsewhere: i64 = weights_now
                .keys()
                .filter(|other| *other != slot && long(&self.full_since, other))
                .map(|other| available(&self.now, name, other))
                .sum();
            // Where nothing is available at all, it does not matter where requests fail.
            if serves && !asleep && *weight > was && long_empty && elsewhere > 0 {
                let told = format!("{told}: {slot} rises from {was} with nothing available");
                self.broken.push(format!("{told}, while the other slot has {elsewhere} pods"));
            }
        }
    }

    /// No Deployment goes while it has traffic, unless everything goes with its owner.
    fn leaving(&mut self, name: &str, before: Option<&Value>, change: &Change) {
        let object = &*change.object;
        let is_leaving = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
        let news = change.gone || is_leaving(object);
        let doomed = object["metadata"]["annotations"][BY_HAND].is_string();
        if !news || before.is_some_and(is_leaving) || name.is_empty() || doomed {
            return;
        }
        let owner_stays = self.now.get("ModelDeployment", name).is_some_and(|model| {
            !is_leaving(model) && object["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]
        });
        let slot = object["metadata"]["labels"]["serin.dev/slot"].as_str().unwrap_or_default();
        let weight = self.weight_since.get(&(name.to_owned(), slot.to_owned()));
        if owner_stays && weight.is_some_and(|since| change.at.duration_since(*since) > GRACE) {
            self.broken.push(format!("{} goes while its slot {slot} has traffic", change.name));
        }
    }
}

/// Keeps the moment since when something holds; none while it does not.
fn keep_since(
    map: &mut BTreeMap<(String, String), Instant>,
    key: &(String, String),
    holds: bool,
    at: Instant,
) {
    if holds {
        map.entry(key.clone()).or_insert(at);
    } else {
        map.remove(key);
    }
}

/// The ModelDeployment that an object says it belongs to.
fn owner(object: &Value) -> Option<String> {
    object["metadata"]["labels"]["serin.dev/model-deployment"].as_str().map(ToOwned::to_owned)
}

/// Which slot gets copies of everybody's requests, from a route of ours, and of how many percent.
pub fn copies(route: &Value) -> Option<(String, i64)> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let mut filters = rules.flat_map(|rule| rule["filters"].as_array().into_iter().flatten());
    let mirror = &filters.find(|filter| filter["type"] == "RequestMirror")?["requestMirror"];
    let (_, slot) = mirror["backendRef"]["name"].as_str()?.rsplit_once('-')?;
    Some((slot.to_owned(), mirror["percent"].as_i64().unwrap_or(100)))
}

/// Percent by slot, from a route of ours; testers apart.
pub fn weights(route: &Value) -> BTreeMap<String, i64> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let everybody = rules.filter(|rule| rule["matches"][0]["headers"].is_null());
    let backends = everybody.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    backends
        .filter_map(|backend| {
            let (_, slot) = backend["name"].as_str()?.rsplit_once('-')?;
            Some((slot.to_owned(), backend["weight"].as_i64().unwrap_or(1)))
        })
        .collect()
}

fn by_hand(before: Option<&Value>, after: &Value) -> bool {
    let mark = |object: &Value| object["metadata"]["annotations"][BY_HAND].clone();
    mark(after) != before.map_or(Value::Null, mark)
}

fn written_by_us(route: &Value) -> bool {
    route["metadata"]["annotations"]["serin.dev/journal"].is_string()
}

/// Available pods of a slot.
pub fn available(now: &Now, name: &str, slot: &str) -> i64 {
    let of_slot = now.all("Deployment").filter(|deployment| {
        let labels = &deployment["metadata"]["labels"];
        labels["serin.dev/model-deployment"] == name && labels["serin.dev/slot"] == slot
    });
    of_slot.map(|deployment| deployment["status"]["availableReplicas"].as_i64().unwrap_or(0)).sum()
}
