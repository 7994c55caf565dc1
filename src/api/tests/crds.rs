//! The generated CRDs: as committed, and within the bounds that an apiserver and its users need.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");
/// A chart cannot read outside of itself, and not everything that fetches one follows links.
const COPIED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/serin/files/crds");
const KINDS: [&str; 4] = ["ModelDeployment", "ModelVersion", "RetrainPolicy", "TrainingRun"];

fn crd(kind: &str) -> Value {
    let all = serin_api::crd_files().unwrap().into_iter();
    let mut all = all.map(|(_, text)| serde_saphyr::from_str::<Value>(&text).unwrap());
    all.find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap_or_else(|| panic!("no CRD of {kind}"))
}

fn schema(kind: &str, part: &str) -> Value {
    crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part].clone()
}

#[test]
fn the_committed_files_are_what_the_types_say() {
    let generated = serin_api::crd_files().unwrap();
    let names: BTreeSet<_> = generated.iter().map(|(name, _)| name.clone()).collect();
    for folder in [COMMITTED, COPIED] {
        for (name, text) in &generated {
            let path = Path::new(folder).join(name);
            if std::env::var_os("SERIN_UPDATE").is_some() {
                std::fs::write(&path, text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == *text, "{} is stale: run `cargo crds`", path.display());
        }
        let there = std::fs::read_dir(folder).unwrap().flatten();
        let there = there.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // The list of them for kustomize; without an ending, so that `kubectl apply -f crds/` passes it over.
        let there: BTreeSet<_> = there.filter(|name| name != "Kustomization").collect();
        assert_eq!(there, names, "one file a CRD in {folder}");
    }
}

/// The chart puts its annotation and labels behind this line, by text.
#[test]
fn a_file_has_one_metadata_of_its_own() {
    for (name, text) in serin_api::crd_files().unwrap() {
        assert_eq!(text.matches("\nmetadata:\n  name: ").count(), 1, "{name}");
        assert!(!text.contains("{{"), "{name}: no template");
    }
}

#[test]
fn the_stream_has_all_of_them() {
    let stream = serin_api::crds_yaml().unwrap();
    let documents: Vec<&str> = stream.split("\n---\n").skip(1).collect();
    assert_eq!(documents.len(), KINDS.len());
    for (_, text) in serin_api::crd_files().unwrap() {
        assert!(documents.iter().any(|document| text.contains(document.trim_end())));
    }
}

#[test]
fn yaml_and_types_are_the_same_object() {
    let from_types = serde_json::to_value(serin_api::crds()).unwrap();
    let typed: Vec<CustomResourceDefinition> =
        KINDS.iter().map(|kind| serde_json::from_value(crd(kind)).unwrap()).collect();
    assert_eq!(serde_json::to_value(typed).unwrap(), from_types);
}

/// To kstatus an object that says nothing is a finished one.
#[test]
fn what_nobody_has_looked_at_speaks_of_no_generation() {
    for kind in KINDS {
        let status = schema(kind, "status");
        let wanted =
            if kind == "ModelVersion" { Value::Null } else { serde_json::json!({"observedGeneration": -1}) };
        assert_eq!(status["default"], wanted, "{kind}");
        assert_eq!(status["required"], Value::Null, "{kind}: what is required is not in the default");
    }
}

#[test]
fn they_are_small_enough_for_client_side_apply() {
    // The annotation of `kubectl apply` is refused from 256 KiB on; all of them together stay below.
    let size = serde_json::to_vec(&serin_api::crds()).unwrap().len();
    assert!(size <= 200 * 1024, "{size} bytes");
}

#[test]
fn printer_columns_tell_the_story() {
    let expected: [&[&str]; 4] = [
        &[
            "Stable",
            "Candidate",
            "Weight",
            "Step",
            "Verdict",
            "Ready",
            "Reason",
            "Age",
            "Revision",
            "Rejected",
        ],
        &["Model", "Origin", "Level", "Evaluated", "Revoked", "Serving", "Age", "Digest", "Run"],
        &["Model", "Deployment", "Phase", "Runs", "Run", "Reason", "Age"],
        &["Model", "Phase", "Attempt", "Version", "Reason", "Age"],
    ];
    for (kind, expected) in KINDS.iter().zip(expected) {
        let crd = crd(kind);
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
        let names: Vec<_> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{kind}");
        for column in columns {
            let path = column["jsonPath"].as_str().unwrap();
            let (part, rest) = path.trim_start_matches('.').split_once('.').unwrap();
            if part == "metadata" || rest.contains('[') {
                continue;
            }
            let pointer = rest.split('.').flat_map(|f| ["/properties/", f]).collect::<String>();
            assert!(schema(kind, part).pointer(&pointer).is_some(), "{kind}: {path} leads nowhere");
        }
    }
}

#[test]
fn scale_and_status_are_subresources() {
    for kind in KINDS {
        assert!(crd(kind)["spec"]["versions"][0]["subresources"]["status"].is_object(), "{kind}");
    }
    let sub = &crd("ModelDeployment")["spec"]["versions"][0]["subresources"];
    assert_eq!(sub["scale"]["specReplicasPath"], ".spec.replicas");
    assert_eq!(sub["scale"]["statusReplicasPath"], ".status.replicas");
    assert_eq!(sub["scale"]["labelSelectorPath"], ".status.selector");
}

/// Calls `look` with every node of a schema and its path.
fn walk(node: &Value, path: &str, look: &mut impl FnMut(&Value, &str)) {
    look(node, path);
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        walk(child, &format!("{path}.{name}"), look);
    }
    if node["items"].is_object() {
        walk(&node["items"], &format!("{path}[]"), look);
    }
    if node["additionalProperties"].is_object() {
        walk(&node["additionalProperties"], &format!("{path}.*"), look);
    }
}

/// Spec and status of every kind.
fn parts() -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.into_iter().flat_map(|kind| ["spec", "status"].map(|part| (kind, part)))
}

#[test]
fn every_list_says_how_it_merges() {
    let mut wrong = Vec::new();
    for (kind, part) in parts() {
        walk(&schema(kind, part), part, &mut |node, path| match node["x-kubernetes-list-type"].as_str() {
            _ if node["type"] != "array" => {}
            Some("atomic" | "set") => {}
            Some("map") if node["x-kubernetes-list-map-keys"].is_array() => {}
            _ => wrong.push(format!("{kind}.{path}")),
        });
    }
    assert!(wrong.is_empty(), "no list type: {wrong:?}");
}

#[test]
fn everything_that_a_user_writes_is_bounded() {
    let mut wrong = Vec::new();
    // A ModelVersion's build is written by the operator alone, from a spec that is bounded.
    let is_ours = |kind: &str, path: &str| kind == "ModelVersion" && path.starts_with("spec.build");
    for kind in KINDS {
        walk(&schema(kind, "spec"), "spec", &mut |node, path| {
            let has = |keys: &[&str]| keys.iter().all(|k| !node[*k].is_null());
            let bounded = match node["type"].as_str() {
                Some("string") => has(&["maxLength"]) || has(&["pattern"]) || has(&["enum"]),
                Some("array") => has(&["maxItems"]),
                Some("boolean") => true,
                Some("integer") => has(&["minimum", "maximum"]),
                Some("object") => has(&["properties"]) || has(&["maxProperties", "additionalProperties"]),
                None if node["x-kubernetes-int-or-string"] == true => {
                    has(&["minimum", "maximum", "maxLength", "pattern"])
                }
                _ => false,
            };
            if !bounded && !is_ours(kind, path) {
                wrong.push(format!("{kind}.{path}"));
            }
        });
    }
    assert!(wrong.is_empty(), "no bound: {wrong:?}");
}

#[test]
fn nothing_that_an_apiserver_warns_about() {
    let mut wrong = Vec::new();
    for (kind, part) in parts() {
        walk(&schema(kind, part), part, &mut |node, path| {
            let format = node["format"].as_str().unwrap_or_default();
            let known = ["", "int32", "int64", "date-time"].contains(&format);
            let null = node["enum"].as_array().is_some_and(|all| all.contains(&Value::Null));
            if !known || null || node.get("nullable").is_some() || node["type"] == "number" {
                wrong.push(format!("{kind}.{path}"));
            }
            if node["description"].as_str().is_some_and(|d| d.contains("[`") || d.contains('\n')) {
                wrong.push(format!("{kind}.{path}: description"));
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_bounds_that_protect_somebody() {
    for (kind, pointer, key, value) in [
        ("ModelDeployment", "/replicas", "maximum", Value::from(1000)),
        ("ModelDeployment", "/model/artifact/digest", "pattern", Value::from("^sha256:[0-9a-f]{64}$")),
        ("ModelDeployment", "/model/artifact/uri", "maxLength", Value::from(1024)),
        ("ModelDeployment", "/server/env", "maxItems", Value::from(64)),
        ("ModelDeployment", "/server/nodeSelector", "maxProperties", Value::from(16)),
        ("ModelDeployment", "/rollout/steps", "maxItems", Value::from(20)),
        ("ModelDeployment", "/rollout/analysis/metrics", "minItems", Value::from(1)),
        ("ModelDeployment", "/rollout/analysis/metrics", "maxItems", Value::from(8)),
        ("ModelDeployment", "/rollout/analysis/intervalSeconds", "minimum", Value::from(1)),
        ("ModelDeployment", "/rollout/analysis/falseRollbackBudgetPermille", "maximum", Value::from(100)),
        ("ModelDeployment", "/rollout/progressDeadlineSeconds", "minimum", Value::from(10)),
        ("ModelDeployment", "/rollout/deadlines/unschedulableSeconds", "maximum", Value::from(604_800)),
        ("ModelDeployment", "/rollout/deadlines/imagePullSeconds", "minimum", Value::from(10)),
        ("ModelDeployment", "/rollout/deadlines/crashLoopRestarts", "minimum", Value::from(1)),
        ("ModelDeployment", "/traffic/gateway/parentRefs", "maxItems", Value::from(4)),
        ("ModelDeployment", "/availability/drainSeconds", "maximum", Value::from(3600)),
        ("TrainingRun", "/source/commit", "pattern", Value::from("^[0-9a-f]{40}$")),
        ("TrainingRun", "/datasets/items/digest", "pattern", Value::from("^sha256:[0-9a-f]{64}$")),
        ("TrainingRun", "/datasets", "maxItems", Value::from(16)),
        ("TrainingRun", "/datasets", "x-kubernetes-list-map-keys", Value::from(vec!["name"])),
        ("TrainingRun", "/parameters", "maxProperties", Value::from(128)),
        ("TrainingRun", "/trainer/nodes", "maximum", Value::from(1000)),
        ("TrainingRun", "/trainer/command", "minItems", Value::from(1)),
        ("TrainingRun", "/evaluation/gate/metrics", "minItems", Value::from(1)),
        ("TrainingRun", "/model", "maxLength", Value::from(40)),
        ("ModelVersion", "/artifact/digest", "pattern", Value::from("^sha256:[0-9a-f]{64}$")),
        ("ModelVersion", "/model", "maxLength", Value::from(40)),
    ] {
        let spec = schema(kind, "spec");
        let node = spec
            .pointer(&pointer.replace('/', "/properties/").replace("/properties/items", "/items"))
            .unwrap_or(&Value::Null);
        assert_eq!(node[key], value, "{kind} {pointer} {key}");
    }
}
