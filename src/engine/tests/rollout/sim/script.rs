//! The stories. Each is told once undisturbed and once for every effect after which the operator can die.

use serin_api::{
    Approval, BlueGreen, Deadlines, HttpRouteRef, IntOrString, ModelDeploymentSpec, OnHorizon, OnNoData,
    Strategy,
};

use super::{
    Event::{self, *},
    Sim,
    channel::channel,
    cluster::Temper,
    metrics::Quality,
    spec,
};

#[derive(Clone)]
pub struct Script {
    pub name: &'static str,
    pub edit: fn(&mut ModelDeploymentSpec),
    pub events: Vec<(i64, Event)>,
    pub end: i64,
}

impl Script {
    /// The world at its beginning: nothing but the spec of v1.
    pub fn sim(&self) -> Sim {
        let mut first = spec("v1");
        (self.edit)(&mut first);
        let mut sim = Sim::new(first);
        sim.schedule(&self.events);
        sim
    }

    /// The whole story.
    pub fn run(&self) -> Sim {
        let mut sim = self.sim();
        sim.run_until(self.end);
        sim
    }
}

/// A story by name.
pub fn named(name: &str) -> Script {
    all().into_iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no story {name}"))
}

fn as_it_is(_: &mut ModelDeploymentSpec) {}
fn no_steps(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
}
pub fn ratio(s: &mut ModelDeploymentSpec) {
    s.traffic.gateway = None;
    s.replicas = 9;
    s.rollout.steps.pop();
}
pub fn no_drain(s: &mut ModelDeploymentSpec) {
    s.availability.drain_seconds = 0;
}
pub fn one_pod(s: &mut ModelDeploymentSpec) {
    s.replicas = 1;
}
pub fn rollback_without_data(s: &mut ModelDeploymentSpec) {
    s.rollout.analysis.on_no_data = OnNoData::Rollback;
}
fn horizon(s: &mut ModelDeploymentSpec, then: OnHorizon) {
    s.rollout.analysis.horizon_seconds = 600;
    s.rollout.analysis.on_horizon = then;
}
fn hold_at_horizon(s: &mut ModelDeploymentSpec) {
    horizon(s, OnHorizon::Hold);
}
fn promote_at_horizon(s: &mut ModelDeploymentSpec) {
    horizon(s, OnHorizon::Promote);
}
fn rollback_at_horizon(s: &mut ModelDeploymentSpec) {
    horizon(s, OnHorizon::Rollback);
}
pub fn pause(s: &mut ModelDeploymentSpec) {
    s.rollout.paused = !s.rollout.paused;
}
fn a_step_for_a_person(s: &mut ModelDeploymentSpec) {
    s.rollout.steps[0].pause = true;
}
pub fn window_of_one(s: &mut ModelDeploymentSpec) {
    s.rollout.rollback_window = 1;
}
fn budget(s: &mut ModelDeploymentSpec) {
    s.availability.max_unavailable = Some(IntOrString::Int(1));
}
fn larger_budget(s: &mut ModelDeploymentSpec) {
    s.availability.max_unavailable = Some(IntOrString::String("50%".to_owned()));
}
fn no_budget(s: &mut ModelDeploymentSpec) {
    s.availability.max_unavailable = None;
}
pub fn testers(s: &mut ModelDeploymentSpec) {
    let testers = serde_json::json!({ "header": "X-Tester", "value": "yes" });
    if let Some(gateway) = &mut s.traffic.gateway {
        gateway.testers = serde_json::from_value(testers).ok();
    }
}
fn no_testers(s: &mut ModelDeploymentSpec) {
    if let Some(gateway) = &mut s.traffic.gateway {
        gateway.testers = None;
    }
}
fn sessions(s: &mut ModelDeploymentSpec) {
    if let Some(gateway) = &mut s.traffic.gateway {
        gateway.session_persistence = Some(serin_api::SessionPersistence::default());
    }
}
fn no_sessions(s: &mut ModelDeploymentSpec) {
    if let Some(gateway) = &mut s.traffic.gateway {
        gateway.session_persistence = None;
    }
}
fn blue_with_testers(s: &mut ModelDeploymentSpec) {
    previewed(s);
    testers(s);
}
pub fn blue(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
    s.rollout.strategy = Strategy::BlueGreen;
}
fn blue_by_ratio(s: &mut ModelDeploymentSpec) {
    ratio(s);
    blue(s);
}
fn blue_by_hand(s: &mut ModelDeploymentSpec) {
    blue(s);
    s.rollout.blue_green = Some(BlueGreen { preview_seconds: 60, auto_promote: false });
}
fn previewed(s: &mut ModelDeploymentSpec) {
    blue(s);
    s.rollout.blue_green = Some(BlueGreen { preview_seconds: 300, auto_promote: true });
}
pub fn recreate(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.clear();
    s.rollout.strategy = Strategy::Recreate;
}
pub fn by_user_route(s: &mut ModelDeploymentSpec) {
    s.traffic.gateway = None;
    s.traffic.http_route = Some(HttpRouteRef { name: "front".to_owned(), rule: None });
}
fn by_own_route(s: &mut ModelDeploymentSpec) {
    s.traffic = spec("v1").traffic;
}
pub fn auto(s: &mut ModelDeploymentSpec) {
    s.model = channel(Approval::Auto);
}
fn manual(s: &mut ModelDeploymentSpec) {
    s.model = channel(Approval::Manual);
}
fn another_server(s: &mut ModelDeploymentSpec) {
    "registry.example/wine-server:2".clone_into(&mut s.server.image);
}
fn patient_with_crashes(s: &mut ModelDeploymentSpec) {
    s.rollout.deadlines.crash_loop_restarts = 5;
}
pub fn hasty(s: &mut ModelDeploymentSpec) {
    s.rollout.deadlines =
        Deadlines { unschedulable_seconds: 60, image_pull_seconds: 30, crash_loop_restarts: 1 };
}
fn patient_with_nodes(s: &mut ModelDeploymentSpec) {
    s.rollout.deadlines.unschedulable_seconds = 3600;
}
fn falling_steps(s: &mut ModelDeploymentSpec) {
    s.rollout.steps.reverse();
}

/// All of them.
pub fn all() -> Vec<Script> {
    let mut all = plenty();
    all.extend(super::rooms::all());
    all
}

/// Those with nodes enough. v1 serves from second 8 on; v2 is asked for at second 100 and ready at 105.
#[allow(clippy::too_many_lines, reason = "a list")]
fn plenty() -> Vec<Script> {
    let v2 = (100, Apply("v2"));
    let only_v2 = [v2];
    let there = (90, Version("v2", true));
    let by_name = (100, Reference("v2"));
    let bad = (90, Quality("v2", Quality::Bad));
    let unclear = (90, Quality("v2", Quality::Unclear));
    let story =
        |name, edit, events: &[(i64, Event)], end| Script { name, edit, events: events.to_vec(), end };
    let plain = |name, events: &[(i64, Event)]| story(name, as_it_is, events, 2000);
    let with_v2 = |name, events: &[(i64, Event)]| {
        let mut all = vec![v2];
        all.extend_from_slice(events);
        story(name, as_it_is, &all, 2000)
    };
    let (first, second) = ((2, Version("v1", true)), (100, Version("v2", true)));
    let approved = (2, Approve("v1", true));
    let in_channel = |name, events: &[(i64, Event)]| {
        let mut all = vec![first, second];
        all.extend_from_slice(events);
        story(name, auto, &all, 2000)
    };
    let crashing = (0, Temper("v1", Temper::CrashLoop));
    let no_room = (90, Temper("v2", Temper::AtMost(0)));
    let no_image = (90, Temper("v2", Temper::NoImage));
    let crashes = (90, Temper("v2", Temper::CrashLoop));
    let temper = |name, temper| plain(name, &[(90, Temper("v2", temper)), v2]);
    vec![
        plain("first", &[]),
        with_v2("good", &[]),
        story("good with one pod", one_pod, &only_v2, 2000),
        story("good without draining", no_drain, &only_v2, 2000),
        story("good by an adaptive ramp", no_steps, &only_v2, 2000),
        story("good by replica ratio", ratio, &only_v2, 2000),
        story("good with a budget", budget, &[v2, (150, Edit(larger_budget))], 2000),
        story("a budget that is taken away", budget, &[v2, (150, Edit(no_budget))], 2000),
        with_v2("a budget that comes in mid-canary", &[(150, Edit(budget))]),
        plain("bad", &[bad, v2]),
        story("bad with one pod", one_pod, &[bad, v2], 2000),
        story("bad without draining", no_drain, &[bad, v2], 2000),
        story("bad by replica ratio", ratio, &[bad, v2], 2000),
        with_v2(
            "suspicious",
            &[(101, Quality("v2", Quality::Suspicious)), (900, Quality("v2", Quality::Good))],
        ),
        temper("crash loop", Temper::CrashLoop),
        temper("never ready", Temper::NeverReady),
        temper("no image", Temper::NoImage),
        temper("room for one", Temper::AtMost(1)),
        temper("no room", Temper::AtMost(0)),
        story("by a user's route", by_user_route, &only_v2, 2000),
        story("bad by a user's route", by_user_route, &[bad, v2], 2000),
        story("a user's route that is lost", by_user_route, &[v2, (200, LoseRoute), (400, MakeRoute)], 2500),
        story("a user's route that comes late", by_user_route, &[(0, LoseRoute), (300, MakeRoute)], 2000),
        story("a user's route lost for good", by_user_route, &[v2, (200, LoseRoute)], 2000),
        story(
            "a user's route edited",
            by_user_route,
            &[(50, EditRoute(30, 70)), v2, (150, EditRoute(20, 80))],
            2000,
        ),
        story(
            "a user's route that is refused",
            by_user_route,
            &[v2, (150, GatewayRefuses(true)), (400, GatewayRefuses(false))],
            2000,
        ),
        story(
            "a user's route, switched to",
            as_it_is,
            &[(100, Edit(by_user_route)), (300, Edit(by_own_route))],
            2000,
        ),
        // Ready 400 s after there is room: by then its general deadline, counted from the start, is long past.
        plain(
            "no room for a while",
            &[no_room, v2, (600, Temper("v2", Temper::Fine)), (600, Kill("v2", Some(400)))],
        ),
        story(
            "no room for long",
            patient_with_nodes,
            &[no_room, v2, (1700, Temper("v2", Temper::Fine)), (1700, Kill("v2", Some(5)))],
            3000,
        ),
        story("no room in a hurry", hasty, &[no_room, v2], 2000),
        plain("no room, then no image", &[no_room, v2, (600, Temper("v2", Temper::NoImage))]),
        plain("no room, then never ready", &[no_room, v2, (600, Temper("v2", Temper::NeverReady))]),
        plain(
            "no image at first",
            &[no_image, v2, (200, Temper("v2", Temper::Fine)), (200, Kill("v2", Some(400)))],
        ),
        story("no image in a hurry", hasty, &[no_image, v2], 2000),
        story("crashes that are borne", patient_with_crashes, &[crashes, v2], 2000),
        story("crashes in a hurry", hasty, &[crashes, v2], 2000),
        story("no room for a promotion by hand", as_it_is, &[no_room, v2, (300, Promote("v2", ""))], 2000),
        story("no room, sleeping", as_it_is, &[no_room, v2, (300, Replicas(0)), (900, Replicas(3))], 3000),
        story("no room, aborted", as_it_is, &[no_room, v2, (300, Abort("v2", ""))], 2000),
        story("recreated without room", recreate, &[no_room, v2], 2000),
        plain("first one without room", &[(0, Temper("v1", Temper::AtMost(0)))]),
        plain(
            "first one without room for a while",
            &[
                (0, Temper("v1", Temper::AtMost(0))),
                (900, Temper("v1", Temper::Fine)),
                (900, Kill("v1", Some(5))),
            ],
        ),
        plain("first one without an image", &[(0, Temper("v1", Temper::NoImage))]),
        plain("first one crashing", &[crashing]),
        with_v2("reverted", &[(200, Apply("v1"))]),
        with_v2("reverted before traffic", &[(102, Apply("v1"))]),
        with_v2("a third", &[(200, Apply("v3"))]),
        with_v2("a third before traffic", &[(102, Apply("v3"))]),
        with_v2("there and back", &[(200, Apply("v1")), (201, Apply("v2"))]),
        plain("a third while failing", &[bad, v2, (153, Apply("v3"))]),
        with_v2("back while draining", &[(370, Apply("v1"))]),
        with_v2("scaled", &[(150, Replicas(9)), (250, Replicas(3))]),
        with_v2("scaled at the end", &[(340, Replicas(9)), (356, Replicas(2))]),
        plain("no Prometheus at first", &[(90, Away(true)), v2, (800, Away(false))]),
        plain(
            "no Prometheus, then an eviction",
            &[(90, Away(true)), v2, (900, Kill("v2", Some(5))), (1000, Away(false))],
        ),
        plain(
            "no Prometheus, then more pods",
            &[(90, Away(true)), v2, (900, Replicas(12)), (1000, Away(false))],
        ),
        with_v2("Prometheus away in between", &[(150, Away(true)), (1000, Away(false))]),
        story(
            "a blip after a long start",
            rollback_without_data,
            &[(90, Away(true)), v2, (900, Away(false)), (935, Away(true)), (980, Away(false))],
            2000,
        ),
        plain("silent", &[(90, Quality("v2", Quality::Silent)), v2]),
        plain(
            "silent, then good",
            &[(90, Quality("v2", Quality::Silent)), v2, (1000, Quality("v2", Quality::Good))],
        ),
        story("silent, back", rollback_without_data, &[(90, Quality("v2", Quality::Silent)), v2], 2000),
        story("away, back", rollback_without_data, &[v2, (150, Away(true))], 2000),
        story("unclear, held", hold_at_horizon, &[unclear, v2], 2000),
        story("unclear, promoted", promote_at_horizon, &[unclear, v2], 2000),
        story("unclear, back", rollback_at_horizon, &[unclear, v2], 2000),
        with_v2("candidate loses its pods", &[(200, Kill("v2", Some(20)))]),
        with_v2(
            "candidate loses its pods for good",
            &[(199, Temper("v2", Temper::NeverReady)), (200, Kill("v2", None))],
        ),
        with_v2(
            "candidate loses its pods and crashes",
            &[(199, Temper("v2", Temper::CrashLoop)), (200, Kill("v2", None)), (202, Kill("v2", None))],
        ),
        plain("failing without pods", &[bad, v2, (140, Kill("v2", Some(60)))]),
        with_v2("stable loses its pods for a while", &[(200, Kill("v1", Some(30)))]),
        plain("nowhere to go back to", &[bad, v2, (120, Kill("v1", None)), (600, Kill("v1", Some(5)))]),
        plain("rejected and asked for again", &[bad, v2, (400, Apply("v1")), (500, Apply("v2"))]),
        plain("rejected, then a third", &[bad, v2, (400, Apply("v3"))]),
        plain("retried", &[bad, v2, (400, Quality("v2", Quality::Good)), (500, Retry("v2", "again"))]),
        plain("retried in vain", &[bad, v2, (500, Retry("v2", "again"))]),
        plain("retry of another", &[bad, v2, (500, Retry("v3", "again"))]),
        with_v2("promoted by hand", &[(150, Promote("v2", ""))]),
        with_v2("promoted by hand before its traffic", &[(102, Promote("v2", ""))]),
        plain("promoted by hand while failing", &[bad, v2, (120, Promote("v2", ""))]),
        plain(
            "promoted by hand on its way back",
            &[bad, v2, (110, GatewayRefuses(true)), (200, Promote("v2", "")), (300, GatewayRefuses(false))],
        ),
        plain(
            "promoted by hand with nowhere to go back to",
            &[bad, v2, (120, Kill("v1", None)), (600, Promote("v2", ""))],
        ),
        with_v2("another one promoted by hand", &[(150, Promote("v3", "")), (151, Promote("v1", ""))]),
        plain(
            "promoted by hand, and crashing",
            &[(90, Temper("v2", Temper::CrashLoop)), v2, (101, Promote("v2", ""))],
        ),
        with_v2("aborted", &[(150, Abort("v2", ""))]),
        with_v2("aborted before its traffic", &[(102, Abort("v2", ""))]),
        with_v2("aborted, and tried again", &[(150, Abort("v2", "")), (400, Retry("v2", "again"))]),
        with_v2("another one aborted", &[(150, Abort("v3", "")), (151, Abort("v1", ""))]),
        plain("misrouted", &[(90, Quality("v2", Quality::Misrouted)), v2]),
        plain(
            "misrouted, then right",
            &[(90, Quality("v2", Quality::Misrouted)), v2, (1000, Quality("v2", Quality::Good))],
        ),
        story("a step for a person", a_step_for_a_person, &only_v2, 2000),
        story("a step for a person, passed", a_step_for_a_person, &[v2, (900, Skip("v2", "1"))], 2000),
        story("a step for a person, failing", a_step_for_a_person, &[bad, v2], 2000),
        with_v2(
            "a suspicious step skipped",
            &[
                (101, Quality("v2", Quality::Suspicious)),
                (300, Skip("v2", "1")),
                (600, Quality("v2", Quality::Good)),
            ],
        ),
        with_v2("another step skipped", &[(110, Skip("v2", "2"))]),
        story("back within the window", window_of_one, &[v2, (900, Apply("v1"))], 2000),
        story(
            "back within the window, and crashing",
            window_of_one,
            &[v2, (890, Temper("v1", Temper::CrashLoop)), (900, Apply("v1"))],
            2000,
        ),
        story(
            "back from beyond the window",
            window_of_one,
            &[v2, (600, Apply("v3")), (1200, Apply("v1"))],
            2200,
        ),
        story("testers", testers, &only_v2, 2000),
        story("testers of a bad one", testers, &[bad, v2], 2000),
        story(
            "testers of one that loses its pods",
            testers,
            &[v2, (199, Temper("v2", Temper::NeverReady)), (200, Kill("v2", None))],
            4000,
        ),
        story("testers by and by", as_it_is, &[v2, (150, Edit(testers)), (400, Edit(no_testers))], 2000),
        story("testers of the third", testers, &[v2, (300, Apply("v3"))], 3000),
        story("sessions", sessions, &only_v2, 2000),
        story("sessions of a bad one", sessions, &[bad, v2], 2000),
        story("sessions by and by", as_it_is, &[v2, (150, Edit(sessions)), (400, Edit(no_sessions))], 2000),
        story(
            "sessions that cannot be kept, and then can",
            sessions,
            &[(0, SessionField(Some(false))), v2, (200, SessionField(Some(true)))],
            2000,
        ),
        story("blue", blue, &only_v2, 2000),
        story("blue with testers", blue_with_testers, &only_v2, 2000),
        story("blue by replica ratio", blue_by_ratio, &only_v2, 2000),
        story("blue, waiting for a person", blue_by_hand, &only_v2, 2000),
        story("blue, passed by a person", blue_by_hand, &[v2, (900, Skip("v2", "1"))], 2000),
        story("blue, bad for its testers", previewed, &[bad, v2], 2000),
        story("blue, without testers", previewed, &[(90, Quality("v2", Quality::Silent)), v2], 2000),
        story("blue, without Prometheus", previewed, &[(90, Away(true)), v2, (900, Away(false))], 2000),
        story("blue, losing its pods", previewed, &[v2, (200, Kill("v2", Some(60)))], 2000),
        story("blue, reverted", previewed, &[v2, (200, Apply("v1"))], 2000),
        story("blue, and a third", previewed, &[v2, (200, Apply("v3"))], 2000),
        story("blue, crashing", blue, &[(90, Temper("v2", Temper::CrashLoop)), v2], 2000),
        story("blue, paused", previewed, &[v2, (150, Edit(pause)), (900, Edit(pause))], 2000),
        story("recreated", recreate, &only_v2, 2000),
        story("recreated, crashing", recreate, &[(90, Temper("v2", Temper::CrashLoop)), v2], 2000),
        story("recreated, never ready", recreate, &[(90, Temper("v2", Temper::NeverReady)), v2], 2000),
        story("recreated, reverted", recreate, &[v2, (102, Apply("v1"))], 2000),
        story("recreated, and a third", recreate, &[v2, (102, Apply("v3"))], 2000),
        story("recreated, aborted", recreate, &[v2, (102, Abort("v2", ""))], 2000),
        story("recreated, paused", recreate, &[(50, Edit(pause)), v2, (900, Edit(pause))], 2000),
        with_v2("paused", &[(150, Edit(pause))]),
        with_v2("paused, and on", &[(150, Edit(pause)), (900, Edit(pause))]),
        with_v2("paused before its traffic", &[(50, Edit(pause)), (900, Edit(pause))]),
        with_v2("paused and failing", &[(150, Edit(pause)), (200, Quality("v2", Quality::Bad))]),
        plain("asleep", &[(100, Replicas(0)), (200, Apply("v2")), (400, Replicas(2))]),
        with_v2("put to sleep", &[(200, Replicas(0)), (1000, Replicas(3))]),
        plain("put to sleep while failing", &[bad, v2, (140, Replicas(0)), (1000, Replicas(3))]),
        with_v2("put to sleep before traffic", &[(102, Replicas(0)), (1000, Replicas(3))]),
        with_v2("invalid in between", &[(150, Edit(falling_steps)), (400, Edit(falling_steps))]),
        plain(
            "route edited",
            &[(50, EditRoute(30, 70)), v2, (150, EditRoute(20, 80)), (152, EditRoute(80, 20))],
        ),
        with_v2("route lost", &[(50, LoseRoute), (150, LoseRoute)]),
        with_v2("stable lost", &[(150, Lose("v1"))]),
        with_v2("candidate lost", &[(150, Lose("v2"))]),
        with_v2("gateway refuses", &[(150, GatewayRefuses(true)), (400, GatewayRefuses(false))]),
        plain("first one broken", &[crashing, v2]),
        plain("first one replaced twice", &[crashing, (20, Apply("v2")), (22, Apply("v3"))]),
        plain("stable broken", &[(50, Kill("v1", None)), v2]),
        with_v2("stable breaks", &[(150, Kill("v1", None))]),
        with_v2("stable dies as the first weight is written", &[(106, Kill("v1", None))]),
        with_v2("stable dies before the first weight", &[(103, Kill("v1", None))]),
        with_v2("stable dies before the first weight, for a while", &[(103, Kill("v1", Some(60)))]),
        with_v2("both die", &[(200, Kill("v2", Some(30))), (201, Kill("v1", Some(60)))]),
        with_v2(
            "route edited while stable is away",
            &[(150, Kill("v1", Some(100))), (160, EditRoute(0, 100))],
        ),
        plain("a version", &[there, by_name]),
        plain("a version that appears", &[by_name, (400, Version("v2", true))]),
        plain("a version that never appears", &[by_name]),
        plain("a version revoked while it is tried", &[there, by_name, (200, Revoke("v2"))]),
        plain(
            "a version revoked before its traffic",
            &[there, (90, Temper("v2", Temper::NeverReady)), by_name, (150, Revoke("v2"))],
        ),
        plain("a revoked version", &[there, (95, Revoke("v2")), by_name]),
        plain("a refused version", &[there, (95, Refuse("v2")), by_name]),
        plain("a version refused while it is tried", &[there, by_name, (200, Refuse("v2"))]),
        plain(
            "a version deleted while it is tried",
            &[there, by_name, (200, Version("v2", false)), (900, Version("v2", true))],
        ),
        plain("a version revoked while it serves", &[there, by_name, (1000, Revoke("v2"))]),
        plain(
            "a revoked version replaced",
            &[there, by_name, (1000, Revoke("v2")), (1100, Version("v3", true)), (1200, Reference("v3"))],
        ),
        plain("a bad version", &[bad, there, by_name]),
        plain("a version and back", &[there, by_name, (200, Apply("v1"))]),
        story("a channel without a version", auto, &[], 2000),
        in_channel("a channel", &[]),
        in_channel("a channel and a bad version", &[bad]),
        in_channel("a channel and a crash loop", &[(90, Temper("v2", Temper::CrashLoop))]),
        in_channel("a channel and no image", &[(90, Temper("v2", Temper::NoImage))]),
        in_channel("a channel and one that is not judged", &[(100, Refuse("v2"))]),
        in_channel("a channel, sent back by hand", &[(150, Abort("v2", ""))]),
        in_channel("a channel, revoked while it is tried", &[(200, Revoke("v2"))]),
        in_channel("a channel, revoked while it serves", &[(1000, Revoke("v2"))]),
        in_channel("a channel, all revoked", &[(1000, Revoke("v2")), (1000, Revoke("v1"))]),
        in_channel("a channel and a third in mid-canary", &[(200, Version("v3", true))]),
        in_channel("a channel, a bad one, and a third", &[bad, (400, Version("v3", true))]),
        in_channel("a channel, its record deleted", &[(1000, Version("v2", false))]),
        in_channel(
            "a channel, its record deleted, and a third",
            &[(1000, Version("v2", false)), (1200, Version("v3", true))],
        ),
        in_channel("a channel, a bad one, made again", &[bad, (600, MadeAgain)]),
        in_channel(
            "a channel, retried",
            &[bad, (400, Quality("v2", Quality::Good)), (500, Retry("v2", "again"))],
        ),
        in_channel("a channel, retried on its way back", &[bad, (153, Retry("v2", "again"))]),
        in_channel("a channel, retried in vain", &[bad, (500, Retry("v2", "again"))]),
        in_channel(
            "a channel, made again and retried",
            &[bad, (600, MadeAgain), (700, Quality("v2", Quality::Good)), (900, Retry("v2", "again"))],
        ),
        in_channel(
            "a channel and a bad server",
            &[(600, Quality("v2", Quality::Bad)), (700, Edit(another_server))],
        ),
        in_channel(
            "a channel left for a version",
            &[bad, (600, Reference("v2")), (700, Quality("v2", Quality::Good))],
        ),
        plain("a channel after a bad version", &[bad, there, by_name, (500, Channel(Approval::Auto))]),
        story("a channel by hand", manual, &[first, approved, second, (400, Approve("v2", true))], 2000),
        story(
            "a channel by hand, withdrawn while it is tried",
            manual,
            &[first, approved, second, (100, Approve("v2", true)), (200, Approve("v2", false))],
            2000,
        ),
        story(
            "a channel by hand, all withdrawn",
            manual,
            &[first, approved, (100, Approve("v1", false))],
            2000,
        ),
        plain("a third while taking over", &[(50, Kill("v1", None)), v2, (106, Apply("v3"))]),
        plain(
            "a third while stable is broken",
            &[(140, Temper("v1", Temper::CrashLoop)), v2, (150, Kill("v1", None)), (200, Apply("v3"))],
        ),
        plain(
            "stable broken, candidate failing, a third",
            &[bad, v2, (120, Kill("v1", None)), (400, Apply("v3"))],
        ),
    ]
    .into_iter()
    .chain(super::shadows::all())
    .collect()
}
