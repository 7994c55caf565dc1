//! `cargo cluster`, `cargo demo` and `cargo e2e`.

mod cluster;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo", bin_name = "cargo", about = "Serin's test bed, demo and end-to-end tests")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A real Kubernetes on this machine
    Cluster(cluster::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Cluster(arguments) => cluster::run(arguments),
    }
}
