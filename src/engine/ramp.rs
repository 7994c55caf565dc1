//! Weights, steps and how many pods they take.

use serin_api::{Promotion, Rollout, Step, Strategy, TrafficMode};

/// Pods that the candidate needs before it may carry `weight` percent, of the requests or of their copies. At least one; never more than `replicas`.
///
/// Gateway: its share of the pods, rounded up, so that a candidate pod never carries more than a stable one did.
/// At 0 percent it is previewed, and has all of them: the switch comes at once.
/// Replica ratio: c of n + c pods is nearest to the weight; beyond one half the ratio cannot go without shrinking the
/// stable version, which a canary never does.
pub fn pods_for(mode: TrafficMode, weight: i32, replicas: i32) -> i32 {
    let n = i64::from(replicas.max(1));
    let w = i64::from(weight.clamp(0, 100));
    let c = match mode {
        _ if w == 0 => n,
        TrafficMode::Gateway => (w * n + 99) / 100,
        TrafficMode::ReplicaRatio if w >= 50 => n,
        TrafficMode::ReplicaRatio => (w * n + (100 - w) / 2) / (100 - w),
    };
    i32::try_from(c.clamp(1, n)).unwrap_or(i32::MAX)
}

/// The weight that `pods_for` pods really express in replica-ratio mode.
pub fn reachable(weight: i32, replicas: i32) -> i32 {
    let c = pods_for(TrafficMode::ReplicaRatio, weight, replicas);
    let all = replicas.max(1) + c;
    (100 * c + all / 2) / all
}

/// The steps that are known before a candidate starts: none yet for the adaptive ramp; without any it takes over as
/// soon as it can.
pub fn planned(rollout: &Rollout) -> Option<Vec<Step>> {
    match rollout.strategy {
        Strategy::Canary => (!rollout.steps.is_empty()).then(|| rollout.steps.clone()),
        Strategy::BlueGreen => {
            let how = rollout.blue_green.unwrap_or_default();
            let (hold_seconds, pause) = (how.preview_seconds, !how.auto_promote);
            Some(vec![Step { weight: 0, hold_seconds, pause, mirror_percent: 0 }])
        }
        Strategy::Shadow => {
            let how = rollout.shadow.unwrap_or_default();
            let pause = how.promotion == Promotion::ByHand;
            let (hold_seconds, mirror_percent) = (how.hold_seconds, how.mirror_percent);
            Some(vec![Step { weight: 0, hold_seconds, pause, mirror_percent }])
        }
        Strategy::Recreate => Some(Vec::new()),
    }
}

/// The steps to go: the spec's, or the adaptive ramp from `first` percent upwards.
pub fn steps(rollout: &Rollout, first: i32) -> Vec<Step> {
    if !rollout.steps.is_empty() {
        return rollout.steps.clone();
    }
    // Four blocks of evidence a rung (decision.md §A4: one rung up per 60 s at 15 s scrapes).
    let hold_seconds = 4 * rollout.analysis.interval_seconds;
    serin_judge::LADDER
        .into_iter()
        .map(i32::from)
        .filter(|weight| *weight >= first)
        .map(|weight| Step { weight, hold_seconds, pause: false, mirror_percent: 0 })
        .collect()
}

/// First rung when nothing is known about the traffic: the highest that the ramp starts with, as little traffic needs
/// a large share to decide anything.
pub const FIRST_RUNG_UNKNOWN: i32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_pods_cover_the_share() {
        assert_eq!(pods_for(TrafficMode::Gateway, 5, 1), 1);
        assert_eq!(pods_for(TrafficMode::Gateway, 25, 3), 1);
        assert_eq!(pods_for(TrafficMode::Gateway, 50, 3), 2);
        assert_eq!(pods_for(TrafficMode::Gateway, 75, 3), 3);
        assert_eq!(pods_for(TrafficMode::Gateway, 100, 10), 10);
        assert_eq!(pods_for(TrafficMode::Gateway, 5, 0), 1);
    }

    #[test]
    fn ratio_is_the_nearest_that_pods_express() {
        assert_eq!((pods_for(TrafficMode::ReplicaRatio, 25, 3), reachable(25, 3)), (1, 25));
        assert_eq!((pods_for(TrafficMode::ReplicaRatio, 5, 3), reachable(5, 3)), (1, 25));
        assert_eq!((pods_for(TrafficMode::ReplicaRatio, 10, 9), reachable(10, 9)), (1, 10));
        assert_eq!((pods_for(TrafficMode::ReplicaRatio, 90, 4), reachable(90, 4)), (4, 50));
    }

    #[test]
    fn the_adaptive_ramp_starts_where_it_is_told() {
        let r = Rollout::default();
        let w: Vec<i32> = steps(&r, 5).iter().map(|s| s.weight).collect();
        assert_eq!(w, [5, 10, 25, 50]);
        assert_eq!(steps(&r, 5)[0].hold_seconds, 60);
    }
}
