//! What must be true at each effect, whatever happens around it.

use serin_api::{
    Candidate, Digest, ModelDeploymentStatus, OnHorizon, Phase, Slot, Strategy, WhenUnschedulable,
};
use serin_engine::{Mirror, Reading, Weights, Write, decide, plan::Entry};
use serin_judge::State;

use super::{Sim, check_pods};

macro_rules! must {
    ($sim:expr, $what:expr, $($text:tt)+) => {
        assert!($what, "{}\n{}", format!($($text)+), $sim.log())
    };
}
pub(super) use must;

/// Each look at the world: remembers that the evidence has turned against the candidate.
pub fn look(sim: &mut Sim, reading: &Reading) {
    let candidate = sim.status.candidate.as_ref();
    let attempt = candidate.map(|c| (c.revision.clone(), c.started_at));
    if sim.failed.is_some() && sim.failed != attempt {
        sim.failed = None;
    }
    if let Reading::Judged(j) = reading
        && j.state == State::Fail
    {
        sim.failed = attempt;
    }
}

/// Each write, before it is done.
pub fn write(sim: &Sim, write: &Write, reading: &Reading, stale: bool) {
    match write {
        Write::CreateDeployment { revision, slot, spec, .. } => {
            let others = &sim.cluster.deployments;
            must!(sim, stale || others.iter().all(|d| d.revision != *revision), "twice the same revision");
            must!(sim, stale || others.iter().all(|d| d.slot != *slot), "two revisions behind one Service");
            must!(sim, others.len() < 2 || stale, "a third Deployment");
            let copied = sim.cluster.mirror().is_some_and(|mirror| mirror.to == *slot);
            let known = sim.status.candidate.as_ref().is_some_and(|c| c.revision == *revision);
            must!(sim, stale || !copied || known, "copies for another version go to the pods of {revision}");
            check_pods::asked_for(sim, write, stale);
            unbarred(sim, revision, &spec.model.artifact.digest);
        }
        Write::Scale { name, replicas, .. } => {
            let stable = sim.status.stable.as_ref().map(|s| s.revision.as_str());
            let found = sim.cluster.deployments.iter().find(|d| d.name == *name);
            let of_stable = found.filter(|d| Some(&*d.revision) == stable);
            let recreated = sim.spec.rollout.strategy == Strategy::Recreate && *replicas == 0;
            let kept = *replicas == sim.spec.replicas || recreated || check_pods::may_give_up(sim, *replicas);
            let free = |before: i32| check_pods::is_bounded(sim) && (stale || before < *replicas);
            must!(sim, kept || of_stable.is_none_or(|d| free(d.replicas)), "stable scaled to {replicas}");
            check_pods::asked_for(sim, write, stale);
        }
        Write::DeleteDeployment { name, .. } => {
            let Some(d) = sim.cluster.deployments.iter().find(|d| d.name == *name) else { return };
            let reached = sim.cluster.route.as_ref().is_some_and(|r| r.weights.reaches(d.slot));
            must!(sim, !reached, "{} deleted with traffic", d.version);
            let named = sim.status.stable.as_ref().is_some_and(|s| s.revision == d.revision)
                || sim.status.candidate.as_ref().is_some_and(|c| c.revision == d.revision);
            must!(sim, !named, "{} deleted while the status names it", d.version);
        }
        Write::CreateSlotService(_)
        | Write::ConfirmNoTraffic(_)
        | Write::SetBudget { .. }
        | Write::SetBar { bar: None, .. }
        | Write::DeleteBudget { .. } => {}
        Write::SetBar { version, bar: Some(bar), .. } => {
            let tried = sim.status.candidate.as_ref().is_some_and(|c| c.version == *version);
            let failed = sim.status.last_failed.as_ref().is_some_and(|f| f.version == *version);
            let known = sim.status.channel.iter().flat_map(|c| &c.bars).any(|b| b.revision == bar.revision);
            must!(sim, tried || failed || known, "{version} is barred, and nobody tried it");
        }
        Write::SetWeights { weights, journal, .. } | Write::PatchWeights { weights, journal, .. } => {
            must!(sim, weights.a + weights.b == 100 && (0..=100).contains(&weights.a), "{weights:?}");
            let tested = weights.testers.filter(|_| !stale).and_then(|slot| sim.cluster.at_slot(slot));
            let there = tested.is_none_or(|d| sim.cluster.available(d) > 0 || sim.cluster.weight(d.slot) > 0);
            must!(sim, there, "testers are sent to nothing");
            if let Some(mirror) = weights.mirror.filter(|_| !stale) {
                copied(sim, *weights, mirror, journal.entry, reading);
            }
            for slot in [Slot::A, Slot::B] {
                if weights.of(slot) > sim.cluster.weight(slot) && !stale {
                    rises(sim, slot, weights.of(slot));
                    evidence(sim, slot, journal.entry, reading);
                }
            }
        }
    }
}

/// Copies go to a candidate that can take them, by a gateway that makes them, and nobody else's answers are at stake.
fn copied(sim: &Sim, weights: Weights, mirror: Mirror, entry: Entry, reading: &Reading) {
    must!(sim, sim.cluster.mirrors, "copies by a gateway that makes none");
    must!(sim, weights.of(mirror.to) == 0, "copies for one that has a share: {weights:?}");
    must!(sim, (1..=100).contains(&mirror.percent), "{mirror:?}");
    let c = sim.status.candidate.as_ref().filter(|c| c.slot == mirror.to);
    must!(sim, c.is_some(), "copies for nobody who is tried");
    let Some(c) = c else { return };
    must!(sim, c.phase != Phase::Retreating, "copies on the way back");
    let available = sim.cluster.available_of(&c.revision);
    let enough = check_pods::to_copy_to(sim, mirror.percent);
    let again = c.mirror_percent() == mirror.percent;
    must!(sim, available >= enough || (again && available > 0), "copies for {available} pods of {enough}");
    let written = sim.cluster.route.as_ref().and_then(|r| r.journal.clone());
    let written = written.filter(|j| j.revision == c.revision).map(|j| j.entry);
    let first = matches!(reading, Reading::Baseline { .. }) && entry == Entry::Step(1);
    let known = matches!(entry, Entry::Step(n) if n <= c.step_index) || written == Some(entry);
    must!(sim, first || known, "copies for {entry:?} on {reading:?}");
}

/// What was rolled back here is begun again only once a person asks for it.
fn unbarred(sim: &Sim, revision: &str, digest: &Digest) {
    let status = &sim.status;
    let known = status.stable.as_ref().is_some_and(|s| s.revision == revision)
        || status.candidate.as_ref().is_some_and(|c| c.revision == revision);
    if known || sim.spec.model.channel.is_none() {
        return;
    }
    let own = status.channel.iter().flat_map(|channel| &channel.bars);
    let own = own.filter(|bar| bar.digest == *digest).map(|bar| &bar.revision);
    let versions = sim.cluster.versions.values().filter(|version| version.artifact.digest == *digest);
    let mut bars = own.chain(versions.filter_map(|version| Some(&version.bar.as_ref()?.revision)));
    let serves = status.stable.as_ref().is_some_and(|s| s.digest == digest.0);
    let asked = |bar: &String| sim.orders[0].as_ref().is_some_and(|order| order.starts_with(bar.as_str()));
    must!(sim, serves || bars.all(asked), "{revision} is barred");
}

/// Weight goes only where something is available, and enough of it.
fn rises(sim: &Sim, slot: Slot, weight: i32) {
    let Some(stable) = &sim.status.stable else { return };
    if sim.spec.replicas == 0 {
        return;
    }
    let available = |slot| sim.cluster.at_slot(slot).map_or(0, |d| sim.cluster.available(d));
    if slot == stable.slot {
        // A third version replaces both: a repair does not wait for the health of what it repairs.
        let target = sim.target().id;
        let repair = sim.status.candidate.as_ref().is_some_and(|c| c.revision != target)
            && stable.revision != target
            && sim.cluster.weight(slot) > 0;
        let taken_away = sim.cluster.weight(slot.other()) > 0 && available(slot.other()) > 0;
        let elsewhere = sim.status.candidate.is_some() && taken_away && !repair;
        must!(sim, available(slot) > 0 || !elsewhere, "back to a stable version that is not there");
        check_pods::comes_back(sim, weight, available(slot));
        return;
    }
    must!(sim, available(slot) > 0, "{weight} % to nothing");
    let enough = if weight == 100 {
        check_pods::to_take_over(sim, available(stable.slot))
    } else {
        check_pods::to_carry(sim, weight)
    };
    let asserted_again = sim.status.candidate.as_ref().is_some_and(|c| c.weight == weight);
    let has = available(slot);
    must!(sim, has >= enough || asserted_again, "{weight} % to {has} pods; {enough} would be enough");
}

/// The candidate's weight rises only on evidence, and never after a Fail.
fn evidence(sim: &Sim, slot: Slot, entry: Entry, reading: &Reading) {
    let (Some(stable), Some(c)) = (&sim.status.stable, &sim.status.candidate) else { return };
    if slot == stable.slot {
        return;
    }
    if c.takes_over.is_some() || c.skipped_step == Some(c.step_index) {
        // Whatever the evidence: a person knows more, or it served before.
        return;
    }
    must!(sim, sim.failed.is_none(), "more traffic after a Fail");
    // Unless nothing else is left, and a person wants another version than both.
    let alone = sim.cluster.available_of(&stable.revision) == 0;
    must!(sim, c.phase != Phase::Retreating || alone, "more traffic on the way back");
    let written = sim.cluster.route.as_ref().and_then(|r| r.journal.clone());
    let written = written.filter(|j| j.revision == c.revision).map(|j| j.entry);
    let state = match reading {
        Reading::Judged(j) => Some((j.state, j.unsuspicious)),
        _ => None,
    };
    let ok = match entry {
        Entry::Step(n) if n <= c.step_index || written == Some(entry) => true,
        Entry::Step(1) => matches!(reading, Reading::Baseline { .. }),
        Entry::Step(n) if n == c.step_index + 1 => {
            matches!(state, Some((State::Pass, _) | (State::Undecided, true)))
        }
        Entry::Stable | Entry::Step(_) => false,
        Entry::Promote => {
            let horizon = sim.spec.rollout.analysis.on_horizon == OnHorizon::Promote;
            let heard = matches!(state, Some((state, _)) if state != State::Fail);
            sim.spec.replicas == 0
                || (c.step_index == 1 && c.weight == 0 && heard && c.mirror_percent() == 0)
                || sim.cluster.available_of(&stable.revision) == 0
                || written == Some(entry)
                || matches!(state, Some((State::Pass, _)))
                || (horizon && matches!(state, Some((State::Undecided, true))))
        }
    };
    must!(sim, ok, "{entry:?} after step {} on {state:?}", c.step_index);
}

/// Each status, before it is written.
pub fn status(sim: &Sim, next: &ModelDeploymentStatus, reading: &Reading) {
    must!(sim, next.history.len() <= 10, "history grows");
    if let (Some(c), Some(s)) = (&next.candidate, &next.stable) {
        must!(sim, c.revision != s.revision, "a version beside itself");
        must!(sim, c.slot != s.slot, "both versions behind one Service");
        if c.phase == Phase::Canary && sim.status.candidate.as_ref().is_some_and(|o| o.weight < c.weight) {
            must!(sim, sim.cluster.weight(c.slot) == c.weight, "a weight recorded that is not in force");
            // Prometheus may go away between the weight and its record; the evidence for it can be replayed.
            let silent = !matches!(reading, Reading::Judged(_));
            must!(sim, c.step_index <= 1 || !c.evidence.is_empty() || silent, "no evidence");
        }
    }
    waits(sim, next);
    let before = sim.status.stable.as_ref().map(|s| &s.revision);
    let after = next.stable.as_ref().map(|s| &s.revision);
    must!(sim, before.is_none() || after.is_some(), "the stable version is forgotten");
    if before.is_some() && before != after {
        let slot = next.stable.as_ref().map(|s| s.slot).unwrap();
        must!(sim, sim.cluster.weight(slot) == 100, "promoted without the traffic");
    }
}

/// What is waited for keeps its time for as long as it lasts, and nobody is given up for it too soon.
fn waits(sim: &Sim, next: &ModelDeploymentStatus) {
    let Some(before) = &sim.status.candidate else { return };
    let waiting = |c: &Candidate| c.waiting.map(|w| (w.reason, c.started_at));
    if let Some(after) = next.candidate.as_ref().filter(|c| c.revision == before.revision) {
        if waiting(before).is_some() && waiting(before) == waiting(after) {
            must!(sim, before.waiting == after.waiting, "a wait that began anew: {:?}", after.waiting);
        }
        let makes_room = sim.spec.rollout.when_unschedulable == WhenUnschedulable::MakeRoom;
        let starting = after.phase == Phase::Starting;
        let begins = after.waiting.is_some() && after.waiting != before.waiting;
        must!(sim, !begins || starting || makes_room, "a wait with traffic");
        check_pods::made_room(sim, before, after);
    }
    let retreat = next.candidate.as_ref().and_then(|c| c.retreat.as_ref()).map(|r| &r.reason);
    let news = next.last_failed.as_ref().filter(|_| next.last_failed != sim.status.last_failed);
    let why = news.map(|f| &f.reason).or(retreat.filter(|_| before.retreat.is_none()));
    let waited = why.is_some_and(|why| ["Unschedulable", "ImagePull"].contains(&why.as_str()));
    if waited && before.retreat.is_none() {
        let deadline = decide::deadline(&sim.spec.rollout, before);
        must!(sim, deadline.at <= sim.now(), "given up before {deadline:?}");
    }
}
