//! Where a story ends, without the times: what two tellings of it are compared by.

use serin_api::{AttemptEnd, Level, ReplayOutcome};

use super::Sim;

/// Name, level, judgements and replays.
type Version = (String, Option<Level>, Vec<bool>, Vec<ReplayOutcome>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub ended: String,
    pub attempts: Vec<(i32, Option<AttemptEnd>)>,
    pub made: Vec<(String, i32)>,
    pub spent: (i32, i32, i32),
    pub evaluation: Option<(i32, Option<bool>)>,
    pub versions: Vec<Version>,
    pub version: Option<String>,
    pub conditions: Vec<(String, String, String)>,
}

impl End {
    pub fn of(sim: &Sim) -> Self {
        let status = &sim.status;
        let versions = sim.cluster.versions.iter().map(|(name, (_, status))| {
            let judged = status.evaluations.iter().map(|e| e.passed).collect();
            let replays = status.replays.iter().map(|r| r.outcome).collect();
            (name.clone(), status.level, judged, replays)
        });
        let conditions =
            status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()));
        let spent = &status.spent;
        Self {
            ended: sim.ended(),
            attempts: status.attempts.iter().map(|a| (a.number, a.end)).collect(),
            made: sim.cluster.made.iter().map(|(name, n)| (name.clone(), *n)).collect(),
            spent: (spent.crashes, spent.disruptions, spent.starts),
            evaluation: status.evaluation.as_ref().map(|e| (e.number, e.result.as_ref().map(|r| r.passed))),
            versions: versions.collect(),
            version: status.model_version.clone(),
            conditions: conditions.collect(),
        }
    }
}

/// Nothing is left to do: a quarter of an hour later, and however often it is asked, nothing has been written.
pub fn is_at_rest(sim: &mut Sim) {
    let (effects, looks, end) = (sim.done(), sim.looks, sim.cluster.now + 900);
    sim.run_until(end);
    assert_eq!(sim.done(), effects, "writes at rest\n{}", sim.log());
    assert_eq!(sim.looks, looks, "polls at rest\n{}", sim.log());
    for _ in 0..3 {
        let world = sim.cluster.observe();
        let plan = sim.ask(&world);
        assert_eq!(plan.writes, [], "{}", sim.log());
        assert_eq!(plan.status, sim.status, "{}", sim.log());
    }
}
