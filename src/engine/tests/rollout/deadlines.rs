//! What keeps pods from starting, each with a deadline of its own.

use serin_api::WaitingReason;
use serin_engine::decide;

use crate::sim::{Sim, at as moment, end::is_at_rest, script};

/// The world at one moment of a story.
fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

/// When v2 was refused, and for what.
fn refused(name: &str) -> (i64, String, String) {
    let sim = script::named(name).run();
    let failed = sim.status.last_failed.as_ref().unwrap_or_else(|| panic!("not refused\n{}", sim.log()));
    ((failed.at - moment(0)).num_seconds(), failed.reason.clone(), failed.message.clone())
}

#[test]
fn each_has_its_time() {
    // Asked for at 100; trouble shows 5 s later, crashes 40 s, 120 s and 200 s.
    for (name, seconds, reason, told) in [
        (
            "no room",
            705,
            "Unschedulable",
            "no place on a node within 600 s (rollout.deadlines.unschedulableSeconds)",
        ),
        ("no room in a hurry", 165, "Unschedulable", "within 60 s"),
        ("no image", 225, "ImagePull", "no image within 120 s (rollout.deadlines.imagePullSeconds)"),
        ("no image in a hurry", 135, "ImagePull", "within 30 s"),
        ("crash loop", 140, "CrashLoop", "crashed 3 times and never had traffic: exit code 1"),
        ("crashes that are borne", 300, "CrashLoop", "crashed 5 times"),
        (
            "never ready",
            700,
            "ProgressDeadlineExceeded",
            "not available within 600 s (rollout.progressDeadlineSeconds)",
        ),
        // Its time to start goes on where the wait for a node began.
        ("no room, then never ready", 1195, "ProgressDeadlineExceeded", "not available within 600 s"),
        ("no room, then no image", 720, "ImagePull", "no image within 120 s"),
        // Nothing was waited for while it slept; its pods are asked for again at 900.
        ("no room, sleeping", 1500, "Unschedulable", "within 600 s"),
    ] {
        let (when, why, message) = refused(name);
        assert_eq!((when, why.as_str()), (seconds, reason), "{name}: {message}");
        assert!(message.contains(told), "{name}: {message}");
    }
}

#[test]
fn the_wait_is_written_once_and_says_until_when() {
    let sim = at("no room", 700);
    let waiting = sim.candidate().waiting.unwrap();
    assert_eq!((waiting.reason, waiting.since), (WaitingReason::Unschedulable, moment(105)));
    assert_eq!(sim.since(106).len(), 0, "{}", sim.log());
    assert_eq!(sim.condition("Progressing"), ("True", "Unschedulable"));
    let message = &sim.status.conditions.iter().find(|c| c.type_ == "Progressing").unwrap().message;
    let until = moment(705).format("%FT%TZ");
    assert!(message.contains("0/3 nodes; add or free nodes"), "{message}");
    assert!(
        message.ends_with(&format!("given up at {until} (rollout.deadlines.unschedulableSeconds)")),
        "{message}"
    );
}

#[test]
fn the_wait_for_a_node_is_given_back() {
    let sim = at("no room for a while", 601);
    let c = sim.candidate();
    assert_eq!((c.waiting, c.waited_seconds), (None, 495), "{}", sim.log());
    assert_eq!(decide::deadline(&sim.spec.rollout, c).at, moment(100 + 495 + 600));
    // That for an image is not.
    let sim = at("no image at first", 201);
    assert_eq!((sim.candidate().waiting, sim.candidate().waited_seconds), (None, 0), "{}", sim.log());
}

#[test]
fn nothing_is_waited_for_with_traffic() {
    let sim = at("no room for a while", 1100);
    assert_eq!((sim.candidate().weight > 0, sim.candidate().waiting), (true, None), "{}", sim.log());
}

#[test]
fn a_first_version_is_stuck_in_its_words_and_tried_on() {
    for (name, when, reason) in [
        ("first one without room", 610, "Unschedulable"),
        ("first one without an image", 130, "ImagePull"),
        ("first one crashing", 41, "CrashLoop"),
    ] {
        let before = at(name, when - 20);
        assert_eq!(before.condition("Stalled").0, "False", "{name}\n{}", before.log());
        let mut sim = at(name, when);
        assert_eq!(sim.condition("Stalled"), ("True", reason), "{name}\n{}", sim.log());
        assert_eq!(sim.condition("Ready").0, "False");
        let message = &sim.status.conditions.iter().find(|c| c.type_ == "Stalled").unwrap().message;
        assert!(message.contains("it is tried on"), "{message}");
        sim.run_until(1500);
        let told = sim.notes.iter().filter(|note| note.starts_with(&format!("{reason}/Stuck"))).count();
        assert_eq!((told, sim.candidate().version.as_str()), (1, "v1"), "{:?}", sim.notes);
        is_at_rest(&mut sim);
    }
    let sim = script::named("first one without room for a while").run();
    assert_eq!((sim.stable(), sim.condition("Stalled").0), ("v1", "False"), "{}", sim.log());
}

#[test]
fn what_keeps_a_candidate_from_starting_is_said_each_in_its_words() {
    for (name, reason, todo) in [
        ("no image", "ImagePull", "not found; check server.image"),
        ("no room", "Unschedulable", "0/3 nodes; add or free nodes"),
    ] {
        let waiting = at(name, 150);
        assert_eq!(waiting.condition("Progressing"), ("True", reason), "{}", waiting.log());
        let sim = script::named(name).run();
        let failed = sim.status.last_failed.as_ref().unwrap();
        assert_eq!(failed.reason, reason, "{}", sim.log());
        assert!(failed.message.contains(todo), "{}", failed.message);
        let told = sim.notes.iter().filter(|note| note.starts_with(&format!("{reason}/RolledBack"))).count();
        assert_eq!(told, 1, "{:?}", sim.notes);
        assert_eq!((sim.stable(), sim.weight("v1")), ("v1", 100));
    }
}
