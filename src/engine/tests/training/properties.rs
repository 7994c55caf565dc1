//! Anything may happen, in any order. The invariants of `sim::check` hold at each effect on the way, and when it is over
//! the run has ended, or says what it waits for, and nothing is left to do.

use proptest::prelude::*;
use serin_engine::training::Child;

use crate::sim::{
    Event::{self, *},
    Sim,
    cluster::{Judge, Program},
    end::is_at_rest,
    spec,
};

fn program() -> impl Strategy<Value = Program> {
    prop::sample::select(vec![
        Program::Good,
        Program::Good,
        Program::Exit(1),
        Program::Exit(42),
        Program::Exit(51),
        Program::Prepare(60),
        Program::Disrupted,
        Program::Disrupted,
        Program::Blamed,
        Program::Hangs,
        Program::NoNode,
        Program::NoImage,
        Program::Gone,
    ])
}

fn judge() -> impl Strategy<Value = Judge> {
    prop::sample::select(vec![
        Judge::Scores(0.9),
        Judge::Scores(0.4),
        Judge::Exit(1),
        Judge::Gone,
        Judge::Hangs,
    ])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(Suspend),
        3 => Just(Admit),
        2 => Just(Evict),
        2 => (1..6i32).prop_map(|n| Lose(Child::Attempt(n))),
        1 => (1..4i32).prop_map(|n| Lose(Child::Evaluation(n))),
        1 => Just(LoseAll),
        1 => Just(LoseService),
        1 => prop::sample::select(vec![Some("0.1"), Some("0.2"), None])
            .prop_map(|inputs| Version("wine-old", inputs, 'b')),
        1 => Just(Serves("wine-old")),
        1 => Just(Revoke("wine-old")),
        1 => (1..100i64).prop_map(DeletionTakes),
        1 => (0..40i64).prop_map(PodsLag),
        1 => Just(Edit(|s| s.seed = Some("8".to_owned()))),
        1 => Just(Edit(|s| s.seed = None)),
        3 => (0..60i64).prop_map(Crash),
    ]
}

fn story() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![3 => 0..3i64, 4 => 3..20i64, 3 => 20..130i64, 1 => 130..1500i64];
    prop::collection::vec((pause, event()), 0..12).prop_map(|pairs| {
        let mut at = 0;
        let after = |(pause, event)| {
            at += pause;
            (at, event)
        };
        pairs.into_iter().map(after).collect()
    })
}

/// What kind of run it is.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "six coins")]
struct Kind {
    gang: bool,
    queue: bool,
    judged: bool,
    deadline: bool,
    again: bool,
    /// The operator dies after each single effect.
    mortal: bool,
    programs: Vec<Program>,
    judges: Vec<Judge>,
}

fn kind() -> impl Strategy<Value = Kind> {
    let programs = prop::collection::vec(program(), 0..5);
    (any::<[bool; 6]>(), programs, prop::collection::vec(judge(), 0..4)).prop_map(
        |([gang, queue, judged, deadline, again, mortal], programs, judges)| Kind {
            gang,
            queue,
            judged,
            deadline,
            again,
            mortal,
            programs,
            judges,
        },
    )
}

/// Peace: nobody interferes, and the queue lets go.
fn heal(sim: &mut Sim) {
    sim.play(Suspend(false));
    sim.play(Edit(|s| s.seed = None));
    sim.play(DeletionTakes(2));
    sim.play(PodsLag(0));
    for n in 0..200 {
        sim.play(Admit);
        sim.run_until(sim.cluster.now + 60);
        if n > 20 && sim.status.completion.is_some() {
            break;
        }
    }
}

fn ends_well(events: &[(i64, Event)], kind: &Kind) -> Result<(), TestCaseError> {
    let mut first = spec();
    first.pre_running_deadline_seconds = 60;
    if kind.gang {
        first.trainer.nodes = 3;
        first.trainer.launcher = serin_api::Launcher::Torchrun;
    }
    if kind.queue {
        first.queue_name = Some("gpus".to_owned());
    }
    if !kind.judged {
        first.evaluation = None;
    }
    if kind.deadline {
        first.deadline_seconds = Some(150);
    }
    if kind.again {
        first.rerun_token = Some("again".to_owned());
    }
    let mut sim = Sim::new(first);
    sim.cluster.programs.clone_from(&kind.programs);
    sim.cluster.judges.clone_from(&kind.judges);
    sim.crash_always = kind.mortal;
    sim.schedule(events);
    let last = events.last().map_or(0, |(at, _)| *at);
    sim.run_until(last + 1);
    heal(&mut sim);
    let hangs = !kind.deadline && sim.condition("Running").0 == "True";
    // The one spec whose Job was made is not the one that is there.
    let changed = sim.condition("Stalled") == ("True", "SpecChanged");
    prop_assert!(sim.status.completion.is_some() || hangs || changed, "{}", sim.log());
    if sim.status.completion.is_some() {
        prop_assert!(sim.cluster.alive().is_empty(), "{}", sim.log());
        let recorded = sim.cluster.versions.keys().filter(|name| *name != "wine-old").count();
        let succeeded = sim.ended() == "Succeeded/VersionRecorded";
        prop_assert_eq!(recorded, usize::from(succeeded), "{}", sim.log());
        // The children go in time.
        sim.run_until(sim.cluster.now + 10_000);
        prop_assert!(sim.cluster.jobs.is_empty() && sim.cluster.services.is_empty(), "{}", sim.log());
    }
    is_at_rest(&mut sim);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(events in story(), kind in kind()) {
        ends_well(&events, &kind)?;
    }
}
