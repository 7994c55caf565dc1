//! The goals of decision quality, checked on what was simulated.

use crate::{Report, Row, Table};

/// One goal on one row of the report.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Goal {
    /// What is asked, and where.
    pub name: String,
    /// Largest allowed value, or least if `at_least`.
    pub target: f64,
    /// Whether the target is a lower bound.
    pub at_least: bool,
    /// What was found; none if it never happened.
    pub found: Option<f64>,
    /// Whether the goal is met.
    pub met: bool,
    /// How many runs that was seen on.
    pub runs: u32,
}

/// What of a row is looked at.
#[derive(Debug, Clone, Copy)]
enum Of {
    RolledBackPercent,
    RolledBackSeconds,
    PromotedSeconds,
    Excess,
}

impl Of {
    fn value(self, row: &Row) -> Option<f64> {
        match self {
            Self::RolledBackPercent => Some(row.rolled_back * 100.0),
            Self::RolledBackSeconds => row.rolled_back_seconds,
            Self::PromotedSeconds => row.promoted_seconds,
            Self::Excess => Some(row.excess_failures),
        }
    }
}

const PLAIN: &str = "independent";
const NOISY: &str = "all but pod";
const EDGES: &str = "default";

/// Goals whose cells are in the report.
pub fn goals(report: &Report) -> Vec<Goal> {
    use Of::{Excess, PromotedSeconds, RolledBackPercent, RolledBackSeconds};
    let mut goals = Vec::new();
    let mut check = |name: &str, table, rate, multiple, kind, of: Of, target: f64, at_least: bool| {
        let error_ratio = if table == Table::Latency { 0.0 } else { 0.01 };
        let Some(row) = report.row(table, rate, error_ratio, multiple, kind, "judge") else { return };
        let found = of.value(row);
        let met = found.is_some_and(|found| if at_least { found >= target } else { found <= target });
        let name = format!("{name}, {rate} requests/s");
        goals.push(Goal { name, target, at_least, found, met, runs: row.runs });
    };
    for rate in [1.0, 10.0, 100.0, 1000.0] {
        check("identical, rolled back %", Table::Rules, rate, 1.0, PLAIN, RolledBackPercent, 0.3, false);
    }
    for rate in [1.0, 10.0, 100.0, 1000.0] {
        check(
            "identical with noise, rolled back %",
            Table::Noise,
            rate,
            1.0,
            NOISY,
            RolledBackPercent,
            1.0,
            false,
        );
    }
    for rate in [10.0, 100.0] {
        check(
            "identical for 24 h, rolled back %",
            Table::Day,
            rate,
            1.0,
            PLAIN,
            RolledBackPercent,
            1.0,
            false,
        );
    }
    check("x1.1, rolled back %", Table::Rules, 1000.0, 1.1, PLAIN, RolledBackPercent, 0.5, false);
    for (rate, seconds) in [(10.0, 285.0), (100.0, 45.0), (1000.0, 45.0)] {
        check("x5, median s", Table::Rules, rate, 5.0, PLAIN, RolledBackSeconds, seconds, false);
    }
    check("x2, median s", Table::Rules, 100.0, 2.0, PLAIN, RolledBackSeconds, 420.0, false);
    check("x2, found %", Table::Rules, 100.0, 2.0, PLAIN, RolledBackPercent, 99.0, true);
    for rate in [10.0, 100.0, 1000.0] {
        check("x5 with ramp, excess failures", Table::Policies, rate, 5.0, PLAIN, Excess, 25.0, false);
    }
    for (rate, seconds) in [(10.0, 600.0), (100.0, 200.0), (1000.0, 360.0)] {
        check(
            "good canary promoted, median s",
            Table::Policies,
            rate,
            1.0,
            PLAIN,
            PromotedSeconds,
            seconds,
            false,
        );
    }
    check("latency x1.3, median s", Table::Latency, 100.0, 1.3, EDGES, RolledBackSeconds, 270.0, false);
    check("latency x1.1, rolled back %", Table::Latency, 100.0, 1.1, EDGES, RolledBackPercent, 0.5, false);
    for rate in [100.0, 1000.0] {
        check("x5 from minute 20, median s", Table::Late, rate, 5.0, PLAIN, RolledBackSeconds, 120.0, false);
    }
    // 1.7 times Wald's bound for two samples: 282 s for x2 at 100 requests/s, 225 s for x1.5 at 1000.
    check(
        "x2, 1.7 times the bound, s",
        Table::Rules,
        100.0,
        2.0,
        PLAIN,
        RolledBackSeconds,
        1.7 * 282.0,
        false,
    );
    check(
        "x1.5, 1.7 times the bound, s",
        Table::Rules,
        1000.0,
        1.5,
        PLAIN,
        RolledBackSeconds,
        1.7 * 225.0,
        false,
    );
    goals
}
