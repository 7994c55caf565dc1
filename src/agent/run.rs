//! `run`: the program of a training. Runs it, uploads its checkpoints, publishes what it left, and leaves the result.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serin_wire::places::exit;
use serin_wire::{Train, TrainingResult, places, result};
use tokio::sync::watch;

use crate::checkpoint::Uploads;
use crate::child::{self, Ended, Program};
use crate::environment;
use crate::folder::Folder;
use crate::places::Places;
use crate::publish::publish;
use crate::stores::Stores;
use crate::termination;

/// Variables that are ours alone: the task, and in an evaluation the nonce with it.
pub const OURS: &[&str] = &[places::TASK];

/// How a command of the agent ends when it does not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit code of the process.
    pub code: i32,
    /// For the termination message.
    pub message: String,
    /// Whether it is on standard error already, word by word.
    pub is_known: bool,
}

impl Failure {
    /// With this code, for this reason.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_known: false }
    }
}

/// Runs one attempt of a training; gives the termination message.
pub async fn run(
    train: &Train,
    index: u32,
    command: Vec<OsString>,
    places: &Places,
    stores: &Arc<Stores>,
) -> Result<String, Failure> {
    let defect = |reason: String| Failure::new(exit::USAGE, reason);
    let output = Folder::parse(&train.output, &places.claims(), stores).map_err(defect)?;
    let uploads = if index == 0 { Uploads::new(train, places, stores).map_err(defect)? } else { None };
    make(&[places.at(places::OUTPUT_DIR)])?;
    if train.checkpoints.is_some() {
        make(&[places.at(places::CHECKPOINT_DIR)])?;
    }

    let (ended, follow) = watch::channel(false);
    let uploading = async {
        if let Some(uploads) = uploads {
            uploads.follow(follow).await;
        }
    };
    let running = async {
        let done = supervise(command, environment::of_training(train, places), places).await;
        let _ = ended.send(true);
        done
    };
    // Checkpoints are kept however the program ended; that is what they are for.
    let (done, ()) = tokio::join!(running, uploading);
    done?;
    if index != 0 {
        return Ok(String::new());
    }
    let published = publish(&places.at(places::OUTPUT_DIR), "$SERIN_OUTPUT_DIR", &output).await;
    let output = published.map_err(|error| Failure::new(error.exit_code(), error.to_string()))?;
    let resumed_from = fs::read_to_string(places.resumed_from()).ok().filter(|name| !name.is_empty());
    to_message(&TrainingResult {
        schema: TrainingResult::SCHEMA.to_owned(),
        run_uid: train.run_uid.clone(),
        attempt: train.attempt,
        output,
        resumed_from,
    })
}

/// Runs the program and tells of an end that is not good.
pub async fn supervise(
    command: Vec<OsString>,
    set: BTreeMap<String, String>,
    places: &Places,
) -> Result<(), Failure> {
    // What is there when the program has failed is the program's.
    let log = places.at(places::TERMINATION_LOG);
    let _ = termination::leave(&log, "");
    let program = Program { command, set, unset: OURS };
    let ended =
        child::run(program).await.map_err(|error| Failure::new(error.exit_code(), error.to_string()))?;
    match ended {
        Ended { code: 0, told_to_stop: false, .. } => Ok(()),
        // Programs end well when they are told to stop. What they leave then is not what they were to make.
        Ended { code: 0, .. } => Err(Failure::new(
            i32::from(crate::TERMINATED),
            "the program was told to stop and did; nothing is published",
        )),
        Ended { code, how, last_words, .. } => {
            let left = termination::left_by_program(&log);
            let words = left.or_else(|| (!last_words.is_empty()).then_some(last_words));
            eprintln!("{how}");
            Err(Failure { code, message: words.unwrap_or(how), is_known: true })
        }
    }
}

/// Makes folders that the program expects.
pub fn make(folders: &[PathBuf]) -> Result<(), Failure> {
    folders.iter().try_for_each(|folder| {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::new(exit::USAGE, format!("cannot make {}: {error}", folder.display())))
    })
}

/// A result as the termination message.
pub fn to_message(result: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(result).map_err(|error| Failure::new(exit::USAGE, error.to_string()))?;
    if text.len() > result::BYTES_MAX {
        return Err(Failure::new(
            exit::NO_OUTPUT,
            format!(
                "the result has {} bytes, {} are allowed; use fewer metrics or shorter names",
                text.len(),
                result::BYTES_MAX
            ),
        ));
    }
    Ok(text)
}
