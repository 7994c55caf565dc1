//! A route that the user owns: what happens while it cannot be used, and when somebody else sets its weights back.

use std::time::Duration;

use chrono::Duration as Span;
use serin_api::{Contested, Phase, Reason, Slot, Stable, TrafficStatus};

use super::{Draft, Input};
use crate::{
    plan::{Entry, Journal, Plan, Weights, Write},
    world::ObservedTraffic,
};

/// Seconds between the first writes of weights that somebody sets back, and the next ones; the last one counts from then on.
const WAITS: [i64; 5] = [0, 0, 10, 60, 300];
/// After so many seconds without a fight the next one is a new one.
const FORGOTTEN: i64 = 900;

impl Draft<'_> {
    /// The Services that a route has as its backends: there before it can name them.
    pub(super) fn keep_slot_services(&mut self) {
        for slot in [Slot::A, Slot::B] {
            let missing = !self.world().slot_services.contains(&slot);
            let planned = self.writes.contains(&Write::CreateSlotService(slot));
            if missing && !planned {
                self.writes.push(Write::CreateSlotService(slot));
            }
        }
    }

    /// Weights in a route of the user's that are not as they should be: written, unless somebody sets them back
    /// again and again.
    pub(super) fn patch_weights(&mut self, found: &ObservedTraffic, weights: Weights, journal: Journal) {
        let Some(place) = found.place.clone() else { return };
        let (now, uid) = (self.now(), found.uid.clone());
        // What was written for this very decision is not there any more.
        let set_back = match &found.journal {
            Some(written) => *written == journal,
            None => self.input.status.stable.is_some(),
        };
        if set_back && self.contested.is_none() {
            let before = self.status.traffic.as_ref().and_then(|t| t.contested);
            let before = before.filter(|c| now - c.at <= Span::seconds(FORGOTTEN));
            let count = before.map_or(0, |c| c.count.max(0));
            let wait =
                usize::try_from(count).ok().and_then(|n| WAITS.get(n)).unwrap_or(&WAITS[WAITS.len() - 1]);
            let left = before.map_or(Span::zero(), |c| c.at + Span::seconds(*wait) - now);
            let route = self.input.spec.traffic.http_route.as_ref().map_or("", |r| &r.name);
            let told = format!(
                "somebody else sets the weights of HTTPRoute {route} back: leave the weights of its backends {0}-a and {0}-b \
                 out of what they apply; until then they are written every {1} s at most",
                self.input.name,
                WAITS[WAITS.len() - 1],
            );
            if count == 1 {
                self.note(true, Reason::TrafficMismatch, "Contested", told.clone());
            }
            if count > 0 {
                self.contested = Some(told);
            }
            if left > Span::zero() {
                self.look_again(left.to_std().unwrap_or(Duration::from_secs(1)));
                return;
            }
            let next = Contested { count: count.saturating_add(1), at: now };
            let mode = self.mode;
            let traffic = || TrafficStatus { mode, reachable_weight: None, route: None, contested: None };
            self.status.traffic.get_or_insert_with(traffic).contested = Some(next);
        }
        self.writes.push(Write::PatchWeights { uid, place, weights, journal });
    }

    /// Nothing can be moved: what runs is kept, and nothing is begun.
    pub(super) fn without_route(mut self, why: &str) -> Plan {
        self.keep_stable();
        self.keep_budget();
        self.keep_slot_services();
        self.report(Reason::RouteUnusable, why);
        self.done(None)
    }
}

/// The `ModelDeployment` is being deleted, and its route stays: what a candidate had goes to the stable version, for as long
/// as the Services live (`--cascade=orphan`: for good).
pub fn farewell(input: &Input<'_>) -> Option<Write> {
    input.spec.traffic.http_route.as_ref()?;
    let Stable { revision, slot, .. } = input.status.stable.clone()?;
    let found = input.world.traffic.as_ref()?;
    let trying = input.status.candidate.as_ref().is_some_and(|c| c.phase != Phase::Starting);
    let weights = Weights::to(slot, 100);
    let journal = Journal::of(&revision, Entry::Stable);
    let place = found.place.clone().filter(|_| trying && found.weights != weights)?;
    Some(Write::PatchWeights { uid: found.uid.clone(), place, weights, journal })
}
