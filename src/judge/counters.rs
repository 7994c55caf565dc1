//! From cumulative counters to what happened between scrapes.
//!
//! Rules, each losing at most data and never inventing any:
//! - A counter that falls was reset: the delta is the new value, a lower bound of what was lost.
//! - A gap is spanned by the next delta, which belongs to the tick of its later sample.
//! - A pod's first scrape counts from zero if the pod was younger than one interval then, else it is a baseline.
//! - A series that begins after its pod's first scrape is new and counts from zero. If its earlier samples were
//!   only unusable, it is not new, and its first usable one is a baseline.
//! - A series that vanishes has ended; nothing is assumed about it.
//! - NaN, infinite, negative and impossibly large values are discarded as if not scraped.
//! - Series that belong together (the buckets of a histogram, a sum and its count) are read as rows: a scrape that
//!   lacks one of them counts as none, and a reset of one is a reset of all.
//! - Samples are sorted; of several at one time the largest value holds, because a smaller one would look like a
//!   reset and count everything again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PodCounters, Sample, Window};

/// Above this (2^53) an `f64` no longer counts single requests, so no real counter is there.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// Requests and errors, from deltas of counters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Counts {
    pub requests: f64,
    pub errors: f64,
}

impl std::ops::AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

/// Counters that are scraped together, as rows: one value of each for every scrape that has them all, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// Where the first counter's deltas are summed; the others follow.
    slot: usize,
    width: usize,
    times: Vec<i64>,
    /// `width` values for each time.
    values: Vec<f64>,
    /// An unusable scrape came before the first usable one.
    began_unusable: bool,
    discarded: u64,
}

impl Rows {
    /// Joins counters by their time. The first one leads: times that only others have are ignored.
    pub(crate) fn join(slot: usize, counters: &[&[Sample]], window: &Window) -> Self {
        let sorted: Vec<Vec<Sample>> = counters.iter().map(|samples| known(samples, window)).collect();
        let mut rows = Self { slot, width: counters.len(), ..Self::default() };
        let mut cursors = vec![0; counters.len()];
        for lead in sorted.first().into_iter().flatten() {
            let from = rows.values.len();
            for (one, cursor) in sorted.iter().zip(&mut cursors) {
                while one.get(*cursor).is_some_and(|s| s.at_ms < lead.at_ms) {
                    *cursor += 1;
                }
                let found = one.get(*cursor).filter(|s| s.at_ms == lead.at_ms && is_usable(s.value));
                rows.values.extend(found.map(|s| s.value));
            }
            if rows.values.len() == from + rows.width {
                rows.times.push(lead.at_ms);
            } else {
                rows.values.truncate(from);
                rows.discarded += 1;
                rows.began_unusable |= rows.times.is_empty();
            }
        }
        rows
    }

    fn iter(&self) -> impl Iterator<Item = (i64, &[f64])> {
        self.times.iter().copied().zip(self.values.chunks_exact(self.width.max(1)))
    }
}

/// One pod's counters.
#[derive(Debug, Clone)]
pub(crate) struct PodRows<'a> {
    pub name: &'a str,
    pub started_ms: Option<i64>,
    pub scraped_ms: &'a [i64],
    pub rows: Vec<Rows>,
}

/// One arm (canary or stable) on the grid of ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid<T> {
    /// What happened per tick; a tick is present if anything was scraped in it, even if nothing happened.
    pub ticks: BTreeMap<i64, T>,
    /// Time of the newest scrape.
    pub newest_ms: Option<i64>,
    /// Unusable samples.
    pub discarded: u64,
    /// Counter resets.
    pub resets: u64,
}

/// Requests and errors of one arm.
pub(crate) type Arm = Grid<Counts>;

/// Deltas that end in one tick, kept apart until all are known: summing them sorted makes the sum independent of
/// the order of pods and series.
type Deltas = Vec<Vec<f64>>;

#[derive(Default)]
struct Pod {
    started_ms: Option<i64>,
    scraped: BTreeSet<i64>,
    rows: Vec<Rows>,
}

impl<T> Grid<T> {
    /// Reads all pods of an arm, as far as they were known at `window.now_ms`. `finish` makes a tick's value from the
    /// sums of its slots.
    pub(crate) fn from_rows(
        pods: Vec<PodRows<'_>>,
        slots: usize,
        window: &Window,
        finish: impl Fn(&[f64]) -> T,
    ) -> Self {
        let mut by_name: BTreeMap<&str, Pod> = BTreeMap::new();
        for pod in pods {
            let entry = by_name.entry(pod.name).or_default();
            entry.started_ms = match (entry.started_ms, pod.started_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            entry.scraped.extend(pod.scraped_ms.iter().filter(|at| **at <= window.now_ms));
            entry.rows.extend(pod.rows);
        }

        let mut grid = Self { ticks: BTreeMap::new(), newest_ms: None, discarded: 0, resets: 0 };
        let mut deltas: BTreeMap<i64, Deltas> = BTreeMap::new();
        for pod in by_name.into_values() {
            grid.read_pod(pod, slots, window, &mut deltas);
        }
        let mut sums = vec![0.0; slots];
        for (tick, mut found) in deltas {
            for (sum, values) in sums.iter_mut().zip(&mut found) {
                *sum = ordered_sum(values);
            }
            grid.ticks.insert(tick, finish(&sums));
        }
        grid
    }

    fn read_pod(&mut self, mut pod: Pod, slots: usize, window: &Window, deltas: &mut BTreeMap<i64, Deltas>) {
        for rows in &pod.rows {
            self.discarded += rows.discarded;
            pod.scraped.extend(&rows.times);
        }
        let Some(first_scrape) = pod.scraped.first().copied() else { return };
        self.newest_ms = self.newest_ms.max(pod.scraped.last().copied());
        let empty = || vec![Vec::new(); slots];
        for at_ms in pod.scraped {
            if window.tick_of(at_ms) >= 0 {
                deltas.entry(window.tick_of(at_ms)).or_insert_with(empty);
            }
        }

        let young = window.is_young(pod.started_ms, first_scrape);
        for rows in &pod.rows {
            let new = !rows.began_unusable && (rows.times.first() > Some(&first_scrape) || young);
            let zeros = vec![0.0; rows.width];
            let mut before: Option<&[f64]> = new.then_some(&zeros);
            for (at_ms, now) in rows.iter() {
                if let Some(before) = before {
                    let reset = now.iter().zip(before).any(|(now, before)| now < before);
                    self.resets += u64::from(reset);
                    let tick = window.tick_of(at_ms);
                    if tick >= 0 {
                        let found = deltas.entry(tick).or_insert_with(empty);
                        let slots = found.iter_mut().skip(rows.slot);
                        for ((slot, now), before) in slots.zip(now).zip(before) {
                            slot.push(if reset { *now } else { now - before });
                        }
                    }
                }
                before = Some(now);
            }
        }
    }
}

impl Arm {
    /// Reads counters of successes and errors.
    pub(crate) fn read(pods: &[PodCounters], window: &Window) -> Self {
        let pods = pods
            .iter()
            .map(|pod| PodRows {
                name: &pod.pod,
                started_ms: pod.started_ms,
                scraped_ms: &pod.scraped_ms,
                rows: pod
                    .series
                    .iter()
                    .map(|s| Rows::join(usize::from(s.error), &[&s.samples], window))
                    .collect(),
            })
            .collect();
        Self::from_rows(pods, 2, window, |sums| match sums {
            // Built from the errors, so that rounding cannot make them more than the requests.
            [good, errors] => Counts { requests: errors + good, errors: *errors },
            _ => Counts::default(),
        })
    }
}

fn is_usable(value: f64) -> bool {
    (0.0..=LARGEST_COUNT).contains(&value)
}

/// The samples known at the window's time, oldest first, one per time. Where one time has several, unusable ones give
/// way to usable ones, and of these the largest holds.
fn known(samples: &[Sample], window: &Window) -> Vec<Sample> {
    let mut known: Vec<Sample> = samples.iter().filter(|s| s.at_ms <= window.now_ms).copied().collect();
    let rank = |s: &Sample| if is_usable(s.value) { s.value } else { -1.0 };
    known.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then(rank(b).total_cmp(&rank(a))));
    known.dedup_by_key(|s| s.at_ms);
    known
}

fn ordered_sum(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.iter().sum()
}
