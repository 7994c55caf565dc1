//! Both arms on one grid, over the same stretches of time.

use std::ops::AddAssign;

use crate::Window;
use crate::counters::{Counts, Grid};

/// One closed tick, or several merged ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Pair<T> {
    pub end_ms: i64,
    pub canary: T,
    pub stable: T,
}

/// Requests and errors of both arms.
pub(crate) type Tick = Pair<Counts>;

/// The closed ticks, oldest first.
///
/// Where one arm was not scraped, the tick is merged into the following one for both arms, so that both are
/// always compared over the same window. What cannot be compared yet is left out; it comes with the tick that
/// completes it.
pub(crate) fn closed<T>(canary: &Grid<T>, stable: &Grid<T>, window: &Window) -> Vec<Pair<T>>
where
    T: Clone + for<'a> AddAssign<&'a T>,
{
    // None (an arm never scraped) is the smallest: then nothing is known to be complete.
    let both_scraped_at = canary.newest_ms.min(stable.newest_ms);
    let mut indices: Vec<i64> = canary.ticks.keys().chain(stable.ticks.keys()).copied().collect();
    indices.sort_unstable();
    indices.dedup();

    let mut ticks = Vec::with_capacity(indices.len());
    let (mut open_canary, mut open_stable) = (None, None);
    for index in indices {
        let end_ms = window.end_of(index);
        if !window.is_closed(end_ms, both_scraped_at) {
            break;
        }
        add(&mut open_canary, canary.ticks.get(&index));
        add(&mut open_stable, stable.ticks.get(&index));
        match (open_canary.take(), open_stable.take()) {
            (Some(canary), Some(stable)) => ticks.push(Pair { end_ms, canary, stable }),
            (canary, stable) => (open_canary, open_stable) = (canary, stable),
        }
    }
    ticks
}

fn add<T: Clone + for<'a> AddAssign<&'a T>>(open: &mut Option<T>, found: Option<&T>) {
    match (open, found) {
        (Some(open), Some(found)) => *open += found,
        (open @ None, Some(found)) => *open = Some(found.clone()),
        (_, None) => {}
    }
}
