//! TrainingRun and ModelVersion.

use serde_json::{Value, json};

use crate::support::{self, broken, broken_by_change, changed, full_of, rules, schema, with_of};

const RUN: &str = "TrainingRun";
const VERSION: &str = "ModelVersion";
const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

/// A run of one pod, which leaves the launcher's rules room.
fn single() -> Value {
    let run = with_of(RUN, "/spec/trainer/minNodes", None);
    let run = changed(run, "/spec/trainer/nodes", Some(json!(1)));
    changed(run, "/spec/trainer/launcher", Some(json!("Plain")))
}

/// What is taken: base, pointer, value.
fn taken() -> Vec<(Value, &'static str, Option<Value>)> {
    let run = || full_of(RUN);
    let no_level = || with_of(RUN, "/spec/evaluation/gate/requireLevel", None);
    vec![
        (run(), "/metadata/name", Some(json!("a".repeat(52)))),
        (run(), "/metadata/name", Some(json!("wine-7"))),
        (run(), "/spec/suspend", Some(json!(false))),
        (run(), "/spec/trainer/env/0/name", Some(json!("MY_PET_NAME"))),
        (run(), "/spec/trainer/env/0/name", Some(json!("RANKING"))),
        (run(), "/spec/trainer/env", None),
        (run(), "/spec/trainer/minNodes", Some(json!(4))),
        (single(), "/spec/trainer/processesPerNode", Some(json!(8))),
        (single(), "/spec/checkpoints", None),
        (run(), "/spec/datasets/0/uri", Some(json!("pvc://data/wine/train.csv"))),
        (run(), "/spec/datasets/0/uri", Some(json!("s3://data/v1..v3.csv"))),
        (run(), "/spec/output/uri", Some(json!("az://models/wine/"))),
        (run(), "/spec/storage/endpoint", Some(json!("http://minio:9000"))),
        (run(), "/spec/baseModel", Some(json!({ "artifact": { "uri": "s3://m/base", "digest": DIGEST } }))),
        (run(), "/spec/evaluation", None),
        (run(), "/spec/evaluation/env/0/name", Some(json!("PET_NAME"))),
        (run(), "/spec/evaluation/gate/requireLevel", Some(json!("Traceable"))),
        (run(), "/spec/evaluation/gate/slices", None),
        (run(), "/spec/evaluation/gate/whenNoChampion", Some(json!("RequireAbsolute"))),
        (no_level(), "/spec/source", None),
        (no_level(), "/spec/source/dirty", Some(json!(true))),
        (no_level(), "/spec/trainer/image", Some(json!("wine-train:7"))),
        (
            no_level(),
            "/spec/trainer/env/0",
            Some(json!({ "name": "X", "configMapKeyRef": { "name": "a", "key": "b" } })),
        ),
        (full_of(VERSION), "/metadata/name", Some(json!("v".repeat(63)))),
        (full_of(VERSION), "/spec/artifact/uri", Some(json!("https://models.example/v3.json"))),
        (imported(), "/spec/parent", None),
    ]
}

fn imported() -> Value {
    let version = with_of(VERSION, "/spec/build", None);
    let version = changed(version, "/spec/inputsDigest", None);
    changed(version, "/spec/origin", Some(json!("Imported")))
}

/// What is refused: base, pointer, value, words of the message.
#[allow(clippy::too_many_lines, reason = "a table")]
fn refused() -> Vec<(Value, &'static str, Option<Value>, &'static str)> {
    let run = || full_of(RUN);
    let version = || full_of(VERSION);
    let gate = |metrics: Value| {
        changed(
            run(),
            "/spec/evaluation/gate",
            Some(json!({ "metrics": metrics, "whenNoChampion": "RequireAbsolute" })),
        )
    };
    let env = |name: &str| Some(json!([{ "name": name, "value": "1" }]));
    vec![
        (run(), "/metadata/name", Some(json!("a".repeat(53))), "at most 52"),
        (run(), "/metadata/name", Some(json!("7wine")), "DNS label"),
        (run(), "/metadata/name", Some(json!("wine.7")), "DNS label"),
        (run(), "/spec/trainer/env", env("SERIN_TASK"), "rename them"),
        (run(), "/spec/trainer/env", env("PET_NNODES"), "rename them"),
        (run(), "/spec/trainer/env", env("TORCHELASTIC_ERROR_FILE"), "rename them"),
        (run(), "/spec/trainer/env", env("RANK"), "rename them"),
        (run(), "/spec/trainer/env", Some(json!([{ "name": "X" }])), "exactly one of value"),
        (single(), "/spec/trainer/nodes", Some(json!(2)), "Plain runs one pod"),
        (single(), "/spec/trainer/launcher", Some(json!("Env")), "one process a node"),
        (run(), "/spec/trainer/minNodes", Some(json!(5)), "is at most nodes"),
        (single(), "/spec/trainer/minNodes", Some(json!(1)), "needs launcher Torchrun"),
        (run(), "/spec/datasets/0/uri", Some(json!("ftp://data/x")), "uri must start with https://"),
        (run(), "/spec/datasets/0/uri", Some(json!("s3://data/../x")), "'..'"),
        (run(), "/spec/datasets/0/uri", Some(json!("s3://data")), "and something in it"),
        (run(), "/spec/datasets/0/uri", Some(json!("s3://data/wine/")), "names a file"),
        (run(), "/spec/output/uri", Some(json!("https://models/wine")), "uri must start with s3://"),
        (run(), "/spec/output/uri", Some(json!("s3://models/..")), "'..'"),
        (run(), "/spec/output/uri", Some(json!("pvc://models")), "and something in it"),
        (run(), "/spec/checkpoints/uri", Some(json!("http://x/y")), "uri must start with s3://"),
        (run(), "/spec/storage/endpoint", Some(json!("minio://x:9000")), "storage.endpoint"),
        (run(), "/spec/baseModel", Some(json!({})), "baseModel has exactly one"),
        (
            run(),
            "/spec/baseModel/artifact",
            Some(json!({ "uri": "s3://m/base", "digest": DIGEST })),
            "baseModel has exactly one",
        ),
        (
            run(),
            "/spec/baseModel",
            Some(json!({ "artifact": { "uri": "pvc://Base/x", "digest": DIGEST } })),
            "a claim is written",
        ),
        (
            run(),
            "/spec/baseModel",
            Some(json!({ "artifact": { "uri": "file://base/x", "digest": DIGEST } })),
            "(pvc://CLAIM/PATH)",
        ),
        (run(), "/spec/evaluation/env", env("SERIN_RESULT"), "evaluation.env"),
        (
            run(),
            "/spec/evaluation/gate/metrics/0",
            Some(json!({ "name": "accuracy" })),
            "min, max, minImprovement or maxRegression",
        ),
        (run(), "/spec/evaluation/gate/metrics/1/maxRegression", Some(json!("-0.1")), "not below zero"),
        (
            run(),
            "/spec/evaluation/gate/slices/0",
            Some(json!({ "slice": "a", "metric": "b" })),
            "min, max or maxRegression",
        ),
        (run(), "/spec/evaluation/gate/slices/1/maxRegression", Some(json!("-1")), "not below zero"),
        (
            run(),
            "/spec/evaluation/gate/slices/1",
            Some(json!({ "slice": "colour = red", "metric": "accuracy", "max": "1" })),
            "stands twice",
        ),
        (
            gate(json!([{ "name": "accuracy", "minImprovement": "0" }])),
            "/spec/seed",
            None,
            "would pass unjudged",
        ),
        (
            run(),
            "/spec/evaluation/gate/requireLevel",
            Some(json!("Identical")),
            "cannot be reached by a new version",
        ),
        (run(), "/spec/source", None, "Pinned asks for source"),
        (run(), "/spec/source/dirty", Some(json!(true)), "Pinned asks for source"),
        (
            run(),
            "/spec/trainer/image",
            Some(json!("wine-train:7")),
            "Pinned asks for trainer.image by digest",
        ),
        (
            run(),
            "/spec/trainer/image",
            Some(json!("wine-train@sha256:12")),
            "Pinned asks for trainer.image by digest",
        ),
        (
            run(),
            "/spec/trainer/env/0",
            Some(json!({ "name": "X", "configMapKeyRef": { "name": "a", "key": "b" } })),
            "Pinned asks for trainer.env",
        ),
        (version(), "/metadata/name", Some(json!("v".repeat(64))), "at most 63"),
        (version(), "/spec/build", None, "build and inputsDigest are missing"),
        (version(), "/spec/inputsDigest", None, "build and inputsDigest are missing"),
        (version(), "/spec/origin", Some(json!("Imported")), "an imported version has no build"),
        (version(), "/spec/artifact/uri", Some(json!("ftp://models/x")), "uri must start with https://"),
        (version(), "/spec/artifact/uri", Some(json!("s3://models/../x")), "'..'"),
        (version(), "/spec/artifact/uri", Some(json!("gs://models")), "and something in it"),
        (version(), "/spec/storage/endpoint", Some(json!("minio:9000")), "storage.endpoint"),
    ]
}

#[test]
fn the_full_examples_are_taken() {
    for kind in [RUN, VERSION] {
        assert_eq!(broken(&full_of(kind)), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(broken(&single()), Vec::<String>::new());
    assert_eq!(broken(&imported()), Vec::<String>::new());
}

#[test]
fn takes() {
    for (base, pointer, value) in taken() {
        let object = changed(base, pointer, value.clone());
        assert_eq!(broken(&object), Vec::<String>::new(), "{pointer}: {value:?}");
    }
}

#[test]
fn refuses() {
    for (base, pointer, value, says) in refused() {
        let broken = broken(&changed(base, pointer, value.clone()));
        assert!(broken.iter().any(|m| m.contains(says)), "{pointer}: {value:?}: {broken:?}");
    }
}

/// Field and other value, for each rule about changes.
fn changes() -> Vec<(&'static str, Option<Value>, &'static str)> {
    vec![
        ("/spec/model", Some(json!("beer")), "model, trainer and output"),
        ("/spec/trainer/args", Some(json!([])), "model, trainer and output"),
        ("/spec/output/uri", Some(json!("s3://models/beer")), "model, trainer and output"),
        ("/spec/evaluation", None, "evaluation is not changed"),
        ("/spec/evaluation/gate/metrics/0/min", Some(json!("0.1")), "evaluation is not changed"),
        ("/spec/datasets", None, "datasets are not changed"),
        ("/spec/parameters/layers", Some(json!("4")), "parameters are not changed"),
        ("/spec/managedBy", None, "managedBy is not changed"),
    ]
}

#[test]
fn a_run_stays_what_it_is() {
    let old = full_of(RUN);
    for pointer in ["/spec/suspend", "/spec/retention"] {
        let new = changed(old.clone(), pointer, None);
        assert_eq!(broken_by_change(&new, Some(&old)), Vec::<String>::new(), "{pointer}");
    }
    for (pointer, value, says) in changes() {
        let broken = broken_by_change(&changed(old.clone(), pointer, value), Some(&old));
        assert!(broken.iter().any(|m| m.contains(says)), "{pointer}: {broken:?}");
    }
}

#[test]
fn a_version_never_changes() {
    let old = full_of(VERSION);
    let annotated =
        changed(old.clone(), "/metadata/annotations", Some(json!({ "serin.dev/revoked": "bad" })));
    assert_eq!(broken_by_change(&annotated, Some(&old)), Vec::<String>::new());
    for pointer in ["/spec/parent", "/spec/artifact/format"] {
        let broken = broken_by_change(&changed(old.clone(), pointer, None), Some(&old));
        assert!(broken.iter().any(|m| m.contains("never changes")), "{pointer}: {broken:?}");
    }
}

#[test]
fn every_rule_refuses_something_here() {
    let said: Vec<String> = refused()
        .into_iter()
        .flat_map(|(base, pointer, value, _)| broken(&changed(base, pointer, value)))
        .collect();
    let changed_said: Vec<&str> =
        changes().into_iter().map(|(_, _, says)| says).chain(["never changes"]).collect();
    for kind in [RUN, VERSION] {
        for (message, about_changes) in rules(&schema(kind)) {
            let tried = if about_changes {
                changed_said.iter().any(|says| message.contains(says))
            } else {
                said.iter().any(|m| m.contains(&message))
            };
            assert!(tried, "{kind}: nothing above is refused with {message:?}");
        }
    }
    assert!(rules(&support::schema(RUN)).len() > 25);
}
