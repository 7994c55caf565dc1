//! How many pods of which version: what a bound says, and what the traffic needs, whatever happens around it. Told in other
//! words than the engine's: by the load of a pod, in hundredths of one at `replicas`.

use serin_api::{Candidate, IntOrString, Pace, Phase, TrafficMode};
use serin_engine::{Write, decide, ramp, room::Room};

use super::{Sim, check::must};

fn pods(value: &IntOrString, of: i32) -> i32 {
    match value {
        IntOrString::Int(pods) => *pods,
        IntOrString::String(text) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap();
            (of * percent).div_euclid(100) + i32::from((of * percent).rem_euclid(100) > 0)
        }
    }
}

/// Pods that a rollout leaves to both versions: all of them, unless it was seen that fewer fit.
fn left(sim: &Sim) -> i32 {
    let n = sim.spec.replicas.max(1);
    let rollout = &sim.spec.rollout;
    let floor = rollout.min_available.as_ref().map_or(n - 1, |least| pods(least, n)).clamp(1, n);
    let fits = sim.status.candidate.as_ref().and_then(|c| c.fits);
    fits.map_or(n, |fits| n.min(fits - 1).max(floor))
}

/// Whether the stable version may be asked for pods.
pub fn is_bounded(sim: &Sim) -> bool {
    sim.spec.rollout.max_surge.is_some() || sim.status.candidate.as_ref().is_some_and(|c| c.fits.is_some())
}

fn room(sim: &Sim) -> Room {
    let fits = sim.status.candidate.as_ref().and_then(|c| c.fits);
    Room::of(sim.cluster.mode, &sim.spec.rollout, sim.spec.replicas, fits)
}

/// Whether so many pods carry a share of the traffic without more for each than it has at full strength.
fn carry(sim: &Sim, pods: i32, percent: i32) -> bool {
    // Half a percent is not seen.
    (2 * percent - 1) * left(sim) <= 200 * pods
}

/// Whether the stable version may be left with so many pods: they carry its traffic, by the route's word and by the status'.
pub fn may_give_up(sim: &Sim, replicas: i32) -> bool {
    let (Some(s), Some(c)) = (&sim.status.stable, &sim.status.candidate) else { return false };
    let share = (100 - c.weight).max(sim.cluster.weight(s.slot));
    let with_others = match sim.cluster.mode {
        TrafficMode::Gateway => carry(sim, replicas, share),
        TrafficMode::ReplicaRatio => {
            let serves = sim.cluster.weight(c.slot) > 0;
            let others = if serves { sim.cluster.available_of(&c.revision) } else { 0 };
            replicas + others >= left(sim)
        }
    };
    is_bounded(sim) && replicas <= sim.spec.replicas && with_others
}

/// No pod is asked for beyond the bound, unless nothing is tried.
pub fn asked_for(sim: &Sim, write: &Write, stale: bool) {
    let Some(surge) = sim.spec.rollout.max_surge.as_ref().filter(|_| !stale) else { return };
    let n = sim.spec.replicas.max(1);
    let most = n + pods(surge, n).clamp(1, n);
    let Some(stable) = &sim.status.stable else { return };
    let of = |name: &str| sim.cluster.deployments.iter().find(|d| d.name == name);
    let (revision, before, after) = match write {
        Write::CreateDeployment { revision, replicas, .. } => (revision.clone(), 0, *replicas),
        Write::Scale { name, replicas, .. } => {
            let Some(found) = of(name) else { return };
            (found.revision.clone(), found.replicas, *replicas)
        }
        _ => return,
    };
    let all: i32 = sim.cluster.deployments.iter().filter(|d| d.gone_at.is_none()).map(|d| d.replicas).sum();
    let others = all - before;
    // Nothing is tried any more: what is left of it is on its way out.
    let needed = revision == stable.revision && sim.status.candidate.is_none();
    must!(
        sim,
        after <= before || others + after <= most || needed,
        "{} pods, {most} at the most",
        others + after
    );
}

/// Pods of a candidate that are enough for a weight.
pub fn to_carry(sim: &Sim, weight: i32) -> i32 {
    if !is_bounded(sim) {
        return ramp::pods_for(sim.cluster.mode, weight, sim.spec.replicas);
    }
    match sim.cluster.mode {
        TrafficMode::Gateway => (1..=left(sim)).find(|pods| carry(sim, *pods, weight)).unwrap_or(left(sim)),
        // The pods are the weight.
        TrafficMode::ReplicaRatio => 1,
    }
}

/// Pods of a candidate that are enough for copies of so much of the traffic. A bound takes nothing from the stable version for them.
pub fn to_copy_to(sim: &Sim, percent: i32) -> i32 {
    let room = room(sim);
    to_carry(sim, percent).min(room.most(room.serving()))
}

/// Pods of a candidate that are enough for all of the traffic: those that carry it as it is carried now, or all that a
/// rollout leaves where some were given up.
pub fn to_take_over(sim: &Sim, available: i32) -> i32 {
    if room(sim).is_bounded() && available > 0 {
        return left(sim);
    }
    let share = 100 - sim.status.candidate.as_ref().map_or(0, |c| c.weight);
    let as_now = (1..=sim.spec.replicas).find(|pods| pods * share >= 100 * available);
    as_now.unwrap_or(sim.spec.replicas).max(1)
}

/// What was given up comes back before the traffic does, unless the candidate is gone or it takes too long.
pub fn comes_back(sim: &Sim, weight: i32, available: i32) {
    let Some(c) = &sim.status.candidate else { return };
    let slowly = c.retreat.as_ref().is_some_and(|retreat| retreat.pace == Pace::AsPodsComeBack);
    let gone = sim.cluster.available_of(&c.revision) == 0;
    let since = c.since.map_or(i64::MAX, |since| (sim.now() - since).num_seconds());
    let late = since >= i64::from(sim.spec.rollout.progress_deadline_seconds);
    let enough = match sim.cluster.mode {
        TrafficMode::Gateway => carry(sim, available, weight),
        TrafficMode::ReplicaRatio => available >= left(sim),
    };
    let edited = sim.cluster.weight(c.slot) != c.weight || c.weight == 0;
    must!(sim, !slowly || gone || late || enough || edited, "{weight} % back to {available} pods");
    must!(sim, c.phase == Phase::Retreating || !slowly, "a way back that is none");
}

/// Room is made only after the time for it, one step at a time, and never below what a rollout leaves.
pub fn made_room(sim: &Sim, before: &Candidate, after: &Candidate) {
    if before.fits == after.fits {
        return;
    }
    let (Some(fits), n) = (after.fits, sim.spec.replicas) else { return };
    let least = sim.spec.rollout.min_available.as_ref().map_or(n - 1, |least| pods(least, n)).clamp(1, n);
    must!(sim, fits > least, "{fits} pods fit, and {least} are to be left");
    let less = before.fits.is_none_or(|known| fits < known.max(least + 1)) || room(sim).total() > fits;
    must!(sim, less, "room was made twice");
    let deadline = decide::deadline(&sim.spec.rollout, before);
    must!(sim, deadline.at <= sim.now(), "room made before {deadline:?}");
}
