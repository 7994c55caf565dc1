//! What Serin costs and how fast it is, on this machine, beside a bare client that does the same writes in the same
//! run: `cargo run --release -p serin-tests --bin figures [analysis|latency|canary|leader|scale|training|finished|fleet]…`
#![allow(clippy::unwrap_used, missing_docs)] // A program for a terminal: what fails, fails it.

mod analysis;
mod bare;
mod births;
mod canary;
mod finished;
mod fleet;
mod latency;
mod leader;
mod process;
mod prometheus;
mod scale;
mod table;
mod telemetry;
mod training;

use table::Table;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == [prometheus::ARGUMENT] {
        return prometheus::serve();
    }
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let mut table = Table::default();
    // On this thread alone, and with nothing beside it.
    if is_wanted("analysis") {
        analysis::measure(&mut table);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(on_the_control_plane(is_wanted, &mut table));
    println!("{table}");
}

async fn on_the_control_plane(is_wanted: impl Fn(&str) -> bool, table: &mut Table) {
    if is_wanted("latency") {
        latency::measure(table).await;
    }
    if is_wanted("canary") {
        canary::measure(table).await;
    }
    if is_wanted("leader") {
        leader::measure(table).await;
    }
    if is_wanted("scale") {
        scale::measure(table).await;
    }
    if is_wanted("training") {
        Box::pin(training::measure(table)).await;
    }
    if is_wanted("finished") {
        finished::measure(table).await;
    }
    // The largest one last: what it leaves behind takes the control plane minutes to remove.
    if is_wanted("fleet") {
        Box::pin(fleet::measure(table)).await;
    }
}
