//! What a pod leaves is not trusted: what is missing, forged, cut or not a number fails closed.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use serin_api::{AttemptEnd, RunResult};
use serin_tests::kubelet::image;
use serin_tests::{End, Fate, Left, RUN, RunTold as _, Vary as _, World, run};

/// A name, what the evaluation leaves, and a word of what is said about it.
fn forged_evaluations() -> Vec<(&'static str, Left, &'static str)> {
    vec![
        ("nonce", Left::Forged(|r| r["nonce"] = json!("0".repeat(32))), "nonce"),
        ("no-nonce", Left::Forged(|r| r["nonce"] = json!("")), "nonce"),
        ("run", Left::Forged(|r| r["runUid"] = json!("another")), "run UID"),
        ("number", Left::Forged(|r| r["number"] = json!(7)), "number"),
        (
            "model",
            Left::Forged(|r| r["modelDigest"] = json!(format!("sha256:{}", "a".repeat(64)))),
            "model digest",
        ),
        ("data", Left::Forged(|r| r["evalSetDigest"] = json!(format!("sha256:{}", "a".repeat(64)))), "data"),
        ("champion", Left::Forged(|r| r["championDigest"] = json!("sha256:1")), "champion"),
        ("schema", Left::Forged(|r| r["schema"] = json!("serin.dev/evaluation-result/v9")), "schema"),
        ("field", Left::Forged(|r| r["passed"] = json!(true)), "passed"),
        ("twice", Left::Forged(twice), "twice"),
        ("none", Left::Forged(|r| r["metrics"] = json!([])), "metrics"),
        ("many", Left::Forged(many), "metrics"),
        ("interval", Left::Forged(|r| r["metrics"][0]["ciHigh"] = json!(0.1)), "interval"),
        (
            "large",
            Left::Forged(|r| r["report"]["uri"] = json!(format!("s3://{}", "x".repeat(3000)))),
            "bytes",
        ),
        ("cut", Left::Forged(|r| r["report"]["uri"] = json!(format!("s3://{}", "x".repeat(9000)))), "bytes"),
        (
            "nan",
            Left::Text(
                r#"{"schema":"serin.dev/evaluation-result/v1","metrics":[{"name":"accuracy","value":NaN}]}"#
                    .into(),
            ),
            "read",
        ),
        ("half", Left::Text(r#"{"schema":"serin.dev/evaluation-result/v1","runUid":"#.into()), "read"),
        ("words", Left::Text("accuracy: 0.99, passed".into()), "read"),
        ("nothing", Left::Nothing, "left no result"),
    ]
}

fn twice(result: &mut Value) {
    let first = result["metrics"][0].clone();
    result["metrics"].as_array_mut().unwrap().push(first);
}

fn many(result: &mut Value) {
    let metrics: Vec<Value> = (0..25).map(|n| json!({"name": format!("m{n}"), "value": 1.0})).collect();
    result["metrics"] = json!(metrics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_evaluation_makes_no_version() {
    let world = World::start().await;
    let cases = forged_evaluations();
    for (index, (name, left, _)) in cases.iter().enumerate() {
        let judge = format!("serin.dev/judge-{name}:1");
        world.kubelet.fate(image(&judge), Fate::leaves(left.clone()));
        let wanted = run().called(name).seed(&index.to_string()).retries(0, 0, 0, 0);
        world.train(&wanted.with("/evaluation/image", json!(judge))).await;
    }
    for (name, _, word) in &cases {
        let run = world.until_run(name, &format!("{name} has ended"), 90, |run| run.end().is_some()).await;
        assert!(run.ended(RunResult::Failed), "{name}: {:?}", run.end());
        let completion = run.status.as_ref().unwrap().completion.clone().unwrap();
        assert_eq!(completion.reason, "ResultInvalid", "{name}: {}", completion.message);
        assert!(completion.message.contains(word), "{name} is told as: {}", completion.message);
        assert!(
            !completion.message.contains('\n') && completion.message.len() < 1000,
            "{}",
            completion.message
        );
        assert!(run.version().is_none());
    }
    assert!(world.history.now().versions().is_empty(), "nothing came of it");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_without_its_metric_fails_closed() {
    let world = World::start().await;
    world
        .kubelet
        .fate(image("judge"), Fate::leaves(Left::Forged(|r| r["metrics"][0]["name"] = json!("precision"))));
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Failed), "{:?}", run.end());
    let message = run.status.unwrap().completion.unwrap().message;
    assert!(message.contains("accuracy"), "it says what is missing: {message}");
    assert!(world.history.now().versions().is_empty());
    world.check_invariants();
}

/// The same of trainings.
fn forged_trainings() -> Vec<(&'static str, Left, &'static str)> {
    vec![
        ("run", Left::Forged(|r| r["runUid"] = json!("another")), "run UID"),
        ("attempt", Left::Forged(|r| r["attempt"] = json!(7)), "attempt"),
        ("digest", Left::Forged(|r| r["output"]["digest"] = json!("sha256:abc")), "digest"),
        ("elsewhere", Left::Forged(|r| r["output"]["uri"] = json!("s3://theirs/model.json")), "s3://theirs"),
        ("upwards", Left::Forged(upwards), ".."),
        ("empty", Left::Forged(|r| r["output"]["sizeBytes"] = json!(0)), "0 bytes"),
        ("schema", Left::Forged(|r| r["schema"] = json!("x")), "schema"),
        ("words", Left::Text("saved to s3://models/wine".into()), "read"),
        ("nothing", Left::Nothing, "left no result"),
    ]
}

fn upwards(result: &mut Value) {
    let uri = result["output"]["uri"].as_str().unwrap().replace("/model.json", "/../../model.json");
    result["output"]["uri"] = json!(uri);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_training_publishes_nothing() {
    let world = World::start().await;
    let cases = forged_trainings();
    for (index, (name, left, _)) in cases.iter().enumerate() {
        let trainer = format!("serin.dev/trainer-{name}:1");
        world.kubelet.fate(image(&trainer), Fate::leaves(left.clone()));
        let wanted = run().called(name).seed(&index.to_string()).retries(0, 0, 0, 0);
        world.train(&wanted.with("/trainer/image", json!(trainer))).await;
    }
    for (name, _, word) in &cases {
        let run = world.until_run(name, &format!("{name} has ended"), 90, |run| run.end().is_some()).await;
        assert_eq!(run.end(), Some((RunResult::Failed, "ResultInvalid".to_owned())), "{name}");
        assert_eq!(run.attempts(), [Some(AttemptEnd::ResultInvalid)], "{name}");
        let message = run.status.as_ref().unwrap().completion.clone().unwrap().message;
        assert!(message.contains(word), "{name} is told as: {message}");
        assert!(run.status.unwrap().output.is_none());
    }
    assert!(world.history.now().versions().is_empty(), "nothing came of it");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evaluation_is_asked_again_with_another_nonce() {
    let world = World::start().await;
    world.kubelet.fate(image("judge").number(1), Fate::leaves(Left::Nothing));
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    let evaluation = run.status.as_ref().unwrap().evaluation.clone().unwrap();
    assert_eq!(evaluation.number, 2);
    assert!(evaluation.last_failure.unwrap().contains("left no result"));
    let nonces: std::collections::BTreeSet<String> = world
        .history
        .all()
        .iter()
        .filter(|change| change.kind == "TrainingRun")
        .filter_map(|change| change.object["status"]["evaluation"]["nonce"].as_str().map(ToOwned::to_owned))
        .collect();
    assert_eq!(nonces.len(), 2, "each question has a nonce of its own: {nonces:?}");
    assert_eq!(run.attempts().len(), 1, "nothing was trained again for it");
    world.check_invariants();
}

/// Lets the pods of a Job end while no operator looks, and takes their objects away.
async fn vanish_unread(world: &World, job: &str, program: &str) {
    world.operator().kill();
    world.kubelet.fate(image(program).number(1), Fate::WELL);
    let complete = |now: &serin_tests::history::Now| {
        let job = now.get("Job", job)?;
        let conditions = job["status"]["conditions"].as_array()?;
        conditions.iter().any(|c| c["type"] == "Complete" && c["status"] == "True").then_some(())
    };
    world.until("its Job is complete", 30, complete).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    pods.delete_collection(&DeleteParams::default().grace_period(0), &of_job).await.unwrap();
    let gone = |now: &serin_tests::history::Now| {
        now.all("Pod").all(|pod| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] != job)
    };
    world.until("its pods are gone", 30, gone).await;
    world.operator().spawn();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evaluation_that_nobody_read_is_asked_again() {
    let world = World::start().await;
    world.kubelet.fate(image("judge").number(1), Fate::Runs);
    world.train(&run()).await;
    let judged = |run: &serin_api::TrainingRun| {
        run.status.as_ref().and_then(|s| s.evaluation.as_ref()).is_some_and(|e| e.job_uid.is_some())
    };
    world.until_run(RUN, "it is being judged", 30, judged).await;
    vanish_unread(&world, "fit-e1", "judge").await;
    let run = world.until_run(RUN, "it has ended", 90, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.status.as_ref().unwrap().evaluation.as_ref().unwrap().number, 2);
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn training_that_nobody_read_is_done_again() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer").number(1), Fate::Runs);
    world.train(&run()).await;
    let runs = |run: &serin_api::TrainingRun| run.phase() == Some(serin_api::RunPhase::Running);
    world.until_run(RUN, "it runs", 30, runs).await;
    vanish_unread(&world, "fit-a1", "trainer").await;
    let run = world.until_run(RUN, "it has ended", 90, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts().len(), 2, "a result that nobody read is never assumed: {:?}", run.attempts());
    assert_eq!(run.status.as_ref().unwrap().spent.crashes, 0, "it is not the program's fault");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evaluation_has_a_deadline_and_a_budget_of_its_own() {
    let world = World::start().await;
    world.kubelet.fate(image("judge"), Fate::Runs);
    let wanted = run().retries(5, 5, 5, 0).with("/evaluation/deadlineSeconds", json!(10));
    let run = world.trained(&wanted).await;
    assert!(run.ended(RunResult::Failed), "{:?}", run.end());
    assert_eq!(run.end().unwrap().1, "EvaluationFailed");
    world.kubelet.fate(image("judge"), Fate::ends(End::Disrupted));
    let wanted = serin_tests::run().called("evicted").seed("8").retries(5, 5, 5, 0);
    let run = world.trained(&wanted).await;
    assert_eq!(run.end(), Some((RunResult::Failed, "EvaluationFailed".to_owned())));
    assert!(world.history.now().versions().is_empty());
    world
        .until("no evaluation runs on", 30, |now| {
            now.all("Pod").all(|pod| pod["status"]["phase"] != "Running")
        })
        .await;
    world.settled(Duration::from_secs(1)).await;
    world.check_invariants();
}
