//! `serin`: the operator, and what people ask of it. Under the name `kubectl-serin` it is `kubectl serin`.

mod approve;
mod cluster;
mod crds;
mod explain;
mod facts;
#[cfg(test)]
mod fixtures;
mod get;
mod hand;
mod history;
mod judge;
mod lineage;
mod operator;
mod output;
mod provenance;
mod retrain;
mod simulate;
#[cfg_attr(not(feature = "otel"), path = "no_traces.rs")]
mod traces;
mod undo;
mod watch;

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
    /// Show ModelDeployments at a glance: versions, weight, step, verdict and evidence; with a name, all its metrics.
    Get(get::Args),
    /// Watch a ModelDeployment at a terminal, with keys for a person's decisions; in a pipe, a line for each change.
    Watch(watch::Args),
    /// Show what serves, what is being tried, and what became of the last versions.
    History(history::Args),
    /// Say why a candidate was promoted, sent back or held: judge it again, with its evidence over time.
    Explain(explain::Args),
    /// Let the candidate take over now, without further evidence.
    Promote(hand::Args),
    /// Send the candidate back; it stays rejected until it is retried or the spec changes.
    Abort(hand::Args),
    /// Try the rejected version again.
    Retry(hand::Args),
    /// Have a RetrainPolicy start a run now, whatever holds it back.
    Retrain(retrain::Args),
    /// Leave the present step behind: its time, a pause, evidence that is still to come.
    Skip(hand::Args),
    /// Ask for what served before; while another version is tried or was rejected, for what serves.
    Undo(hand::Args),
    /// Hold the weight where it is; evidence against the candidate still sends it back.
    Pause(hand::Args),
    /// Go on after a pause.
    Resume(hand::Args),
    /// Let a ModelVersion into the channels that ask for a person's approval, or take that back.
    Approve(approve::Args),
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
        Command::Get(args) => get::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::History(args) => history::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Promote(args) => hand::run(&args, hand::Order::Promote),
        Command::Abort(args) => hand::run(&args, hand::Order::Abort),
        Command::Retry(args) => hand::run(&args, hand::Order::Retry),
        Command::Retrain(args) => retrain::run(&args),
        Command::Skip(args) => hand::run(&args, hand::Order::Skip),
        Command::Undo(args) => hand::run(&args, hand::Order::Undo),
        Command::Pause(args) => hand::run(&args, hand::Order::Pause),
        Command::Resume(args) => hand::run(&args, hand::Order::Resume),
        Command::Approve(args) => approve::run(&args),
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
