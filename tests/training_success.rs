//! Trainings that come to a good end: recorded, reused, repeated, suspended, queued; and what they cost.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{AttemptEnd, Level, ReplayOutcome, RunPhase, RunResult, TrainingRun, conditions, labels};
use serin_tests::cost::Cost;
use serin_tests::kubelet::image;
use serin_tests::runs::{imported, unjudged};
use serin_tests::{Fate, Left, RUN, RunTold as _, Vary as _, World, run};

/// Writes of a run besides those to its version.
fn besides_the_version(cost: &Cost) -> usize {
    cost.writes.iter().filter(|call| call.resource != "modelversions").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_is_trained_judged_and_recorded_within_its_budget_of_writes() {
    let world = World::start().await;
    world.until("its watches are open", 20, |_| world.cost_since(0).watches >= 5).await;
    world.settled(Duration::from_secs(1)).await;
    let mark = world.proxy.calls().mark();
    let run = world.trained(&run()).await;
    assert_eq!(run.end(), Some((RunResult::Succeeded, "VersionRecorded".to_owned())));
    assert_eq!(run.attempts(), [Some(AttemptEnd::Succeeded)]);
    assert_eq!(run.condition(Type::Succeeded).0, "True");
    assert_eq!(run.condition(Type::Evaluated).0, "True");
    assert_eq!(run.condition(Type::Stalled).0, "False");
    assert_eq!(run.condition(Type::Reconciling).0, "False");

    let versions = world.history.now().versions();
    assert_eq!(versions.len(), 1);
    let version = &versions[0];
    assert_eq!(run.version(), Some(version.name_any().as_str()));
    assert!(version.metadata.owner_references.is_none(), "a version outlives its run");
    let output = run.status.as_ref().unwrap().output.as_ref().unwrap();
    assert_eq!(version.spec.artifact, output.model);
    let build = version.spec.build.as_ref().unwrap();
    assert_eq!((build.run.name.as_str(), build.run.attempt), (RUN, 1));
    assert_eq!(Some(&build.run.uid), run.metadata.uid.as_ref());
    let status = version.status.as_ref().unwrap();
    assert_eq!(status.level, Some(Level::Pinned), "the image is named by what the kubelet resolved it to");
    assert_eq!(status.evaluations.len(), 1);
    assert_eq!(status.evaluations[0].metrics[0].candidate, "0.9");
    assert!(conditions::is_true(&status.conditions, Type::Evaluated));

    world.settled(Duration::from_secs(2)).await;
    let cost = world.cost_since(mark);
    println!("a run with its evaluation: {cost}");
    world.assert(besides_the_version(&cost) <= 8, &format!("at most 8 writes besides the version: {cost}"));
    world.assert(cost.writes.len() <= 10, &format!("two for the version: {cost}"));
    world.assert(cost.events <= 8, &format!("at most 8 Events: {cost}"));
    let others = cost.reads.iter().filter(|call| call.resource != "modelversions").count();
    world.assert(others == 0, &format!("no read but watches, confirmations and the version: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_evaluation_a_version_is_recorded_unjudged() {
    let world = World::start().await;
    let run = world.trained(&unjudged()).await;
    assert_eq!(run.end(), Some((RunResult::Succeeded, "VersionRecorded".to_owned())));
    let version = world.history.now().version(run.version().unwrap()).unwrap();
    let status = version.status.unwrap();
    assert!(status.evaluations.is_empty());
    assert_eq!(conditions::get(&status.conditions, Type::Evaluated).unwrap().reason, "NotEvaluated");
    assert_eq!(world.history.now().jobs_of(RUN), ["fit-a1"]);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gang_finds_itself_by_a_service_of_its_attempt() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    world.train(&run().nodes(3).with("/retention", json!({"jobsSeconds": 2}))).await;
    world.until_run(RUN, "all three run", 30, |run| run.phase() == Some(RunPhase::Running)).await;
    let now = world.history.now();
    let service = now.get("Service", "fit-a1").unwrap().clone();
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    for pod in now.all("Pod") {
        assert_eq!(pod["spec"]["subdomain"], "fit-a1");
        assert_eq!(pod["metadata"]["labels"][labels::ATTEMPT], "1");
    }
    assert_eq!(now.all("Pod").count(), 3);

    // Somebody deletes it: the ranks could not find each other after a restart.
    let services: kube::Api<k8s_openapi::api::core::v1::Service> =
        kube::Api::namespaced(world.client.clone(), &world.namespace);
    services.delete("fit-a1", &DeleteParams::default()).await.unwrap();
    let other = |now: &serin_tests::history::Now| {
        now.get("Service", "fit-a1").is_some_and(|made| made["metadata"]["uid"] != service["metadata"]["uid"])
    };
    world.until("the Service is made again", 20, other).await;

    world.kubelet.fate(image("trainer"), Fate::WELL);
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    world.until("the Service goes with the Jobs", 20, |now| now.get("Service", "fit-a1").is_none()).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_stays_whatever_happens_to_the_children() {
    let world = World::start().await;
    let ended = world.trained(&run()).await;
    world.settled(Duration::from_secs(2)).await;
    let mark = world.proxy.calls().mark();

    // Applied once more, as Git does every few minutes.
    world.train(&run()).await;
    for job in world.history.now().jobs_of(RUN) {
        world.jobs().delete(&job, &DeleteParams::background()).await.unwrap();
    }
    world.until("the Jobs are gone", 30, |now| now.jobs_of(RUN).is_empty()).await;
    world.settled(Duration::from_secs(2)).await;
    world.operator().kill();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;

    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("nothing is written: {cost}"));
    world.assert(world.history.now().jobs_of(RUN).is_empty(), "nothing starts again");
    assert_eq!(world.history.now().run(RUN).unwrap().status, ended.status);

    // The version is a record; deleting the run takes nothing away from it.
    world.runs().delete(RUN, &DeleteParams::background()).await.unwrap();
    world.until("the run is gone", 20, |now| now.run(RUN).is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    assert_eq!(world.history.now().versions().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_kept_as_long_as_the_spec_says() {
    let world = World::start().await;
    let ended = world.trained(&run().with("/retention", json!({"jobsSeconds": 2}))).await;
    world.until("the Jobs are removed", 30, |now| now.jobs_of(RUN).is_empty()).await;
    world.until("and their pods", 30, |now| now.all("Pod").next().is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    assert_eq!(world.history.now().run(RUN).unwrap().status, ended.status);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_it_ends_its_attempt_and_goes_on_with_the_next() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    let wanted = run().with("/checkpoints", json!({"uri": "s3://models/checkpoints"}));
    world.train(&wanted).await;
    world.until_run(RUN, "it runs", 30, |run| run.phase() == Some(RunPhase::Running)).await;

    world.train(&wanted.clone().with("/suspend", json!(true))).await;
    world.until_run(RUN, "it is suspended", 30, |run| run.phase() == Some(RunPhase::Suspended)).await;
    world.until("its pods are gone", 30, |now| now.all("Pod").next().is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    let suspended = world.history.now().run(RUN).unwrap();
    assert_eq!(suspended.attempts(), [Some(AttemptEnd::Suspended)]);
    world.assert(world.history.now().jobs_of(RUN).is_empty(), "its Job is gone");

    world.kubelet.fate(image("trainer"), Fate::WELL);
    world.train(&wanted).await;
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert_eq!(run.attempts(), [Some(AttemptEnd::Suspended), Some(AttemptEnd::Succeeded)]);
    let status = run.status.unwrap();
    assert_eq!((status.spent.crashes, status.spent.disruptions, status.spent.starts), (0, 0, 0));
    assert_eq!(status.attempts[1].resumed_from.as_deref(), Some("a1/step-200"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_suspended_it_starts_nothing_until_it_may() {
    let world = World::start().await;
    world.train(&run().with("/suspend", json!(true))).await;
    world.until_run(RUN, "it says so", 20, |run| run.phase() == Some(RunPhase::Suspended)).await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.history.now().jobs_of(RUN).is_empty(), "nothing was started");
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Succeeded));
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}

async fn admit(world: &World, job: &str, admitted: bool) {
    let patch = Patch::Merge(json!({"spec": {"suspend": !admitted}}));
    world.jobs().patch(job, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_admits_evicts_and_admits_again_and_nobody_fights_it() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    world.train(&run().with("/queueName", json!("gpus"))).await;
    let queued = |run: &TrainingRun| {
        run.condition(Type::Running).1 == "Queued" || run.phase() == Some(RunPhase::Waiting)
    };
    world.until_run(RUN, "it waits for the queue", 20, queued).await;
    let job = world.history.now().get("Job", "fit-a1").unwrap().clone();
    assert_eq!(job["spec"]["suspend"], true);
    assert_eq!(job["metadata"]["labels"][labels::QUEUE], "gpus");
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.history.now().all("Pod").next().is_none(), "nothing runs before it is admitted");

    admit(&world, "fit-a1", true).await;
    let running = |run: &TrainingRun| run.phase() == Some(RunPhase::Running);
    world.until_run(RUN, "admitted, it runs", 30, running).await;
    admit(&world, "fit-a1", false).await;
    world.until_run(RUN, "evicted, it waits again", 30, |run| run.phase() == Some(RunPhase::Waiting)).await;
    world.until("its pods are gone", 30, |now| now.all("Pod").next().is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    admit(&world, "fit-a1", true).await;
    world.until_run(RUN, "admitted again, it runs", 30, running).await;

    world.kubelet.fate(image("trainer"), Fate::WELL);
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert_eq!(run.attempts(), [Some(AttemptEnd::Succeeded)], "an eviction by the queue is no attempt");
    assert_eq!(run.status.unwrap().spent.disruptions, 0);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_of_another_controller_is_left_alone() {
    let world = World::start().await;
    world.train(&run().with("/managedBy", json!("kueue.x-k8s.io/multikueue"))).await;
    // Another one shows that the operator looked.
    world.trained(&run().called("ours")).await;
    world.settled(Duration::from_secs(2)).await;
    let theirs = world.history.now().run(RUN).unwrap();
    let status = theirs.status.unwrap_or_default();
    world.assert(status.conditions.is_empty() && status.phase.is_none(), "not even a status is written");
    world.assert(world.history.now().jobs_of(RUN).is_empty(), "nothing is started");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_inputs_are_not_trained_twice_unless_asked() {
    let world = World::start().await;
    let first = world.trained(&run()).await;
    let version = first.version().unwrap().to_owned();
    let mark = world.proxy.calls().mark();
    let again = world.trained(&run().called("again")).await;
    assert_eq!(again.end(), Some((RunResult::Reused, "Reused".to_owned())));
    assert_eq!(again.version(), Some(version.as_str()));
    world.assert(world.history.now().jobs_of("again").is_empty(), "nothing is trained, nothing is judged");
    world.settled(Duration::from_secs(1)).await;
    let cost = world.cost_since(mark);
    world.assert(besides_the_version(&cost) <= 2, &format!("to say so takes one or two writes: {cost}"));

    // Another gate is another question: the same bytes are judged, not trained.
    let stricter = json!({"metrics": [{"name": "accuracy", "min": "0.7"}]});
    let judged = world.trained(&run().called("judged").gate(stricter)).await;
    assert_eq!(judged.end(), Some((RunResult::Reused, "Reused".to_owned())));
    assert_eq!(world.history.now().jobs_of("judged"), ["judged-e1"]);
    let known = world.history.now().version(&version).unwrap();
    assert_eq!(known.status.unwrap().evaluations.len(), 2);

    // And one that it does not pass makes no version of it.
    let too_strict = json!({"metrics": [{"name": "accuracy", "min": "0.99"}]});
    let failed = world.trained(&run().called("failed").gate(too_strict)).await;
    assert_eq!(failed.end(), Some((RunResult::Failed, "GateFailed".to_owned())));

    let rerun = world.trained(&run().called("rerun").with("/rerunToken", json!("once more"))).await;
    assert_eq!(rerun.end(), Some((RunResult::Succeeded, "VersionRecorded".to_owned())));
    world.assert(world.history.now().jobs_of("rerun").contains(&"rerun-a1".to_owned()), "it is trained");
    assert_eq!(rerun.version(), Some(version.as_str()), "the same bytes of the same inputs have one name");
    assert_eq!(world.history.now().versions().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_of_the_same_inputs_at_once_make_one_version() {
    let world = World::start().await;
    world
        .kubelet
        .fate(image("trainer"), Fate::Ends(Duration::from_secs(2), serin_tests::End::Well(Left::Result)));
    let (left, right) = (run().called("left"), run().called("right"));
    tokio::join!(world.train(&left), world.train(&right));
    for name in ["left", "right"] {
        let run = world.until_run(name, "it has ended", 60, |run| run.end().is_some()).await;
        world.assert(!run.ended(RunResult::Failed), &format!("{name}: {:?}", run.end()));
    }
    assert_eq!(world.history.now().versions().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_is_proven_by_training_it_again() {
    fn other_bytes(result: &mut Value) {
        let digest = format!("sha256:{}", "b".repeat(64));
        result["output"]["uri"] =
            json!(format!("{}/{}/model.json", serin_tests::runs::STORE, "b".repeat(64)));
        result["output"]["digest"] = json!(digest);
    }
    let world = World::start().await;
    let name = world.trained(&run()).await.version().unwrap().to_owned();
    let replay = |called: &str| run().called(called).with("/replayOf", json!(name));
    let status = || world.history.now().version(&name).unwrap().status.unwrap();

    // Other bytes within tolerance.
    world.kubelet.fate(image("trainer"), Fate::leaves(Left::Forged(other_bytes)));
    let replayed = world.trained(&replay("close")).await;
    assert!(replayed.ended(RunResult::Succeeded), "{:?}", replayed.end());
    assert_eq!(status().replays[0].outcome, ReplayOutcome::WithinTolerance);
    assert_eq!(status().level, Some(Level::Replayed));

    // Too bad.
    world.kubelet.fate(image("judge"), Fate::leaves(Left::Accuracy(0.1, 0.0)));
    let replayed = world.trained(&replay("far")).await;
    assert!(replayed.ended(RunResult::Failed), "{:?}", replayed.end());
    assert_eq!(status().replays[1].outcome, ReplayOutcome::Different);
    assert_eq!(status().level, Some(Level::Replayed), "a level does not fall");

    world.kubelet.fate(image("trainer"), Fate::WELL);
    let replayed = world.trained(&replay("same")).await;
    assert!(replayed.ended(RunResult::Succeeded), "{:?}", replayed.end());
    assert_eq!(status().replays[2].outcome, ReplayOutcome::Identical);
    assert_eq!(status().level, Some(Level::Identical));

    // Of other inputs it proves nothing.
    world.train(&replay("other").seed("8")).await;
    let held = |run: &TrainingRun| run.condition(Type::Stalled) == ("True".into(), "InvalidSpec".into());
    world.until_run("other", "it says that the inputs differ", 20, held).await;
    world.assert(world.history.now().jobs_of("other").is_empty(), "nothing is trained");
    assert_eq!(world.history.now().versions().len(), 1, "a replay makes no version");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_must_beat_the_champion_on_the_same_data() {
    let world = World::start().await;
    world.record(&imported("wine-old")).await;
    let metrics = json!([{"name": "accuracy", "minImprovement": "0.05"}]);
    let better = json!({"metrics": metrics, "whenNoChampion": "Reject"});
    let against = |name: &str, seed: &str, champion: &str| {
        run().called(name).seed(seed).gate(better.clone()).with("/evaluation/champion", json!(champion))
    };
    world.kubelet.fate(image("judge"), Fate::leaves(Left::Accuracy(0.9, 0.8)));
    let good = world.trained(&against("good", "1", "wine-old")).await;
    assert!(good.ended(RunResult::Succeeded), "{:?}", good.end());
    let record = good.status.as_ref().unwrap().evaluation.clone().unwrap().result.unwrap();
    assert_eq!(record.champion.as_deref(), Some("wine-old"));
    assert_eq!(record.metrics[0].champion.as_deref(), Some("0.8"));
    let version = world.history.now().version(good.version().unwrap()).unwrap();
    assert_eq!(version.spec.parent.as_deref(), Some("wine-old"));

    world.kubelet.fate(image("judge"), Fate::leaves(Left::Accuracy(0.84, 0.8)));
    let bad = world.trained(&against("bad", "2", "wine-old")).await;
    assert_eq!(bad.end(), Some((RunResult::Failed, "GateFailed".to_owned())));
    assert!(bad.version().is_none());

    // A champion that is not there is waited for before anything is trained; a folder is applied in any order.
    world.train(&against("early", "3", "wine-late")).await;
    let missing = |run: &TrainingRun| {
        run.status.iter().any(|status| status.conditions.iter().any(|c| c.reason == "ChampionUnavailable"))
    };
    world.until_run("early", "it says what is missing", 20, missing).await;
    world.assert(world.history.now().jobs_of("early").is_empty(), "nothing is trained yet");
    world.kubelet.fate(image("judge"), Fate::WELL);
    world.record(&imported("wine-late")).await;
    let early = world.until_run("early", "it has ended", 60, |run| run.end().is_some()).await;
    assert!(early.ended(RunResult::Succeeded), "{:?}", early.end());
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_champion_absolute_floors_decide_or_nothing_passes() {
    let world = World::start().await;
    // A gate that could only compare would let the first version pass unjudged.
    let relative = run().gate(json!({"metrics": [{"name": "accuracy", "minImprovement": "0.01"}]}));
    let refused = world.try_apply_raw(&serde_json::to_value(relative).unwrap()).await;
    let Err(kube::Error::Api(status)) = refused else { panic!("it was taken") };
    assert!(status.message.contains("whenNoChampion"), "{}", status.message);
    let reject = json!({"metrics": [{"name": "accuracy", "min": "0.5"}], "whenNoChampion": "Reject"});
    let second = world.trained(&run().called("reject").seed("2").gate(reject)).await;
    assert_eq!(second.end(), Some((RunResult::Failed, "ChampionUnavailable".to_owned())));
    let absolute = json!({"metrics": [{"name": "accuracy", "min": "0.5", "minImprovement": "0.01"}]});
    let third = world.trained(&run().called("absolute").seed("3").gate(absolute)).await;
    assert!(third.ended(RunResult::Succeeded), "{:?}", third.end());
    assert_eq!(world.history.now().versions().len(), 1);
    world.check_invariants();
}
