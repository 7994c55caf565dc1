//! How many pods both versions have together, and what share of the traffic they carry.
//!
//! `rollout.maxSurge` bounds them, and so does what was seen to fit where the stable version makes room. The stable version
//! then gives its pods up as its traffic goes. A bound of one pod is enough for every weight behind a gateway: pods and
//! weights take turns. By replica ratio the pods are the weight, and not every one can be had.

use serin_api::{IntOrString, Rollout, Step, Strategy, TrafficMode, WhenUnschedulable};

use crate::ramp;

/// The bounds of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    mode: TrafficMode,
    /// `spec.replicas`, at least one.
    replicas: i32,
    /// Pods that serve during the rollout, of both versions together, at the least.
    serving: i32,
    /// Pods of both versions together, at the most.
    total: i32,
    /// Whether the stable version gives up pods at all.
    bounded: bool,
}

/// Pods of each version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pods {
    /// Of the stable version.
    pub stable: i32,
    /// Of the candidate.
    pub candidate: i32,
}

/// What a candidate may have next on its way to a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Pods, which have to be available first.
    pub pods: i32,
    /// The weight that they carry.
    pub weight: i32,
}

/// Pods that a field asks for, of so many: a number, or a percentage that is rounded up.
fn pods(value: &IntOrString, of: i32) -> i32 {
    match value {
        IntOrString::Int(pods) => *pods,
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|n| n.parse::<i64>().ok()).unwrap_or(100);
            i32::try_from((i64::from(of) * percent.clamp(0, 100) + 99) / 100).unwrap_or(of)
        }
    }
}

impl Room {
    /// By the spec, and by how many pods were seen to fit.
    pub fn of(mode: TrafficMode, rollout: &Rollout, replicas: i32, fits: Option<i32>) -> Self {
        let n = replicas.max(1);
        let canary = rollout.strategy == Strategy::Canary;
        let surge = rollout.max_surge.as_ref().filter(|_| canary).map(|surge| pods(surge, n).clamp(1, n));
        let makes_room = canary && rollout.when_unschedulable == WhenUnschedulable::MakeRoom;
        let fits = fits.filter(|_| makes_room);
        let total = n + surge.unwrap_or(n);
        let room = Self { mode, replicas: n, serving: n, total, bounded: surge.is_some() || fits.is_some() };
        match fits {
            Some(fits) => room.with_at_most(fits.max(room.floor(rollout) + 1)),
            None => room,
        }
    }

    fn with_at_most(self, total: i32) -> Self {
        let total = self.total.min(total);
        Self { total, serving: self.replicas.min(total - 1), ..self }
    }

    /// Pods that a rollout leaves whatever there is room for.
    fn floor(&self, rollout: &Rollout) -> i32 {
        let n = self.replicas;
        rollout.min_available.as_ref().map_or(n - 1, |least| pods(least, n)).clamp(1, n)
    }

    /// How many pods fit, once so many were seen to: not below what a rollout leaves. `None`: that would take nothing more.
    pub fn shrunk_to(&self, rollout: &Rollout, seen: i32) -> Option<i32> {
        let fits = seen.max(self.floor(rollout) + 1);
        (fits < self.total && self.with_at_most(fits) != *self).then_some(fits)
    }

    /// Whether the stable version may be asked for pods.
    pub const fn is_bounded(&self) -> bool {
        self.bounded
    }
    /// Pods that serve during the rollout, at the least.
    pub const fn serving(&self) -> i32 {
        self.serving
    }
    /// Pods of both versions together, at the most.
    pub const fn total(&self) -> i32 {
        self.total
    }

    /// The share of the traffic that so many pods carry, in percent. Weights are whole: half a percent is not seen.
    pub fn carries(&self, pods: i32) -> i32 {
        let n = i64::from(self.serving);
        let share = (200 * i64::from(pods.max(0)) + n) / (2 * n);
        i32::try_from(share.min(100)).unwrap_or(100)
    }

    /// The fewest pods that carry a share of the traffic.
    pub fn needs(&self, percent: i32) -> i32 {
        let n = i64::from(self.serving);
        let pods = (2 * n * i64::from(percent.clamp(0, 100)) - n).max(0);
        i32::try_from((pods + 199) / 200).unwrap_or(i32::MAX)
    }

    /// The most pods of the stable version beside so many others.
    pub fn beside(&self, others: i32) -> i32 {
        if self.bounded { self.replicas.min((self.total - others).max(0)) } else { self.replicas }
    }

    /// Pods of both where the candidate has its weight.
    pub fn pair(&self, weight: i32) -> Pods {
        let free = |candidate| Pods { stable: self.beside(candidate), candidate };
        match self.mode {
            TrafficMode::ReplicaRatio if self.bounded && (1..100).contains(&weight) => {
                self.closest(weight).unwrap_or_else(|| free(1))
            }
            mode => free(ramp::pods_for(mode, weight, self.serving)),
        }
    }

    /// By replica ratio: the pods whose share is closest to a weight; of several the one that takes the fewest.
    fn closest(&self, weight: i32) -> Option<Pods> {
        let (n, w) = (self.serving, i64::from(weight));
        let off = |p: &Pods| {
            let (s, c) = (i64::from(p.stable), i64::from(p.candidate));
            ((100 * c - w * (s + c)).abs(), s + c)
        };
        let mut best: Option<Pods> = None;
        for candidate in 1..=n {
            let (least, most) = ((n - candidate).max(1), self.replicas.min(self.total - candidate));
            let ideal = i64::from(candidate) * (100 - w) / w;
            for stable in [ideal, ideal + 1] {
                let stable = i32::try_from(stable).unwrap_or(i32::MAX);
                if least > most {
                    continue;
                }
                let found = Pods { stable: stable.clamp(least, most), candidate };
                let better = best.is_none_or(|best| {
                    let ((new, of_new), (old, of_old)) = (off(&found), off(&best));
                    let (new, old) = (new * of_old, old * of_new);
                    new < old || new == old && found.stable > best.stable
                });
                if better {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// The weight that is really meant by one: by replica ratio what the pods express.
    pub fn reachable(&self, weight: i32) -> i32 {
        let Pods { stable, candidate } = self.pair(weight);
        let all = i64::from((stable + candidate).max(1));
        match self.mode {
            TrafficMode::ReplicaRatio if (1..100).contains(&weight) => {
                i32::try_from((100 * i64::from(candidate) + all / 2) / all).unwrap_or(weight)
            }
            _ => weight,
        }
    }

    /// The reachable weights of steps, if one differs.
    pub fn reachable_of(&self, steps: &[Step]) -> Vec<i32> {
        let all: Vec<i32> = steps.iter().map(|step| self.reachable(step.weight)).collect();
        if steps.iter().map(|step| step.weight).eq(all.iter().copied()) { Vec::new() } else { all }
    }

    /// What the candidate may have next on its way to `weight`, while the stable version keeps at least `kept` pods.
    pub fn next(&self, weight: i32, kept: i32) -> Next {
        let goal = self.pair(weight).candidate;
        let pods = goal.min(self.most(kept));
        if pods >= goal {
            return Next { pods: goal, weight };
        }
        let share = match self.mode {
            TrafficMode::Gateway => self.carries(pods),
            TrafficMode::ReplicaRatio => 100 * pods / self.total.max(1),
        };
        Next { pods, weight: share.clamp(1, weight.max(1)) }
    }

    /// The most pods of the candidate beside so many of the stable version.
    pub fn most(&self, kept: i32) -> i32 {
        if self.bounded { (self.total - kept).max(1) } else { i32::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(surge: i32) -> Rollout {
        Rollout { max_surge: Some(IntOrString::Int(surge)), ..Rollout::default() }
    }
    fn room(mode: TrafficMode, replicas: i32, surge: i32) -> Room {
        Room::of(mode, &rollout(surge), replicas, None)
    }

    #[test]
    fn without_a_bound_nothing_is_given_up() {
        let room = Room::of(TrafficMode::Gateway, &Rollout::default(), 4, Some(2));
        assert_eq!((room.is_bounded(), room.total(), room.serving()), (false, 8, 4));
        assert_eq!(room.pair(50), Pods { stable: 4, candidate: 2 });
        assert_eq!(room.next(100, 4), Next { pods: 4, weight: 100 });
    }

    /// Behind a gateway one pod more is enough for every weight, and no pod carries more than one of all of them did.
    #[test]
    fn pods_and_weights_take_turns_to_any_weight() {
        for replicas in (1..=40).chain([99, 100, 101, 250, 1000]) {
            for surge in [1, 2, 7] {
                let room = room(TrafficMode::Gateway, replicas, surge);
                for aim in [1, 10, 33, 50, 99, 100] {
                    let mut weight = 0;
                    let mut turns = 0;
                    while weight < aim {
                        let kept = room.needs(100 - weight);
                        assert!((1..=replicas).contains(&kept), "{room:?} at {weight}");
                        let next = room.next(aim, kept);
                        assert!(
                            next.weight > weight,
                            "{room:?} stays at {weight} on its way to {aim}: {next:?}"
                        );
                        assert!(room.carries(next.pods) >= next.weight, "{room:?}: {next:?}");
                        assert!(next.pods + kept <= room.total(), "{room:?}: {next:?} beside {kept}");
                        (weight, turns) = (next.weight, turns + 1);
                    }
                    assert!(turns <= 100, "{turns} turns");
                }
            }
        }
    }

    #[test]
    fn half_a_percent_is_not_seen() {
        let room = room(TrafficMode::Gateway, 3, 1);
        assert_eq!([0, 1, 2, 3].map(|pods| room.carries(pods)), [0, 33, 67, 100]);
        assert_eq!([0, 33, 34, 67, 68, 100].map(|share| room.needs(share)), [0, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_percentage_is_rounded_up() {
        let by = |percent: &str, replicas| {
            let surge = Some(IntOrString::String(percent.to_owned()));
            let rollout = Rollout { max_surge: surge, ..Rollout::default() };
            Room::of(TrafficMode::Gateway, &rollout, replicas, None).total() - replicas
        };
        assert_eq!([by("25%", 4), by("25%", 5), by("1%", 3), by("100%", 3)], [1, 2, 1, 3]);
    }

    #[test]
    fn by_replica_ratio_the_closest_share_is_taken() {
        let room = room(TrafficMode::ReplicaRatio, 4, 1);
        for (weight, stable, candidate, reachable) in
            [(5, 4, 1, 20), (20, 4, 1, 20), (25, 3, 1, 25), (50, 2, 2, 50), (70, 1, 3, 75), (99, 1, 4, 80)]
        {
            assert_eq!(room.pair(weight), Pods { stable, candidate }, "{weight}");
            assert_eq!(room.reachable(weight), reachable, "{weight}");
        }
        let steps =
            [5, 20, 50].map(|weight| Step { weight, hold_seconds: 1, pause: false, mirror_percent: 0 });
        assert_eq!(room.reachable_of(&steps), [20, 20, 50]);
        assert_eq!(room.reachable_of(&steps[1..]), Vec::<i32>::new());
        for (replicas, surge) in [(1, 1), (3, 2), (9, 1), (1000, 10)] {
            let room = self::room(TrafficMode::ReplicaRatio, replicas, surge);
            for weight in 1..100 {
                let Pods { stable, candidate } = room.pair(weight);
                assert!(stable >= 1 && candidate >= 1 && stable <= replicas, "{room:?} {weight}");
                assert!((replicas..=room.total()).contains(&(stable + candidate)), "{room:?} {weight}");
            }
        }
    }

    #[test]
    fn what_fits_is_learned_and_never_below_what_is_left() {
        let mut makes_room =
            Rollout { when_unschedulable: WhenUnschedulable::MakeRoom, ..Rollout::default() };
        let of = |rollout: &Rollout, replicas, fits| Room::of(TrafficMode::Gateway, rollout, replicas, fits);
        let room = of(&makes_room, 4, None);
        // Six were asked for, four fit: three are left to serve, one is there to move.
        assert_eq!((room.is_bounded(), room.shrunk_to(&makes_room, 4)), (false, Some(4)));
        let room = of(&makes_room, 4, Some(4));
        assert_eq!((room.is_bounded(), room.serving(), room.total()), (true, 3, 4));
        assert_eq!((room.needs(100), room.pair(50)), (3, Pods { stable: 2, candidate: 2 }));
        assert_eq!(room.shrunk_to(&makes_room, 2), None, "one of four is all that is taken");
        makes_room.min_available = Some(IntOrString::String("50%".to_owned()));
        assert_eq!(room.shrunk_to(&makes_room, 2), Some(3));
        assert_eq!(of(&makes_room, 4, Some(1)).serving(), 2);
        // One pod stays, whatever is asked for.
        assert_eq!(of(&makes_room, 1, None).shrunk_to(&makes_room, 1), None);
        // Where all of them fit beside one more, none is missing.
        assert_eq!(of(&makes_room, 4, Some(5)).serving(), 4);
    }
}
