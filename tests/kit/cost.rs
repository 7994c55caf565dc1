//! What a stretch of time cost the apiserver.

use std::fmt;

use crate::proxy::Call;

/// Calls by sort.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// Writes besides Events and leases.
    pub writes: Vec<Call>,
    /// Writes of Events.
    pub events: usize,
    /// Quorum reads before a decision: of the ModelDeployment or TrainingRun itself, or of its route.
    pub confirmations: usize,
    /// All other reads but watches.
    pub reads: Vec<Call>,
    /// Watches that were opened.
    pub watches: usize,
}

impl Cost {
    /// Adds calls up.
    pub fn of(calls: Vec<Call>) -> Self {
        let mut cost = Self::default();
        for call in calls {
            match call.verb {
                "watch" => cost.watches += 1,
                _ if call.is_event() => cost.events += 1,
                _ if call.is_state_write() => cost.writes.push(call),
                "get"
                    if matches!(
                        call.resource.as_str(),
                        "modeldeployments" | "trainingruns" | "retrainpolicies" | "httproutes"
                    ) =>
                {
                    cost.confirmations += 1;
                }
                "get" | "list" => cost.reads.push(call),
                _ => {}
            }
        }
        cost
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, events, confirmations, reads, watches } = self;
        writeln!(
            f,
            "{} writes, {events} events, {confirmations} confirmations, {} other reads, {watches} watches",
            writes.len(),
            reads.len()
        )?;
        writes.iter().chain(reads).try_for_each(|call| writeln!(f, "  {call}"))
    }
}
