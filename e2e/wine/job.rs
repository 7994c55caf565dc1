//! `wine train`: a training as an attempt of a TrainingRun has it. Data, parameters and a checkpoint come as files, the
//! model goes into a folder. Some parameters make it fail, each in one of the ways in which trainings do.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use crate::{
    csv,
    data::Wines,
    evaluate::{only_file, read},
    model,
    train::{self, Params, TrainError, Tree},
};

/// Name of the model's file.
pub const MODEL: &str = "wine.model";
/// Exit code for what would go wrong again and again.
pub const FATAL: u8 = 42;
/// Exit code after SIGTERM, as of a program that does not handle it.
pub const TERMINATED: u8 = 143;

/// Where things are; under Serin the agent says so.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder of data sets; the one named `train` is read
    #[arg(long, env = "SERIN_DATA_DIR")]
    pub data: PathBuf,
    /// File of parameters: a JSON object of strings
    #[arg(long, env = "SERIN_PARAMETERS")]
    pub parameters: PathBuf,
    /// Seed of everything drawn
    #[arg(long, env = "SERIN_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Folder for the model
    #[arg(long, env = "SERIN_OUTPUT_DIR")]
    pub output: PathBuf,
    /// Folder for checkpoints
    #[arg(long, env = "SERIN_CHECKPOINT_DIR")]
    pub checkpoints: Option<PathBuf>,
    /// A checkpoint to go on from
    #[arg(long, env = "SERIN_RESUME_FROM")]
    pub resume_from: Option<PathBuf>,
    /// Number of the attempt
    #[arg(long, env = "SERIN_ATTEMPT", default_value_t = 1)]
    pub attempt: u32,
}

/// Why it ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Trying again is no use.
    #[error("{0}")]
    Fatal(String),
    /// Trying again may help.
    #[error("{0}")]
    Failed(String),
    /// SIGTERM; the last checkpoint is written.
    #[error("asked to stop: {0}")]
    Stopped(TrainError),
    /// As the parameters wanted it.
    #[error("the parameters ask for exit code {0} in this attempt")]
    AsAsked(u8),
}

impl JobError {
    /// The program's exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Fatal(_) => FATAL,
            Self::Failed(_) => 1,
            Self::Stopped(_) => TERMINATED,
            Self::AsAsked(code) => *code,
        }
    }
}

/// What the parameters say, besides hyper-parameters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Conduct {
    /// So many first attempts fail at their start.
    fail_attempts: u32,
    /// With this exit code.
    fail_with: u8,
    /// Memory to take before the training begins.
    hog_mib: usize,
    /// Pause after each tree.
    tree_ms: u64,
    /// Leave nothing.
    no_output: bool,
}

/// Trains; `stop` is set by a signal.
pub fn run(options: &Options, stop: &AtomicBool) -> Result<(), JobError> {
    let text = read(&options.parameters).map_err(JobError::Failed)?;
    let given: BTreeMap<String, String> =
        serde_json::from_str(&text).map_err(|error| JobError::Fatal(format!("parameters: {error}")))?;
    let wines = wines(options)?;
    let features = wines.rows.first().map_or(0, Vec::len);
    let (params, conduct) = parse(&given, features, options.seed).map_err(JobError::Fatal)?;
    if options.attempt <= conduct.fail_attempts {
        return Err(JobError::AsAsked(conduct.fail_with));
    }
    let hog = hog(conduct.hog_mib);

    let done = resumed(options)?;
    println!(
        "{}",
        json!({ "attempt": options.attempt, "rows": wines.rows.len(), "columns": features, "trees_before": done.len() })
    );
    let mut unwritten = None;
    let mut after = |trees: &[Tree]| {
        if let Some(folder) = &options.checkpoints
            && let Err(error) = checkpoint(folder, trees)
        {
            unwritten = Some(error);
            return false;
        }
        !paused(Duration::from_millis(conduct.tree_ms), stop)
    };
    let fitted = train::fit(&wines, &params, done, &mut after);
    drop(hog);
    if let Some(error) = unwritten {
        return Err(JobError::Failed(error));
    }
    let mut model = match fitted {
        Ok(model) => model,
        Err(stopped @ TrainError::Stopped(_)) => return Err(JobError::Stopped(stopped)),
        Err(error) => return Err(JobError::Fatal(error.to_string())),
    };
    model.header.accuracy = train::accuracy(&model, &wines);
    let file = model.to_bytes().map_err(|error| JobError::Fatal(error.to_string()))?;
    if !conduct.no_output {
        write(&options.output.join(MODEL), &file).map_err(JobError::Failed)?;
    }
    println!("{}", json!({ "sha256": model::digest(&file), "accuracy_in_training": model.header.accuracy }));
    Ok(())
}

fn wines(options: &Options) -> Result<Wines, JobError> {
    let file = only_file(&options.data.join("train")).map_err(JobError::Failed)?;
    let text = read(&file).map_err(JobError::Failed)?;
    csv::read(&text).map_err(|error| JobError::Fatal(format!("{}: {error}", file.display())))
}

/// Hyper-parameters and conduct; a name that is not known is an error, for it would silently train something else.
fn parse(given: &BTreeMap<String, String>, features: usize, seed: u64) -> Result<(Params, Conduct), String> {
    let mut params =
        Params { features, seed, max_depth: 2, min_samples: 1, trees: 1, neighbours: None, copies: 0 };
    let mut conduct = Conduct { fail_with: 1, ..Conduct::default() };
    for (name, value) in given {
        let wrong = || format!("parameter {name}: {value:?} is no number that fits");
        match name.as_str() {
            "max_depth" => params.max_depth = value.parse().map_err(|_| wrong())?,
            "min_samples" => params.min_samples = value.parse().map_err(|_| wrong())?,
            "trees" => {
                params.trees = value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(wrong)?;
            }
            "fail_attempts" => conduct.fail_attempts = value.parse().map_err(|_| wrong())?,
            "fail_with" => conduct.fail_with = value.parse().map_err(|_| wrong())?,
            "hog_mib" => {
                conduct.hog_mib = value.parse().ok().filter(|n| *n <= 1024).ok_or_else(wrong)?;
            }
            "tree_ms" => conduct.tree_ms = value.parse().map_err(|_| wrong())?,
            "output" if value == "none" => conduct.no_output = true,
            _ => return Err(format!("parameter {name}={value} is not known")),
        }
    }
    Ok((params, conduct))
}

/// Takes memory as a leak would, and really uses it.
fn hog(mib: usize) -> Vec<Vec<u8>> {
    (0..mib).map(|i| vec![u8::try_from(i % 255).unwrap_or(0) + 1; 1 << 20]).collect()
}

/// Waits, and says whether to stop.
fn paused(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while !stop.load(Ordering::Acquire) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    true
}

const TREES: &str = "trees.json";

fn resumed(options: &Options) -> Result<Vec<Tree>, JobError> {
    let Some(folder) = &options.resume_from else { return Ok(Vec::new()) };
    let text = read(&folder.join(TREES)).map_err(JobError::Failed)?;
    serde_json::from_str(&text).map_err(|error| JobError::Failed(format!("checkpoint: {error}")))
}

/// A folder a checkpoint, and last the file that says that all of it is there.
fn checkpoint(folder: &Path, trees: &[Tree]) -> Result<(), String> {
    let folder = folder.join(format!("step-{:06}", trees.len()));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let bytes = serde_json::to_vec(trees).map_err(|error| error.to_string())?;
    write(&folder.join(TREES), &bytes)?;
    write(&folder.join(".complete"), b"")
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn parameters_that_are_not_known_are_refused() {
        let (params, conduct) = parse(&parameters(&[("trees", "5"), ("fail_with", "42")]), 11, 7).unwrap();
        assert_eq!((params.trees, params.seed, params.features, conduct.fail_with), (5, 7, 11, 42));
        for bad in [("tress", "5"), ("trees", "0"), ("trees", "many"), ("hog_mib", "99999")] {
            assert!(parse(&parameters(&[bad]), 11, 1).unwrap_err().contains(bad.0));
        }
    }
}
