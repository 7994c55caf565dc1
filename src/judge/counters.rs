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
//! - Samples are sorted; of several at one time the largest value holds, because a smaller one would look like a
//!   reset and count everything again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PodCounters, Sample, Series, Window};

/// Above this (2^53) an `f64` no longer counts single requests, so no real counter is there.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// Requests and errors, from deltas of counters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Counts {
    pub requests: f64,
    pub errors: f64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

/// One arm (canary or stable) on the grid of ticks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Arm {
    /// What happened per tick; a tick is present if anything was scraped in it, even if nothing happened.
    pub ticks: BTreeMap<i64, Counts>,
    /// Time of the newest scrape.
    pub newest_ms: Option<i64>,
    /// Unusable samples.
    pub discarded: u64,
    /// Counter resets.
    pub resets: u64,
}

/// Deltas that end in one tick, kept apart until all are known: summing them sorted makes the sum independent of
/// the order of pods and series.
#[derive(Default)]
struct Deltas {
    good: Vec<f64>,
    errors: Vec<f64>,
}

#[derive(Default)]
struct Pod<'a> {
    started_ms: Option<i64>,
    scraped: BTreeSet<i64>,
    series: Vec<&'a Series>,
}

/// One series without unusable samples, oldest first, one sample per time.
struct Clean {
    error: bool,
    samples: Vec<Sample>,
    /// An unusable sample came before the first usable one.
    began_unusable: bool,
}

impl Arm {
    /// Reads all pods of an arm, as far as they were known at `window.now_ms`.
    pub(crate) fn read(pods: &[PodCounters], window: &Window) -> Self {
        let mut by_name: BTreeMap<&str, Pod<'_>> = BTreeMap::new();
        for pod in pods {
            let entry = by_name.entry(&pod.pod).or_default();
            entry.started_ms = match (entry.started_ms, pod.started_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            entry.scraped.extend(pod.scraped_ms.iter().filter(|at| **at <= window.now_ms));
            entry.series.extend(&pod.series);
        }

        let mut arm = Self::default();
        let mut deltas: BTreeMap<i64, Deltas> = BTreeMap::new();
        for pod in by_name.into_values() {
            arm.read_pod(pod, window, &mut deltas);
        }
        for (tick, mut found) in deltas {
            let errors = ordered_sum(&mut found.errors);
            // Built from the errors, so that rounding cannot make them more than the requests.
            let requests = errors + ordered_sum(&mut found.good);
            arm.ticks.insert(tick, Counts { requests, errors });
        }
        arm
    }

    fn read_pod(&mut self, mut pod: Pod<'_>, window: &Window, deltas: &mut BTreeMap<i64, Deltas>) {
        let mut series = Vec::with_capacity(pod.series.len());
        for raw in &pod.series {
            let (clean, discarded) = clean(raw, window);
            self.discarded += discarded;
            pod.scraped.extend(clean.samples.iter().map(|s| s.at_ms));
            series.push(clean);
        }
        let Some(first_scrape) = pod.scraped.first().copied() else { return };
        self.newest_ms = self.newest_ms.max(pod.scraped.last().copied());
        for at_ms in pod.scraped {
            if window.tick_of(at_ms) >= 0 {
                deltas.entry(window.tick_of(at_ms)).or_default();
            }
        }

        let young = window.is_young(pod.started_ms, first_scrape);
        for one in series {
            let Some(first) = one.samples.first() else { continue };
            let new = !one.began_unusable && (first.at_ms > first_scrape || young);
            let mut before = new.then_some(0.0);
            for sample in &one.samples {
                if let Some(before) = before {
                    let reset = sample.value < before;
                    self.resets += u64::from(reset);
                    let delta = if reset { sample.value } else { sample.value - before };
                    let tick = window.tick_of(sample.at_ms);
                    if tick >= 0 {
                        let found = deltas.entry(tick).or_default();
                        if one.error { found.errors.push(delta) } else { found.good.push(delta) }
                    }
                }
                before = Some(sample.value);
            }
        }
    }
}

/// The usable samples of a series and the number of unusable ones.
fn clean(series: &Series, window: &Window) -> (Clean, u64) {
    let usable = |sample: &Sample| (0.0..=LARGEST_COUNT).contains(&sample.value);
    let mut samples = Vec::with_capacity(series.samples.len());
    let mut first_unusable: Option<i64> = None;
    let mut discarded = 0;
    for sample in series.samples.iter().filter(|s| s.at_ms <= window.now_ms) {
        if usable(sample) {
            samples.push(*sample);
        } else {
            discarded += 1;
            first_unusable = Some(first_unusable.map_or(sample.at_ms, |at| at.min(sample.at_ms)));
        }
    }
    samples.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then(b.value.total_cmp(&a.value)));
    samples.dedup_by_key(|s| s.at_ms);
    let began_unusable =
        first_unusable.is_some_and(|unusable| samples.first().is_some_and(|first| unusable < first.at_ms));
    (Clean { error: series.error, samples, began_unusable }, discarded)
}

fn ordered_sum(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.iter().sum()
}
