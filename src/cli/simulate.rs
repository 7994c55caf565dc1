//! `serin simulate`.

use std::fmt::Write as _;

use serde_json::json;
use serin_simulate::{Goal, Grid, goals, simulate, threads};

use crate::{Failure, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// How much to simulate.
    #[arg(long, value_enum, default_value_t = Size::Small)]
    grid: Size,
    /// Runs of each cell; 100 for the small grid and 2000 for the full one, unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: Option<u32>,
    /// Seed: the same seed gives the same numbers, on any number of threads.
    #[arg(long, default_value_t = 20_240_607)]
    seed: u64,
    /// Threads; all cores, unless given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Format.
    #[arg(short, long, value_enum, default_value_t = output::Format::Text)]
    output: output::Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Size {
    /// The cells of the goals, in seconds.
    Small,
    /// All tables, in minutes.
    Full,
}

/// Simulates and prints the tables and goals.
pub fn run(args: &Args) -> Result<(), Failure> {
    let grid = match args.grid {
        Size::Small => Grid::Small,
        Size::Full => Grid::Full,
    };
    let threads = args.threads.map_or_else(threads, usize::from);
    let report = simulate(grid, args.runs.unwrap_or(grid.runs()), args.seed, threads);
    let goals = goals(&report);
    match args.output {
        output::Format::Json => output::json(&json!({ "report": report, "goals": goals })),
        output::Format::Text => {
            let head = format!("seed {}, {} runs of each cell\n\n", report.seed, report.runs);
            output::print(&format!("{head}{}{}", report.markdown(), table(&goals)))
        }
    }
}

fn table(goals: &[Goal]) -> String {
    let mut text = "## Goals\n\n| goal | target | found | |\n|---|---|---|---|\n".to_owned();
    for goal in goals {
        let bound = if goal.at_least { "at least" } else { "at most" };
        let found = goal.found.map_or_else(|| "never".to_owned(), |found| format!("{found:.2}"));
        let met = if goal.met { "met" } else { "missed" };
        let _ = writeln!(text, "| {} | {bound} {:.1} | {found} | {met} |", goal.name, goal.target);
    }
    text
}
