//! The stories, each with what it is about.

use rstest::rstest;
use serin_api::AttemptEnd::{self, *};
use serin_engine::training::Child;

use crate::sim::{
    Event, Sim,
    end::{End, is_at_rest},
    script,
};

#[rstest]
#[case("plain", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("unjudged", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("gang", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("gang without its Service", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("slow cache of pods", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("one crash", "Succeeded/VersionRecorded", &[Crashed, Succeeded])]
#[case("one crash in a gang", "Succeeded/VersionRecorded", &[Crashed, Succeeded])]
#[case("crashes", "Failed/Crashed", &[Crashed, Crashed, Crashed])]
#[case(
    "disruptions and crashes",
    "Succeeded/VersionRecorded",
    &[Disrupted, Crashed, Disrupted, Disrupted, Crashed, Succeeded]
)]
#[case("disruptions", "Failed/Disrupted", &[Disrupted, Disrupted])]
#[case("blamed on another rank", "Succeeded/VersionRecorded", &[Disrupted, Succeeded])]
#[case("fatal", "Failed/Fatal", &[Fatal])]
#[case("wrong inputs", "Failed/InputsRefused", &[InputsRefused])]
#[case("inputs away", "Succeeded/VersionRecorded", &[Crashed, Succeeded])]
#[case("no output", "Failed/NoOutput", &[NoOutput])]
#[case("image missing", "Failed/NeverStarted", &[NeverStarted, NeverStarted])]
#[case("image there at last", "Succeeded/VersionRecorded", &[NeverStarted, Succeeded])]
#[case("a rank without a node", "Succeeded/VersionRecorded", &[NeverStarted, Succeeded])]
#[case("result gone", "Succeeded/VersionRecorded", &[Disrupted, Succeeded])]
#[case(
    "result of an earlier attempt",
    "Succeeded/VersionRecorded",
    &[Crashed, ResultInvalid, Succeeded]
)]
#[case("result of another run", "Succeeded/VersionRecorded", &[ResultInvalid, Succeeded])]
#[case("no result", "Failed/ResultInvalid", &[ResultInvalid, ResultInvalid, ResultInvalid])]
#[case("oversized result", "Succeeded/VersionRecorded", &[ResultInvalid, Succeeded])]
#[case("deadline over suspensions", "Failed/DeadlineExceeded", &[Suspended, DeadlineExceeded])]
#[case("deadline over evictions", "Failed/DeadlineExceeded", &[DeadlineExceeded])]
#[case("deadline over crashes", "Failed/DeadlineExceeded", &[Crashed, Crashed, DeadlineExceeded])]
#[case("suspended and resumed", "Succeeded/VersionRecorded", &[Suspended, Succeeded])]
#[case("suspended from the start", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("suspended while judged", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("suspended between attempts", "Succeeded/VersionRecorded", &[Crashed, Succeeded])]
#[case("suspended for good", "", &[Suspended])]
#[case("queued", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("evicted", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("Job lost", "Succeeded/VersionRecorded", &[Disrupted, Succeeded])]
#[case("Jobs lost at once", "Succeeded/VersionRecorded", &[Disrupted, Succeeded])]
#[case("everything lost after the end", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("evaluation lost", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("a dead node", "Succeeded/VersionRecorded", &[Suspended, Succeeded])]
#[case("low score", "Failed/GateFailed", &[Succeeded])]
#[case("judge crashes once", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("judge crashes", "Failed/EvaluationFailed", &[Succeeded])]
#[case("judge gives up", "Failed/EvaluationFailed", &[Succeeded])]
#[case("judge hangs", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("judgement gone", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("forged judgements", "Failed/ResultInvalid", &[Succeeded])]
#[case("judgement twice in one", "Failed/GateFailed", &[Succeeded])]
#[case("better than what serves", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("worse than what serves", "Failed/GateFailed", &[Succeeded])]
#[case("nothing to compare with", "Failed/ChampionUnavailable", &[Succeeded])]
#[case("champion missing", "", &[])]
#[case("champion appears", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("champion revoked", "Failed/ChampionUnavailable", &[Succeeded])]
#[case("what serves is revoked", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("known inputs", "Reused/Reused", &[])]
#[case("known inputs, judged again", "Reused/Reused", &[])]
#[case("known inputs, what serves", "Reused/Reused", &[])]
#[case("known inputs, refused", "Failed/GateFailed", &[])]
#[case("known inputs, revoked", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("known inputs, revoked while judged", "Failed/VersionRevoked", &[])]
#[case("known inputs, trained again", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("replay, same bytes", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("replay, other bytes", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("replay, different", "Failed/GateFailed", &[Succeeded])]
#[case("replay, unjudged", "Failed/GateFailed", &[Succeeded])]
#[case("replay of other inputs", "", &[])]
#[case("replay of an import", "", &[])]
#[case("spec changed and put back", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("invalid, then repaired", "Succeeded/VersionRecorded", &[Succeeded])]
#[case("invalid", "", &[])]
fn ends_well(#[case] name: &str, #[case] ended: &str, #[case] attempts: &[AttemptEnd]) {
    let mut sim = script::named(name).run();
    assert_eq!(sim.ended(), ended, "{}\n{}", sim.message(), sim.log());
    let ends: Vec<_> = sim.status.attempts.iter().filter_map(|a| a.end).collect();
    assert_eq!(ends, attempts, "{}", sim.log());
    let expected = match ended.split_once('/') {
        Some(("Failed", reason)) => [("False", reason), ("False", reason), ("True", reason)],
        Some((_, reason)) => [("True", reason), ("True", reason), ("False", reason)],
        None => {
            let reason = sim.condition("Ready").1;
            [("False", reason), ("Unknown", reason), ("False", reason)]
        }
    };
    let held = ended.is_empty() && sim.condition("Stalled").0 == "True";
    let found = ["Ready", "Succeeded", "Stalled"].map(|ty| sim.condition(ty));
    if !held {
        assert_eq!(found, expected, "{}", sim.log());
    }
    let working = ended.is_empty() && !held;
    assert_eq!(sim.condition("Reconciling").0 == "True", working, "{}", sim.log());
    // Every Job was made once, and none is left at work.
    assert!(sim.cluster.made.values().all(|n| *n == 1), "{:?}\n{}", sim.cluster.made, sim.log());
    assert!(sim.cluster.alive().is_empty(), "{}", sim.log());
    is_at_rest(&mut sim);
}

/// The story up to a moment.
fn until(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

/// A budget of writes: each is one more moment to die in, and one more object for every watcher.
#[rstest]
#[case("plain", 8, 2)]
#[case("unjudged", 5, 2)]
#[case("gang", 9, 2)]
#[case("one crash", 12, 2)]
#[case("queued", 11, 2)]
#[case("known inputs", 1, 0)]
#[case("known inputs, judged again", 5, 1)]
#[case("somebody else's", 0, 0)]
fn writes_are_counted(#[case] name: &str, #[case] most: usize, #[case] of_version: usize) {
    let sim = script::named(name).run();
    let (versions, others): (Vec<_>, Vec<_>) =
        sim.since(0).into_iter().partition(|e| e.text.contains("version wine-"));
    println!("{name}: {} writes and {} of versions\n{}", others.len(), versions.len(), sim.log());
    assert!(others.len() <= most, "{} > {most}\n{}", others.len(), sim.log());
    assert_eq!(versions.len(), of_version, "{}", sim.log());
}

#[test]
fn nothing_restarts_whatever_becomes_of_the_children() {
    for name in ["plain", "gang", "crashes", "fatal", "low score", "known inputs"] {
        let mut sim = script::named(name).run();
        let done = sim.done();
        for child in [Child::Attempt(1), Child::Evaluation(1)] {
            sim.play(Event::Lose(child));
            sim.run_until(sim.cluster.now + 100);
        }
        sim.play(Event::LoseAll);
        sim.run_until(sim.cluster.now + 100_000);
        assert_eq!(sim.done(), done, "{name}\n{}", sim.log());
        is_at_rest(&mut sim);
    }
}

#[test]
fn what_is_left_of_a_run_goes_in_time_and_the_run_stays() {
    let mut sim = script::named("gang").run();
    let (before, done) = (sim.status.clone(), sim.done());
    sim.run_until(10_000);
    let after: Vec<_> = sim.since(0)[done..].iter().map(|e| e.text.as_str()).collect();
    let expected = ["delete Job wine-7-a1", "delete Job wine-7-e1", "delete Service wine-7-a1"];
    assert_eq!(after, expected, "{}", sim.log());
    assert!(sim.cluster.jobs.is_empty() && sim.cluster.services.is_empty());
    assert_eq!(sim.status, before);
    is_at_rest(&mut sim);
}

#[test]
fn the_generation_is_followed_after_the_end() {
    let mut sim = script::named("plain").run();
    sim.play(Event::Suspend(true));
    sim.run_until(2100);
    assert_eq!(sim.status.observed_generation, Some(sim.generation));
    assert_eq!(sim.ended(), "Succeeded/VersionRecorded");
    is_at_rest(&mut sim);
}

#[test]
fn a_crash_is_followed_by_ever_longer_pauses() {
    let sim = script::named("crashes").run();
    let made: Vec<_> =
        sim.effects.iter().filter(|e| e.text.starts_with("create attempt")).map(|e| e.at).collect();
    // 38 s to crash and clean up, then 10 s, then 20 s.
    assert_eq!(made, [0, 48, 106], "{}", sim.log());
    assert_eq!(sim.message(), "attempt 3: rank 0: its program exited with 1: first error");
}

#[test]
fn disruptions_spend_no_crash() {
    let sim = script::named("disruptions and crashes").run();
    let spent = sim.status.spent;
    assert_eq!((spent.crashes, spent.disruptions, spent.starts), (2, 3, 0));
}

#[test]
fn running_is_counted_and_waiting_is_not() {
    for (name, ends, seconds) in [
        ("deadline over suspensions", 265, 100),
        ("deadline over evictions", 525, 100),
        ("suspended and resumed", 0, 85),
        ("evicted", 0, 85),
        ("plain", 0, 60),
    ] {
        let sim = script::named(name).run();
        assert_eq!(sim.status.spent.running_seconds, seconds, "{name}\n{}", sim.log());
        let at = sim.status.completion.as_ref().map(|c| (c.at - crate::sim::at(0)).num_seconds());
        assert!(ends == 0 || at == Some(ends), "{name}: {at:?}\n{}", sim.log());
    }
}

#[test]
fn the_old_attempt_is_really_gone_before_the_next_one() {
    let sim = until("a dead node", 600);
    assert_eq!(sim.condition("Succeeded"), ("Unknown", "WaitingForOldAttempt"));
    assert_eq!(sim.message(), "attempt 2 waits until Job wine-7-a1 of a former attempt is gone");
    let sim = script::named("a dead node").run();
    let second = sim.effects.iter().find(|e| e.text.starts_with("create attempt 2")).map(|e| e.at);
    assert_eq!(second, Some(630), "{}", sim.log());
}

#[test]
fn a_queue_alone_starts_its_jobs() {
    let sim = until("queued", 99);
    assert_eq!(sim.condition("Succeeded"), ("Unknown", "Queued"));
    assert_eq!(sim.message(), "attempt 1 waits until the queue gpus admits it");
    let held = sim.since(0);
    assert_eq!(held.len(), 2, "{}", sim.log());
    // However long it takes: no deadline runs, and nothing is written.
    let sim = script::named("never admitted").run();
    assert_eq!(sim.since(1).len(), 0, "{}", sim.log());
    assert!(sim.cluster.job(Child::Attempt(1)).unwrap().suspended);
}

#[test]
fn an_eviction_is_no_failure() {
    let sim = until("evicted", 90);
    assert_eq!(sim.condition("Succeeded"), ("Unknown", "Queued"));
    assert_eq!(sim.condition("Running").0, "False");
    let sim = script::named("evicted").run();
    assert_eq!(sim.status.spent.disruptions, 0);
    assert_eq!(sim.cluster.made["wine-7-a1"], 1);
}

#[test]
fn suspending_spends_nothing_and_frees_the_pods() {
    let sim = until("suspended and resumed", 200);
    assert!(sim.cluster.jobs.is_empty(), "{}", sim.log());
    assert_eq!(sim.condition("Reconciling"), ("True", "Suspended"));
    let spent = sim.status.spent;
    assert_eq!((spent.crashes, spent.disruptions, spent.starts), (0, 0, 0));
}

#[test]
fn somebody_elses_run_is_not_touched() {
    let sim = script::named("somebody else's").run();
    assert_eq!(sim.done(), 0);
    assert!(sim.status.conditions.is_empty());
}

#[test]
fn a_changed_spec_is_refused_until_it_is_put_back() {
    let mut sim = script::named("spec changed").run();
    assert_eq!(sim.condition("Stalled"), ("True", "SpecChanged"), "{}", sim.log());
    assert_eq!(sim.since(31).len(), 0, "{}", sim.log());
    is_at_rest(&mut sim);
}

#[test]
fn a_job_of_an_earlier_spec_is_not_taken_over() {
    // The operator dies between the Job and its record, and the spec is another one when it comes back.
    let mut sim = script::named("plain").sim();
    sim.crash = Some((1, 5));
    sim.schedule(&[(3, Event::Edit(|s| s.seed = Some("8".to_owned())))]);
    sim.run_until(2000);
    assert_eq!(sim.ended(), "Succeeded/VersionRecorded");
    assert_eq!(sim.cluster.made["wine-7-a1"], 2, "{}", sim.log());
    let recorded = sim.cluster.versions.values().next().unwrap().0.build.as_ref().unwrap();
    assert_eq!(recorded.inputs.seed.as_deref(), Some("8"));
}

#[test]
fn bad_input_starts_nothing_and_says_why() {
    let sim = script::named("invalid").run();
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"));
    assert!(sim.message().contains("source.commit"), "{}", sim.message());
    let sim = script::named("replay of other inputs").run();
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"));
    assert!(sim.message().contains("replayOf"), "{}", sim.message());
    let sim = script::named("champion missing").run();
    assert_eq!(sim.condition("Succeeded"), ("Unknown", "ChampionUnavailable"));
    assert_eq!(sim.done(), 1, "{}", sim.log());
}

#[test]
fn an_attempt_without_all_its_ranks_never_ran() {
    let sim = script::named("a rank without a node").run();
    let first = &sim.status.attempts[0];
    let message = first.message.as_deref().unwrap();
    assert!(message.contains("rank 3: no node takes it"), "{message}");
    assert_eq!((first.running_at, sim.status.spent.starts), (None, 1));
    let sim = until("a rank without a node", 30);
    assert_eq!(sim.condition("Succeeded"), ("Unknown", "Unschedulable"));
    let end = End::of(&until("image missing", 30));
    assert_eq!(end.conditions.iter().find(|c| c.0 == "Ready").unwrap().2, "ImagePull");
}
