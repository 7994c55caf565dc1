//! The queries of one group, one after the other, and what becomes of those that fail.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use super::{
    known::Cost,
    plan::{self, Slice, Want},
    share::{Part, Share, whole},
};
use crate::prometheus::{self, Prometheus, QueryError, RawSeries};

/// Deadline of a query about several candidates: shorter, as each of them may have to be asked about alone afterwards.
const DEADLINE: Duration = Duration::from_secs(3);
/// Who takes longer alone is not asked about together with others.
const SLOW: Duration = Duration::from_secs(1);

/// Somebody who has samples.
pub trait Ask: Send + Sync + 'static {
    /// Samples of these series and Deployments, after `from` and until `until`; `bounds` are bytes and time.
    fn ask(
        &self,
        namespace: &str,
        first: &Want,
        deployments: &[&str],
        slice: &Slice,
        bounds: (usize, Duration),
        take: impl FnMut(RawSeries, usize) + Send,
    ) -> impl Future<Output = Result<(), QueryError>> + Send;
}

impl Ask for Prometheus {
    async fn ask(
        &self,
        namespace: &str,
        first: &Want,
        deployments: &[&str],
        slice: &Slice,
        bounds: (usize, Duration),
        take: impl FnMut(RawSeries, usize) + Send,
    ) -> Result<(), QueryError> {
        let selector = prometheus::selector(&first.series, namespace, deployments);
        let query = format!("{selector}[{}s]", slice.until - slice.from);
        self.each(&query, slice.until, "matrix", bounds, take).await
    }
}

/// The looks of a namespace, and whom to ask about them.
pub struct Query<'a, A> {
    pub ask: &'a A,
    pub namespace: &'a str,
    pub wants: &'a [Want],
    pub costs: &'a [Cost],
}

/// What came of a group.
#[derive(Debug, Default)]
pub struct Found {
    /// Answers, and failures that are final.
    pub ended: Vec<(usize, Result<Vec<RawSeries>, QueryError>)>,
    /// Whom to ask about again, alone.
    pub alone: Vec<usize>,
    /// Bytes for a second of a candidate's range.
    pub rates: BTreeMap<usize, f64>,
    /// Whether a query took long.
    pub slow: bool,
}

impl<A: Ask> Query<'_, A> {
    /// Asks about a group.
    pub async fn group(&self, group: &[usize]) -> Found {
        let mut found = Found::default();
        let mut parts: BTreeMap<usize, Vec<RawSeries>> = group.iter().map(|i| (*i, Vec::new())).collect();
        // On top lies what is asked next.
        let mut stack = plan::slices(self.wants, self.costs, group);
        stack.reverse();
        while let Some(mut slice) = stack.pop() {
            slice.members.retain(|i| parts.contains_key(i));
            if let [one] = slice.members[..] {
                slice.from = slice.from.max(self.wants[one].from);
                slice.until = slice.until.min(self.wants[one].until);
            }
            let Some(first) = slice.members.first() else { continue };
            if self.wants[*first].series.is_empty() || slice.from >= slice.until {
                continue;
            }
            let began = Instant::now();
            let several = slice.members.len() > 1;
            let answer = self.slice(&slice).await;
            found.slow |= began.elapsed() > SLOW;
            match answer {
                Ok(answer) => {
                    for (i, part) in answer {
                        found.rates.insert(i, part.bytes as f64 / (slice.until - slice.from) as f64);
                        if several && part.is_large() {
                            parts.remove(&i);
                            found.alone.push(i);
                        } else if let Some(parts) = parts.get_mut(&i) {
                            parts.extend(part.series);
                        }
                    }
                }
                Err(QueryError::TooLarge) if let Some(halves) = halves(&slice) => stack.extend(halves),
                // That nobody listens has nothing to do with what was asked.
                Err(error) if several && error != QueryError::Unreachable => {
                    parts.retain(|i, _| !slice.members.contains(i));
                    found.alone.append(&mut slice.members);
                }
                Err(error) => {
                    parts.retain(|i, _| !slice.members.contains(i));
                    found.ended.extend(slice.members.into_iter().map(|i| (i, Err(error))));
                }
            }
        }
        found.ended.extend(parts.into_iter().map(|(i, parts)| (i, Ok(whole(parts)))));
        found
    }

    async fn slice(&self, slice: &Slice) -> Result<BTreeMap<usize, Part>, QueryError> {
        let mut share = Share::new(self.wants, slice);
        let members = slice.members.iter().flat_map(|i| &self.wants[*i].deployments);
        let deployments: Vec<&str> = members.map(String::as_str).collect();
        let deadline = if slice.members.len() > 1 { DEADLINE } else { prometheus::DEADLINE };
        let bounds = (plan::most(slice.members.len()), deadline);
        let first = &self.wants[slice.members[0]];
        let take = |series: RawSeries, bytes: usize| share.take(series, bytes);
        self.ask.ask(self.namespace, first, &deployments, slice, bounds, take).await?;
        Ok(share.parts())
    }
}

/// Two smaller queries for one, the later one first: of candidates, and of one candidate's time. `None`: smaller it cannot
/// be.
fn halves(slice: &Slice) -> Option<[Slice; 2]> {
    let Slice { members, from, until } = slice;
    if members.len() > 1 {
        let (one, other) = members.split_at(members.len() / 2);
        return Some([other, one].map(|half| Slice { members: half.to_vec(), from: *from, until: *until }));
    }
    let middle = plan::middle(*from, *until)?;
    let part = |from: i64, until: i64| Slice { members: members.clone(), from, until };
    Some([part(middle, *until), part(*from, middle)])
}
