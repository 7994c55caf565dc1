//! What is believed of a result, and what is not.

use serin_api::{Level, ReplayOutcome};

use crate::sim::{
    Sim,
    cluster::{Program, hex},
    script,
};

fn versions(sim: &Sim) -> Vec<&str> {
    sim.cluster.versions.keys().map(String::as_str).collect()
}

#[test]
fn what_is_forged_or_malformed_never_passes() {
    let sim = script::named("forged judgements").run();
    assert_eq!(versions(&sim), Vec::<&str>::new(), "{}", sim.log());
    assert_eq!(sim.condition("Evaluated").0, "Unknown");
    let evaluation = sim.status.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.number, evaluation.result.is_some()), (3, false));
    assert!(evaluation.last_failure.as_deref().unwrap().contains("model digest"), "{evaluation:?}");
    let nonces: Vec<_> = sim.effects.iter().filter(|e| e.text.starts_with("create evaluation")).collect();
    assert_eq!(nonces.len(), 3);
}

#[test]
fn a_gate_that_fails_makes_no_version() {
    for name in ["low score", "worse than what serves", "nothing to compare with", "judgement twice in one"] {
        let sim = script::named(name).run();
        assert!(!versions(&sim).iter().any(|v| v.starts_with("wine-") && *v != "wine-old"), "{name}");
        assert_eq!(sim.status.model_version, None, "{name}");
    }
    assert_eq!(script::named("low score").run().condition("Evaluated"), ("False", "GateFailed"));
}

#[test]
fn champion_and_candidate_are_judged_together() {
    let sim = script::named("better than what serves").run();
    let name = sim.status.model_version.clone().unwrap();
    let (spec, status) = &sim.cluster.versions[&name];
    assert_eq!(spec.parent.as_deref(), Some("wine-old"));
    let judged = &status.evaluations[0];
    assert_eq!(judged.champion.as_deref(), Some("wine-old"));
    assert_eq!(judged.champion_digest.as_deref(), Some(format!("sha256:{}", hex('b')).as_str()));
    assert_eq!(judged.metrics[0].champion.as_deref(), Some("0.8"));
    // Revoked by the time of the judgement: it is nobody's measure any more.
    let sim = script::named("what serves is revoked").run();
    assert_eq!(sim.status.evaluation.as_ref().unwrap().champion, None);
}

#[test]
fn a_version_is_recorded_with_all_that_made_it() {
    let sim = script::named("one crash").run();
    let name = sim.status.model_version.clone().unwrap();
    assert_eq!(versions(&sim), [name.as_str()]);
    let (spec, status) = &sim.cluster.versions[&name];
    let build = spec.build.as_ref().unwrap();
    assert_eq!((build.run.name.as_str(), build.run.attempt), ("wine-7", 2));
    assert_eq!(build.run.running_seconds, 30 + 3 + 60);
    assert_eq!(spec.artifact.digest.0, format!("sha256:{}", hex('a')));
    assert_eq!(spec.inputs_digest.as_ref().map(|d| &d.0), sim.status.inputs_digest.as_ref());
    assert_eq!(status.level, Some(Level::Pinned));
    let conditions: Vec<_> =
        status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
    assert_eq!(conditions, [("Evaluated", "True"), ("Ready", "True")]);
}

#[test]
fn known_inputs_are_not_trained_again() {
    for name in ["known inputs", "known inputs, judged again", "known inputs, what serves"] {
        let sim = script::named(name).run();
        assert_eq!(sim.status.model_version.as_deref(), Some("wine-old"), "{name}");
        assert!(!sim.cluster.made.contains_key("wine-7-a1"), "{name}\n{}", sim.log());
    }
    let judged = script::named("known inputs, judged again").run();
    assert_eq!(judged.cluster.versions["wine-old"].1.evaluations.len(), 1);
    // Nothing is better than itself, hence it is not asked whether it is.
    let itself = script::named("known inputs, what serves").run();
    assert_eq!(itself.status.evaluation.as_ref().unwrap().champion, None);
}

#[test]
fn the_same_question_is_not_asked_twice() {
    let first = script::named("known inputs, judged again").run();
    let mut second = Sim::new(first.spec.clone());
    second.cluster.versions = first.cluster.versions.clone();
    second.run_until(100);
    assert_eq!((second.ended().as_str(), second.done()), ("Reused/Reused", 1));
    assert_eq!(second.condition("Evaluated"), ("True", "Reused"));
    // Another gate is another question.
    let mut third = Sim::new(first.spec.clone());
    third.spec.evaluation.as_mut().unwrap().gate.metrics[0].min = Some("0.95".to_owned());
    third.cluster.versions = first.cluster.versions;
    third.run_until(100);
    assert_eq!(third.ended(), "Failed/GateFailed", "{}", third.log());
}

#[test]
fn a_replay_is_written_to_its_version_and_makes_none() {
    for (name, outcome, level) in [
        ("replay, same bytes", ReplayOutcome::Identical, Some(Level::Identical)),
        ("replay, other bytes", ReplayOutcome::WithinTolerance, Some(Level::Replayed)),
        ("replay, different", ReplayOutcome::Different, None),
        ("replay, unjudged", ReplayOutcome::Different, None),
    ] {
        let sim = script::named(name).run();
        assert_eq!(versions(&sim), ["wine-old"], "{name}");
        let status = &sim.cluster.versions["wine-old"].1;
        let replays: Vec<_> = status.replays.iter().map(|r| (r.outcome, r.run.as_str())).collect();
        assert_eq!(replays, [(outcome, "wine-7")], "{name}");
        assert_eq!(status.level, level, "{name}");
    }
    // The same bytes need no judge.
    let sim = script::named("replay, same bytes").run();
    assert!(!sim.cluster.made.contains_key("wine-7-e1"));
}

#[test]
fn two_runs_of_the_same_inputs_make_one_version() {
    let first = script::named("plain").run();
    let mut second = Sim::new(first.spec.clone());
    second.spec.rerun_token = Some("again".to_owned());
    second.cluster.versions = first.cluster.versions.clone();
    second.run_until(2000);
    assert_eq!(second.ended(), "Succeeded/VersionRecorded");
    assert_eq!(versions(&second), versions(&first));
    let mut other = Sim::new(first.spec.clone());
    other.spec.rerun_token = Some("again".to_owned());
    other.cluster.versions = first.cluster.versions;
    other.cluster.bytes = 'c';
    other.run_until(2000);
    assert_eq!(versions(&other).len(), 2);
}

#[test]
fn bytes_that_were_revoked_do_not_come_back() {
    let first = script::named("plain").run();
    let name = first.status.model_version.clone().unwrap();
    let mut second = Sim::new(first.spec.clone());
    second.spec.rerun_token = Some("again".to_owned());
    second.cluster.versions = first.cluster.versions;
    second.cluster.revoked.insert(name, "bad data".to_owned());
    second.run_until(2000);
    assert_eq!(second.ended(), "Failed/VersionRevoked", "{}", second.log());
}

#[test]
fn a_level_that_is_asked_for_is_kept() {
    let mut sim = script::named("plain").sim();
    sim.spec.evaluation.as_mut().unwrap().gate.require_level = Some(Level::Pinned);
    sim.spec.trainer.image = "registry.example/wine:7".to_owned();
    sim.run_until(100);
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"), "{}", sim.log());
    assert!(sim.cluster.made.is_empty());
    let mut sim = script::named("plain").sim();
    sim.spec.evaluation.as_mut().unwrap().gate.require_level = Some(Level::Pinned);
    sim.run_until(2000);
    assert_eq!(sim.ended(), "Succeeded/VersionRecorded");
}

#[test]
fn ninety_nine_attempts_are_enough() {
    let mut sim = script::named("plain").sim();
    sim.spec.retries.disruptions = 50;
    sim.spec.retries.crashes = 20;
    // Each suspension is an attempt, and spends nothing.
    sim.cluster.programs = vec![Program::Hangs; 99];
    for n in 0..120 {
        sim.run_until(n * 20 + 10);
        sim.play(crate::sim::Event::Suspend(true));
        sim.run_until(n * 20 + 15);
        sim.play(crate::sim::Event::Suspend(false));
    }
    assert_eq!(sim.ended(), "Failed/AttemptsExhausted", "{}", sim.message());
    assert_eq!((sim.status.attempt, sim.status.attempts.len()), (99, 20));
}
