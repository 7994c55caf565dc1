//! Stories of scarce nodes: a bound on the pods of both versions together, and room that the stable version makes.

use serin_api::{BlueGreen, IntOrString, ModelDeploymentSpec, Step, WhenUnschedulable};

use super::{
    Event::{self, *},
    cluster::Temper,
    metrics::Quality,
    script::{self, Script, by_user_route, pause},
    shadows, spec,
};

/// Four pods, and one more of both together.
pub fn bounded(s: &mut ModelDeploymentSpec) {
    s.replicas = 4;
    s.rollout.max_surge = Some(IntOrString::Int(1));
}
fn by_percent(s: &mut ModelDeploymentSpec) {
    s.replicas = 9;
    s.rollout.max_surge = Some(IntOrString::String("25%".to_owned()));
}
fn in_one_step(s: &mut ModelDeploymentSpec) {
    bounded(s);
    s.replicas = 8;
    s.rollout.steps = vec![Step { weight: 75, hold_seconds: 60, pause: false, mirror_percent: 0 }];
}
fn for_a_person(s: &mut ModelDeploymentSpec) {
    in_one_step(s);
    s.rollout.steps[0].pause = true;
}
fn by_ratio(s: &mut ModelDeploymentSpec) {
    bounded(s);
    s.traffic.gateway = None;
    s.rollout.steps.pop();
    s.rollout.steps[2].weight = 70;
}
fn bounded_by_users_route(s: &mut ModelDeploymentSpec) {
    bounded(s);
    by_user_route(s);
}
fn one_of_two(s: &mut ModelDeploymentSpec) {
    bounded(s);
    s.replicas = 1;
}
fn without_bound(s: &mut ModelDeploymentSpec) {
    s.rollout.max_surge = None;
}
fn more_at_once(s: &mut ModelDeploymentSpec) {
    s.rollout.max_surge = Some(IntOrString::Int(3));
}
fn window_of_one(s: &mut ModelDeploymentSpec) {
    bounded(s);
    s.rollout.rollback_window = 1;
}
pub fn makes_room(s: &mut ModelDeploymentSpec) {
    s.replicas = 4;
    s.rollout.when_unschedulable = WhenUnschedulable::MakeRoom;
    s.rollout.deadlines.unschedulable_seconds = 60;
}
fn down_to_half(s: &mut ModelDeploymentSpec) {
    makes_room(s);
    s.rollout.min_available = Some(IntOrString::String("50%".to_owned()));
}
fn leaves_all(s: &mut ModelDeploymentSpec) {
    makes_room(s);
    s.rollout.min_available = Some(IntOrString::Int(4));
}
fn only_one(s: &mut ModelDeploymentSpec) {
    makes_room(s);
    s.replicas = 1;
}
fn room_by_ratio(s: &mut ModelDeploymentSpec) {
    makes_room(s);
    s.traffic.gateway = None;
    s.rollout.steps.pop();
}
fn bounded_and_makes_room(s: &mut ModelDeploymentSpec) {
    bounded(s);
    makes_room(s);
}
/// A shadow becomes a canary with a bound: its copies go on until it takes over, by turns.
fn bounded_now(s: &mut ModelDeploymentSpec) {
    shadows::canary(s);
    s.rollout.blue_green = None;
    bounded(s);
}
fn four_of_a_shadow(s: &mut ModelDeploymentSpec) {
    shadows::on_evidence(s);
    s.replicas = 4;
}
fn a_shadow_now(s: &mut ModelDeploymentSpec) {
    s.rollout.max_surge = None;
    four_of_a_shadow(s);
}
fn four_at_once(s: &mut ModelDeploymentSpec) {
    script::blue(s);
    s.rollout.blue_green = Some(BlueGreen { preview_seconds: 300, auto_promote: true });
    s.replicas = 4;
}
fn waits_again(s: &mut ModelDeploymentSpec) {
    s.rollout.when_unschedulable = WhenUnschedulable::Wait;
}

/// v1 serves from second 8 on; v2 is asked for at second 100.
#[allow(clippy::too_many_lines, reason = "a list")]
pub fn all() -> Vec<Script> {
    let v2 = (100, Apply("v2"));
    let story = |name, edit, more: &[(i64, Event)], end| {
        let mut events = vec![v2];
        events.extend_from_slice(more);
        events.sort_by_key(|(at, _)| *at);
        Script { name, edit, events, end }
    };
    let bad = (90, Quality("v2", Quality::Bad));
    // Four pods are there, and no place for a fifth.
    let full = (50, Room(4));
    let turns = |at| (at, Quality("v2", Quality::Bad));
    vec![
        story("bounded", bounded, &[], 2000),
        story("bounded, one pod", one_of_two, &[], 2000),
        story("bounded by a percentage", by_percent, &[], 2000),
        story("bounded in one step", in_one_step, &[], 2500),
        story("bounded, a step for a person", for_a_person, &[(900, Skip("v2", "1"))], 3000),
        story("bounded by replica ratio", by_ratio, &[], 2000),
        story("bounded by a user's route", bounded_by_users_route, &[], 2000),
        story("bounded, bad", bounded, &[bad], 2000),
        story("bounded, bad at last", bounded, &[turns(330)], 2500),
        story("bounded in one step, bad on the way", in_one_step, &[turns(150)], 2500),
        story("bounded by replica ratio, bad at last", by_ratio, &[turns(280)], 2500),
        story("bounded by a user's route, bad at last", bounded_by_users_route, &[turns(330)], 2500),
        story("bounded, reverted at last", bounded, &[(330, Apply("v1"))], 2500),
        story("bounded, and a third at last", bounded, &[(330, Apply("v3"))], 3500),
        story("bounded, aborted at last", bounded, &[(330, Abort("v2", ""))], 2500),
        story("bounded, promoted by hand", bounded, &[(150, Promote("v2", ""))], 2000),
        story("bounded, promoted by hand before its traffic", bounded, &[(102, Promote("v2", ""))], 2000),
        story("bounded by replica ratio, promoted by hand", by_ratio, &[(102, Promote("v2", ""))], 2000),
        story(
            "bounded, promoted by hand on its way back",
            bounded,
            &[turns(330), (346, Promote("v2", ""))],
            2500,
        ),
        story("bounded, back within the window", window_of_one, &[(900, Apply("v1"))], 2500),
        story("bounded, paused on the way", in_one_step, &[(150, Edit(pause)), (900, Edit(pause))], 3000),
        story(
            "bounded, no Prometheus on the way",
            in_one_step,
            &[(150, Away(true)), (900, Away(false))],
            3000,
        ),
        story("bounded, losing its pods at last", bounded, &[(330, Kill("v2", Some(30)))], 3000),
        story(
            "bounded, losing its pods for good",
            bounded,
            &[(329, Temper("v2", Temper::NeverReady)), (330, Kill("v2", None))],
            3000,
        ),
        story("bounded, stable loses its pods", bounded, &[(330, Kill("v1", Some(30)))], 2500),
        story("bounded, stable dies", bounded, &[(330, Kill("v1", None))], 2500),
        story(
            "bounded, bad, and stable does not come back",
            bounded,
            &[turns(330), (331, Temper("v1", Temper::NeverReady))],
            3000,
        ),
        story(
            "bounded, crashing at last",
            bounded,
            &[(329, Temper("v2", Temper::CrashLoop)), (330, Kill("v2", None))],
            3000,
        ),
        story("bounded, scaled", bounded, &[(250, Replicas(9)), (330, Replicas(3))], 2500),
        story("bounded, put to sleep", bounded, &[(330, Replicas(0)), (1000, Replicas(4))], 3000),
        story("bounded, then not", bounded, &[(250, Edit(without_bound))], 2500),
        story("bounded in mid-canary", makes_no_difference, &[(250, Edit(bounded))], 2500),
        story("bounded otherwise", in_one_step, &[(150, Edit(more_at_once))], 2500),
        story("bounded, route edited", bounded, &[(250, EditRoute(20, 80)), (330, EditRoute(90, 10))], 2500),
        story("bounded, route lost", bounded, &[(250, LoseRoute), (330, LoseRoute)], 2500),
        story(
            "bounded, gateway refuses",
            bounded,
            &[(250, GatewayRefuses(true)), (500, GatewayRefuses(false))],
            2500,
        ),
        story("bounded, stable lost", bounded, &[(330, Lose("v1"))], 2500),
        story("bounded, route lost on its way", bounded, &[(356, LoseRoute)], 2500),
        story("a shadow, then bounded", four_of_a_shadow, &[(130, Edit(bounded_now))], 2500),
        story("a shadow, then bounded, bad", four_of_a_shadow, &[bad, (130, Edit(bounded_now))], 2500),
        story("a shadow, bounded before its copies", four_of_a_shadow, &[(102, Edit(bounded_now))], 2500),
        story("bounded, then a shadow", bounded, &[(250, Edit(a_shadow_now))], 2500),
        story("bounded, a shadow before its traffic", bounded, &[(102, Edit(a_shadow_now))], 2500),
        story("previewed, then bounded", four_at_once, &[(200, Edit(bounded_now))], 2500),
        story("previewed, bounded before that", four_at_once, &[(102, Edit(bounded_now))], 2500),
        story("room is made", makes_room, &[full], 3000),
        story("room is made by replica ratio", room_by_ratio, &[full], 3000),
        story("room is made, bounded", bounded_and_makes_room, &[full], 3000),
        story("room is made step by step", down_to_half, &[(50, Room(3)), (60, Replicas(4))], 4000),
        story("room for one more", makes_room, &[(50, Room(5))], 3000),
        story("room is made, bad", makes_room, &[full, bad], 3000),
        story("room is made, bad at last", makes_room, &[full, turns(420)], 4000),
        story("room is made by replica ratio, bad at last", room_by_ratio, &[full, turns(330)], 4000),
        story("room is made, reverted", makes_room, &[full, (250, Apply("v1"))], 3000),
        story("room is made, reverted before traffic", makes_room, &[full, (168, Apply("v1"))], 3000),
        story("room is made, and a third", makes_room, &[full, (250, Apply("v3"))], 4000),
        story("room is made, aborted", makes_room, &[full, (168, Abort("v2", ""))], 3000),
        story("room is made, never ready", makes_room, &[full, (90, Temper("v2", Temper::NeverReady))], 3000),
        story("room is made, crashing", makes_room, &[full, (90, Temper("v2", Temper::CrashLoop))], 3000),
        story("room is made, promoted by hand", makes_room, &[full, (250, Promote("v2", ""))], 3000),
        story("room is made, and there is more", makes_room, &[full, (200, Room(20))], 3000),
        story("room is made no more", makes_room, &[full, (250, Edit(waits_again))], 3000),
        story("room that must not be made", leaves_all, &[full], 2000),
        story("room that nobody can make", only_one, &[(50, Room(1))], 2000),
        story("room that would not help", makes_room, &[(90, Temper("v2", Temper::AtMost(0)))], 2000),
    ]
}

fn makes_no_difference(s: &mut ModelDeploymentSpec) {
    *s = ModelDeploymentSpec { replicas: 4, ..spec("v1") };
}
