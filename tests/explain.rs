//! What the operator decided is judged again by the program that people call, from the same Prometheus.

use std::time::Duration;

use serde_json::Value;
use serin_tests::{Change as _, Load, NAME, Told as _, World, wine};

/// `kubectl serin explain wine`, in this form.
async fn explains(world: &World, form: &str, more: &[&str]) -> Result<String, String> {
    let url = world.prometheus.url();
    let args = ["explain", NAME, "--prometheus-url", &url, "-o", form];
    world.kubectl_serin(&[&args, more].concat()).await
}

async fn facts(world: &World, more: &[&str]) -> Value {
    serde_json::from_str(&explains(world, "json", more).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_and_promotion_are_explained_as_they_were_decided() {
    let world = World::start().await;
    world.serve("v1").await;
    let error = explains(&world, "text", &[]).await.unwrap_err();
    assert!(error.contains("no version has been compared with another one yet"), "{error}");

    world.prometheus.load("wine:v2", Load::BAD);
    world.canary(&wine("v2").steps(&[(20, 1), (60, 600)])).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    let failed = model.status.unwrap().last_failed.unwrap();
    world.until("its pods have gone", 30, |_| world.pods("v2").is_empty()).await;
    let told = facts(&world, &[]).await;
    assert_eq!(
        (&told["version"], &told["outcome"], &told["verdict"]),
        (&"v2".into(), &"RolledBack".into(), &"Fail".into())
    );
    assert_eq!(told["recorded"]["message"], failed.message);
    assert_eq!(told["weights"][0]["weight"], 20);
    assert!(told["decidedAt"].as_str().unwrap() <= told["until"].as_str().unwrap(), "{told}");

    world.apply(&wine("v3").steps(&[(20, 1)])).await;
    world.until_model(NAME, "v3 serves", 60, |m| m.serves("v3")).await;
    let told = facts(&world, &[]).await;
    assert_eq!(
        (&told["version"], &told["outcome"], &told["verdict"]),
        (&"v3".into(), &"Promoted".into(), &"Pass".into())
    );
    // The one before is still there, by its revision.
    let before = facts(&world, &["--revision", &failed.revision]).await;
    assert_eq!((&before["version"], &before["verdict"]), (&"v2".into(), &"Fail".into()));
    let text = explains(&world, "text", &["--revision", &failed.revision]).await.unwrap();
    assert!(text.starts_with("wine: v2 · Fail\n") && text.contains("<- enough to send it back"), "{text}");
    let page = explains(&world, "html", &[]).await.unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"), "{page}");

    world.prometheus.load("wine:v4", Load { per_second: 2.0, ..Load::GOOD });
    world.canary(&wine("v4").steps(&[(20, 600)])).await;
    world.looks(3, 30).await;
    let told = facts(&world, &[]).await;
    assert_eq!(told["version"], "v4");
    assert!(told.get("outcome").is_none(), "it is not over: {told}");
    let error =
        world.kubectl_serin(&["explain", NAME, "--prometheus-url", "http://127.0.0.1:9"]).await.unwrap_err();
    assert!(error.contains("Prometheus cannot be reached; say where it is with --prometheus-url"), "{error}");
    world.settled(Duration::from_secs(1)).await;
    world.check_invariants();
}
