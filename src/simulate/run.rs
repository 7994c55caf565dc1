//! Cells on all cores. What a run finds depends on the seed, its cell and its number only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serin_judge::{ErrorParams, dispersion_of};

use crate::noise::Noise;
use crate::policy::Policy;
use crate::random::Random;
use crate::report::{Report, Row, Tally};
use crate::traffic::Traffic;
use crate::{Cell, Grid, HORIZON, SCRAPE_SECONDS, Table, latency, policy, rules};

/// Runs that one thread takes at once.
const CHUNK: u32 = 50;
/// Scrapes of history for the dispersion: three hours.
const HISTORY: usize = 720;
/// Scrapes of a day.
const DAY: usize = 5760;
/// When the late regression begins: after 20 minutes.
const LATE: usize = 80;

/// One run's outcomes, by rule.
type Outcomes = Vec<(&'static str, Outcome)>;

/// How a rule ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Outcome {
    /// Seconds to the rollback.
    pub rolled_back: Option<f64>,
    /// Seconds to the promotion.
    pub promoted: Option<f64>,
    /// Excess failures.
    pub excess: f64,
}

/// Threads to use: all cores.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Simulates the grid's cells, `runs` of each.
pub fn simulate(grid: Grid, runs: u32, seed: u64, threads: usize) -> Report {
    let cells = grid.cells();
    let chunks = runs.div_ceil(CHUNK).max(1);
    let jobs = cells.len() * chunks as usize;
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Vec<Outcomes>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(job / chunks as usize).filter(|_| job < jobs) else { return };
                    let first = u32::try_from(job % chunks as usize).unwrap_or(0) * CHUNK;
                    let found = (first..(first + CHUNK).min(runs)).map(|run| one(cell, run, seed)).collect();
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((job, found));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(job, _)| *job);

    let mut rows: Vec<Row> = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let mut tallies: Vec<(&'static str, Tally)> = Vec::new();
        for (_, found) in done.iter().filter(|(job, _)| job / chunks as usize == index) {
            for (rule, outcome) in found.iter().flatten() {
                if let Some((_, tally)) = tallies.iter_mut().find(|(known, _)| known == rule) {
                    tally.add(outcome);
                } else {
                    let mut tally = Tally::default();
                    tally.add(outcome);
                    tallies.push((rule, tally));
                }
            }
        }
        rows.extend(tallies.into_iter().map(|(rule, tally)| tally.row(*cell, rule)));
    }
    Report { seed, runs, rows }
}

fn one(cell: &Cell, run: u32, seed: u64) -> Outcomes {
    // The cell's own numbers, not its place in a grid: a cell has the same runs in every grid.
    let mut stream = u64::from(run);
    let name = format!("{:?} {} {} {} {}", cell.table, cell.rate, cell.error_ratio, cell.multiple, cell.kind);
    for byte in name.bytes() {
        stream = (stream ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    let mut random = Random::new(seed, stream);
    match cell.table {
        Table::Rules | Table::Noise => fixed_weight(cell, &mut random),
        Table::Day => day(cell, &mut random),
        Table::Late => late(cell, &mut random),
        Table::Policies => policies(cell, &random),
        Table::Latency => {
            let ends = latency::run(&mut random, cell.kind, cell.rate, cell.multiple);
            let at = |rolled_back| Outcome { rolled_back, ..Outcome::default() };
            vec![
                ("Argo, true p99 + 20 %", at(ends.argo)),
                ("Flagger, true p99 + 20 %", at(ends.flagger)),
                ("Kayenta on p99", at(ends.kayenta)),
                ("judge", at(ends.judge)),
            ]
        }
    }
}

fn traffic(cell: &Cell) -> Traffic {
    Traffic {
        rate: cell.rate,
        share: 0.1,
        error_ratio: cell.error_ratio,
        multiple: cell.multiple,
        onset: 0,
        noise: Noise::named(cell.kind),
    }
}

fn fixed_weight(cell: &Cell, random: &mut Random) -> Outcomes {
    let traffic = traffic(cell);
    let history = Traffic { multiple: 1.0, noise: traffic.noise.before(), ..traffic };
    let history: Vec<_> = history.scrapes(random, HISTORY).iter().map(|s| (s.canary, s.stable)).collect();
    let phi = dispersion_of(&history);
    let scrapes = traffic.scrapes(random, HORIZON);
    let baseline = Traffic { multiple: 1.0, ..traffic }.scrapes(random, HORIZON);
    let exact = ErrorParams { max_ratio: 1.0, ..ErrorParams::default() };
    let q = cell.error_ratio;
    let per_request = q * (cell.multiple - 1.0);
    let outcome = |rolled_back: Option<f64>| {
        let until = rolled_back.unwrap_or(f64::INFINITY);
        let seen: f64 = scrapes
            .iter()
            .enumerate()
            .take_while(|(t, _)| rules::seconds(*t) <= until)
            .map(|(_, s)| s.canary.requests)
            .sum();
        Outcome { rolled_back, promoted: None, excess: seen * per_request }
    };
    vec![
        ("Argo, at least 95 %", outcome(rules::argo(&scrapes, 0.05))),
        ("Argo, tuned to 2x", outcome(rules::argo(&scrapes, 2.0 * q))),
        ("Flagger, at least 99 %", outcome(rules::flagger(&scrapes, 0.01))),
        ("Flagger, tuned to 2x", outcome(rules::flagger(&scrapes, 2.0 * q))),
        ("Kayenta", outcome(rules::kayenta(&scrapes, &baseline))),
        ("z-test at every scrape", outcome(rules::z_test(&scrapes))),
        ("judge, no tolerance", outcome(rules::judge(&scrapes, exact, phi))),
        ("judge", outcome(rules::judge(&scrapes, ErrorParams::default(), phi))),
        ("oracle", outcome(rules::oracle(&scrapes, q, cell.multiple))),
    ]
}

fn day(cell: &Cell, random: &mut Random) -> Outcomes {
    let scrapes = traffic(cell).scrapes(random, DAY);
    let at = |rolled_back| Outcome { rolled_back, ..Outcome::default() };
    vec![
        ("z-test at every scrape", at(rules::z_test(&scrapes))),
        ("judge", at(rules::judge(&scrapes, ErrorParams::default(), 1.0))),
    ]
}

/// Times count from the start of the regression; what was rolled back before is no finding, and left out.
fn late(cell: &Cell, random: &mut Random) -> Outcomes {
    let scrapes = Traffic { onset: LATE, ..traffic(cell) }.scrapes(random, 2 * HORIZON);
    let onset = LATE as f64 * SCRAPE_SECONDS;
    let found = [
        ("Argo, tuned to 2x", rules::argo(&scrapes, 2.0 * cell.error_ratio)),
        ("z-test at every scrape", rules::z_test(&scrapes)),
        ("judge", rules::judge(&scrapes, ErrorParams::default(), 1.0)),
    ];
    found
        .into_iter()
        .filter(|(_, at)| at.is_none_or(|at| at > onset))
        .map(|(rule, at)| (rule, Outcome { rolled_back: at.map(|at| at - onset), ..Outcome::default() }))
        .collect()
}

/// Each policy has other weights, and so other requests; all start from the same generator.
fn policies(cell: &Cell, random: &Random) -> Outcomes {
    [
        ("Argo, at least 95 %", Policy::Argo(0.05)),
        ("Argo, at least 99 %", Policy::Argo(0.01)),
        ("Argo, tuned to 2x", Policy::Argo(2.0 * cell.error_ratio)),
        ("Flagger, at least 99 %", Policy::Flagger),
        ("Kayenta", Policy::Kayenta),
        ("z-test at every scrape", Policy::ZTest),
        ("judge", Policy::Judge(None)),
        ("judge, SLO 0.5 %", Policy::Judge(Some(0.005))),
    ]
    .into_iter()
    .map(|(rule, policy)| {
        let end = policy::run(policy, &mut random.clone(), cell.rate, cell.error_ratio, cell.multiple);
        (rule, Outcome { rolled_back: end.rolled_back, promoted: end.promoted, excess: end.excess })
    })
    .collect()
}
