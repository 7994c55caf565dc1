//! `serin`: the operator, and what people ask of it. Under the name `kubectl-serin` it is `kubectl serin`.

mod cluster;
mod crds;
mod judge;
mod lineage;
mod operator;
mod output;
mod provenance;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Serin: the life of a machine-learning model on Kubernetes.
#[derive(Parser)]
#[command(name = "serin", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator (in a pod; or anywhere with a kubeconfig).
    Operator(operator::Args),
    /// Print the CustomResourceDefinitions.
    Crds(crds::Args),
    /// Print a ModelVersion's provenance: an in-toto statement with a SLSA v1 predicate, unsigned.
    Provenance(provenance::Args),
    /// Show where a ModelVersion comes from and what became of it.
    Lineage(lineage::Args),
    /// Judge a canary on a CSV file of requests, errors and latency buckets.
    Judge(judge::Args),
    /// Simulate how well the judge and other rules decide.
    Simulate(simulate::Args),
}

/// One line for people.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Operator(args) => operator::run(args),
        Command::Crds(args) => crds::run(&args),
        Command::Provenance(args) => provenance::run(&args),
        Command::Lineage(args) => lineage::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serin: {error}");
            ExitCode::FAILURE
        }
    }
}
