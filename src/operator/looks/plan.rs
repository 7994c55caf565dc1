//! Which looks share a query: pure, from what each of them wants and what was learned of it before.
//!
//! Looks that want the same series are put into [`groups`], those that reach back equally far together; a group's time is
//! cut into [`slices`], and a slice asks only about those whose time it is. So a trial that began an hour ago makes nobody
//! else's query an hour long.

use std::collections::BTreeSet;

use super::known::Cost;
use crate::prometheus::{BODY_MAX, width};

/// Looks in one query at most.
pub const MEMBERS: usize = 50;
/// Bytes of their names in the address at most: proxies bound it to 8 kB.
const NAMES: usize = 4096;
/// Largest answer to a query about several candidates.
pub const GROUP_MAX: usize = 4 * BODY_MAX;
/// Longest range of a query about candidates of whom nothing is known yet, in seconds: 600 s at a 2 s scrape are 8 kB a
/// series, so that a hundred series fit.
const RANGE_UNKNOWN: i64 = 600;
/// Shortest range, in seconds: an answer that is too large is asked for in halves down to this. Time is cut at its multiples
/// only, so that what is too large does not depend on how it was asked for.
const RANGE_MIN: i64 = 150;
/// What is assumed of a candidate of which nothing is known, in bytes for a second of its range: a hundred series at a 15 s
/// scrape.
const RATE_UNKNOWN: f64 = 200.0;
/// How full an answer is meant to be.
const FULL: f64 = 0.75;

/// What a look wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whole names of series.
    pub series: BTreeSet<String>,
    /// Names of the Deployments whose pods are meant.
    pub deployments: Vec<String>,
    /// After this second.
    pub from: i64,
    /// Until this one.
    pub until: i64,
}

impl Want {
    fn seconds(&self) -> i64 {
        (self.until - self.from).max(0)
    }
}

/// Looks by their place in the list they came in, and what to ask about them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub members: Vec<usize>,
    pub from: i64,
    pub until: i64,
}

/// What an answer about these candidates and so many seconds is expected to be, in bytes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a guess; it saturates")]
pub fn bytes(costs: &[Cost], members: &[usize], seconds: i64) -> usize {
    (members.iter().map(|i| rate(&costs[*i])).sum::<f64>() * seconds as f64) as usize
}

fn rate(cost: &Cost) -> f64 {
    cost.rate.unwrap_or(RATE_UNKNOWN)
}

/// The largest answer to take about so many candidates. One of them alone never gets more than 1 MiB.
pub fn most(members: usize) -> usize {
    if members > 1 { GROUP_MAX } else { BODY_MAX }
}

/// Groups of looks that want the same series. `costs[i]` belongs to `wants[i]`.
pub fn groups(wants: &[Want], costs: &[Cost]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    let key = |i: usize| (&wants[i].series, costs[i].alone, wants[i].from);
    order.sort_by(|a, b| key(*a).cmp(&key(*b)));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let (mut names, mut expected) = (0, 0);
    for i in order {
        let name: usize = wants[i].deployments.iter().map(|name| width(name)).sum();
        let size = bytes(costs, &[i], wants[i].seconds());
        let fits = |group: &Vec<usize>| {
            let first = group[0];
            wants[first].series == wants[i].series
                && !costs[first].alone
                && !costs[i].alone
                && group.len() < MEMBERS
                && names + name <= NAMES
                && (expected + size) as f64 <= FULL * GROUP_MAX as f64
        };
        match groups.last_mut() {
            Some(group) if fits(group) => {
                group.push(i);
                (names, expected) = (names + name, expected + size);
            }
            _ => {
                groups.push(vec![i]);
                (names, expected) = (name, size);
            }
        }
    }
    groups
}

/// The queries of a group, oldest first. Together they cover what each member wants; a member that began later joins where
/// that costs it no more than its own range again.
pub fn slices(wants: &[Want], costs: &[Cost], group: &[usize]) -> Vec<Slice> {
    let mut members = group.to_vec();
    members.retain(|i| wants[*i].seconds() > 0);
    members.sort_by_key(|i| wants[*i].from);
    let (mut slices, mut at) = (Vec::new(), i64::MIN);
    loop {
        members.retain(|i| wants[*i].until > at);
        let Some(first) = members.first() else { return slices };
        at = at.max(wants[*first].from);
        let mut until = members.iter().map(|i| wants[*i].until).max().unwrap_or(at);
        let mut joined = Vec::new();
        for i in &members {
            let want = &wants[*i];
            let cut = cut_before(want.from);
            if cut > at && want.from - at > want.seconds() {
                until = until.min(cut);
                break;
            }
            joined.push(*i);
        }
        if until > at + longest(costs, &joined) {
            until = cut_before(at + longest(costs, &joined));
        }
        joined.retain(|i| wants[*i].from < until);
        slices.push(Slice { members: joined, from: at, until });
        at = until;
    }
}

/// The last moment until this one at which time may be cut.
fn cut_before(at: i64) -> i64 {
    at - at.rem_euclid(RANGE_MIN)
}

/// Where a range is cut into halves, if it can be.
pub fn middle(from: i64, until: i64) -> Option<i64> {
    let middle = cut_before(from + (until - from) / 2);
    [middle, middle + RANGE_MIN].into_iter().find(|cut| from < *cut && *cut < until)
}

/// How many seconds of these candidates fit into an answer.
#[expect(clippy::cast_possible_truncation, reason = "bounded right away")]
fn longest(costs: &[Cost], members: &[usize]) -> i64 {
    if members.iter().any(|i| costs[*i].rate.is_none()) {
        return RANGE_UNKNOWN;
    }
    let rate: f64 = members.iter().map(|i| rate(&costs[*i])).sum();
    let seconds = FULL * most(members.len()) as f64 / rate.max(1e-3);
    (seconds.min(1e9) as i64).max(RANGE_MIN)
}
