//! What the operator tells of itself.

use std::time::{Duration, Instant};

use serin_tests::World;

/// Time since `started` until the operator's metrics satisfy `holds`.
pub async fn until(world: &World, started: Instant, holds: impl Fn(&str) -> bool) -> Duration {
    let client = reqwest::Client::new();
    loop {
        if let Some(address) = world.operator().address()
            && let Ok(answer) = client.get(format!("http://{address}/metrics")).send().await
            && let Ok(text) = answer.text().await
            && holds(&text)
        {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_mins(2), "the operator does not get there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reconciles of ModelDeployments that ended well.
pub fn reconciles(metrics: &str) -> usize {
    counted(metrics, "serin_reconciles_total")
}

/// Reconciles of TrainingRuns that ended well.
pub fn training_reconciles(metrics: &str) -> usize {
    counted(metrics, "serin_training_reconciles_total")
}

fn counted(metrics: &str, counter: &str) -> usize {
    let name = format!("{counter}{{result=\"Ok\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
