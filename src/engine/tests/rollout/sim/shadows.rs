//! The stories of shadows: candidates that get copies of requests. As in `script`, v1 serves from second 8 on, v2 is asked
//! for at second 100 and ready at 105.

use serin_api::{ModelDeploymentSpec, Promotion, Shadow, Strategy};

use super::{
    Event::{self, *},
    cluster::Temper,
    metrics::Quality,
    script::{self, Script},
};

/// Copies of everything, and a person promotes.
pub fn shadow(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
    s.rollout.strategy = Strategy::Shadow;
}
/// Copies of a half, promoted on evidence.
pub fn on_evidence(s: &mut ModelDeploymentSpec) {
    shadow(s);
    let promotion = Promotion::OnEvidence;
    s.rollout.shadow = Some(Shadow { mirror_percent: 50, hold_seconds: 60, promotion });
}
/// A canary again, of a single step.
pub fn canary(s: &mut ModelDeploymentSpec) {
    s.rollout.shadow = None;
    s.rollout.strategy = Strategy::Canary;
}
fn blue(s: &mut ModelDeploymentSpec) {
    s.rollout.shadow = None;
    script::blue(s);
}
fn recreate(s: &mut ModelDeploymentSpec) {
    s.rollout.shadow = None;
    script::recreate(s);
}
fn with_testers(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::testers(s);
}
fn with_one_pod(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::one_pod(s);
}
fn without_draining(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::no_drain(s);
}
fn back_without_data(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::rollback_without_data(s);
}
fn within_a_window(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::window_of_one(s);
}
fn in_a_channel(s: &mut ModelDeploymentSpec) {
    on_evidence(s);
    script::auto(s);
}
fn as_it_is(_: &mut ModelDeploymentSpec) {}

/// All of them.
#[allow(clippy::too_many_lines, reason = "a list")]
pub fn all() -> Vec<Script> {
    let v2 = (100, Apply("v2"));
    let bad = (90, Quality("v2", Quality::Bad));
    let cannot = (50, GatewayMirrors(false));
    let story = |name, edit, before: &[(i64, Event)], after: &[(i64, Event)]| {
        let events = before.iter().chain([&v2]).chain(after).copied().collect();
        Script { name, edit, events, end: 2500 }
    };
    let judged =
        |name, before: &[(i64, Event)], after: &[(i64, Event)]| story(name, on_evidence, before, after);
    let by_hand = |name, after: &[(i64, Event)]| story(name, shadow, &[], after);
    let (made, second) = ((2, Version("v1", true)), (100, Version("v2", true)));
    vec![
        by_hand("shadow", &[]),
        by_hand("shadow, promoted by hand", &[(900, Promote("v2", ""))]),
        by_hand("shadow, promoted by hand before its copies", &[(102, Promote("v2", ""))]),
        by_hand("shadow, left to the evidence", &[(900, Skip("v2", "1"))]),
        by_hand("shadow, left to the evidence too soon", &[(130, Skip("v2", "1"))]),
        story("shadow, bad", shadow, &[bad], &[]),
        story("shadow, bad, promoted by hand", shadow, &[bad], &[(120, Promote("v2", ""))]),
        by_hand("shadow, aborted", &[(300, Abort("v2", ""))]),
        by_hand("shadow, reverted", &[(300, Apply("v1"))]),
        by_hand("shadow, reverted before its copies", &[(102, Apply("v1"))]),
        by_hand("shadow, and a third", &[(300, Apply("v3")), (900, Promote("v3", ""))]),
        by_hand("shadow, the stable version breaks", &[(300, Kill("v1", None)), (900, Promote("v2", ""))]),
        judged("shadow on evidence", &[], &[]),
        judged("shadow on evidence, bad", &[bad], &[]),
        judged("shadow on evidence, unclear", &[(90, Quality("v2", Quality::Unclear))], &[]),
        judged(
            "shadow on evidence, suspicious at first",
            &[(90, Quality("v2", Quality::Suspicious))],
            &[(900, Quality("v2", Quality::Good))],
        ),
        judged("shadow on evidence, misrouted", &[(90, Quality("v2", Quality::Misrouted))], &[]),
        judged(
            "shadow on evidence, misrouted at first",
            &[(90, Quality("v2", Quality::Misrouted))],
            &[(900, Quality("v2", Quality::Good))],
        ),
        judged("shadow on evidence, silent", &[(90, Quality("v2", Quality::Silent))], &[]),
        story(
            "shadow on evidence, silent, back",
            back_without_data,
            &[(90, Quality("v2", Quality::Silent))],
            &[],
        ),
        judged("shadow on evidence, no Prometheus at first", &[(90, Away(true))], &[(900, Away(false))]),
        judged("shadow on evidence, no Prometheus in between", &[], &[(130, Away(true)), (900, Away(false))]),
        story("shadow on evidence with one pod", with_one_pod, &[], &[]),
        story("shadow on evidence with one pod, bad", with_one_pod, &[bad], &[]),
        story("shadow on evidence without draining", without_draining, &[], &[]),
        story("shadow on evidence without draining, bad", without_draining, &[bad], &[]),
        story("shadow on evidence with testers", with_testers, &[], &[]),
        story("shadow on evidence with testers, bad", with_testers, &[bad], &[]),
        story("shadow on evidence within the window", within_a_window, &[], &[(900, Apply("v1"))]),
        judged("shadow on evidence, crashing", &[(90, Temper("v2", Temper::CrashLoop))], &[]),
        judged("shadow on evidence, never ready", &[(90, Temper("v2", Temper::NeverReady))], &[]),
        judged("shadow on evidence, losing its pods", &[], &[(130, Kill("v2", Some(60)))]),
        judged(
            "shadow on evidence, losing its pods for good",
            &[],
            &[(129, Temper("v2", Temper::NeverReady)), (130, Kill("v2", None))],
        ),
        judged(
            "shadow on evidence, crashing later",
            &[],
            &[(129, Temper("v2", Temper::CrashLoop)), (130, Kill("v2", None))],
        ),
        judged("shadow on evidence, lost", &[], &[(130, Lose("v2"))]),
        judged("shadow on evidence, the stable version lost", &[], &[(130, Lose("v1"))]),
        judged("shadow on evidence, the stable version away", &[], &[(130, Kill("v1", Some(100)))]),
        judged("shadow on evidence, the stable version broken", &[(50, Kill("v1", None))], &[]),
        judged("shadow on evidence, a third while failing", &[bad], &[(153, Apply("v3"))]),
        judged("shadow on evidence, there and back", &[], &[(130, Apply("v1")), (131, Apply("v2"))]),
        judged("shadow on evidence, scaled", &[], &[(130, Replicas(9)), (150, Replicas(3))]),
        judged("shadow on evidence, put to sleep", &[], &[(130, Replicas(0)), (900, Replicas(3))]),
        judged("shadow on evidence, paused", &[], &[(130, Edit(script::pause)), (900, Edit(script::pause))]),
        judged(
            "shadow on evidence, paused before its copies",
            &[(50, Edit(script::pause))],
            &[(900, Edit(script::pause))],
        ),
        judged("shadow on evidence, route edited", &[], &[(130, EditRoute(30, 70))]),
        judged("shadow on evidence, route lost", &[], &[(130, LoseRoute)]),
        judged(
            "shadow on evidence, route refused",
            &[],
            &[(130, GatewayRefuses(true)), (400, GatewayRefuses(false))],
        ),
        judged(
            "shadow on evidence, retried",
            &[bad],
            &[(400, Quality("v2", Quality::Good)), (500, Retry("v2", "again"))],
        ),
        judged("shadow on evidence, then a canary", &[], &[(130, Edit(canary))]),
        judged("shadow on evidence, then all at once", &[], &[(130, Edit(blue))]),
        judged("shadow on evidence, then in place", &[], &[(130, Edit(recreate))]),
        judged("shadow on evidence, then in place before its copies", &[], &[(102, Edit(recreate))]),
        story("a canary, then a shadow", as_it_is, &[], &[(150, Edit(on_evidence))]),
        story("a canary, then a shadow before its traffic", as_it_is, &[], &[(102, Edit(on_evidence))]),
        story("by pods, then a shadow", script::ratio, &[], &[(150, Edit(on_evidence)), (300, Edit(canary))]),
        judged("shadow, by a gateway that cannot", &[cannot], &[]),
        judged("shadow, by a gateway that can later", &[cannot], &[(900, GatewayMirrors(true))]),
        judged("shadow, by a gateway that cannot, then a canary", &[cannot], &[(500, Edit(canary))]),
        judged("shadow, by a gateway that cannot, in an outage", &[cannot, (60, Kill("v1", None))], &[]),
        judged("shadow, by a gateway that cannot, and back", &[cannot], &[(500, Apply("v1"))]),
        judged("shadow, by a gateway that can no longer", &[], &[(130, GatewayMirrors(false))]),
        judged(
            "shadow, by a gateway that can no longer for a while",
            &[],
            &[(130, GatewayMirrors(false)), (900, GatewayMirrors(true))],
        ),
        judged("shadow, by a gateway that can no longer, bad", &[bad], &[(130, GatewayMirrors(false))]),
        Script { name: "shadow of a channel", edit: in_a_channel, events: vec![made, second], end: 2000 },
        Script {
            name: "shadow of a channel, bad",
            edit: in_a_channel,
            events: vec![made, second, bad],
            end: 2000,
        },
    ]
}
