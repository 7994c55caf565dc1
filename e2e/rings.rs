//! `cargo e2e`: all rings of tests, one after the other; those that need a cluster get one of their own, which is gone
//! afterwards.

use std::{
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Instant,
};

use crate::programs::{self, Program};
use clap::{Args, ValueEnum};
use serin_bed::{Bed, Kind, Options};
use serin_e2e::{Error, images, ring, transfer};
use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};

/// Name of the bed that `serin-tests` brings up for itself.
const CONTROL_PLANE_BED: &str = "serin-tests";
/// Test programs of the whole-cluster ring, in this order.
const CLUSTER: [&str; 3] = ["cluster", "rights", "helm"];
/// Threads for scenarios: [`ring::AT_ONCE`] play, and on the others those wait that play alone, after them.
const SCENARIO_THREADS: usize = ring::AT_ONCE + 11;
/// Tests of the control-plane ring at the same time: each has a namespace and an operator of its own, and waits for seconds
/// to pass. With more, two cores are too slow for the times that tests allow.
const WORLDS_AT_ONCE: usize = 12;

/// Flags of `cargo e2e`.
#[derive(Args, Debug, Clone)]
pub struct Arguments {
    /// Only tests whose name contains this; with --bench, only this part: transfer, or one of the program `figures`
    filter: Option<String>,
    /// Only this ring
    #[arg(long, value_enum)]
    only: Option<Ring>,
    /// Measure instead: the operator against a control plane, the agent against an object store
    #[arg(long, conflicts_with = "only")]
    bench: bool,
    /// Leave the clusters up
    #[arg(long)]
    keep: bool,
    /// Name of the bed of the whole-cluster ring
    #[arg(long, default_value = ring::BED)]
    name: String,
    /// Use the cluster of this kubeconfig for the whole-cluster ring
    #[arg(long, env = ring::KUBECONFIG_VARIABLE, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
}

/// A ring of tests.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    /// Types, judge, engine, agent, and the harness's own tests: no cluster
    Pure,
    /// The real operator against a real apiserver; no pods
    ControlPlane,
    /// Real pods, gateway and Prometheus
    Cluster,
}

impl Arguments {
    /// The wanted rings.
    fn rings(&self) -> Vec<Ring> {
        Ring::ALL.into_iter().filter(|ring| self.only.is_none_or(|only| only == *ring)).collect()
    }
}

/// Runs them; the exit code says whether all was well.
pub fn run(arguments: &Arguments) -> ExitCode {
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(all(arguments, start)));
    let took = start.elapsed().as_secs();
    let (words, code) = match outcome {
        Ok(End::Good) => ("all is well".to_owned(), ExitCode::SUCCESS),
        Ok(End::Failed(what)) => (format!("FAILED: {}", what.join(", ")), ExitCode::FAILURE),
        // What a shell expects of a program that was interrupted.
        Ok(End::Interrupted) => ("interrupted".to_owned(), ExitCode::from(130)),
        Err(error) => (format!("FAILED: {error}"), ExitCode::FAILURE),
    };
    eprintln!("cargo e2e: {words} ({} min {:02} s)", took / 60, took % 60);
    code
}

/// How it ended.
enum End {
    Good,
    Failed(Vec<&'static str>),
    Interrupted,
}

async fn all(arguments: &Arguments, start: Instant) -> Result<End, Error> {
    // From here on the signals end what runs, and then us, in order; not us alone.
    let mut stop = Stop { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? };
    let outcome = rings(arguments, start, &mut stop).await;
    if !arguments.keep {
        for bed in beds(arguments) {
            say(start, &format!("taking {bed} down"));
            tokio::task::block_in_place(|| serin_bed::down(bed))?;
        }
    }
    outcome
}

/// The beds that the wanted rings bring up; others are none of our business.
fn beds(arguments: &Arguments) -> Vec<&str> {
    if arguments.bench {
        return vec![CONTROL_PLANE_BED, &arguments.name];
    }
    let of = |ring: &Ring| match ring {
        Ring::Pure => None,
        Ring::ControlPlane => Some(CONTROL_PLANE_BED),
        Ring::Cluster => Some(arguments.name.as_str()),
    };
    arguments.rings().iter().filter_map(of).collect()
}

async fn rings(arguments: &Arguments, start: Instant, stop: &mut Stop) -> Result<End, Error> {
    if arguments.bench {
        return bench(arguments, start, stop).await;
    }
    say(start, "building the tests");
    let programs = programs::build().await?;
    if stop.asked() {
        return Ok(End::Interrupted);
    }
    let mut failed = Vec::new();
    for ring in arguments.rings() {
        say(start, ring.name());
        match ring.run(arguments, &programs, start, stop).await? {
            Some(true) => {}
            Some(false) => failed.push(ring.name()),
            None => return Ok(End::Interrupted),
        }
    }
    Ok(if failed.is_empty() { End::Good } else { End::Failed(failed) })
}

/// Measures, one after the other: nothing else may run then.
async fn bench(arguments: &Arguments, start: Instant, stop: &mut Stop) -> Result<End, Error> {
    let only = arguments.filter.as_deref();
    if only != Some("transfer") {
        if !has_figures().await? {
            return Err("serin-tests has no program `figures`".into());
        }
        let mut figures = cargo(&["run", "--release", "-p", "serin-tests", "--bin", "figures"], arguments);
        figures.arg("--").args(only);
        match carry_out(figures, stop).await? {
            Some(true) => {}
            Some(false) => return Ok(End::Failed(vec!["figures"])),
            None => return Ok(End::Interrupted),
        }
    }
    if only.is_none_or(|only| only == "transfer") {
        tokio::task::block_in_place(|| {
            let mut say = |line: &str| say(start, line);
            let options = Options { name: arguments.name.clone(), kind: Kind::Whole, kubeconfig: None };
            let bed = Bed::up(&options, &mut say)?;
            transfer::measure(&bed, &images::build(&mut say)?, &mut say)
        })?;
    }
    Ok(if stop.asked() { End::Interrupted } else { End::Good })
}

impl Ring {
    /// In the order of what they cost.
    const ALL: [Self; 3] = [Self::Pure, Self::ControlPlane, Self::Cluster];

    const fn name(self) -> &'static str {
        match self {
            Self::Pure => "the pure ring",
            Self::ControlPlane => "the control-plane ring",
            Self::Cluster => "the whole-cluster ring",
        }
    }

    /// Whether a program is this ring's.
    fn runs(self, program: &Program) -> bool {
        let of = match program.package.as_str() {
            "tests" => Self::ControlPlane,
            "e2e" if CLUSTER.contains(&program.target.as_str()) => Self::Cluster,
            _ => Self::Pure,
        };
        program.tests && of == self
    }

    /// Whether all of its tests passed; `None`: stopped.
    async fn run(
        self,
        arguments: &Arguments,
        programs: &[Program],
        start: Instant,
        stop: &mut Stop,
    ) -> Result<Option<bool>, Error> {
        if self == Self::Cluster {
            let mut say = |line: &str| say(start, line);
            let up = ring::up(&arguments.name, arguments.kubeconfig.clone(), &mut say).await;
            if stop.asked() {
                return Ok(None);
            }
            up?;
            if arguments.kubeconfig.is_none() && arguments.filter.is_none() {
                tokio::task::block_in_place(|| serin_bed::build_second_gateway(&mut say))?;
            }
        }
        let mut good = true;
        let mut mine: Vec<_> = programs.iter().filter(|program| self.runs(program)).collect();
        // Of the whole-cluster ring the last one reads what those before it have left in the log.
        mine.sort_by_key(|program| (CLUSTER.iter().position(|name| *name == program.target), &program.path));
        for program in mine {
            eprintln!("     Running {} of {}", program.target, program.package);
            let mut command = Command::new(&program.path);
            command.current_dir(&program.folder).stdin(Stdio::null());
            command.env("CARGO_MANIFEST_DIR", &program.folder);
            if let Some(serin) = programs.iter().find(|other| !other.tests && other.target == "serin") {
                command.env("SERIN_BIN", &serin.path);
            }
            surroundings(&mut command, arguments);
            command.args(arguments.filter.as_deref());
            match self {
                Self::Pure => {}
                Self::ControlPlane => {
                    command.arg(format!("--test-threads={WORLDS_AT_ONCE}"));
                }
                Self::Cluster => {
                    // What each scenario took and cost is worth its line, also when all is well.
                    command.args(["--show-output", &format!("--test-threads={SCENARIO_THREADS}")]);
                }
            }
            match carry_out(command, stop).await? {
                Some(passed) => good &= passed,
                None => return Ok(None),
            }
        }
        if self == Self::ControlPlane && !arguments.keep {
            // Its memory is needed.
            tokio::task::block_in_place(|| serin_bed::down(CONTROL_PLANE_BED))?;
        }
        Ok(Some(good))
    }
}

fn say(start: Instant, line: &str) {
    eprintln!("[{:6.1} s] {line}", start.elapsed().as_secs_f32());
}

fn cargo(args: &[&str], arguments: &Arguments) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(images::repository()).args(args).stdin(Stdio::null());
    surroundings(&mut command, arguments);
    command
}

/// What a ring's tests have to know.
fn surroundings(command: &mut Command, arguments: &Arguments) {
    command.env(ring::BED_VARIABLE, &arguments.name);
    if let Some(path) = &arguments.kubeconfig {
        command.env(ring::KUBECONFIG_VARIABLE, path);
    }
}

/// Whether it ended well; `None`: it was stopped because we were.
async fn carry_out(mut command: Command, stop: &mut Stop) -> Result<Option<bool>, Error> {
    // A group of its own: cargo's children (tests, load generators) are reached through it, and a Ctrl-C comes to us
    // alone, once.
    let mut child = command.process_group(0).spawn()?;
    let group = child.id();
    tokio::select! {
        status = child.wait() => return Ok(Some(status?.success())),
        () = stop.wait() => {}
    }
    if let Some(group) = group {
        Command::new("kill").args(["-TERM", "--", &format!("-{group}")]).status().await?;
    }
    child.wait().await?;
    Ok(None)
}

/// Ctrl-C and SIGTERM.
struct Stop {
    int: Signal,
    term: Signal,
}

impl Stop {
    async fn wait(&mut self) {
        tokio::select! { _ = self.int.recv() => {} _ = self.term.recv() => {} }
    }

    /// Whether one came already.
    fn asked(&mut self) -> bool {
        use futures::FutureExt as _;
        self.wait().now_or_never().is_some()
    }
}

/// Whether `serin-tests` has the program that measures.
async fn has_figures() -> Result<bool, Error> {
    let mut metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    metadata.current_dir(images::repository()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let found: serde_json::Value = serde_json::from_slice(&metadata.output().await?.stdout)?;
    let packages = found["packages"].as_array().into_iter().flatten().filter(|p| p["name"] == "serin-tests");
    let mut targets = packages.flat_map(|p| p["targets"].as_array().into_iter().flatten());
    Ok(targets.any(|t| t["name"] == "figures" && t["kind"][0] == "bin"))
}
