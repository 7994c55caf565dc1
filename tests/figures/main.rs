//! What Serin costs and how fast it is, on this machine, beside a bare client that does the same writes in the same
//! run: `cargo run --release -p serin-tests --bin figures [latency|canary|scale|training|finished]…`
#![allow(clippy::unwrap_used, missing_docs)] // A program for a terminal: what fails, fails it.

mod bare;
mod births;
mod canary;
mod finished;
mod latency;
mod process;
mod scale;
mod table;
mod telemetry;
mod training;

use table::Table;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let mut table = Table::default();
    if is_wanted("latency") {
        latency::measure(&mut table).await;
    }
    if is_wanted("canary") {
        canary::measure(&mut table).await;
    }
    if is_wanted("scale") {
        scale::measure(&mut table).await;
    }
    if is_wanted("training") {
        Box::pin(training::measure(&mut table)).await;
    }
    if is_wanted("finished") {
        finished::measure(&mut table).await;
    }
    println!("{table}");
}
