//! What can go wrong with a training, told apart and charged to its own budget.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, PostParams};
use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{AttemptEnd, RunPhase, RunResult, TrainingRun};
use serin_tests::kubelet::image;
use serin_tests::{End, Fate, RUN, RunTold as _, Vary as _, World, run};

fn failed(reason: &str) -> (RunResult, String) {
    (RunResult::Failed, reason.to_owned())
}

fn runs(run: &TrainingRun) -> bool {
    run.phase() == Some(RunPhase::Running)
}

/// Crashes, disruptions and starts that were charged.
fn spent(run: &TrainingRun) -> (i32, i32, i32) {
    let spent = run.status.as_ref().unwrap().spent;
    (spent.crashes, spent.disruptions, spent.starts)
}

/// What the run said of an attempt.
fn said(run: &TrainingRun, attempt: usize) -> String {
    run.status.as_ref().unwrap().attempts[attempt].message.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_is_tried_again_after_a_pause() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer").number(1), Fate::exits(1));
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts(), [Some(AttemptEnd::Crashed), Some(AttemptEnd::Succeeded)]);
    assert_eq!(spent(&run), (1, 0, 0));
    assert!(said(&run, 0).contains("the loss is no number"), "its last words are told: {}", said(&run, 0));
    let attempts = &run.status.as_ref().unwrap().attempts;
    let pause = attempts[1].created_at - attempts[0].ended_at.unwrap();
    assert!(pause.num_seconds() >= 9, "a program that crashes gets time: {pause}");
    world.check_invariants();
}

/// Name, what becomes of its pods, budgets, how the attempts end, why the run does, and a word of what is said.
type Case = (&'static str, Fate, (i32, i32), &'static [AttemptEnd], &'static str, &'static str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_has_its_own_reason_and_budget() {
    let world = World::start().await;
    let cases: Vec<Case> = vec![
        ("fatal", Fate::exits(42), (5, 5), &[AttemptEnd::Fatal], "Fatal", "42"),
        ("crash", Fate::exits(1), (0, 5), &[AttemptEnd::Crashed], "Crashed", "loss is no number"),
        ("oom", Fate::ends(End::OutOfMemory), (0, 5), &[AttemptEnd::Crashed], "Crashed", "OOMKilled"),
        (
            "refused",
            Fate::ends(End::InPrepare(50, "train: the digest is another one")),
            (5, 5),
            &[AttemptEnd::InputsRefused],
            "InputsRefused",
            "the digest is another one",
        ),
        ("empty", Fate::exits(51), (5, 5), &[AttemptEnd::NoOutput], "NoOutput", ""),
        (
            "fetch",
            Fate::ends(End::InPrepare(60, "connection reset")),
            (0, 5),
            &[AttemptEnd::Crashed],
            "Crashed",
            "connection reset",
        ),
        (
            "evicted",
            Fate::ends(End::Disrupted),
            (0, 2),
            &[AttemptEnd::Disrupted, AttemptEnd::Disrupted, AttemptEnd::Disrupted],
            "Disrupted",
            "",
        ),
    ];
    for (index, (name, fate, (crashes, disruptions), ..)) in cases.iter().enumerate() {
        let image_of = format!("serin.dev/trainer-{name}:1");
        world.kubelet.fate(image(&image_of), fate.clone());
        let wanted = run().called(name).seed(&index.to_string()).retries(*crashes, *disruptions, 0, 0);
        world.train(&wanted.with("/trainer/image", json!(image_of))).await;
    }
    for (name, _, _, ends, reason, word) in &cases {
        let run = world.until_run(name, &format!("{name} has ended"), 90, |run| run.end().is_some()).await;
        let expected: Vec<_> = ends.iter().copied().map(Some).collect();
        assert_eq!(run.attempts(), expected, "{name}");
        assert_eq!(run.end(), Some(failed(reason)), "{name}");
        let message = run.status.as_ref().unwrap().completion.as_ref().unwrap().message.clone();
        assert!(message.contains(word), "{name}: {message}");
        assert!(!message.contains('\n'), "{name}: one line: {message}");
        assert_eq!(run.condition(Type::Succeeded), ("False".to_owned(), (*reason).to_owned()), "{name}");
        let now = world.history.now();
        assert!(!now.jobs_of(name).contains(&format!("{name}-e1")), "{name}: nothing is judged");
    }
    assert!(world.history.now().versions().is_empty());
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disruption_is_charged_to_its_own_budget_and_waits_for_nothing() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer").number(1), Fate::ends(End::Disrupted));
    let run = world.trained(&run().retries(0, 1, 0, 0)).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts(), [Some(AttemptEnd::Disrupted), Some(AttemptEnd::Succeeded)]);
    assert_eq!(spent(&run), (0, 1, 0));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicted_rank_ends_the_whole_gang_and_the_next_waits_until_it_is_gone() {
    let world = World::start().await;
    world.kubelet.take_to_end(Duration::from_secs(3));
    world.kubelet.fate(image("trainer").number(1), Fate::Runs);
    world.train(&run().nodes(3).retries(0, 1, 0, 0)).await;
    world.until_run(RUN, "all run", 30, runs).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let rank = |now: &serin_tests::history::Now, index: &str| {
        let of_rank = now
            .all("Pod")
            .find(|pod| pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == index);
        of_rank.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
    };
    let victim = rank(&world.history.now(), "1").unwrap();
    pods.evict(&victim, &EvictParams::default()).await.unwrap();
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts(), [Some(AttemptEnd::Disrupted), Some(AttemptEnd::Succeeded)]);
    // Among the invariants: no pod of the first attempt lives when the second begins.
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rank_that_notices_first_does_not_turn_a_disruption_into_a_crash() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer").number(1).index(0), Fate::exits(1));
    world.kubelet.fate(image("trainer").number(1).index(1), Fate::ends(End::Disrupted));
    let run = world.trained(&run().nodes(2).retries(0, 1, 0, 0)).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts(), [Some(AttemptEnd::Disrupted), Some(AttemptEnd::Succeeded)]);
    assert_eq!(spent(&run), (0, 1, 0));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_that_never_starts_says_why_and_is_given_up() {
    let world = World::start().await;
    let cases = [
        ("pull", Fate::ImagePull, "ImagePull"),
        ("place", Fate::Unschedulable, "Unschedulable"),
        ("fetch", Fate::Prepares, "WaitingForPods"),
    ];
    for (index, (name, fate, _)) in cases.iter().enumerate() {
        let image_of = format!("serin.dev/trainer-{name}:1");
        world.kubelet.fate(image(&image_of), fate.clone());
        let wanted = run().called(name).seed(&index.to_string()).retries(2, 2, 0, 0);
        let wanted = wanted.with("/preRunningDeadlineSeconds", json!(10));
        world.train(&wanted.with("/trainer/image", json!(image_of))).await;
    }
    for (name, _, reason) in &cases {
        let waits = |run: &TrainingRun| run.condition(Type::Running).1 == *reason;
        world.until_run(name, &format!("{name} waits for {reason}"), 20, waits).await;
    }
    for (name, _, _) in &cases {
        let run = world.until_run(name, &format!("{name} is given up"), 60, |run| run.end().is_some()).await;
        assert_eq!(run.end(), Some(failed("NeverStarted")), "{name}");
        assert_eq!(spent(&run), (0, 0, 1), "{name}");
    }
    world.until("nothing of them is left running", 30, |now| now.all("Pod").next().is_none()).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadline_counts_the_running_time_of_all_attempts_and_no_other() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    let wanted = run().with("/deadlineSeconds", json!(8));
    world.train(&wanted).await;
    world.until_run(RUN, "it runs", 30, runs).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.train(&wanted.clone().with("/suspend", json!(true))).await;
    world.until_run(RUN, "it is suspended", 30, |run| run.phase() == Some(RunPhase::Suspended)).await;
    world.until("its Job is gone", 30, |now| now.jobs_of(RUN).is_empty()).await;
    let so_far = world.history.now().run(RUN).unwrap().status.unwrap().spent.running_seconds;
    assert!((3..8).contains(&so_far), "{so_far} s are charged");
    // Suspended longer than the whole deadline: that costs nothing.
    tokio::time::sleep(Duration::from_secs(9)).await;
    world.train(&wanted).await;
    world.until_run(RUN, "it runs again", 30, |run| runs(run) && run.attempts().len() == 2).await;
    let run = world.until_run(RUN, "its time is up", 30, |run| run.end().is_some()).await;
    assert_eq!(run.end(), Some(failed("DeadlineExceeded")));
    assert_eq!(run.attempts(), [Some(AttemptEnd::Suspended), Some(AttemptEnd::DeadlineExceeded)]);
    let all = run.status.as_ref().unwrap().spent.running_seconds;
    assert!((8..=11).contains(&all), "{all} s were used of 8");
    let second = &run.status.as_ref().unwrap().attempts[1];
    let ran = (second.ended_at.unwrap() - second.running_at.unwrap()).num_seconds();
    assert!(ran <= 8 - so_far + 2, "the second attempt had what was left: {ran} s");
    world.until("nothing runs any more", 30, |now| now.all("Pod").next().is_none()).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_of_evictions_does_not_outlive_the_deadline() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Ends(Duration::from_secs(3), End::Disrupted));
    let run = world.trained(&run().retries(0, 50, 0, 0).with("/deadlineSeconds", json!(8))).await;
    assert_eq!(run.end(), Some(failed("DeadlineExceeded")));
    let disrupted = run.attempts().iter().filter(|end| **end == Some(AttemptEnd::Disrupted)).count();
    assert!((1..=3).contains(&disrupted), "{:?}", run.attempts());
    let used = run.status.as_ref().unwrap().spent.running_seconds;
    assert!((8..=12).contains(&used), "{used} s were used of 8");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_deleted_by_somebody_is_a_disruption() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer").number(1), Fate::Runs);
    world.train(&run()).await;
    world.until_run(RUN, "it runs", 30, runs).await;
    world.kubelet.take_to_end(Duration::from_secs(2));
    world.jobs().delete("fit-a1", &DeleteParams::background()).await.unwrap();
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts(), [Some(AttemptEnd::Disrupted), Some(AttemptEnd::Succeeded)]);
    assert_eq!(spent(&run), (0, 1, 0));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_deleted_in_the_middle_leaves_nothing_running() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    let made = world.train(&run().nodes(2)).await;
    world.until_run(RUN, "it runs", 30, runs).await;
    world.runs().delete(RUN, &DeleteParams::background()).await.unwrap();
    let uid = made.metadata.uid.unwrap();
    world.until("its children are collected", 30, |now| now.children(&uid).is_empty()).await;
    world.until("its pods are gone", 30, |now| now.all("Pod").next().is_none()).await;
    let mark = world.proxy.calls().mark();
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.cost_since(mark).writes.is_empty(), "nothing is made again");

    // A namesake is another run, with attempts of its own.
    world.kubelet.fate(image("trainer"), Fate::WELL);
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_taken_by_a_stranger_is_reported_and_waited_for() {
    let world = World::start().await;
    let theirs = |name: &str| {
        json!({
            // Even with our label.
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "serin"}},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "theirs"}],
            }}},
        })
    };
    let make = async |name: &str| {
        let job = serde_json::from_value(theirs(name)).unwrap();
        world.jobs().create(&PostParams::default(), &job).await.unwrap()
    };
    let attempt = make("fit-a1").await;
    let evaluation = make("fit-e1").await;
    world.train(&run()).await;
    let taken = |what: &'static str| {
        move |run: &TrainingRun| {
            run.condition(Type::Stalled) == ("True".into(), "NameTaken".into())
                && run.message(Type::Stalled).contains(what)
        }
    };
    world.until_run(RUN, "the attempt's name is reported", 20, taken("Job fit-a1")).await;
    let now = DeleteParams::background();
    let untouched = async |made: &k8s_openapi::api::batch::v1::Job| {
        let name = made.metadata.name.as_ref().unwrap();
        let after = world.jobs().get(name).await.unwrap();
        assert_eq!(after.metadata.resource_version, made.metadata.resource_version, "{name} was touched");
    };
    // Whatever the Job controller writes of itself comes first.
    world.settled(Duration::from_secs(1)).await;
    let (attempt, evaluation) = (
        world.jobs().get(attempt.metadata.name.as_ref().unwrap()).await.unwrap(),
        world.jobs().get(evaluation.metadata.name.as_ref().unwrap()).await.unwrap(),
    );
    untouched(&attempt).await;
    world.jobs().delete("fit-a1", &now).await.unwrap();
    world.until_run(RUN, "the evaluation's name is reported", 60, taken("Job fit-e1")).await;
    untouched(&evaluation).await;
    world.jobs().delete("fit-e1", &now).await.unwrap();
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_spec_is_not_trained_and_harms_nothing() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    world.train(&run()).await;
    world.until_run(RUN, "it runs", 30, runs).await;
    // What the definition refuses.
    let changed = [
        ("/model", json!("beer")),
        ("/trainer/image", json!("other:1")),
        ("/parameters", json!({"rounds": "11"})),
        ("/output/uri", json!("s3://models/other")),
        ("/evaluation/gate/metrics", json!([{"name": "accuracy", "min": "0.1"}])),
    ];
    for (pointer, value) in changed {
        let object = serde_json::to_value(run().with(pointer, value)).unwrap();
        let refused = world.try_apply_raw(&object).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("{pointer} was taken") };
        assert!(status.message.contains("make another run"), "{pointer}: {}", status.message);
    }
    // What only the operator can.
    world.train(&run().seed("8")).await;
    let held = |run: &TrainingRun| run.condition(Type::Stalled) == ("True".into(), "SpecChanged".into());
    world.until_run(RUN, "it says that the spec was changed", 20, held).await;
    world.train(&run()).await;
    world.kubelet.fate(image("trainer"), Fate::WELL);
    let run = world.until_run(RUN, "put back, it goes on", 60, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}

/// A change of a good spec, and a word of the reason for its refusal.
fn corpus() -> Vec<(&'static str, Value, &'static str)> {
    let dataset = |name: &str, uri: &str, digest: &str| json!({"name": name, "uri": uri, "digest": digest});
    let digest = serin_tests::fixtures::digest("train");
    let good = "s3://data/train.csv";
    vec![
        ("/source/commit", json!("HEAD~1"), "commit"),
        ("/source/commit", json!("main"), "commit"),
        ("/source/repo", json!("https://git.example/wine"), "repo"),
        ("/model", json!("Wine"), "model"),
        ("/trainer/image", json!(""), "image"),
        ("/trainer/command", json!([]), "command"),
        ("/trainer/nodes", json!(2), "Torchrun or Env"),
        ("/trainer/nodes", json!(0), "nodes"),
        ("/trainer/env", json!([{"name": "WORLD_SIZE", "value": "1"}]), "WORLD_SIZE"),
        ("/trainer/env", json!([{"name": "PET_NNODES", "value": "1"}]), "PET_"),
        ("/trainer/env", json!([{"name": "SERIN_TASK", "value": "{}"}]), "SERIN_"),
        ("/datasets", json!([dataset("train", good, "sha256:abc")]), "digest"),
        ("/datasets", json!([dataset("train", "s3://data/../train.csv", &digest)]), ".."),
        ("/datasets", json!([dataset("train", "ftp://data/train.csv", &digest)]), "uri must start with"),
        ("/datasets", json!([dataset("train", good, &digest), dataset("train", good, &digest)]), "uplicate"),
        ("/output/uri", json!("https://models.example/wine"), "uri must start with"),
        ("/evaluation/gate", json!({"metrics": []}), "metrics"),
        ("/evaluation/gate", json!({"metrics": [{"name": "accuracy"}]}), "what it must reach"),
        ("/evaluation/gate", json!({"metrics": [{"name": "accuracy", "min": "high"}]}), "min"),
        ("/evaluation/env", json!([{"name": "SERIN_NONCE", "value": "1"}]), "SERIN_"),
        ("/baseModel", json!({}), "exactly one"),
        ("/deadlineSeconds", json!(0), "deadlineSeconds"),
        ("/retries/crashes", json!(-1), "crashes"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spec_that_cannot_be_meant_is_refused_with_the_reason() {
    let world = World::without_operator().await;
    let good = || {
        let mut object = serde_json::to_value(run()).unwrap();
        object.as_object_mut().unwrap().remove("status");
        object
    };
    for (pointer, value, word) in corpus() {
        let mut object = good();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(&format!("/spec{parent}")).unwrap()[field] = value.clone();
        let Err(kube::Error::Api(status)) = world.try_apply_raw(&object).await else {
            panic!("{pointer} = {value} was taken");
        };
        assert!(matches!(status.code, 422 | 400 | 500), "{pointer} = {value}: {status:?}");
        assert!(status.message.contains(word), "{pointer} = {value} is told as: {}", status.message);
    }
    for name in ["Fit", "9fit", "fit.v1", &"f".repeat(53)] {
        let mut object = good();
        object["metadata"]["name"] = json!(name);
        assert!(world.try_apply_raw(&object).await.is_err(), "the name {name} was taken");
    }
    world.try_apply_raw(&good()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_that_asks_for_pinned_refuses_what_is_not() {
    let world = World::start().await;
    let gate = json!({"metrics": [{"name": "accuracy", "min": "0.5"}], "requireLevel": "Pinned"});
    let digest = serin_tests::fixtures::digest("trainer");
    let pinned = run().gate(gate).with("/trainer/image", json!(format!("serin.dev/trainer@{digest}")));
    let cases =
        [("/source/dirty", json!(true), "no commit"), ("/trainer/image", json!("trainer:1"), "by digest")];
    for (pointer, value, word) in cases {
        let object = serde_json::to_value(pinned.clone().with(pointer, value)).unwrap();
        let refused = world.try_apply_raw(&object).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("{pointer} was taken") };
        assert!(status.message.contains(word), "{pointer}: {}", status.message);
    }
    let run = world.trained(&pinned).await;
    world.assert(run.ended(RunResult::Succeeded), &format!("{:?}", run.end()));
    let version = world.history.now().versions().remove(0);
    assert_eq!(version.status.unwrap().level, Some(serin_api::Level::Pinned));
    world.check_invariants();
}
