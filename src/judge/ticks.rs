//! Both arms on one grid, over the same stretches of time.

use crate::Window;
use crate::counters::{Arm, Counts};

/// One closed tick, or several merged ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tick {
    pub end_ms: i64,
    pub canary: Counts,
    pub stable: Counts,
}

/// The closed ticks, oldest first.
///
/// Where one arm was not scraped, the tick is merged into the following one for both arms, so that both are
/// always compared over the same window. What cannot be compared yet is left out; it comes with the tick that
/// completes it.
pub(crate) fn closed(canary: &Arm, stable: &Arm, window: &Window) -> Vec<Tick> {
    // None (an arm never scraped) is the smallest: then nothing is known to be complete.
    let both_scraped_at = canary.newest_ms.min(stable.newest_ms);
    let mut indices: Vec<i64> = canary.ticks.keys().chain(stable.ticks.keys()).copied().collect();
    indices.sort_unstable();
    indices.dedup();

    let mut ticks = Vec::with_capacity(indices.len());
    let mut open: (Option<Counts>, Option<Counts>) = (None, None);
    for index in indices {
        let end_ms = window.end_of(index);
        if !window.is_closed(end_ms, both_scraped_at) {
            break;
        }
        add(&mut open.0, canary.ticks.get(&index));
        add(&mut open.1, stable.ticks.get(&index));
        if let (Some(canary), Some(stable)) = open {
            ticks.push(Tick { end_ms, canary, stable });
            open = (None, None);
        }
    }
    ticks
}

fn add(open: &mut Option<Counts>, found: Option<&Counts>) {
    if let Some(found) = found {
        *open.get_or_insert_default() += *found;
    }
}
