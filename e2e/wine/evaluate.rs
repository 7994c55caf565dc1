//! `wine evaluate`: candidate and champion on the same rows, each number with how sure it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{csv, data::Wines, model::Model};

/// Where things are; under Serin the agent says so.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder of the new model
    #[arg(long, env = "SERIN_CANDIDATE_DIR")]
    pub candidate: PathBuf,
    /// Folder of the model that serves
    #[arg(long, env = "SERIN_CHAMPION_DIR")]
    pub champion: Option<PathBuf>,
    /// Folder of data sets
    #[arg(long, env = "SERIN_DATA_DIR")]
    pub data: PathBuf,
    /// The file to write
    #[arg(long, env = "SERIN_RESULT")]
    pub result: PathBuf,
}

/// Column that the slices are made by, and what divides them: volume per cent of alcohol.
const ALCOHOL: (usize, f64) = (10, 11.0);
/// Two-sided, 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Measures and writes the result; answers what it wrote.
pub fn run(options: &Options) -> Result<Value, String> {
    let wines = csv::read(&read(&only_file(&options.data)?)?)?;
    let mut metrics = measure("candidate", &options.candidate, &wines)?;
    if let Some(champion) = &options.champion {
        metrics.extend(measure("champion", champion, &wines)?);
    }
    let result = json!({ "metrics": metrics });
    fs::write(&options.result, result.to_string())
        .map_err(|error| format!("cannot write {}: {error}", options.result.display()))?;
    Ok(result)
}

/// A slice and who belongs to it; the whole has no name.
type Part<'a> = (Option<&'static str>, &'a dyn Fn(&[f64]) -> bool);

fn measure(arm: &str, folder: &Path, wines: &Wines) -> Result<Vec<Value>, String> {
    let (model, _) = Model::load(&only_file(folder)?).map_err(|error| format!("{arm}: {error}"))?;
    let (column, limit) = ALCOHOL;
    let strong = |row: &[f64]| row.get(column).is_some_and(|x| *x >= limit);
    let parts: [Part<'_>; 3] =
        [(None, &|_| true), (Some("strong"), &strong), (Some("light"), &|row| !strong(row))];
    let mut metrics = Vec::new();
    for (slice, belongs) in parts {
        let chosen: Vec<usize> = (0..wines.rows.len()).filter(|i| belongs(&wines.rows[*i])).collect();
        if chosen.is_empty() {
            continue;
        }
        let right = chosen
            .iter()
            .filter(|i| model.score(&wines.rows[**i]).is_ok_and(|score| (score >= 0.5) == wines.good[**i]));
        let (right, n) = (right.count(), chosen.len());
        let (low, high) = wilson(right, n);
        let mut metric = json!({
            "name": "accuracy", "arm": arm, "value": rounded(right as f64 / n as f64),
            "ciLow": rounded(low), "ciHigh": rounded(high), "n": n,
        });
        if let Some(slice) = slice {
            metric["slice"] = json!(slice);
        }
        metrics.push(metric);
    }
    Ok(metrics)
}

/// Wilson's score interval of a share.
fn wilson(right: usize, n: usize) -> (f64, f64) {
    let (p, n) = (right as f64 / n as f64, n as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0))
}

fn rounded(x: f64) -> f64 {
    (x * 1e6).round() / 1e6
}

/// The one file in a folder or in the folders below it; a listing of what was published is none.
pub fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries =
            fs::read_dir(&next).map_err(|error| format!("cannot read {}: {error}", next.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if entry.file_name() != "manifest.json" {
                found.push(path);
            }
        }
    }
    match found.pop() {
        Some(file) if found.is_empty() => Ok(file),
        _ => Err(format!("{} should hold exactly one file", folder.display())),
    }
}

/// A text file, or one line that says why not.
pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        // R: binom::binom.wilson(81, 263)
        let (low, high) = wilson(81, 263);
        assert!((low - 0.255_3).abs() < 1e-4 && (high - 0.366_2).abs() < 1e-4, "{low} {high}");
        // The ends stay shares.
        assert!((0.0..1e-9).contains(&wilson(0, 10).0) && (1.0 - 1e-9..=1.0).contains(&wilson(10, 10).1));
    }
}
