//! `cargo cluster`, `cargo demo`, `cargo image` and `cargo e2e`.

mod cluster;
mod image;
mod programs;
mod rings;

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
    /// From nothing to a promotion and a rollback, before your eyes
    Demo(serin_e2e::demo::Arguments),
    /// The operator's container image, without a container engine
    Image(image::Arguments),
    /// The tests that need a cluster
    E2e(rings::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Cluster(arguments) => cluster::run(arguments),
        What::Demo(arguments) => serin_e2e::demo::run(&arguments),
        What::Image(arguments) => image::run(&arguments),
        What::E2e(arguments) => rings::run(&arguments),
    }
}
