//! Reads the file of `serin judge`.

use std::collections::BTreeMap;

use serin_judge::{Bucket, Histogram, HistogramPod, PodCounters, Sample, Series};

/// Columns for bucket edges.
const MOST_EDGES: usize = 256;
/// Times beyond these make no sense as seconds, in any epoch.
const LARGEST_TIME: f64 = 1e11;

/// How the file counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Counting {
    /// Since the pod started, as Prometheus has counters; the first row of a pod is its baseline.
    Cumulative,
    /// Since the row before.
    PerScrape,
}

/// Whose requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Arm {
    /// The new version's.
    Canary,
    /// The present version's.
    Stable,
}

/// One line of the file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Milliseconds.
    pub at_ms: i64,
    arm: Arm,
    pod: String,
    requests: f64,
    errors: f64,
    /// One for each edge.
    buckets: Vec<f64>,
}

/// The file.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// Bucket edges in the order of the columns.
    pub edges: Vec<f64>,
    /// Rows by time.
    pub rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Time,
    Arm,
    Pod,
    Requests,
    Errors,
    Bucket,
}

impl Table {
    /// Reads a text; the message names the line and what to change.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, head) = lines.next().ok_or("the file is empty; it begins with a line of column names")?;
        let (columns, edges) = columns(head)?;
        let mut rows = Vec::new();
        for (index, line) in lines {
            rows.push(row(line, &columns).map_err(|why| format!("line {}: {why}", index + 1))?);
        }
        if rows.is_empty() {
            return Err("the file has no rows".to_owned());
        }
        rows.sort_by_key(|row: &Row| row.at_ms);
        Ok(Self { edges, rows })
    }

    /// Median time between rows of one pod, milliseconds.
    pub fn interval_ms(&self) -> Option<i64> {
        let mut last: BTreeMap<(Arm, &str), i64> = BTreeMap::new();
        let mut steps = Vec::new();
        for row in &self.rows {
            if let Some(before) = last.insert((row.arm, &row.pod), row.at_ms) {
                steps.push(row.at_ms - before);
            }
        }
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().filter(|step| *step > 0)
    }

    /// Counters of one arm, as if scraped.
    pub fn counters(&self, arm: Arm, counting: Counting, interval_ms: i64) -> Vec<PodCounters> {
        let mut pods = Vec::new();
        for (pod, rows) in self.pods(arm) {
            let series = |value: fn(&Row) -> f64| samples(&rows, counting, interval_ms, value);
            pods.push(PodCounters {
                pod: pod.to_owned(),
                series: vec![
                    Series { error: false, samples: series(|row| row.requests - row.errors) },
                    Series { error: true, samples: series(|row| row.errors) },
                ],
                ..PodCounters::default()
            });
        }
        pods
    }

    /// Histograms of one arm, as if scraped.
    pub fn histograms(&self, arm: Arm, counting: Counting, interval_ms: i64) -> Vec<HistogramPod> {
        let mut pods = Vec::new();
        for (pod, rows) in self.pods(arm) {
            let mut buckets = vec![Bucket {
                le: f64::INFINITY,
                samples: samples(&rows, counting, interval_ms, |row| row.requests),
            }];
            for (index, le) in self.edges.iter().enumerate().filter(|(_, le)| le.is_finite()) {
                let count = |row: &Row| row.buckets.get(index).copied().unwrap_or(f64::NAN);
                buckets.push(Bucket { le: *le, samples: samples(&rows, counting, interval_ms, count) });
            }
            let pod = pod.to_owned();
            pods.push(HistogramPod {
                pod,
                histograms: vec![Histogram { buckets }],
                ..HistogramPod::default()
            });
        }
        pods
    }

    fn pods(&self, arm: Arm) -> BTreeMap<&str, Vec<&Row>> {
        let mut pods: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.arm == arm) {
            pods.entry(&row.pod).or_default().push(row);
        }
        pods
    }
}

fn samples(rows: &[&Row], counting: Counting, interval_ms: i64, value: impl Fn(&Row) -> f64) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(rows.len() + 1);
    let mut total = 0.0;
    if let (Counting::PerScrape, Some(first)) = (counting, rows.first()) {
        samples.push(Sample { at_ms: first.at_ms - interval_ms, value: 0.0 });
    }
    for row in rows {
        total = match counting {
            Counting::Cumulative => value(row),
            Counting::PerScrape => total + value(row),
        };
        samples.push(Sample { at_ms: row.at_ms, value: total });
    }
    samples
}

fn columns(head: &str) -> Result<(Vec<Column>, Vec<f64>), String> {
    let (mut columns, mut edges): (Vec<Column>, Vec<f64>) = (Vec::new(), Vec::new());
    for name in head.split(',').map(str::trim) {
        let column = match name {
            "t" => Column::Time,
            "arm" => Column::Arm,
            "pod" => Column::Pod,
            "requests" => Column::Requests,
            "errors" => Column::Errors,
            _ => {
                let edge = name.strip_prefix("le=").ok_or_else(|| {
                    format!("unknown column {name:?}; there are t, arm, pod, requests, errors and le=EDGE")
                })?;
                let edge: f64 = edge.parse().ok().filter(|edge: &f64| *edge > 0.0).ok_or_else(|| {
                    format!("{name:?} is no edge; write a positive number, such as le=0.25")
                })?;
                if edges.contains(&edge) {
                    return Err(format!("column {name:?} is there twice"));
                }
                edges.push(edge);
                Column::Bucket
            }
        };
        if column != Column::Bucket && columns.contains(&column) {
            return Err(format!("column {name:?} is there twice"));
        }
        columns.push(column);
    }
    for (needed, name) in [
        (Column::Time, "t"),
        (Column::Arm, "arm"),
        (Column::Requests, "requests"),
        (Column::Errors, "errors"),
    ] {
        if !columns.contains(&needed) {
            return Err(format!("column {name:?} is missing"));
        }
    }
    if edges.len() > MOST_EDGES {
        return Err(format!("{} bucket edges are too many; at most {MOST_EDGES}", edges.len()));
    }
    Ok((columns, edges))
}

fn row(line: &str, columns: &[Column]) -> Result<Row, String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    if cells.len() != columns.len() {
        return Err(format!("{} values for {} columns", cells.len(), columns.len()));
    }
    let mut row = Row {
        at_ms: 0,
        arm: Arm::Stable,
        pod: String::new(),
        requests: 0.0,
        errors: 0.0,
        buckets: Vec::new(),
    };
    for (cell, column) in cells.into_iter().zip(columns) {
        match column {
            Column::Time => row.at_ms = time(cell)?,
            Column::Arm => {
                row.arm = match cell {
                    "canary" => Arm::Canary,
                    "stable" => Arm::Stable,
                    _ => return Err(format!("arm is canary or stable, not {cell:?}")),
                }
            }
            Column::Pod => cell.clone_into(&mut row.pod),
            Column::Requests => row.requests = count(cell)?,
            Column::Errors => row.errors = count(cell)?,
            Column::Bucket => row.buckets.push(count(cell)?),
        }
    }
    if row.errors > row.requests {
        return Err(format!("{} errors of {} requests", row.errors, row.requests));
    }
    Ok(row)
}

fn time(cell: &str) -> Result<i64, String> {
    let seconds: f64 = cell.parse().map_err(|_| format!("t is a number of seconds, not {cell:?}"))?;
    if !(-LARGEST_TIME..=LARGEST_TIME).contains(&seconds) {
        return Err(format!("t is a number of seconds, not {cell:?}"));
    }
    #[allow(clippy::cast_possible_truncation)] // well within an i64
    Ok((seconds * 1000.0).round() as i64)
}

fn count(cell: &str) -> Result<f64, String> {
    cell.parse()
        .ok()
        .filter(|count: &f64| count.is_finite() && *count >= 0.0)
        .ok_or_else(|| format!("a count is a number of at least 0, not {cell:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order() {
        let table = Table::parse("arm, t, errors, requests, le=0.5\ncanary,1.5,1,10,9\n").unwrap();
        let row = &table.rows[0];
        assert_eq!((row.at_ms, row.arm, row.requests, row.errors), (1500, Arm::Canary, 10.0, 1.0));
        assert_eq!((table.edges, &row.buckets[..]), (vec![0.5], &[9.0][..]));
    }

    #[test]
    fn a_bad_file_says_what_to_change() {
        let why = |text: &str| Table::parse(text).unwrap_err();
        assert_eq!(why(""), "the file is empty; it begins with a line of column names");
        assert_eq!(why("t,arm,requests\n"), "column \"errors\" is missing");
        assert_eq!(why("t,t,arm\n"), "column \"t\" is there twice");
        assert_eq!(why("t,arm,requests,errors\n"), "the file has no rows");
        assert!(why("t,arm,requests,errors,p99\n").starts_with("unknown column \"p99\""));
        assert!(why("t,arm,requests,errors,le=x\n").contains("is no edge"));
        let line = |line: &str| why(&format!("t,arm,requests,errors\n{line}\n"));
        assert_eq!(line("0,canary,1"), "line 2: 3 values for 4 columns");
        assert_eq!(line("0,blue,1,0"), "line 2: arm is canary or stable, not \"blue\"");
        assert_eq!(line("x,canary,1,0"), "line 2: t is a number of seconds, not \"x\"");
        assert_eq!(line("1e300,canary,1,0"), "line 2: t is a number of seconds, not \"1e300\"");
        assert_eq!(line("0,canary,-1,0"), "line 2: a count is a number of at least 0, not \"-1\"");
        assert_eq!(line("0,canary,NaN,0"), "line 2: a count is a number of at least 0, not \"NaN\"");
        assert_eq!(line("0,canary,1,2"), "line 2: 2 errors of 1 requests");
    }

    #[test]
    fn counts_per_scrape_become_cumulative() {
        let text = "t,arm,requests,errors\n15,canary,10,1\n30,canary,5,0\n";
        let table = Table::parse(text).unwrap();
        assert_eq!(table.interval_ms(), Some(15_000));
        let values = |counting| -> Vec<f64> {
            table.counters(Arm::Canary, counting, 15_000)[0].series[0]
                .samples
                .iter()
                .map(|s| s.value)
                .collect()
        };
        assert_eq!(values(Counting::PerScrape), [0.0, 9.0, 14.0]);
        assert_eq!(values(Counting::Cumulative), [9.0, 5.0]);
    }
}
