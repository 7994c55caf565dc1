//! The small grid: the goals, with the room that few runs need.

use serin_simulate::{Grid, Table, goals, simulate, threads};

const SEED: u64 = 20_240_607;

#[test]
fn the_small_grid_reaches_the_goals() {
    let runs = 60;
    let report = simulate(Grid::Small, runs, SEED, threads());
    let goals = goals(&report);
    assert!(goals.len() >= 20, "{}", goals.len());
    for goal in &goals {
        // One event of a rare kind is no proof of anything in so few runs; medians and means get a tenth.
        let one = 100.0 / f64::from(runs);
        let room = if goal.name.ends_with('%') || goal.name.contains("%,") { one } else { goal.target * 0.1 };
        let found = goal.found.unwrap_or(f64::INFINITY);
        let fine = if goal.at_least { found >= goal.target - room } else { found <= goal.target + room };
        assert!(fine, "{goal:?}");
    }
    // The other rules have their known faults on the same requests.
    let tuned = report.row(Table::Noise, 100.0, 0.01, 1.0, "all but pod", "Argo, tuned to 2x").unwrap();
    assert!(tuned.rolled_back > 0.8, "{tuned:?}");
    let z = report.row(Table::Rules, 100.0, 0.01, 1.0, "independent", "z-test at every scrape").unwrap();
    assert!(z.rolled_back > 0.15, "{z:?}");
    let flagger =
        report.row(Table::Rules, 100.0, 0.01, 1.0, "independent", "Flagger, at least 99 %").unwrap();
    assert!(flagger.rolled_back > 0.9, "{flagger:?}");
    assert!(report.markdown().contains("| judge |"));
}

#[test]
fn threads_do_not_change_the_result() {
    let one = simulate(Grid::Small, 2, SEED, 1);
    assert_eq!(one, simulate(Grid::Small, 2, SEED, 3));
    assert_ne!(one.rows, simulate(Grid::Small, 2, SEED + 1, 1).rows);
}
