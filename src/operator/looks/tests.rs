//! Looks together, beside the same looks alone.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use serin_judge::Sample;

use super::*;
use crate::prometheus::RawSeries;
use plan::{GROUP_MAX, MEMBERS, Slice, groups, slices};

/// Deployments, and the range in seconds.
type Asked = (Vec<String>, i64, i64);

/// Samples in memory, which are counted as if they were text.
#[derive(Clone, Debug, Default)]
struct Store {
    series: Vec<RawSeries>,
    /// Length of the text of a sample.
    width: usize,
    /// Queries that mean this Deployment are not answered in time.
    stuck: Option<String>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Ask for Store {
    async fn ask(
        &self,
        _: &str,
        first: &Want,
        deployments: &[&str],
        slice: &Slice,
        (most, _): (usize, Duration),
        mut take: impl FnMut(RawSeries, usize) + Send,
    ) -> Result<(), QueryError> {
        let names: Vec<String> = deployments.iter().map(|name| (*name).to_owned()).collect();
        self.asked.lock().unwrap().push((names.clone(), slice.from, slice.until));
        if self.stuck.as_ref().is_some_and(|stuck| names.contains(stuck)) {
            return Err(QueryError::Timeout);
        }
        let mut length = 70;
        for series in &self.series {
            let (name, pod) = (series.metric.get("__name__").unwrap(), series.metric.get("pod").unwrap());
            let of =
                |d: &String| pod.strip_prefix(d.as_str()).is_some_and(|r| r.len() > 1 && r.starts_with('-'));
            let mut series = series.clone();
            // As old versions of Prometheus do, with the first moment of a range.
            if first.series.contains(name)
                && names.iter().any(of)
                && series.trim(slice.from * 1000 - 1, slice.until * 1000)
            {
                let bytes = 100 + self.width * series.values.len();
                length += bytes;
                if length > most {
                    return Err(QueryError::TooLarge);
                }
                take(series, bytes);
            }
        }
        Ok(())
    }
}

fn series(name: &str, pod: &str, from: i64, until: i64, step: i64) -> RawSeries {
    let sample = |at: i64| Sample { at_ms: at * 1000, value: (at % 977) as f64 };
    RawSeries {
        metric: [("__name__", name), ("pod", pod)].into_iter().collect(),
        values: (from..=until).step_by(usize::try_from(step).unwrap()).map(sample).collect(),
        value: None,
        histograms: Vec::new(),
    }
}

fn want(names: &[&str], deployments: &[&str], from: i64, until: i64) -> Want {
    Want {
        series: names.iter().map(|s| (*s).to_owned()).collect(),
        deployments: deployments.iter().map(|s| (*s).to_owned()).collect(),
        from,
        until,
    }
}

type Ended = Result<Vec<RawSeries>, QueryError>;

/// What each look gets that comes at the same time as the others.
fn together(looks: &Arc<Looks<Store>>, wants: &[Want]) -> Vec<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut waiting, mut answers) = (Vec::new(), Vec::new());
        for want in wants.iter().cloned() {
            let (answer, answered) = oneshot::channel();
            waiting.push(Waiting { want, answer });
            answers.push(async { answered.await.unwrap().map(|answer| answer.series) });
        }
        // Whoever has his answer lets go of it, or the others would wait for room.
        tokio::join!(looks.answer("ns", waiting), futures::future::join_all(answers)).1
    })
}

fn each_alone(store: &Store, wants: &[Want]) -> Vec<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    wants.iter().map(|want| runtime.block_on(alone(store, "ns", want.clone()))).collect()
}

fn a_want() -> impl Strategy<Value = Want> {
    // Names that begin like each other, as those of Deployments do.
    let deployment = prop::sample::select(vec!["w", "w-1", "w-1-2", "w-10", "v", "v-1", "x-y-z"]);
    let names = prop::sample::subsequence(vec!["ok", "bad", "took"], 1..=2);
    (names, prop::collection::vec(deployment, 1..=2), 1000_i64..5000, 0_i64..3)
        .prop_map(|(names, deployments, from, late)| want(&names, &deployments, from, 4500 + late))
}

fn a_store() -> impl Strategy<Value = Store> {
    let pod =
        prop::sample::select(vec!["w-a", "w-1-a", "w-1-2-a", "w-10-b", "v-b", "v-1-", "x-y-z-c", "w", "-"]);
    let name = prop::sample::select(vec!["ok", "bad", "took", "other"]);
    let one = (name, pod, 900_i64..4400, 5_i64..40);
    let stuck = prop::option::of(prop::sample::select(vec!["w", "w-1-2", "v"]));
    (prop::collection::vec(one, 0..24), prop::sample::select(vec![30, 300, 3000, 30_000]), stuck).prop_map(
        |(all, width, stuck)| {
            let known = all.iter().map(|(name, pod, from, step)| series(name, pod, *from, 4502, *step));
            let mut series: Vec<RawSeries> = known.collect();
            series.sort_by(|a, b| a.metric.cmp(&b.metric));
            series.dedup_by(|a, b| a.metric == b.metric);
            // No order that anybody promises.
            series.reverse();
            Store { series, width, stuck: stuck.map(str::to_owned), asked: Arc::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The first time, and when it is known how large the answers are.
    #[test]
    fn a_look_gets_what_it_would_get_alone(
        store in a_store(),
        wants in prop::collection::vec(a_want(), 1..12),
    ) {
        let expected = each_alone(&store, &wants);
        let looks = Looks::new(store);
        for _ in 0..3 {
            prop_assert_eq!(&together(&looks, &wants), &expected);
        }
    }

    #[test]
    fn a_group_asks_for_all_that_its_members_want_and_for_little_more(
        wants in prop::collection::vec(a_want(), 1..80),
        rates in prop::collection::vec(prop::option::of(0.0_f64..20_000.0), 80),
    ) {
        let costs: Vec<Cost> = rates.iter().map(|rate| Cost { rate: *rate, alone: false }).collect();
        let mut seen = BTreeSet::new();
        for group in groups(&wants, &costs) {
            prop_assert!(group.len() <= MEMBERS);
            let size: usize = group.iter().map(|i| plan::bytes(&costs, &[*i], (wants[*i].until - wants[*i].from).max(0))).sum();
            prop_assert!(group.len() == 1 || size <= GROUP_MAX);
            let slices = slices(&wants, &costs, &group);
            for i in group {
                prop_assert!(seen.insert(i));
                let want = &wants[i];
                let mut at = want.from;
                let mut asked = 0;
                for slice in slices.iter().filter(|slice| slice.members.contains(&i)) {
                    prop_assert!(slice.from <= at && slice.until > at, "a gap before {:?}", slice);
                    at = slice.until;
                    asked += slice.until.min(want.until) - slice.from;
                }
                prop_assert!(at >= want.until || want.from >= want.until);
                prop_assert!(asked <= 2 * (want.until - want.from).max(0) + 150);
            }
        }
        prop_assert_eq!(seen.len(), wants.len());
    }
}

fn many(count: usize) -> (Store, Vec<Want>) {
    let names: Vec<String> = (0..count).map(|n| format!("wine-{n}-1a2b3c4d")).collect();
    let all = names.iter().flat_map(|name| {
        ["200", "500"].map(|code| {
            let one = series("ok", &format!("{name}-x"), 3000, 4500, 15);
            let labels = [("__name__", "ok"), ("pod", one.metric.get("pod").unwrap()), ("code", code)];
            RawSeries { metric: labels.into_iter().collect(), ..one }
        })
    });
    let store = Store { series: all.collect(), width: 28, ..Store::default() };
    let wants = names.iter().map(|name| want(&["ok"], &[name, "wine-s"], 3900, 4500)).collect();
    (store, wants)
}

fn asked(looks: &Looks<Store>) -> Vec<Asked> {
    std::mem::take(&mut looks.ask.asked.lock().unwrap())
}

#[test]
fn looks_share_their_queries() {
    let (store, wants) = many(100);
    let looks = Looks::new(store);
    assert!(together(&looks, &wants).iter().all(|found| found.as_ref().unwrap().len() == 2));
    assert!(asked(&looks).len() <= 4);
    together(&looks, &wants);
    assert_eq!(asked(&looks).len(), 2);
    together(&looks, &wants[..1]);
    assert_eq!(asked(&looks), [(wants[0].deployments.clone(), 3900, 4500)]);
}

#[test]
fn an_old_trial_is_nobody_elses() {
    let (store, mut wants) = many(20);
    wants[7].from = 1000;
    let looks = Looks::new(store);
    together(&looks, &wants);
    for (names, from, until) in asked(&looks) {
        assert!(names.len() == 2 || from >= 3300, "{} names from {from} to {until}", names.len());
    }
}

#[test]
fn a_large_neighbour_holds_nobody() {
    let (mut store, wants) = many(20);
    // 150 s of it alone are more than an answer may hold.
    let fat = (0..600).map(|n| {
        let one = series("ok", "wine-3-1a2b3c4d-fat", 3900, 4500, 1);
        let labels = [("__name__", "ok"), ("pod", "wine-3-1a2b3c4d-fat"), ("n", &n.to_string())];
        RawSeries { metric: labels.into_iter().collect(), ..one }
    });
    store.series.extend(fat);
    let looks = Looks::new(store);
    for _ in 0..2 {
        asked(&looks);
        let found = together(&looks, &wants);
        for (n, found) in found.iter().enumerate() {
            match n {
                3 => assert_eq!(found.as_ref().unwrap_err(), &QueryError::TooLarge),
                _ => assert_eq!(found.as_ref().unwrap().len(), 2),
            }
        }
    }
    // It is known by now, and asked about alone.
    let groups = asked(&looks).iter().filter(|(names, ..)| names.len() > 2).count();
    assert_eq!(groups, 1);
}

#[test]
fn a_slow_neighbour_holds_nobody() {
    let (mut store, wants) = many(20);
    store.stuck = Some(wants[5].deployments[0].clone());
    let looks = Looks::new(store);
    let held = |found: Vec<Ended>| -> Vec<usize> {
        found.iter().enumerate().filter(|(_, f)| f.is_err()).map(|(n, _)| n).collect()
    };
    assert_eq!(held(together(&looks, &wants)), [5]);
    assert_eq!(asked(&looks).len(), 21);
    assert_eq!(held(together(&looks, &wants)), [5]);
    assert_eq!(asked(&looks).len(), 2);
}

#[test]
fn who_is_alone_waits_for_a_moment_only() {
    let (store, wants) = many(1);
    let looks = Looks::new(store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let began = std::time::Instant::now();
    let found = runtime.block_on(looks.samples("ns", wants[0].clone())).unwrap();
    assert_eq!(found.series.len(), 2);
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    assert!(looks.waiting.lock().unwrap().is_empty());
}
