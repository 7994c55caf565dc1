//! `serin-agent`: runs inside pods.
//!
//! `fetch` puts a verified model where a server reads it. Its exit codes:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the output is there and has the digest |
//! | 2 | wrong usage |
//! | 3 | the digest does not match |
//! | 4 | not found, forbidden, or a redirect that is not followed |
//! | 5 | network trouble or server errors, after all retries; or the time is up |
//! | 6 | larger than allowed |
//! | 7 | the output cannot be written |
//! | 143 | stopped by SIGTERM |
//!
//! `prepare`, `run`, `evaluate` and `look` do what `$SERIN_TASK` says. Their exit codes are the program's own and those
//! in `serin_wire::places::exit`.
//!
//! On failure the reason goes to standard error and to `/dev/termination-log`, from where Kubernetes copies it into
//! the pod's status; the results of `run`, `evaluate` and `look` go there,
//! too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use serin_agent::digest::Digest;
use serin_agent::directory::fetch_directory;
use serin_agent::error::FetchError;
use serin_agent::evaluate::evaluate;
use serin_agent::fetch::{Request, fetch};
use serin_agent::look::look;
use serin_agent::places::Places;
use serin_agent::prepare::{self, prepare};
use serin_agent::run::{Failure, run};
use serin_agent::source::Source;
use serin_agent::stores::Stores;
use serin_agent::termination;
use serin_wire::places::{self, exit};
use serin_wire::{Task, task};
use tokio::signal::unix::{SignalKind, signal};

const USAGE_OF_FETCH: u8 = 2;

/// Fetches and verifies models inside pods, runs trainings and evaluations.
#[derive(Parser)]
#[command(name = "serin-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Folder that stands for / in tests.
    #[arg(long, global = true, default_value = "/", hide = true)]
    root: PathBuf,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Fetch a file or a directory, verify its SHA-256 digest and put it in place in one step.
    Fetch(Fetch),
    /// Put everything in place that the task in $SERIN_TASK needs.
    Prepare,
    /// Run a training as the task in $SERIN_TASK says, and publish what it leaves.
    Run(Program),
    /// Run an evaluation as the task in $SERIN_TASK says, and publish its report.
    Evaluate(Program),
    /// Say what lies at the addresses that the task in $SERIN_TASK names: SHA-256 digests and sizes.
    Look,
}

#[derive(clap::Args)]
struct Program {
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(clap::Args)]
struct Fetch {
    /// https://, http://, s3://BUCKET/KEY, gs://, az://CONTAINER/KEY, pvc://CLAIM/PATH or file:/// (absolute path).
    #[arg(long)]
    uri: Source,
    /// Expected digest, sha256:<64 hex digits>.
    #[arg(long)]
    digest: Digest,
    /// Where to put the file, or the files of a directory. What is there with its digest is not fetched again.
    #[arg(long)]
    output: PathBuf,
    /// What the URI names: one file, or the manifest.json of a directory.
    #[arg(long, value_enum, default_value_t = Layout::File)]
    layout: Layout,
    /// Folder in which what was fetched is kept by digest, for the next pod on this node.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Refuse objects larger than this, in bytes.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    max_bytes: u64,
    /// Give up after this many seconds in all.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout_seconds: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Layout {
    /// One file.
    File,
    /// The files that a manifest lists, beside it.
    Directory,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    // reqwest is built without a default provider and panics without an installed one. It can only be installed
    // already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let places = Places::below(&cli.root);
    let log = places.at(places::TERMINATION_LOG);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&log, &FetchError::Runtime(error).to_string(), 7),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Fetch(args) => until_terminated(fetch_one(args))
                .await
                .map_err(|error| Failure::new(i32::from(error.exit_code()), error.to_string()))
                .map(|()| None),
            Command::Prepare => {
                let task = read_task()?;
                let stores = Arc::new(Stores::of(prepare::storage(&task)));
                until_terminated(prepare(&task, &places, &stores))
                    .await
                    .map_err(|error| Failure::new(prepare::exit_code(&error), error.to_string()))
                    .map(|()| None)
            }
            Command::Run(program) => {
                let task = read_task()?;
                let stores = Arc::new(Stores::of(prepare::storage(&task)));
                let Task::Train(train) = task else { return Err(defect("the task is no training")) };
                run(&train, completion_index()?, program.command, &places, &stores).await.map(Some)
            }
            Command::Evaluate(program) => {
                let task = read_task()?;
                let stores = Arc::new(Stores::of(prepare::storage(&task)));
                let Task::Evaluate(task) = task else { return Err(defect("the task is no evaluation")) };
                evaluate(&task, program.command, &places, &stores).await.map(Some)
            }
            Command::Look => {
                let task = read_task()?;
                let stores = Arc::new(Stores::of(prepare::storage(&task)));
                let Task::Look(task) = task else { return Err(defect("the task is no look")) };
                let mut seen = None;
                let looking = async {
                    seen = Some(look(&task, &places, &stores).await?);
                    Ok(())
                };
                until_terminated(looking)
                    .await
                    .map_err(|error| Failure::new(prepare::exit_code(&error), error.to_string()))?;
                Ok(seen)
            }
        }
    });
    // Work that cannot be interrupted, such as writing a file, is not waited for.
    runtime.shutdown_background();
    match done {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(result)) => match termination::leave(&log, &result) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // A result that nobody can read is none.
                eprintln!("cannot write the result to {}: {error}", log.display());
                code(exit::PUBLISH_FAILED)
            }
        },
        Err(failure) => {
            if !failure.is_known {
                eprintln!("{}", failure.message);
            }
            failed(&log, &failure.message, failure.code)
        }
    }
}

fn failed(log: &Path, message: &str, with: i32) -> ExitCode {
    // The file exists in pods only, and failing to write it changes nothing about the outcome.
    let _ = termination::leave(log, termination::head(message, termination::MESSAGE_MAX));
    code(with)
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn misused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    // clap's first paragraph says what is wrong; the rest is help.
    let text = error.to_string();
    let problem: Vec<&str> = text.lines().take_while(|l| !l.is_empty()).map(str::trim).collect();
    let _ = termination::leave(Path::new(places::TERMINATION_LOG), &problem.join(" "));
    let command = std::env::args_os().nth(1);
    let around_a_program =
        command.is_some_and(|c| c == "prepare" || c == "run" || c == "evaluate" || c == "look");
    if around_a_program { code(exit::USAGE) } else { ExitCode::from(USAGE_OF_FETCH) }
}

fn defect(reason: impl Into<String>) -> Failure {
    Failure::new(exit::USAGE, reason)
}

fn read_task() -> Result<Task, Failure> {
    let text = std::env::var(places::TASK).map_err(|_| defect(format!("{} is not set", places::TASK)))?;
    serde_json::from_str(&text).map_err(|error| defect(format!("{} cannot be read: {error}", places::TASK)))
}

fn completion_index() -> Result<u32, Failure> {
    match std::env::var(task::INDEX) {
        Ok(text) => text.parse().map_err(|_| defect(format!("{} is no number: {text:?}", task::INDEX))),
        Err(_) => Ok(0),
    }
}

async fn fetch_one(args: Fetch) -> Result<(), FetchError> {
    let request = Request {
        source: args.uri,
        digest: args.digest,
        output: args.output,
        max_bytes: args.max_bytes,
        timeout: Duration::from_secs(args.timeout_seconds),
        stores: Arc::new(Stores::from_environment()),
        cache: args.cache,
        ..Request::default()
    };
    match args.layout {
        Layout::File => fetch(&request).await,
        Layout::Directory => fetch_directory(&request).await,
    }
}

/// As process 1 of its container the agent would otherwise ignore SIGTERM and hold up the pod's deletion.
async fn until_terminated(work: impl Future<Output = Result<(), FetchError>>) -> Result<(), FetchError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(FetchError::Runtime)?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Err(FetchError::Terminated),
    }
}
