//! Where a story ends, without the times: what two runs of it are compared by.

use serin_api::{IntOrString, Outcome, Phase, Unserved};

use super::Sim;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub stable: String,
    pub candidate: Option<(String, Phase, i32)>,
    pub failed: Option<(String, String)>,
    pub history: Vec<(String, Outcome)>,
    pub deployments: Vec<(String, i32)>,
    pub budget: Option<IntOrString>,
    /// Percent to the stable version.
    pub weight: i32,
    /// Percent of the requests that somebody gets copies of.
    pub copied: i32,
    pub conditions: Vec<(String, String, String)>,
    pub handled_retry: Option<String>,
    /// What the channel leads to, past what, and what is barred, here and on the versions.
    pub channel: Option<Led>,
    pub bars: Vec<String>,
}

/// What a channel leads to, past what, and what it bars.
pub type Led = (Option<String>, Vec<(String, Unserved)>, Vec<String>);

impl End {
    pub fn of(sim: &Sim) -> Self {
        let status = &sim.status;
        let mut deployments: Vec<_> =
            sim.cluster.deployments.iter().map(|d| (d.version.clone(), d.replicas)).collect();
        deployments.sort();
        let conditions =
            status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()));
        Self {
            stable: sim.stable().to_owned(),
            candidate: status.candidate.as_ref().map(|c| (c.version.clone(), c.phase, c.step_index)),
            failed: status.last_failed.as_ref().map(|f| (f.version.clone(), f.reason.clone())),
            history: status.history.iter().map(|h| (h.version.clone(), h.outcome)).collect(),
            deployments,
            budget: sim.cluster.budget.as_ref().and_then(|b| b.max_unavailable.clone()),
            weight: status.stable.as_ref().map_or(0, |s| sim.cluster.weight(s.slot)),
            copied: sim.cluster.mirror().map_or(0, |mirror| mirror.percent),
            conditions: conditions.collect(),
            handled_retry: status.handled_retry.clone(),
            channel: status.channel.as_ref().map(|channel| {
                let passed = channel.passed_over.iter().map(|p| (p.version.clone(), p.reason)).collect();
                let bars = channel.bars.iter().map(|bar| bar.version.clone()).collect();
                (channel.version.clone(), passed, bars)
            }),
            bars: sim
                .cluster
                .versions
                .iter()
                .filter(|(_, v)| v.bar.is_some())
                .map(|(n, _)| n.clone())
                .collect(),
        }
    }
}

/// Nothing is left to do: a quarter of an hour later, and however often it is asked, nothing has been written.
pub fn is_at_rest(sim: &mut Sim) {
    let (effects, looks, end) = (sim.done(), sim.looks, sim.cluster.now + 900);
    sim.run_until(end);
    assert_eq!(sim.done(), effects, "writes at rest\n{}", sim.log());
    let wanted = sim.spec.availability.max_unavailable.as_ref();
    assert_eq!(sim.cluster.budget.as_ref().and_then(|b| b.max_unavailable.as_ref()), wanted, "{}", sim.log());
    let tries = sim.status.candidate.is_some();
    assert!(tries || sim.cluster.mirror().is_none(), "copies for nobody\n{}", sim.log());
    // A gateway that cannot copy requests is asked again by and by: nobody says when it can.
    let waits = sim.reason() == "MirrorUnsupported" && sim.looks - looks <= 4;
    assert!(tries || waits || sim.looks == looks, "polls at rest\n{}", sim.log());
    for _ in 0..3 {
        let world = sim.cluster.observe();
        let (plan, _) = sim.ask(&world);
        assert_eq!(plan.writes, [], "{}", sim.log());
        assert_eq!(plan.status, sim.status, "{}", sim.log());
    }
}
