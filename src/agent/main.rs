//! `serin-agent`: runs as an init container and puts a verified model file where the server reads it.
//!
//! Exit codes:
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
//! On failure one line goes to standard error and to `/dev/termination-log`, from where Kubernetes copies it into
//! the pod's status.

mod digest;
mod error;
mod fetch;
mod http;
mod output;
mod progress;
mod source;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::digest::Digest;
use crate::error::FetchError;
use crate::fetch::Request;
use crate::source::Source;

const TERMINATION_LOG: &str = "/dev/termination-log";
const USAGE: u8 = 2;
const TERMINATED: u8 = 143;

/// Fetches and verifies models inside pods.
#[derive(Parser)]
#[command(name = "serin-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Fetch a file, verify its SHA-256 digest and put it in place in one step.
    Fetch(Fetch),
}

#[derive(clap::Args)]
struct Fetch {
    /// http://, https:// or file:/// (absolute path) of the object.
    #[arg(long)]
    uri: Source,
    /// Expected digest, sha256:<64 hex digits>.
    #[arg(long)]
    digest: Digest,
    /// Where to put the file. If it is there with the digest already, nothing is fetched.
    #[arg(long)]
    output: PathBuf,
    /// Refuse objects larger than this, in bytes.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    max_bytes: u64,
    /// Give up after this many seconds in all.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout_seconds: u64,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                // clap's first paragraph says what is wrong; the rest is help.
                let text = error.to_string();
                let problem: Vec<&str> = text.lines().take_while(|l| !l.is_empty()).map(str::trim).collect();
                note_termination(&problem.join(" "));
            }
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let Command::Fetch(args) = cli.command;
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = error.to_string();
            eprintln!("{message}");
            note_termination(&message);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: Fetch) -> Result<(), FetchError> {
    // reqwest is built without a default provider and panics without an installed one. It can only be installed
    // already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::Runtime)?;
    runtime.block_on(async {
        // As process 1 of its container the agent would otherwise ignore SIGTERM and hold up the pod's deletion.
        let mut terminate = signal(SignalKind::terminate()).map_err(FetchError::Runtime)?;
        let request = Request {
            source: args.uri,
            digest: args.digest,
            output: args.output,
            max_bytes: args.max_bytes,
            timeout: Duration::from_secs(args.timeout_seconds),
            ..Request::default()
        };
        tokio::select! {
            done = fetch::fetch(&request) => done,
            _ = terminate.recv() => Err(FetchError::Terminated),
        }
    })
}

/// Leaves the message where Kubernetes looks for it. The file exists in pods only; it is not created elsewhere, and
/// failing to write it changes nothing about the outcome.
fn note_termination(message: &str) {
    if let Ok(mut log) = std::fs::OpenOptions::new().write(true).truncate(true).open(TERMINATION_LOG) {
        let _ = log.write_all(message.as_bytes());
    }
}
