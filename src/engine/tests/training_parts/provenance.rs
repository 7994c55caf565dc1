//! The statement has the fields of in-toto's Statement v1 and of SLSA's provenance v1, and nothing that is not known.

use serde_json::{Value, json};
use serin_api::ModelVersion;
use serin_engine::provenance;

use crate::support::{DATA, MODEL, OTHER, UID, version};

fn of(changes: &[(&str, Value)]) -> Value {
    let version: ModelVersion = serde_json::from_value(version(changes)).unwrap();
    provenance::statement(&version).unwrap()
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

#[test]
fn the_whole_statement() {
    let expected = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": "wine-5f3a9c21d0",
            "uri": "s3://models/wine/x/model.json",
            "digest": {"sha256": hex(MODEL)},
        }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://serin.dev/training/v1",
                "externalParameters": {
                    "model": "wine",
                    "source": {"repository": "git+https://git.example/wine", "ref": "0123456789abcdef0123456789abcdef01234567"},
                    "image": "registry.example/train:1",
                    "command": ["python3", "train.py"],
                    "environment": {"KEY": "secret/wandb/token"},
                    "datasets": [{"name": "train", "uri": "s3://data/wine/train.csv"}],
                    "baseModel": "wine-0",
                    "parameters": {"learning_rate": "0.1"},
                    "seed": "7",
                    "nodes": 2,
                    "processesPerNode": 1,
                    "launcher": "Torchrun",
                },
                "internalParameters": {
                    "trainingRun": "wine-7",
                    "attempt": 2,
                    "runningSeconds": 5400,
                    "inputsDigest": DATA,
                    "resumedFrom": "a1/step-200",
                },
                "resolvedDependencies": [
                    {
                        "name": "source",
                        "uri": "git+https://git.example/wine@0123456789abcdef0123456789abcdef01234567",
                        "digest": {"gitCommit": "0123456789abcdef0123456789abcdef01234567"},
                    },
                    {
                        "name": "image",
                        "uri": format!("oci://registry.example/train@{OTHER}"),
                        "digest": {"sha256": hex(OTHER)},
                    },
                    {"name": "datasets/train", "uri": "s3://data/wine/train.csv", "digest": {"sha256": hex(DATA)}},
                    {"name": "baseModel", "digest": {"sha256": hex(OTHER)}, "annotations": {"serin_modelVersion": "wine-0"}},
                ],
            },
            "runDetails": {
                "builder": {"id": "https://serin.dev/operator@0.1.0", "version": {"serin": "0.1.0"}},
                "metadata": {
                    "invocationId": format!("{UID}/2"),
                    "startedOn": "2026-08-01T10:00:00Z",
                    "finishedOn": "2026-08-01T11:00:00Z",
                },
                "byproducts": [{
                    "name": "evaluation",
                    "uri": "s3://models/wine/reports/y/metrics.json",
                    "digest": {"sha256": hex(DATA)},
                    "annotations": {"serin_evalSetDigest": OTHER, "serin_evaluatorImage": "registry.example/judge:1"},
                }],
            },
        },
    });
    assert_eq!(of(&[]), expected);
}

/// What the specifications demand, whatever is missing of a version.
#[test]
fn required_fields_are_always_there() {
    let bare = of(&[
        ("/status", Value::Null),
        (
            "/spec/build/inputs",
            json!({"image": "x", "command": ["x"], "nodes": 1, "processesPerNode": 1, "launcher": "Plain"}),
        ),
        ("/spec/build/run/images", json!([])),
        ("/spec/build/builder", json!("https://serin.dev/operator")),
    ]);
    let there = |pointer: &str| bare.pointer(pointer).is_some_and(|v| !v.is_null());
    for pointer in [
        "/_type",
        "/predicateType",
        "/subject/0/digest/sha256",
        "/predicate/buildDefinition/buildType",
        "/predicate/buildDefinition/externalParameters",
        "/predicate/runDetails/builder/id",
    ] {
        assert!(there(pointer), "{pointer}");
    }
    // A descriptor has at least one of uri, digest and content.
    let dependencies = bare["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies, &[json!({"name": "image", "uri": "oci://x"})]);
    let parameters = |which: &str| bare["predicate"]["buildDefinition"][which].as_object().unwrap().clone();
    let internal = parameters("internalParameters");
    assert!(
        parameters("externalParameters").keys().all(|key| !internal.contains_key(key)),
        "one name, two meanings"
    );
}

#[test]
fn a_dirty_commit_is_no_digest() {
    let source = of(&[("/spec/build/inputs/code/dirty", json!(true))])["predicate"]["buildDefinition"]
        ["resolvedDependencies"][0]
        .clone();
    assert_eq!(source.get("digest"), None);
    assert_eq!(source["annotations"], json!({"serin_dirty": true}));
}

#[test]
fn images_as_runtimes_report_them() {
    let image = |seen: &str| {
        let statement = of(&[("/spec/build/run/images", json!([seen]))]);
        statement["predicate"]["buildDefinition"]["resolvedDependencies"][1].clone()
    };
    let docker = image(&format!("docker-pullable://train@{OTHER}"));
    assert_eq!(
        (&docker["uri"], &docker["digest"]["sha256"]),
        (&json!(format!("oci://train@{OTHER}")), &json!(hex(OTHER)))
    );
    assert_eq!(image(OTHER), json!({"name": "image", "digest": {"sha256": hex(OTHER)}}));
    assert_eq!(image("train:1"), json!({"name": "image", "uri": "oci://train:1"}));
}

#[test]
fn an_imported_version_has_none() {
    let imported = version(&[("/spec/build", Value::Null), ("/spec/origin", json!("Imported"))]);
    let imported: ModelVersion = serde_json::from_value(imported).unwrap();
    assert_eq!(
        provenance::statement(&imported),
        Err("wine-5f3a9c21d0 was imported: how it was made is not recorded here".to_owned())
    );
}
