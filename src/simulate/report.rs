//! What was found, as rows and as tables.

use std::fmt::Write;

use crate::run::Outcome;
use crate::{Cell, Table};

/// One rule in one cell.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Row {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// The rule.
    pub rule: &'static str,
    /// Runs that count.
    pub runs: u32,
    /// Share of runs rolled back, 0 to 1.
    pub rolled_back: f64,
    /// Median seconds to that.
    pub rolled_back_seconds: Option<f64>,
    /// Share of runs promoted, 0 to 1.
    pub promoted: f64,
    /// Median seconds to that.
    pub promoted_seconds: Option<f64>,
    /// Mean number of failed requests that the stable version would not have failed.
    pub excess_failures: f64,
}

/// All rows of a simulation.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Runs of each cell.
    pub runs: u32,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Outcomes of one rule in one cell, so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    runs: u32,
    rolled_back: Vec<f64>,
    promoted: Vec<f64>,
    excess: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.rolled_back.extend(outcome.rolled_back);
        self.promoted.extend(outcome.promoted);
        self.excess += outcome.excess;
    }

    pub(crate) fn row(mut self, cell: Cell, rule: &'static str) -> Row {
        let runs = f64::from(self.runs.max(1));
        Row {
            cell,
            rule,
            runs: self.runs,
            rolled_back: self.rolled_back.len() as f64 / runs,
            rolled_back_seconds: median(&mut self.rolled_back),
            promoted: self.promoted.len() as f64 / runs,
            promoted_seconds: median(&mut self.promoted),
            excess_failures: self.excess / runs,
        }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Report {
    /// The row of a rule in a cell, if it was simulated.
    pub fn row(
        &self,
        table: Table,
        rate: f64,
        error_ratio: f64,
        multiple: f64,
        kind: &str,
        rule: &str,
    ) -> Option<&Row> {
        let same = |a: f64, b: f64| (a - b).abs() < 1e-9;
        self.rows.iter().find(|row| {
            let cell = &row.cell;
            cell.table == table
                && same(cell.rate, rate)
                && same(cell.error_ratio, error_ratio)
                && same(cell.multiple, multiple)
                && cell.kind == kind
                && row.rule == rule
        })
    }

    /// Markdown tables: a line for each rule, a column for each cell.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (table, title) in [
            (Table::Rules, "Rules alone, a tenth of the traffic, half an hour: rolled back % @ median s"),
            (Table::Noise, "With noise, 1 % errors: rolled back % @ median s"),
            (Table::Day, "24 hours of looks: rolled back %"),
            (Table::Late, "Regression after 20 minutes: found % @ median s after its start"),
            (
                Table::Policies,
                "With ramps: rolled back % · promoted % @ median s · excess failures in an hour",
            ),
            (Table::Latency, "Latency, margin 20 %: rolled back % @ median s"),
        ] {
            let mut groups: Vec<(f64, &'static str, f64)> = Vec::new();
            for row in self.rows.iter().filter(|row| row.cell.table == table) {
                let group = (row.cell.error_ratio, row.cell.kind, row.cell.rate);
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
            if groups.is_empty() {
                continue;
            }
            let _ = writeln!(text, "## {title}\n");
            for (error_ratio, kind, rate) in groups {
                let rows: Vec<&Row> = self
                    .rows
                    .iter()
                    .filter(|row| {
                        let cell = &row.cell;
                        cell.table == table
                            && cell.kind == kind
                            && cell.rate.total_cmp(&rate).is_eq()
                            && cell.error_ratio.total_cmp(&error_ratio).is_eq()
                    })
                    .collect();
                let errors = if table == Table::Latency {
                    String::new()
                } else {
                    format!("{} % errors, ", error_ratio * 100.0)
                };
                let _ = writeln!(text, "{errors}{rate} requests/s, {kind}:\n");
                table_of(&mut text, &rows, table == Table::Policies);
            }
        }
        text
    }
}

fn table_of(text: &mut String, rows: &[&Row], with_promotions: bool) {
    let mut multiples: Vec<f64> = rows.iter().map(|row| row.cell.multiple).collect();
    multiples.dedup();
    let mut rules: Vec<&str> = Vec::new();
    for row in rows {
        if !rules.contains(&row.rule) {
            rules.push(row.rule);
        }
    }
    let heads: Vec<String> = multiples.iter().map(|m| format!("x{m}")).collect();
    let _ = writeln!(text, "| rule | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for rule in rules {
        let _ = write!(text, "| {rule} |");
        for multiple in &multiples {
            let found = rows.iter().find(|r| r.rule == rule && r.cell.multiple.total_cmp(multiple).is_eq());
            let cell = found.map(|row| {
                let back = at(row.rolled_back, row.rolled_back_seconds);
                if with_promotions {
                    let promoted = at(row.promoted, row.promoted_seconds);
                    format!("{back} · {promoted} · {:.0}", row.excess_failures)
                } else {
                    back
                }
            });
            let _ = write!(text, " {} |", cell.unwrap_or_default());
        }
        text.push('\n');
    }
    text.push('\n');
}

/// Percent, and the time where it is more than a rare event.
fn at(share: f64, seconds: Option<f64>) -> String {
    let percent = share * 100.0;
    let shown =
        if percent > 0.0 && percent < 9.95 { format!("{percent:.1}") } else { format!("{percent:.0}") };
    match seconds.filter(|_| share >= 0.02) {
        Some(seconds) => format!("{shown}@{seconds:.0}"),
        None => shown,
    }
}
