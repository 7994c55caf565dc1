//! A route of ours that somebody else has changed: its weights are set back at once, and it is said.

use serin_api::{Reason, Slot, TrafficMode};

use super::Draft;
use crate::{
    plan::{Journal, Weights},
    world::ObservedTraffic,
};

impl Draft<'_> {
    /// Says so if the weights of our route, which are about to be written, were changed by somebody else: they were written
    /// for this very decision, and are not what was recorded with it. A spec with other steps changes them, too, but not in
    /// the route first.
    pub(super) fn say_if_edited(&mut self, found: &ObservedTraffic, wanted: Weights, journal: &Journal) {
        if self.mode != TrafficMode::Gateway
            || found.journal.as_ref().is_some_and(|written| written != journal)
        {
            return;
        }
        let status = self.input.status;
        let trying =
            status.candidate.as_ref().filter(|c| c.weight > 0).map(|c| Weights::to(c.slot, c.weight));
        let serving = status.stable.as_ref().map(|s| Weights::to(s.slot, 100));
        let Some(recorded) = trying.or(serving) else { return };
        let same =
            |other: Weights| [Slot::A, Slot::B].iter().all(|slot| found.weights.of(*slot) == other.of(*slot));
        if same(recorded) || same(wanted) {
            return;
        }
        let words = |weights: Weights| format!("a {}, b {}", weights.of(Slot::A), weights.of(Slot::B));
        let message = format!(
            "somebody else changed the weights of HTTPRoute {} to {}; they are set back to {}",
            self.input.name,
            words(found.weights),
            words(wanted),
        );
        self.note(true, Reason::RouteEdited, "Edited", message);
    }
}
