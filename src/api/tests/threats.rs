//! What the definitions must not offer to whoever may write our objects (docs/threat-model.md). Each list is of all fields
//! of its kind that there are, so that a new one is looked at by somebody.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::collections::BTreeSet;

use serde_json::Value;

/// Calls `look` with every field of every kind: its path, and its schema.
fn fields(look: &mut impl FnMut(&str, &Value)) {
    fn walk(node: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
        for (name, field) in node["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            look(&path, field);
            for inside in [field, &field["items"], &field["additionalProperties"]] {
                walk(inside, &path, look);
            }
        }
    }
    for (_, text) in serin_api::crd_files().unwrap() {
        let crd: Value = serde_saphyr::from_str(&text).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        walk(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind, look);
    }
}

/// Words of a name in camel case, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c.is_uppercase() && !words.last().unwrap().is_empty() {
            words.push(String::new());
        }
        words.last_mut().unwrap().extend(c.to_lowercase());
    }
    words
}

/// Names of all fields one of whose words begins like one of these.
fn named(beginnings: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    fields(&mut |path, _| {
        let name = path.rsplit('.').next().unwrap();
        if words(name).iter().any(|word| beginnings.iter().any(|b| word.starts_with(b))) {
            found.insert(name.to_owned());
        }
    });
    found
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn no_field_holds_a_credential() {
    let found = named(&[
        "passw", "passp", "secret", "token", "cred", "cert", "auth", "bearer", "private", "key", "login",
    ]);
    // Names of Secrets and ConfigMaps, and of keys in them; a word that makes a run a new one.
    let known = ["configMapKeyRef", "imagePullSecrets", "key", "rerunToken", "secretKeyRef", "secretName"];
    assert_eq!(found, set(&known));
    fields(&mut |path, field| {
        let name = path.rsplit('.').next().unwrap();
        if name == "key" {
            assert!(path.contains("KeyRef."), "{path}");
        }
        if name == "secretName" {
            assert!(field["maxLength"].as_i64().unwrap() <= 253 && field["pattern"].is_string(), "{path}");
        }
    });
}

#[test]
fn no_address_is_asked_by_the_operator() {
    let found =
        named(&["ur", "address", "host", "endpoint", "server", "proxy", "repo", "webhook", "insecure"]);
    // Fetched and published to by pods of the user; written into a route; a container; a report's digest; not followed at all.
    assert_eq!(found, set(&["endpoint", "hostnames", "repo", "report", "server", "uri"]));
    // Nor is anything like a query, of whatever language.
    let found =
        named(&["query", "queries", "expr", "promql", "script", "template", "match", "regex", "condition"]);
    assert_eq!(found, set(&["conditions", "template"]), "a TrainingRun's spec in a policy, and the status");
}

#[test]
fn references_stay_in_their_namespace() {
    let mut found = Vec::new();
    fields(&mut |path, _| {
        if path.to_lowercase().contains("namespace") {
            found.push(path.to_owned());
        }
    });
    // Whose listener says whether routes of this namespace may attach.
    assert_eq!(found, ["ModelDeployment.spec.traffic.gateway.parentRefs.namespace"]);
}

#[test]
fn no_field_reaches_for_the_node() {
    let found = named(&[
        "host", "priv", "capab", "security", "volume", "mount", "sidecar", "init", "pod", "device", "sysctl",
        "proc", "runtime",
    ]);
    assert_eq!(found, set(&["hostnames", "processesPerNode"]));
    fields(&mut |path, field| {
        let open = field["x-kubernetes-preserve-unknown-fields"] == true
            || field["x-kubernetes-embedded-resource"] == true;
        // The former specs in a status are ours, and were valid as specs.
        assert!(!open || path.contains(".status."), "{path} takes anything");
    });
}

#[test]
fn names_are_taken_apart_as_they_are_written() {
    assert_eq!(words("imagePullSecrets"), ["image", "pull", "secrets"]);
    assert_eq!(words("uri"), ["uri"]);
}
