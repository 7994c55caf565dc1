//! Looks at candidates, several of them in one query to Prometheus (docs/adr/0029-looks-together.md).
//!
//! Looks of a namespace that come due within a moment of each other wait for each other (`Looks`). Which of them share a
//! query is decided by `plan`, an answer is taken apart by `share`, and `known` remembers how large answers were. What a
//! look gets is what a query of its own would have given it; one that fails or is too large is asked about alone, and the
//! others have their answer by then.

mod ask;
mod known;
mod plan;
mod share;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::prometheus::{Prometheus, QueryError, RawSeries};
use ask::{Ask, Found, Query};
use known::{Cost, Known};

pub use plan::Want;

/// A look waits for others until none has come for this long,
const QUIET: Duration = Duration::from_millis(20);
/// and at most this long.
const LONGEST: Duration = Duration::from_millis(200);
/// What all answers may hold together, from when they are asked for until they are judged, in units of 64 KiB.
const BUDGET: u32 = 96;
const UNIT: usize = 64 << 10;
/// What each query takes of it: no more than twelve at a time, and no fewer than two.
const TAKES: std::ops::RangeInclusive<u32> = 8..=BUDGET / 2;

/// Where looks wait for each other.
pub struct Looks<A = Prometheus> {
    ask: A,
    /// By namespace; who finds nobody waiting sees to those who come after him.
    waiting: Mutex<BTreeMap<String, Vec<Waiting>>>,
    known: Known,
    budget: Arc<Semaphore>,
}

struct Waiting {
    want: Want,
    answer: Reply,
}

/// A look's samples. While they are kept, they count against what all looks together may hold.
#[derive(Debug)]
pub struct Answer {
    pub series: Vec<RawSeries>,
    _share: Option<Arc<OwnedSemaphorePermit>>,
}

impl<A: Ask> Looks<A> {
    /// Through this client.
    pub fn new(ask: A) -> Arc<Self> {
        let budget = Arc::new(Semaphore::new(BUDGET as usize));
        Arc::new(Self { ask, waiting: Mutex::default(), known: Known::default(), budget })
    }

    /// What a look wants to know, together with others or alone.
    pub async fn samples(self: &Arc<Self>, namespace: &str, want: Want) -> Result<Answer, QueryError> {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let here = waiting.entry(namespace.to_owned()).or_default();
            here.push(Waiting { want, answer });
            here.len() == 1
        };
        if first {
            let (looks, namespace) = (Arc::clone(self), namespace.to_owned());
            tokio::spawn(async move {
                let together = looks.gather(&namespace).await;
                looks.answer(&namespace, together).await;
            });
        }
        // Only a panic over there leaves nobody to answer.
        answered.await.unwrap_or(Err(QueryError::Unreachable))
    }

    /// Waits until no more come, and takes all who are there.
    async fn gather(&self, namespace: &str) -> Vec<Waiting> {
        let began = tokio::time::Instant::now();
        let mut there = 1;
        loop {
            tokio::time::sleep(QUIET).await;
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let now = waiting.get(namespace).map_or(0, Vec::len);
            if now == there || began.elapsed() >= LONGEST {
                return waiting.remove(namespace).unwrap_or_default();
            }
            there = now;
        }
    }

    /// Asks about these looks and answers each of them.
    async fn answer(&self, namespace: &str, together: Vec<Waiting>) {
        let (mut wants, mut answers) = (Vec::new(), Vec::new());
        // Whose reconcile was given up wants nothing any more.
        for Waiting { want, answer } in together.into_iter().filter(|w| !w.answer.is_closed()) {
            wants.push(want);
            answers.push(Some(answer));
        }
        let costs: Vec<Cost> = wants.iter().map(|want| self.known.of(namespace, want)).collect();
        let groups = plan::groups(&wants, &costs);
        let together = Together { looks: self, namespace, wants, costs, answers: Mutex::new(answers) };
        // All at once; the budget says how many of them ask.
        futures::future::join_all(groups.iter().map(|group| together.group(group))).await;
    }
}

/// Where an answer goes.
type Reply = oneshot::Sender<Result<Answer, QueryError>>;

/// Looks that share their queries, and who waits for them.
struct Together<'a, A> {
    looks: &'a Looks<A>,
    namespace: &'a str,
    wants: Vec<Want>,
    costs: Vec<Cost>,
    answers: Mutex<Vec<Option<Reply>>>,
}

impl<A: Ask> Together<'_, A> {
    /// Asks about a group; then about each of whom it has failed, alone.
    async fn group(&self, group: &[usize]) {
        let failed = self.ask(group).await;
        futures::future::join_all(failed.iter().map(|i| async { self.ask(&[*i]).await })).await;
    }

    /// Asks about these; gives back whom to ask about alone.
    async fn ask(&self, members: &[usize]) -> Vec<usize> {
        let Self { looks, namespace, wants, costs, .. } = self;
        let share = self.share(members).await.map(Arc::new);
        let found = Query { ask: &looks.ask, namespace, wants, costs }.group(members).await;
        self.learn(members, &found);
        let mut waiting = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, ended) in found.ended {
            let answer = ended.map(|series| Answer { series, _share: share.clone() });
            if let Some(waiting) = waiting.get_mut(i).and_then(Option::take) {
                // Nobody waits any more: the reconcile was given up.
                let _ = waiting.send(answer);
            }
        }
        found.alone
    }

    /// A share of the budget for the answer about these.
    async fn share(&self, members: &[usize]) -> Option<OwnedSemaphorePermit> {
        let seconds = members.iter().map(|i| self.wants[*i].until - self.wants[*i].from).max().unwrap_or(0);
        let units = u32::try_from(plan::bytes(&self.costs, members, seconds) / UNIT).unwrap_or(u32::MAX);
        let units = units.clamp(*TAKES.start(), *TAKES.end());
        Arc::clone(&self.looks.budget).acquire_many_owned(units).await.ok()
    }

    /// Remembers what their samples cost. Who failed or was slow alone stays alone, until that goes better.
    fn learn(&self, members: &[usize], found: &Found) {
        let by_itself = members.len() == 1;
        for (i, ended) in &found.ended {
            let rate = found.rates.get(i).copied().or(self.costs[*i].rate);
            let alone = match ended {
                Err(QueryError::TooLarge) => true,
                Err(_) => by_itself,
                Ok(_) => by_itself && found.slow,
            };
            self.looks.known.learn(self.namespace, &self.wants[*i], Cost { rate, alone });
        }
    }
}

/// What a look wants to know, without waiting for others.
pub async fn alone<A: Ask>(ask: &A, namespace: &str, want: Want) -> Result<Vec<RawSeries>, QueryError> {
    let (wants, costs) = ([want], [Cost::default()]);
    let mut found = Query { ask, namespace, wants: &wants, costs: &costs }.group(&[0]).await;
    found.ended.pop().map_or(Ok(Vec::new()), |(_, ended)| ended)
}
