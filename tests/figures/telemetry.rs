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

/// What the operator's metrics are now.
pub async fn metrics(world: &World) -> String {
    let mut text = String::new();
    let started = Instant::now();
    while text.is_empty() {
        assert!(started.elapsed() < Duration::from_mins(1), "the operator tells no metrics");
        if let Some(address) = address(&world.operator().log())
            && let Ok(answer) = reqwest::get(format!("http://{address}/metrics")).await
        {
            text = answer.text().await.unwrap_or_default();
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    text
}

/// Returns when the operator has written nothing for three seconds.
pub async fn rests(world: &World) {
    let (mut last, started) = (usize::MAX, Instant::now());
    loop {
        let now = counted(&metrics(world).await, "serin_writes_total");
        if now == last {
            return;
        }
        assert!(started.elapsed() < Duration::from_mins(10), "the operator does not come to rest");
        last = now;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Writes that were tried.
pub fn writes(metrics: &str) -> usize {
    counted(metrics, "serin_writes_total")
}

/// Where the operator listens, by its last word about it.
fn address(log: &str) -> Option<String> {
    let line = log.lines().rev().find(|line| line.contains("serin is running"))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line["address"].as_str()?.to_owned())
}

/// Reconciles of ModelDeployments that ended well.
pub fn reconciles(metrics: &str) -> usize {
    counted(metrics, "serin_reconciles_total{result=\"Ok\"}")
}

/// Reconciles of TrainingRuns that ended well.
pub fn training_reconciles(metrics: &str) -> usize {
    counted(metrics, "serin_training_reconciles_total{result=\"Ok\"}")
}

fn counted(metrics: &str, counter: &str) -> usize {
    let name = format!("{counter} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
