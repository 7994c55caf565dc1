//! The operator that decides goes away: how long until another one has decided.

use std::time::{Duration, Instant};

use serin_tests::audit::{self, Write};
use serin_tests::replica::{self, Replica};
use serin_tests::{Change as _, World, wine};

use crate::table::Table;

/// As installed, seconds.
const LEASE: u16 = 15;
/// Deaths of each kind.
const ROUNDS: usize = 5;
/// Longest wait for another one, seconds.
const PATIENCE: u64 = 60;

pub async fn measure(table: &mut Table) {
    let world = World::without_operator().await;
    replica::grant(&world).await;
    let mut all = Vec::new();
    for name in ["one", "two"] {
        all.push(Replica::start(&world, name, LEASE).await);
    }
    for (how, asked, goal) in [("SIGKILL", false, "20 s"), ("SIGTERM", true, "-")] {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            times.push(gone(&world, &mut all, asked, &format!("{}-{round}", how.to_lowercase())).await);
        }
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        let reached = format!("{:.2} to {:.2} s", least.as_secs_f64(), most.as_secs_f64());
        table.add(format!("{how} to the leader -> next decision, {ROUNDS} times"), reached, goal, "-");
    }
}

/// From the signal to the first write of the other one, about a model that is new by then.
async fn gone(world: &World, all: &mut [Replica], asked: bool, model: &str) -> Duration {
    let holder = replica::holder(world).await;
    let leader = replica::leader(world, all, None, PATIENCE).await;
    let (mark, started) = (audit::mark(world), Instant::now());
    if asked {
        assert_eq!(all[leader].operator.stop().await, Some(0));
    } else {
        all[leader].operator.kill();
    }
    world.apply(&wine("v1").named(model).replicas(0)).await;
    replica::leader(world, all, holder.as_deref(), PATIENCE).await;
    let decided = |write: &Write| write.is_state() && write.happened();
    world.until("the next decision", PATIENCE, |_| audit::since(world, mark).iter().any(decided)).await;
    let took = started.elapsed();
    all[leader].operator.spawn();
    // It has to stand by before the next one goes.
    let limit = Instant::now() + Duration::from_secs(PATIENCE);
    while all[leader].says("/readyz").await.is_none_or(|(code, _)| code != 200) {
        assert!(Instant::now() < limit, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took
}
