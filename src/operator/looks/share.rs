//! An answer about several looks, taken apart: each gets what an answer to it alone would have held.

use std::collections::{BTreeMap, HashMap};

use super::plan::{Slice, Want};
use crate::prometheus::{BODY_MAX, RawSeries};

/// A look's part that is larger than this might not have been an answer to it alone: it is asked about again, alone.
const ALONE_MAX: usize = BODY_MAX - 1024;

/// Parts of one answer, by look.
pub struct Share<'a> {
    wants: &'a [Want],
    slice: &'a Slice,
    /// The looks that mean a Deployment's pods.
    by_name: HashMap<&'a str, Vec<usize>>,
    parts: BTreeMap<usize, Part>,
}

/// A look's part.
#[derive(Debug, Default)]
pub struct Part {
    pub series: Vec<RawSeries>,
    /// Length of its text, of samples that were not wanted, too.
    pub bytes: usize,
}

impl Part {
    /// Whether an answer to this look alone might have been too large.
    pub fn is_large(&self) -> bool {
        self.bytes > ALONE_MAX
    }
}

impl<'a> Share<'a> {
    pub fn new(wants: &'a [Want], slice: &'a Slice) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for i in &slice.members {
            for name in &wants[*i].deployments {
                let meant = by_name.entry(name).or_default();
                if meant.last() != Some(i) {
                    meant.push(*i);
                }
            }
        }
        let parts = slice.members.iter().map(|i| (*i, Part::default())).collect();
        Self { wants, slice, by_name, parts }
    }

    /// Takes a series in. A pod's name can begin with the names of two Deployments; then it is both's, as it would be alone.
    pub fn take(&mut self, series: RawSeries, bytes: usize) {
        let mut meant: Vec<usize> = {
            let Some(pod) = series.metric.get("pod") else { return };
            let ends = pod.match_indices('-').map(|(end, _)| end).filter(|end| end + 1 < pod.len());
            ends.filter_map(|end| self.by_name.get(&pod[..end])).flatten().copied().collect()
        };
        meant.sort_unstable();
        meant.dedup();
        let several = self.slice.members.len() > 1;
        let Some(last) = meant.pop() else { return };
        for i in meant {
            self.give(i, series.clone(), bytes, several);
        }
        self.give(last, series, bytes, several);
    }

    fn give(&mut self, i: usize, mut series: RawSeries, bytes: usize, several: bool) {
        let (want, slice) = (&self.wants[i], self.slice);
        let (from, until) = (want.from.max(slice.from), want.until.min(slice.until));
        let Some(part) = self.parts.get_mut(&i) else { return };
        part.bytes += bytes;
        if several && part.is_large() {
            // It is no burden while the others' parts arrive.
            part.series = Vec::new();
        } else if series.trim(from.saturating_mul(1000), until.saturating_mul(1000)) {
            part.series.push(series);
        }
    }

    pub fn parts(self) -> BTreeMap<usize, Part> {
        self.parts
    }
}

/// Parts of one look, of one slice after the other, as one answer: series in the order of their labels, each of them once.
pub fn whole(mut parts: Vec<RawSeries>) -> Vec<RawSeries> {
    // Stable: what was read first stays first.
    parts.sort_by(|a, b| a.metric.cmp(&b.metric));
    let mut all: Vec<RawSeries> = Vec::with_capacity(parts.len());
    for part in parts {
        match all.last_mut() {
            Some(known) if known.metric == part.metric => {
                known.values.extend(part.values);
                known.histograms.extend(part.histograms);
            }
            _ => all.push(part),
        }
    }
    all
}
