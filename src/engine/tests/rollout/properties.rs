//! Anything may happen, in any order; when it is over, what is asked for serves or is refused with its reason, and
//! nothing is left to do. The invariants of `sim::check` hold at each effect on the way.

use crate::sim::{
    Event::{self, *},
    Sim,
    cluster::Temper,
    end::{End, is_at_rest},
    metrics::Quality,
    shadows, spec,
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serin_api::{
    IntOrString, ModelDeploymentSpec, Phase,
    Strategy::{BlueGreen, Canary, Recreate, Shadow},
    WhenUnschedulable,
};

const VERSIONS: [&str; 4] = ["v1", "v2", "v3", "v4"];

fn version() -> impl Strategy<Value = &'static str> {
    prop::sample::select(VERSIONS.to_vec())
}

fn quality() -> impl Strategy<Value = Quality> {
    prop::sample::select(vec![
        Quality::Good,
        Quality::Bad,
        Quality::Unclear,
        Quality::Suspicious,
        Quality::Misrouted,
        Quality::Silent,
    ])
}

fn temper() -> impl Strategy<Value = Temper> {
    prop::sample::select(vec![
        Temper::Fine,
        Temper::Fine,
        Temper::CrashLoop,
        Temper::NeverReady,
        Temper::NoImage,
        Temper::AtMost(1),
    ])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => version().prop_map(Apply),
        2 => (0..6i32).prop_map(Replicas),
        2 => (version(), prop::option::of(1..90i64)).prop_map(|(v, back)| Kill(v, back)),
        1 => (version(), temper()).prop_map(|(v, t)| Temper(v, t)),
        2 => (version(), quality()).prop_map(|(v, q)| Quality(v, q)),
        2 => any::<bool>().prop_map(Away),
        1 => (0..=100i32).prop_map(|a| EditRoute(a, 100 - a)),
        1 => Just(LoseRoute),
        1 => version().prop_map(Lose),
        1 => any::<bool>().prop_map(GatewayRefuses),
        1 => (version(), prop::sample::select(vec!["x", "y"])).prop_map(|(v, w)| Retry(v, w)),
        1 => (version(), prop::sample::select(vec!["x", "y"])).prop_map(|(v, w)| Promote(v, w)),
        1 => (version(), prop::sample::select(vec!["x", "y"])).prop_map(|(v, w)| Abort(v, w)),
        1 => (version(), prop::sample::select(vec!["1", "2"])).prop_map(|(v, step)| Skip(v, step)),
        1 => any::<bool>().prop_map(|p| Edit(if p { paused } else { running })),
        1 => Just(Edit(crate::sim::script::hasty)),
        1 => (1..9i32).prop_map(Room),
        1 => prop::sample::select(vec![one_more as fn(&mut ModelDeploymentSpec), half_more, no_bound, makes_room, waits]).prop_map(Edit),
        1 => prop::sample::select(vec![Canary, BlueGreen, Recreate, Shadow]).prop_map(|s| Edit(match s {
            Canary => canary,
            BlueGreen => blue,
            Recreate => recreate,
            Shadow => shadow,
        })),
        1 => any::<bool>().prop_map(GatewayMirrors),
        4 => (0..40i64).prop_map(Crash),
    ]
}

fn one_more(s: &mut ModelDeploymentSpec) {
    if s.rollout.strategy == Canary {
        s.rollout.max_surge = Some(IntOrString::Int(1));
    }
}
fn half_more(s: &mut ModelDeploymentSpec) {
    if s.rollout.strategy == Canary {
        s.rollout.max_surge = Some(IntOrString::String("50%".to_owned()));
    }
}
fn no_bound(s: &mut ModelDeploymentSpec) {
    s.rollout.max_surge = None;
}
fn makes_room(s: &mut ModelDeploymentSpec) {
    if s.rollout.strategy == Canary {
        s.rollout.when_unschedulable = WhenUnschedulable::MakeRoom;
    }
}
fn waits(s: &mut ModelDeploymentSpec) {
    s.rollout.when_unschedulable = WhenUnschedulable::Wait;
    s.rollout.min_available = None;
}
fn canary(s: &mut ModelDeploymentSpec) {
    s.rollout.shadow = None;
    s.rollout.strategy = Canary;
}
fn blue(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
    s.rollout.shadow = None;
    no_bound(s);
    waits(s);
    s.rollout.strategy = BlueGreen;
}
fn recreate(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
    s.rollout.shadow = None;
    no_bound(s);
    waits(s);
    s.rollout.strategy = Recreate;
}
fn shadow(s: &mut ModelDeploymentSpec) {
    no_bound(s);
    waits(s);
    shadows::on_evidence(s);
}
fn paused(s: &mut ModelDeploymentSpec) {
    s.rollout.paused = true;
}
fn running(s: &mut ModelDeploymentSpec) {
    s.rollout.paused = false;
}

/// Events with the pauses between them: often none, so that they fall into one another.
fn story() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![3 => 0..3i64, 3 => 3..20i64, 3 => 20..130i64, 1 => 130..1500i64];
    prop::collection::vec((pause, event()), 1..14).prop_map(|pairs| told(10, pairs))
}

/// The same after a new version that no node has room for. It is given up after a minute: pauses are often longer.
fn story_of_rooms() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![2 => 0..3i64, 3 => 3..40i64, 4 => 40..200i64, 1 => 200..800i64];
    let event = prop_oneof![4 => event(), 1 => (1..9i32).prop_map(Room)];
    prop::collection::vec((pause, event), 0..10).prop_map(|pairs| {
        let mut events = vec![(20, Apply("v2"))];
        events.extend(told(20, pairs));
        events
    })
}

fn told(mut at: i64, pairs: Vec<(i64, Event)>) -> Vec<(i64, Event)> {
    let after = |(pause, event)| {
        at += pause;
        (at, event)
    };
    pairs.into_iter().map(after).collect()
}

/// Peace: everything works again, and whoever has pods that are dead for good gets new ones. There is room for both
/// versions, or for only so many pods more than one of them has.
fn heal(sim: &mut Sim, more: Option<i32>) {
    sim.play(Away(false));
    sim.play(GatewayRefuses(false));
    sim.play(GatewayMirrors(true));
    if sim.spec.traffic.gateway.is_none() && sim.spec.rollout.strategy == Shadow {
        sim.play(Edit(canary));
    }
    sim.play(Edit(running));
    if sim.cluster.user_route && sim.cluster.route.is_none() {
        sim.play(MakeRoute);
    }
    for v in VERSIONS {
        let temper = sim.cluster.tempers.get(v).copied().unwrap_or_default();
        let dead = sim.cluster.of_version(v).is_some_and(|d| d.pods.contains(&None));
        if dead && matches!(temper, Temper::Fine) {
            sim.play(Kill(v, Some(5)));
        }
        if sim.metrics.qualities.get(v).is_some_and(|q| !matches!(q, Quality::Good | Quality::Bad)) {
            sim.play(Quality(v, Quality::Good));
        }
    }
    if sim.spec.replicas == 0 {
        sim.play(Replicas(2));
    }
    sim.play(Room(more.map_or(40, |more| sim.spec.replicas + more)));
}

/// Where it happens.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "nine coins")]
struct World {
    steps: bool,
    ratio: bool,
    drain: bool,
    testers: bool,
    users_route: bool,
    /// The operator dies after each single effect.
    mortal: bool,
    shadows: bool,
    /// One pod more than asked for, of both versions together.
    bounded: bool,
    /// The stable version makes room.
    makes_room: bool,
    /// The nodes have room for so many pods more than one version has; otherwise for any number.
    more: Option<i32>,
}

fn world() -> impl Strategy<Value = World> {
    let more = prop::option::of(0..3i32);
    (any::<[bool; 9]>(), more).prop_map(|(coins, more)| {
        let [steps, ratio, drain, testers, users_route, mortal, shadows, bounded, makes_room] = coins;
        World { steps, ratio, drain, testers, users_route, mortal, shadows, bounded, makes_room, more }
    })
}

/// Full nodes, and a stable version that makes room.
fn world_of_rooms() -> impl Strategy<Value = World> {
    (world(), 0..2i32).prop_map(|(world, more)| World {
        shadows: false,
        makes_room: true,
        more: Some(more),
        ..world
    })
}

/// On full nodes nothing is waited for but room, and that only where none may be made.
fn held_for_room(sim: &Sim) -> Result<(), TestCaseError> {
    let Some(c) = &sim.status.candidate else { return Ok(()) };
    let fine = |version: &str| sim.cluster.tempers.get(version).is_none_or(|t| *t == Temper::Fine);
    if fine(&c.version) && fine(sim.stable()) {
        prop_assert_eq!(sim.reason(), "Unschedulable", "{}", sim.log());
        let makes_room = sim.spec.rollout.when_unschedulable == WhenUnschedulable::MakeRoom;
        prop_assert!(!makes_room || sim.spec.replicas == 1, "{}", sim.log());
        prop_assert!(makes_room || c.waiting.is_none() || c.phase == Phase::Starting, "{}", sim.log());
    }
    Ok(())
}

/// What a story was about.
struct Told {
    /// A candidate waited for room.
    waited: bool,
    /// The stable version made room for it.
    made_room: bool,
    /// One for which it did serves.
    moved: bool,
}

fn ends_well(events: &[(i64, Event)], world: &World) -> Result<Told, TestCaseError> {
    let mut first = spec("v1");
    if !world.drain {
        first.availability.drain_seconds = 0;
    }
    if !world.steps {
        first.rollout.steps.clear();
    }
    if world.testers {
        crate::sim::script::testers(&mut first);
    }
    if world.shadows && !world.ratio && !world.users_route {
        shadows::on_evidence(&mut first);
    }
    if world.ratio {
        first.traffic.gateway = None;
    } else if world.users_route {
        crate::sim::script::by_user_route(&mut first);
    }
    if world.bounded {
        one_more(&mut first);
    }
    if world.makes_room {
        makes_room(&mut first);
        first.rollout.deadlines.unschedulable_seconds = 60;
    }
    let mut sim = Sim::new(first);
    sim.cluster.room = world.more.map(|more| sim.spec.replicas + more);
    sim.crash_always = world.mortal;
    sim.schedule(events);
    let last = events.last().map_or(0, |(at, _)| *at);
    sim.run_until(last + 1);
    heal(&mut sim, world.more);
    sim.run_until(last + 4000);
    if world.more.is_some() {
        held_for_room(&sim)?;
        sim.play(Room(40));
        sim.run_until(last + 8000);
    }
    let target = sim.target();
    let end = End::of(&sim);
    let refused = sim.status.last_failed.as_ref().is_some_and(|f| f.revision == target.id);
    let serves = sim.status.stable.as_ref().is_some_and(|s| s.revision == target.id);
    // A version without room for all its pods, or without a pod that was ever ready, is said and waited for.
    let fine = |version: &str| sim.cluster.tempers.get(version).is_none_or(|t| *t == Temper::Fine);
    let wanted = sim.spec.model.version.clone().unwrap_or_default();
    // Two stories end with a person: what was sent back keeps its traffic while nothing could take it, and so does what
    // somebody gave more than its step while the stable version is dead. Both are said.
    let held = sim.status.candidate.as_ref().is_some_and(|c| {
        // A route that was made again has other numbers.
        let all = sim.cluster.weight(c.slot) + sim.cluster.weight(c.slot.other());
        c.retreat.as_ref().is_some_and(|r| r.reject) || 100 * sim.cluster.weight(c.slot) > c.weight * all
    });
    let nowhere = held && !fine(&end.stable) && sim.condition("Progressing").1 == "StableUnavailable";
    prop_assert!(serves || refused || nowhere || !fine(&wanted), "{:?}\n{}", end, sim.log());
    if fine(&wanted) && fine(&end.stable) {
        prop_assert!(end.candidate.is_none(), "{:?}\n{}", end, sim.log());
        let expected = vec![(end.stable.clone(), sim.spec.replicas)];
        prop_assert_eq!(&end.deployments, &expected, "{}", sim.log());
        prop_assert_eq!(end.weight, 100, "{}", sim.log());
        prop_assert_eq!(sim.condition("Ready"), ("True", "Complete"), "{}", sim.log());
    }
    prop_assert!(end.candidate.is_some() || end.copied == 0, "{:?}\n{}", end, sim.log());
    is_at_rest(&mut sim);
    let written: Vec<&str> = sim.effects.iter().filter(|e| e.status).map(|e| e.text.as_str()).collect();
    Ok(Told {
        waited: written.iter().any(|text| text.contains("Progressing=Unschedulable")),
        made_room: written.iter().any(|text| text.contains(" fit;")),
        moved: written
            .windows(2)
            .any(|pair| pair[0].contains(" fit;") && pair[1].contains("; Some(Promoted)")),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(events in story(), world in world()) {
        ends_well(&events, &world)?;
    }

    #[test]
    fn whatever_happens_on_full_nodes(events in story_of_rooms(), world in world_of_rooms()) {
        ends_well(&events, &world)?;
    }
}

/// The stories on full nodes are about them.
#[test]
fn room_is_waited_for_and_made_in_many_a_story() {
    let (mut waited, mut made_room, mut moved) = (0, 0, 0);
    let mut runner = TestRunner::deterministic();
    for _ in 0..100 {
        let drawn = (story_of_rooms(), world_of_rooms()).new_tree(&mut runner).unwrap();
        let (events, world) = drawn.current();
        let told = ends_well(&events, &world).unwrap();
        waited += i32::from(told.waited);
        made_room += i32::from(told.made_room);
        moved += i32::from(told.moved);
    }
    let found = format!(
        "of 100 stories one waited for room in {waited}, it was made in {made_room} and helped in {moved}"
    );
    assert!(waited >= 50 && made_room >= 40 && moved >= 20, "{found}");
}
