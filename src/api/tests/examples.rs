//! What people write is read, and nothing of it is lost.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod support;

use serde_json::{Value, json};
use serin_api::{ModelDeployment, Rollout, Traffic, validate};

#[test]
fn the_full_example_loses_nothing() {
    let written = support::full();
    let typed = support::typed(written.clone());
    assert_eq!(validate::spec(&typed.spec), Ok(()));
    assert_eq!(serde_json::to_value(&typed).unwrap(), written);
}

#[test]
fn the_smallest_example_gets_its_defaults() {
    let typed: ModelDeployment = serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": { "name": "wine" },
        "spec": {
            "model": { "artifact": {
                "uri": "pvc://models/v1",
                "digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            } },
            "server": { "image": "wine-server" },
        },
    }))
    .unwrap();
    assert_eq!(validate::spec(&typed.spec), Ok(()));
    assert_eq!(typed.spec.replicas, 1);
    assert_eq!(typed.spec.traffic, Traffic::default());
    assert_eq!(typed.spec.rollout, Rollout::default());
    assert_eq!(typed.spec.availability.drain_seconds, 30);
    assert_eq!(typed.spec.server.ports.http, 8080);
}

#[test]
fn an_explicit_null_is_an_absent_field() {
    // A CRD from before this one may have stored it.
    let typed = support::typed(support::with("/spec/model/version", Some(Value::Null)));
    assert_eq!(typed.spec.model.version, None);
}

#[test]
fn a_field_of_a_later_version_is_no_obstacle() {
    let typed = support::typed(support::with("/spec/fromTheFuture", Some(json!({ "x": 1 }))));
    assert_eq!(validate::spec(&typed.spec), Ok(()));
}
