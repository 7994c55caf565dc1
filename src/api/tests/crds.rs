//! The generated CRD: as committed, and within the bounds that an apiserver and its users need.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds/serin.dev_modeldeployments.yaml");

fn crd() -> Value {
    serde_saphyr::from_str(&serin_api::crds_yaml().unwrap()).unwrap()
}

fn schema(part: &str) -> Value {
    crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part].clone()
}

#[test]
fn the_committed_file_is_what_the_types_say() {
    let generated = serin_api::crds_yaml().unwrap();
    if std::env::var_os("SERIN_UPDATE").is_some() {
        std::fs::write(COMMITTED, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == generated, "crds/serin.dev_modeldeployments.yaml is stale: run `cargo crds`");
}

#[test]
fn yaml_and_types_are_the_same_object() {
    let from_types = serde_json::to_value(serin_api::crds()).unwrap();
    let typed: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
        serde_json::from_value(crd()).unwrap();
    assert_eq!(serde_json::to_value([typed]).unwrap(), from_types);
}

#[test]
fn it_is_small_enough_for_client_side_apply() {
    // The annotation of `kubectl apply` is refused from 256 KiB on.
    let size = serde_json::to_vec(&serin_api::crds()).unwrap().len();
    assert!(size <= 200 * 1024, "{size} bytes");
}

#[test]
fn printer_columns_tell_the_story() {
    let crd = crd();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "Stable",
            "Candidate",
            "Weight",
            "Step",
            "Verdict",
            "Ready",
            "Reason",
            "Age",
            "Revision",
            "Rejected"
        ]
    );
    for column in columns {
        let path = column["jsonPath"].as_str().unwrap();
        let Some(fields) = path.strip_prefix(".status.").filter(|p| !p.contains('[')) else { continue };
        let pointer = fields.split('.').flat_map(|f| ["/properties/", f]).collect::<String>();
        assert!(schema("status").pointer(&pointer).is_some(), "{path} leads nowhere");
    }
}

#[test]
fn scale_and_status_are_subresources() {
    let sub = &crd()["spec"]["versions"][0]["subresources"];
    assert!(sub["status"].is_object());
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

#[test]
fn every_list_says_how_it_merges() {
    let mut wrong = Vec::new();
    for part in ["spec", "status"] {
        walk(&schema(part), part, &mut |node, path| match node["x-kubernetes-list-type"].as_str() {
            _ if node["type"] != "array" => {}
            Some("atomic" | "set") => {}
            Some("map") if node["x-kubernetes-list-map-keys"].is_array() => {}
            _ => wrong.push(path.to_owned()),
        });
    }
    assert!(wrong.is_empty(), "no list type: {wrong:?}");
}

#[test]
fn everything_that_a_user_writes_is_bounded() {
    let mut wrong = Vec::new();
    walk(&schema("spec"), "spec", &mut |node, path| {
        let has = |keys: &[&str]| keys.iter().all(|k| !node[*k].is_null());
        let bounded = match node["type"].as_str() {
            Some("string") => has(&["maxLength"]) || has(&["pattern"]) || has(&["enum"]),
            Some("array") => has(&["maxItems"]),
            Some("integer") => has(&["minimum", "maximum"]),
            Some("object") => has(&["properties"]) || has(&["maxProperties", "additionalProperties"]),
            _ => false,
        };
        if !bounded {
            wrong.push(path.to_owned());
        }
    });
    assert!(wrong.is_empty(), "no bound: {wrong:?}");
}

#[test]
fn nothing_that_an_apiserver_warns_about() {
    let mut wrong = Vec::new();
    for part in ["spec", "status"] {
        walk(&schema(part), part, &mut |node, path| {
            let format = node["format"].as_str().unwrap_or_default();
            let known = ["", "int32", "int64", "date-time"].contains(&format);
            let null = node["enum"].as_array().is_some_and(|all| all.contains(&Value::Null));
            if !known || null || node.get("nullable").is_some() || node["type"] == "number" {
                wrong.push(path.to_owned());
            }
            if node["description"].as_str().is_some_and(|d| d.contains("[`") || d.contains('\n')) {
                wrong.push(format!("{path}: description"));
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_bounds_that_protect_somebody() {
    let spec = schema("spec");
    for (pointer, key, value) in [
        ("/replicas", "maximum", Value::from(1000)),
        ("/model/artifact/digest", "pattern", Value::from("^sha256:[0-9a-f]{64}$")),
        ("/model/artifact/uri", "maxLength", Value::from(1024)),
        ("/server/env", "maxItems", Value::from(64)),
        ("/server/nodeSelector", "maxProperties", Value::from(16)),
        ("/rollout/steps", "maxItems", Value::from(20)),
        ("/rollout/analysis/metrics", "minItems", Value::from(1)),
        ("/rollout/analysis/metrics", "maxItems", Value::from(8)),
        ("/rollout/analysis/intervalSeconds", "minimum", Value::from(1)),
        ("/rollout/analysis/falseRollbackBudgetPermille", "maximum", Value::from(100)),
        ("/rollout/progressDeadlineSeconds", "minimum", Value::from(10)),
        ("/traffic/gateway/parentRefs", "maxItems", Value::from(4)),
        ("/availability/drainSeconds", "maximum", Value::from(3600)),
    ] {
        let node = spec.pointer(&pointer.replace('/', "/properties/")).unwrap_or(&Value::Null);
        assert_eq!(node[key], value, "{pointer} {key}");
    }
}
