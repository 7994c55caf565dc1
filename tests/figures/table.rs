//! The table that is printed at the end, and lines as they come.

use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure, its goal, and what a bare client reached in the same run.
    pub fn add(
        &mut self,
        what: impl Into<String>,
        reached: impl Into<String>,
        goal: &str,
        bare: impl Into<String>,
    ) {
        let row = [what.into(), reached.into(), goal.to_owned(), bare.into()];
        eprintln!("{}: {} (goal {}, bare client {})", row[0], row[1], row[2], row[3]);
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "reached", "goal", "bare client"].map(ToOwned::to_owned);
        let rows = || std::iter::once(&head).chain(&self.0);
        let widths =
            [0, 1, 2, 3].map(|column| rows().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for (index, row) in rows().enumerate() {
            for (cell, width) in row.iter().zip(widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if index == 0 {
                let dashes = widths.map(|width| "-".repeat(width + 2));
                writeln!(f, "|{}|", dashes.join("|"))?;
            }
        }
        Ok(())
    }
}

/// Times, to be read by rank.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// `p50 / p99`, in milliseconds.
    pub fn told(&self) -> String {
        format!("{:.1} / {:.1} ms", self.rank(50), self.rank(99))
    }

    fn rank(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(index).map_or(f64::NAN, Duration::as_secs_f64) * 1000.0
    }
}
