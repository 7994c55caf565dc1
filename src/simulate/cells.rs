//! The cells of a grid.

use crate::noise::NOISES;

/// What a cell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Rules alone, a tenth of the traffic, half an hour.
    Rules,
    /// The same with noise.
    Noise,
    /// A day of looks at a canary that is no different, or exactly as bad as tolerated.
    Day,
    /// A regression that begins after 20 minutes.
    Late,
    /// Rules with their ramps, an hour.
    Policies,
    /// Latency.
    Latency,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Cell {
    /// What it belongs to.
    pub table: Table,
    /// Requests per second.
    pub rate: f64,
    /// Error ratio of the stable version.
    pub error_ratio: f64,
    /// How many times the canary has it, or, for latency, takes as long.
    pub multiple: f64,
    /// Kind of noise, or of latency and its buckets.
    pub kind: &'static str,
}

/// How much is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// What the goals ask for, few runs: less than half a minute.
    Small,
    /// All tables.
    Full,
}

/// Shapes of latency and their buckets; the last has 2 % of the requests a second slower, at any multiple.
pub(crate) const LATENCIES: [&str; 5] =
    ["default", "step x1.19", "default, bimodal", "step x1.19, bimodal", "default, 2 % +1 s"];

impl Grid {
    /// Runs of each cell, unless told otherwise.
    pub fn runs(self) -> u32 {
        match self {
            Self::Small => 100,
            Self::Full => 2000,
        }
    }

    /// Its cells.
    pub fn cells(self) -> Vec<Cell> {
        match self {
            Self::Small => small(),
            Self::Full => full(),
        }
    }
}

fn errors(table: Table, rate: f64, error_ratio: f64, multiple: f64) -> Cell {
    Cell { table, rate, error_ratio, multiple, kind: "independent" }
}

fn small() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (rate, multiples) in
        [(1.0, &[1.0][..]), (10.0, &[1.0, 5.0]), (100.0, &[1.0, 2.0, 5.0]), (1000.0, &[1.0, 1.1, 1.5, 5.0])]
    {
        cells.extend(multiples.iter().map(|m| errors(Table::Rules, rate, 0.01, *m)));
        cells.push(Cell { kind: "all but pod", ..errors(Table::Noise, rate, 0.01, 1.0) });
        if rate >= 10.0 {
            cells.extend([1.0, 5.0].map(|m| errors(Table::Policies, rate, 0.01, m)));
        }
        if rate >= 100.0 {
            cells.push(errors(Table::Late, rate, 0.01, 5.0));
        }
    }
    cells.extend(
        [1.0, 1.1, 1.3].map(|m| Cell { kind: LATENCIES[0], ..errors(Table::Latency, 100.0, 0.0, m) }),
    );
    cells
}

fn full() -> Vec<Cell> {
    let mut cells = Vec::new();
    let rates = [1.0, 10.0, 100.0, 1000.0];
    for error_ratio in [0.01, 0.001] {
        for rate in rates {
            let all = |table, multiples: &[f64]| -> Vec<Cell> {
                multiples.iter().map(|m| errors(table, rate, error_ratio, *m)).collect()
            };
            cells.extend(all(Table::Rules, &[1.0, 1.1, 1.5, 2.0, 5.0, 20.0]));
            cells.extend(all(Table::Policies, &[1.0, 1.5, 2.0, 5.0, 20.0]));
        }
    }
    for rate in [10.0, 100.0, 1000.0] {
        for (kind, _) in NOISES {
            cells.extend([1.0, 1.15, 5.0].map(|m| Cell { kind, ..errors(Table::Noise, rate, 0.01, m) }));
        }
        cells.extend([2.0, 5.0, 20.0].map(|m| errors(Table::Late, rate, 0.01, m)));
    }
    for rate in [10.0, 100.0] {
        cells.extend([1.0, 1.25].map(|m| errors(Table::Day, rate, 0.01, m)));
    }
    for rate in rates {
        for kind in LATENCIES {
            let multiples: &[f64] =
                if kind.ends_with("+1 s") { &[1.0] } else { &[1.0, 1.1, 1.2, 1.3, 1.5, 2.0] };
            cells.extend(multiples.iter().map(|m| Cell { kind, ..errors(Table::Latency, rate, 0.0, *m) }));
        }
    }
    cells
}
