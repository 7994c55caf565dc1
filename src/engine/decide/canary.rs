//! The candidate has traffic and is judged: step by step, until the evidence promotes it or sends it back.

use chrono::Duration as Span;
use serin_api::{
    Candidate, OnHorizon, OnNoData, Outcome, Phase, Reason, Stable, Step, TakesOver, TrafficMode, Verdict,
    WeightRecord,
};
use serin_judge::State;

use super::{Draft, channel, pods, retreat, shadow, start, waiting};
use crate::{
    measure::{self, Judgement, Reading},
    plan::{Entry, Journal, Weights},
    report::{self, Unread},
    room::Next,
};

/// All of the traffic.
const ALL: Step = Step { weight: 100, hold_seconds: 0, pause: false, mirror_percent: 0 };

/// What the reading allows.
enum Allowed {
    /// Stay where it is.
    Hold,
    /// More traffic is fine.
    Advance,
    /// Good enough to promote.
    Promote,
}

/// One look at a candidate with traffic.
pub(super) fn go_on(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if retreat::if_crashing(d, stable, c) {
        return;
    }
    // What is known to be bad stays bad, whether or not its pods are there at the moment.
    if let Reading::Judged(j) = d.input.reading
        && j.state == State::Fail
    {
        return failed(d, stable, c, j);
    }
    if d.world().available(&c.revision) == 0 && d.world().available(&stable.revision) > 0 {
        return lost(d, stable, c);
    }
    let journal = d.journal_of(c);
    if journal == Some(Entry::Promote) {
        return promote(d, stable, c);
    }
    if d.replicas == 0 {
        return start::asleep(d, stable, c);
    }
    let steps = d.steps();
    let present = present(c, &steps);
    if shadow::stop(d, stable, c, &present) {
        return;
    }
    let previewed = present.load() == 0;
    let assessed = if previewed { assess_preview(d, stable, c) } else { assess(d, stable, c) };
    let Some(mut allowed) = assessed else { return };
    let skipped = c.skipped_step == Some(c.step_index);
    // Between two steps as to them: more traffic only as long as nothing speaks against it.
    let climbs =
        !d.input.spec.rollout.paused && (skipped || matches!(allowed, Allowed::Advance | Allowed::Promote));
    let waits = d.input.spec.rollout.paused || waits_for_a_person(c, &steps);
    let last = c.step_index >= i32::try_from(steps.len()).unwrap_or(i32::MAX);
    allowed = match allowed {
        _ if waits => Allowed::Hold,
        Allowed::Hold if skipped && !last => Allowed::Advance,
        allowed => allowed,
    };
    let held = skipped || hold_over(d, c, &steps);
    if let Some(Entry::Step(n)) = journal
        && n == c.step_index + 1
    {
        // The weight was already written when a restart came between.
        return enter_step(d, stable, c, &steps, n);
    }
    // A weight that is not in force has proved nothing.
    let ripe = held && d.in_force(d.step_weights(c, &present));
    match allowed {
        Allowed::Promote if last && ripe => promote(d, stable, c),
        Allowed::Promote | Allowed::Advance if ripe && !last => {
            enter_step(d, stable, c, &steps, c.step_index + 1);
        }
        _ => hold(d, stable, c, &steps, &allowed, climbs),
    }
}

/// Turns the reading into what it allows. `None`: the candidate is on its way back, nothing more to decide.
fn assess(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> Option<Allowed> {
    match d.input.reading {
        Reading::Judged(j) => assess_judgement(d, stable, c, j),
        Reading::Unavailable(why) => {
            d.status.verdict = Some(Verdict::ProviderError);
            report::metrics(&mut d.status, d.input, Err(Unread::Unavailable(why)));
            no_data(d, stable, c, Reason::MetricsUnavailable, why)
        }
        Reading::NotAsked | Reading::Baseline { .. } => Some(Allowed::Hold),
    }
}

/// Testers may ask or not: only what speaks against it counts, and that it can be heard.
fn assess_preview(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> Option<Allowed> {
    match d.input.reading {
        Reading::Judged(_) => {
            report::metrics(&mut d.status, d.input, Ok(()));
            d.status.verdict = Some(Verdict::Undecided);
            Some(Allowed::Promote)
        }
        _ => assess(d, stable, c),
    }
}

fn assess_judgement(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, j: &Judgement) -> Option<Allowed> {
    match j.state {
        State::Fail => {
            failed(d, stable, c, j);
            None
        }
        State::NoData => {
            if young(d, c) {
                return Some(Allowed::Hold);
            }
            d.status.verdict = Some(Verdict::NoData);
            let missing = j.missing.as_deref().map(Unread::Missing);
            let unread = missing.unwrap_or(Unread::Unavailable(&j.summary));
            report::metrics(&mut d.status, d.input, Err(unread));
            no_data(d, stable, c, Reason::NoData, &j.summary)
        }
        State::Pass | State::Undecided if j.misrouted.is_some() => {
            report::metrics(&mut d.status, d.input, Ok(()));
            d.status.verdict = Some(Verdict::Inconclusive);
            Some(Allowed::Hold)
        }
        State::Pass | State::Undecided => {
            report::metrics(&mut d.status, d.input, Ok(()));
            let silent =
                |v: &Verdict| matches!(v, Verdict::NoData | Verdict::ProviderError | Verdict::Inconclusive);
            if d.status.verdict.as_ref().is_none_or(silent) {
                d.status.verdict = Some(Verdict::Undecided);
            }
            if j.state == State::Pass {
                return Some(Allowed::Promote);
            }
            if horizon_over(d, c) {
                return at_horizon(d, stable, c, j);
            }
            Some(if j.unsuspicious { Allowed::Advance } else { Allowed::Hold })
        }
    }
}

/// The evidence says that it is worse. It is kept with the decision.
fn failed(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, j: &Judgement) {
    report::metrics(&mut d.status, d.input, Ok(()));
    if let Some(candidate) = &mut d.status.candidate {
        candidate.evidence.clone_from(&j.evidence);
    }
    retreat::begin(d, stable, c, Reason::AnalysisFailed, j.summary.clone(), true);
}

/// The first blocks of evidence take a few scrapes to close; until then silence says nothing.
fn young(d: &Draft<'_>, c: &Candidate) -> bool {
    let interval = i64::from(d.input.spec.rollout.analysis.interval_seconds);
    let grace = 4 * interval + 10;
    c.analysis_from.is_none_or(|from| d.now() - from < Span::seconds(grace))
}

fn no_data(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, reason: Reason, why: &str) -> Option<Allowed> {
    let analysis = &d.input.spec.rollout.analysis;
    let silent_for =
        serin_api::conditions::since(&d.status.conditions, serin_api::conditions::Type::MetricsAvailable)
            .map_or(Span::zero(), |since| d.now() - since);
    let over = silent_for >= Span::seconds(i64::from(analysis.no_data_timeout_seconds));
    match analysis.on_no_data {
        OnNoData::Rollback if over => {
            let message = format!("no metrics for {} s: {why}", silent_for.num_seconds());
            retreat::begin(d, stable, c, reason, message, true);
            None
        }
        OnNoData::Rollback | OnNoData::Hold => Some(Allowed::Hold),
    }
}

fn at_horizon(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, j: &Judgement) -> Option<Allowed> {
    match d.input.spec.rollout.analysis.on_horizon {
        OnHorizon::Promote if j.unsuspicious => Some(Allowed::Promote),
        OnHorizon::Promote | OnHorizon::Hold => Some(Allowed::Hold),
        OnHorizon::Rollback => {
            let message = format!("no verdict within the horizon: {}", j.summary);
            retreat::begin(d, stable, c, Reason::HorizonReached, message, true);
            None
        }
    }
}

/// A step with `pause`, until somebody skips it.
fn waits_for_a_person(c: &Candidate, steps: &[Step]) -> bool {
    step(steps, c.step_index).is_some_and(|step| step.pause) && c.skipped_step != Some(c.step_index)
}

fn horizon_over(d: &Draft<'_>, c: &Candidate) -> bool {
    if d.input.spec.rollout.paused || waits_for_a_person(c, &d.steps()) {
        return false;
    }
    let horizon = Span::seconds(i64::from(d.input.spec.rollout.analysis.horizon_seconds));
    c.analysis_from.is_some_and(|from| d.now() - from >= horizon)
}

fn hold_over(d: &Draft<'_>, c: &Candidate, steps: &[Step]) -> bool {
    let step = step(steps, c.step_index);
    let hold = step.map_or(0, |s| s.hold_seconds);
    // With more than its step, on its way to all of the traffic, it has been through that.
    step.is_some_and(|s| c.weight > s.weight)
        || c.since.is_some_and(|since| d.now() - since >= Span::seconds(i64::from(hold)))
}

/// The step that it is at; or what it has beyond its step, on its way to all of the traffic.
fn present(c: &Candidate, steps: &[Step]) -> Step {
    let beyond = Step { weight: c.weight, hold_seconds: 0, pause: false, mirror_percent: c.mirror_percent() };
    step(steps, c.step_index).filter(|step| c.weight <= step.weight).copied().unwrap_or(beyond)
}

fn step(steps: &[Step], index: i32) -> Option<&Step> {
    usize::try_from(index - 1).ok().and_then(|i| steps.get(i))
}

/// Stays at the step's weight, re-asserting it if somebody changed it. Where both versions may not have all the pods at once,
/// it gets there by turns: pods, weight, pods that go, pods that come.
fn hold(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, steps: &[Step], allowed: &Allowed, climbs: bool) {
    let present = present(c, steps);
    let next = step(steps, c.step_index + 1).map_or(100, Step::load);
    let aim = if climbs { present } else { Step { weight: c.weight, ..present } };
    let turn @ Next { pods: low, .. } = d.next(stable, c, &aim);
    let most = d.room().most(d.kept(stable, c));
    let high = d.room().pair(next).candidate.min(d.surplus(stable, c, low)).min(most).max(low);
    d.ensure(&c.revision, &c.spec, c.slot, low, high);
    d.aim_at(aim.weight, low);
    d.look_again_at_next_tick();
    if c.weight < aim.weight {
        return climb(d, stable, c, turn, &aim);
    }
    d.assert_step(stable, c, &aim);
    if c.waiting.is_some() {
        waiting::over(d);
    }
    let waits = waits_for_a_person(c, steps);
    if waits && present.mirror_percent > 0 && matches!(allowed, Allowed::Hold) {
        shadow::tell_when_good(d, c);
    }
    let (reason, why) = match d.status.verdict {
        _ if d.is_broken(stable) => {
            (Reason::StableUnavailable, "held: the stable version has no available pod to compare with")
        }
        Some(Verdict::NoData) => (Reason::NoData, "held: the metrics are silent"),
        Some(Verdict::ProviderError) => (Reason::MetricsUnavailable, "held: Prometheus cannot be asked"),
        // Without the numbers, which change at every look; `kubectl serin explain` has them.
        Some(Verdict::Inconclusive) => {
            (Reason::TrafficMismatch, "held: it does not get the share of the requests that its weight says")
        }
        _ if horizon_over(d, c) && matches!(allowed, Allowed::Hold) => {
            (Reason::HorizonReached, "no verdict within the horizon; change the spec to decide")
        }
        _ if d.input.spec.rollout.paused => (Reason::Paused, "held by rollout.paused"),
        _ if waits && hold_over(d, c, steps) && present.mirror_percent > 0 => shadow::waiting(d),
        _ if waits && hold_over(d, c, steps) => {
            (Reason::Paused, "waits for a person: go on with `kubectl serin skip`")
        }
        _ => (Reason::Analyzing, "gathering evidence"),
    };
    let message = format!("{}: {}, {why}", c.version, place(d, c, &c.step, &aim));
    d.report(reason, message);
}

/// One turn on the way to the weight of a step, with so many pods.
fn climb(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, Next { pods, weight }: Next, aim: &Step) {
    if d.world().available(&c.revision) < pods {
        let present = Step { weight: c.weight, ..*aim };
        d.assert_step(stable, c, &present);
        pods::lacking(d, stable, c);
        let (reason, why) = match waiting::words(d, &c.revision) {
            Some(words) => (words.reason, words.to_string()),
            None => (Reason::ScalingCandidate, "they start".to_owned()),
        };
        let place = place(d, c, &c.step, &present);
        return d.report(reason, format!("{}: {place}, adding pods for {} %: {why}", c.version, aim.weight));
    }
    let reached = Step { weight, ..*aim };
    let journal = toward(c, Entry::Step(c.step_index), &reached, aim);
    let weights = d.step_weights(c, &reached);
    if d.starves(stable, weights) || !d.weights(weights, journal) {
        return d.wait_for_gateway();
    }
    d.record_weight(weight, weight >= aim.weight);
    waiting::over(d);
    let place = place(d, c, &c.step, &reached);
    d.report(Reason::ScalingCandidate, format!("{}: {place}, on its way to {} %", c.version, aim.weight));
}

/// What a weight is written for that may be only on the way to the one that was decided.
fn toward(c: &Candidate, entry: Entry, reached: &Step, aim: &Step) -> Journal {
    if reached.weight < aim.weight {
        Journal::toward(&c.revision, entry, reached.weight)
    } else {
        Journal::of(&c.revision, entry)
    }
}

/// Goes to step `n` (from 1): pods first, then the weight, then the record of it.
pub(super) fn enter_step(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, steps: &[Step], n: i32) {
    let Some(next) = step(steps, n).copied() else { return };
    let Next { pods: low, weight } = d.next(stable, c, &next);
    let high = d.surplus(stable, c, low);
    d.ensure(&c.revision, &c.spec, c.slot, low, high);
    d.aim_at(next.weight, low);
    d.look_again_at_next_tick();
    let available = d.world().available(&c.revision);
    if available < low || available > high {
        // Meanwhile the weight stays what it was.
        if let Some(present) = step(steps, c.step_index) {
            d.assert_step(stable, c, &Step { weight: c.weight, ..*present });
            pods::lacking(d, stable, c);
        }
        let (reason, why) = match waiting::words(d, &c.revision) {
            Some(words) => (words.reason, words.to_string()),
            None => (Reason::ScalingCandidate, "they start".to_owned()),
        };
        return d.report(reason, format!("{}: adding pods for {} %: {why}", c.version, next.load()));
    }
    if shadow::withhold(d, stable, c, &next) {
        return;
    }
    let reached = Step { weight, ..next };
    let journal = toward(c, Entry::Step(n), &reached, &next);
    let weights = d.step_weights(c, &reached);
    if d.starves(stable, weights) || !d.weights(weights, journal) {
        return d.wait_for_gateway();
    }
    let now = d.now();
    let label = format!("{n}/{}", steps.len());
    let evidence = d.input.reading.judged().map(|j| j.evidence.clone());
    let verdict = d.input.reading.judged().map_or(Verdict::Undecided, |j| measure::verdict(j.state));
    if let Some(candidate) = &mut d.status.candidate {
        candidate.phase = Phase::Canary;
        candidate.weight = weight;
        candidate.waiting = None;
        candidate.step_index = n;
        candidate.skipped_step = None;
        candidate.step.clone_from(&label);
        // Its time at the step begins with the step's weight.
        candidate.since = (weight >= next.weight).then_some(now);
        if candidate.analysis_from.is_none() {
            candidate.analysis_from = Some(now);
            candidate.weights.clear();
        }
        let mirror_percent = next.mirror_percent;
        candidate.weights.push(WeightRecord { weight, mirror_percent, at: now });
        if let Some(evidence) = evidence {
            candidate.evidence = evidence;
        }
    }
    d.status.verdict = Some(verdict);
    let message = format!("{}: {}, gathering evidence", c.version, place(d, c, &label, &reached));
    d.note(false, Reason::Analyzing, format!("Step{n}"), message.clone());
    d.report(Reason::Analyzing, message);
}

/// Where it stands, in words.
fn place(d: &Draft<'_>, c: &Candidate, label: &str, step: &Step) -> String {
    match (step.weight, d.mode) {
        _ if step.mirror_percent > 0 => {
            format!("a shadow, gets copies of {} % of the requests and answers none", step.mirror_percent)
        }
        (0, TrafficMode::Gateway) => {
            format!("previewed at the Service {}-{}", d.input.name, c.slot.as_str())
        }
        (0, TrafficMode::ReplicaRatio) => "all its pods wait for the switch".to_owned(),
        (weight, _) => format!("step {label} at {weight} % of the traffic"),
    }
}

/// The last available pod of the candidate is gone without a crash (a drained node, an eviction): its weight goes
/// back, and it starts over when it is available again.
fn lost(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    let room = d.room();
    let load = present(c, &d.steps()).load();
    let low = room.pair(load).candidate.min(room.most(room.serving()));
    let high = d.surplus(stable, c, low).min(room.most(room.serving())).max(low);
    d.ensure(&c.revision, &c.spec, c.slot, low, high);
    let message = format!("{} lost its last available pod; {} serves", c.version, stable.version);
    if !d.all_to(stable) {
        return;
    }
    d.decisive = true;
    if let (Some(candidate), Some(j)) = (&mut d.status.candidate, d.input.reading.judged()) {
        candidate.evidence.clone_from(&j.evidence);
    }
    d.back_to_start();
    d.note(true, Reason::CandidateUnavailable, "Weight0", message);
    d.report(Reason::CandidateStarting, waiting::starts(c));
}

/// All traffic to the pods that were tested. They become the stable version where they stand.
pub(super) fn promote(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    d.decisive = true;
    let room = d.room();
    let serving = d.world().available(&stable.revision);
    let by_turns = room.is_bounded() && serving > 0 && d.replicas > 0;
    let Next { pods, weight } =
        if by_turns { d.next(stable, c, &ALL) } else { Next { pods: d.replicas, weight: 100 } };
    // Where nobody else serves, no turns are taken; but pods that are on their way back have their places.
    let low = if by_turns { pods } else { pods.min(room.most(d.asked(&stable.revision))) };
    d.ensure(&c.revision, &c.spec, c.slot, low, pods);
    // As many as serve now are enough to take over: pods that cannot be scheduled must not block a promotion. Those of the
    // stable version carry its share, more are needed for all. Where it gives pods up, all that a rollout leaves are.
    let share = (100 - c.weight).max(1);
    let as_now = (serving * 100 + share - 1) / share;
    let enough = if by_turns { pods } else { pods.min(as_now.max(1)) };
    if d.world().available(&c.revision) < enough {
        d.look_again_at_next_tick();
        pods::lacking(d, stable, c);
        let why = match c.takes_over {
            Some(TakesOver::ByHand) => "is promoted by hand",
            Some(TakesOver::ServedBefore) => "served before and comes back",
            None => "is good",
        };
        let message = format!("{} {why}; adding pods before it takes over", c.version);
        let (reason, message) = match waiting::words(d, &c.revision) {
            Some(words) => (words.reason, format!("{message}: {words}")),
            None => (Reason::ScalingCandidate, message),
        };
        return d.report(reason, message);
    }
    if weight < 100 {
        return approach(d, stable, c, weight);
    }
    let journal = Journal::of(&c.revision, Entry::Promote);
    if !d.weights(Weights::to(c.slot, 100), journal) {
        return d.wait_for_gateway();
    }
    let by = match c.takes_over {
        Some(TakesOver::ByHand) => ", by hand",
        Some(TakesOver::ServedBefore) => ", without steps: it served before (rollout.rollbackWindow)",
        None => "",
    };
    let message = format!("{} takes over from {}{by}", c.version, stable.version);
    become_stable(d, c, Outcome::Promoted);
    d.note(false, Reason::Promoted, "Promoted", message);
}

/// One turn on the way to all of the traffic.
fn approach(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, weight: i32) {
    let weights = d.step_weights(c, &Step { weight, ..ALL });
    let journal = Journal::toward(&c.revision, Entry::Promote, weight);
    if d.starves(stable, weights) || !d.weights(weights, journal) {
        return d.wait_for_gateway();
    }
    d.record_weight(weight, false);
    waiting::over(d);
    if let Some(candidate) = &mut d.status.candidate {
        candidate.phase = Phase::Canary;
    }
    d.look_again_at_next_tick();
    let message = format!("{} takes over from {}, at {weight} % of the traffic", c.version, stable.version);
    d.report(Reason::Promoting, message);
}

/// The pointer moves: the candidate is what serves.
pub(super) fn become_stable(d: &mut Draft<'_>, c: &Candidate, outcome: Outcome) {
    if let Some(before) = d.status.stable.take().filter(|before| before.revision != c.revision) {
        d.status.previous = Some(before);
    }
    d.status.stable = Some(Stable {
        revision: c.revision.clone(),
        version: c.version.clone(),
        digest: c.digest.clone(),
        slot: c.slot,
        spec: c.spec.clone(),
    });
    d.end(c, outcome, None);
    channel::took_over(d, c);
    // Another version serves: what was refused before it may be tried again.
    d.status.last_failed = None;
    d.report(Reason::Complete, format!("{} serves", c.version));
}
