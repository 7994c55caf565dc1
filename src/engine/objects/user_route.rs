//! A route that a user owns: where our two weights stand in it, and the patch that changes them and nothing else.
//!
//! `spec.rules` is one value to the apiserver (an atomic list), so that nobody can own a weight in it by server-side apply.
//! A JSON patch changes single numbers by their place, and what must be at that place is tested in the same request: a
//! rule that a user moves or removes meanwhile makes it fail, and everything else that they change stays.

use serde_json::{Value, json};
use serin_api::{HttpRouteRef, Slot, labels};

use super::Owner;
use crate::plan::{Journal, Weights};

/// A rule of a route, as far as weights are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its backends, in order.
    pub backends: Vec<Backend>,
}

/// A backend of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Name of the Service; `None` for anything else, and for a Service of another namespace.
    pub service: Option<String>,
    /// Its weight.
    pub weight: i32,
}

/// Where our backends stand in a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the rule, from 0.
    pub rule: usize,
    /// Number of the backend of slot a.
    pub a: usize,
    /// Number of the backend of slot b.
    pub b: usize,
    /// The route has no annotations at all in this `resourceVersion`.
    pub bare: Option<String>,
}

/// Finds the one rule that has both Services of `name`, and its weights.
///
/// # Errors
/// One line that says what to change in the route.
pub fn find(wanted: &HttpRouteRef, name: &str, rules: &[Rule]) -> Result<(Place, Weights), String> {
    let services = [Slot::A, Slot::B].map(|slot| format!("{name}-{}", slot.as_str()));
    let [service_a, service_b] = &services;
    let HttpRouteRef { name: route, rule: rule_name } = wanted;
    let is_meant = |rule: &Rule| rule_name.is_none() || rule.name == *rule_name;
    if let Some(rule_name) = rule_name
        && !rules.iter().any(is_meant)
    {
        return Err(format!("HTTPRoute {route} has no rule named {rule_name:?}"));
    }
    let places = |rule: &Rule, service: &String| -> Vec<usize> {
        let numbered = rule.backends.iter().enumerate();
        numbered.filter(|(_, backend)| backend.service.as_ref() == Some(service)).map(|(i, _)| i).collect()
    };
    let mut found = Vec::new();
    for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| is_meant(rule)) {
        match (places(rule, service_a).as_slice(), places(rule, service_b).as_slice()) {
            ([], []) => {}
            ([a], [b]) => {
                let weights = Weights {
                    a: rule.backends[*a].weight,
                    b: rule.backends[*b].weight,
                    testers: None,
                    mirror: None,
                };
                found.push((Place { rule: i, a: *a, b: *b, bare: None }, weights));
            }
            ([], _) | (_, []) => {
                let n = i + 1;
                return Err(format!(
                    "rule {n} of HTTPRoute {route} has only one of the backends {service_a} and {service_b}: add the other one"
                ));
            }
            _ => {
                let n = i + 1;
                return Err(format!(
                    "rule {n} of HTTPRoute {route} has {service_a} or {service_b} more than once: keep each once"
                ));
            }
        }
    }
    match found.len() {
        0 => Err(format!(
            "HTTPRoute {route} has no rule with the backends {service_a} and {service_b}: add both Services, port {}, to the one whose requests they are to answer",
            super::service::PORT
        )),
        1 => Ok(found.remove(0)),
        n => Err(format!(
            "{n} rules of HTTPRoute {route} have the backends {service_a} and {service_b}: name one of them in traffic.httpRoute.rule"
        )),
    }
}

/// The JSON patch (RFC 6902) that sets weights and journal, and fails if the route is another one or our backends are not
/// where they were.
pub fn patch(owner: &Owner<'_>, uid: &str, place: &Place, weights: Weights, journal: &Journal) -> Value {
    let backend = |i: usize| format!("/spec/rules/{}/backendRefs/{i}", place.rule);
    let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
    let slots = [(Slot::A, place.a), (Slot::B, place.b)];
    for (slot, i) in slots {
        let name = owner.slot_service_name(slot);
        operations.push(json!({"op": "test", "path": format!("{}/name", backend(i)), "value": name}));
    }
    if let Some(version) = &place.bare {
        // To make the map is to replace it, should somebody have made it meanwhile.
        operations.push(json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    let key = labels::journal_of(owner.name).replace('~', "~0").replace('/', "~1");
    let path = format!("/metadata/annotations/{key}");
    operations.push(json!({"op": "add", "path": path, "value": journal.to_string()}));
    for (slot, i) in slots {
        let path = format!("{}/weight", backend(i));
        operations.push(json!({"op": "add", "path": path, "value": weights.of(slot)}));
    }
    Value::Array(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: Option<&str>, backends: &[(&str, i32)]) -> Rule {
        let backend = |(service, weight): &(&str, i32)| Backend {
            service: (*service != "-").then(|| (*service).to_owned()),
            weight: *weight,
        };
        Rule { name: name.map(str::to_owned), backends: backends.iter().map(backend).collect() }
    }

    fn found(rules: &[Rule], named: Option<&str>) -> Result<(usize, usize, usize, i32, i32), String> {
        let wanted = HttpRouteRef { name: "front".to_owned(), rule: named.map(str::to_owned) };
        find(&wanted, "wine", rules).map(|(p, w)| (p.rule, p.a, p.b, w.a, w.b))
    }

    #[test]
    fn the_one_rule_with_both_is_ours() {
        let other = rule(None, &[("pear-a", 1), ("pear-b", 1)]);
        let ours = rule(None, &[("-", 5), ("wine-b", 10), ("cellar", 3), ("wine-a", 90)]);
        assert_eq!(found(&[other.clone(), ours.clone()], None), Ok((1, 3, 1, 90, 10)));
        let says = |rules: &[Rule], named: Option<&str>, word: &str| {
            let told = found(rules, named).unwrap_err();
            assert!(told.contains(word) && told.contains("front") && !told.contains('\n'), "{told}");
        };
        says(&[], None, "has no rule with the backends wine-a and wine-b");
        says(std::slice::from_ref(&other), None, "has no rule with");
        says(&[ours.clone(), ours.clone()], None, "traffic.httpRoute.rule");
        says(&[other.clone(), rule(None, &[("wine-a", 1)])], None, "rule 2 of HTTPRoute front has only one");
        says(&[rule(None, &[("wine-a", 1), ("wine-b", 1), ("wine-a", 1)])], None, "more than once");
        says(std::slice::from_ref(&ours), Some("wines"), "no rule named \"wines\"");
        let named = rule(Some("wines"), &[("wine-a", 1), ("wine-b", 1)]);
        assert_eq!(found(&[ours, named], Some("wines")), Ok((1, 0, 1, 1, 1)));
    }
}
