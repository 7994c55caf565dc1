//! Rollouts: killed after any write, refused, lied to, cut off, or late, the end is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serin_api::ModelDeployment;
use serin_tests::operator::Operator;
use serin_tests::{Change as _, Load, NAME, Told as _, World, crowd, end_state, wine};

use super::harm::{self, Harm, compare};

/// How a second version ends.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Promoted,
    RolledBack,
}

fn quick(version: &str) -> ModelDeployment {
    wine(version).steps(&[(25, 0), (60, 0)])
}

/// A whole life: the first version, then a second one that is promoted or rolled back, with one write going wrong.
/// Gives what is left at the end, and whether there was a write that could go wrong.
async fn life(ending: Ending, harm: Option<(usize, Harm)>) -> (BTreeMap<String, String>, bool) {
    let _place = crowd::place().await;
    let mut world = World::without_operator().await;
    if ending == Ending::RolledBack {
        world.prometheus.load("wine:v2", Load::BAD);
    }
    world.start_operator();
    let hurt = harm::suffer(&world, harm, course(&world, ending)).await;
    world.check_invariants();
    (end_state::masked(&world, NAME), hurt)
}

async fn course(world: &World, ending: Ending) {
    world.apply(&quick("v1")).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    world.apply(&quick("v2")).await;
    let (stable, gone) = if ending == Ending::Promoted { ("v2", "v1") } else { ("v1", "v2") };
    let ended = |m: &ModelDeployment| match ending {
        Ending::Promoted => m.serves("v2"),
        Ending::RolledBack => m.rejected("v2"),
    };
    world.until_model(NAME, "v2 has come to its end", 90, ended).await;
    world.until("the other version is removed", 60, |_| world.pods(gone).is_empty()).await;
    world.until("all pods of the one that serves", 60, |_| world.pods(stable).len() == 3).await;
    // Longer than a retry takes, so that nothing is still to come.
    world.settled(Duration::from_secs(2)).await;
}

async fn every_write(ending: Ending, harm: impl Fn(usize) -> Harm) {
    harm::every_write(15, harm, |harm| life(ending, harm)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_write_of_a_promotion_it_ends_the_same() {
    every_write(Ending::Promoted, |_| Harm::Kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_write_of_a_rollback_it_ends_the_same() {
    every_write(Ending::RolledBack, |_| Harm::Kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_a_promotion_lost_it_ends_the_same() {
    every_write(Ending::Promoted, |_| Harm::LoseAnswer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_write_of_a_promotion_refused_or_denied_afterwards_it_ends_the_same() {
    let harms = [Harm::Refuse(429), Harm::AnswerAfterCommit(504), Harm::Refuse(503), Harm::Refuse(500)];
    every_write(Ending::Promoted, |nth| harms[nth % harms.len()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_end_the_same() {
    for ending in [Ending::Promoted, Ending::RolledBack] {
        let (expected, _) = life(ending, None).await;
        let world = World::start().await;
        let mut launch = world.launch();
        launch.log.set_extension("second");
        let _second = Operator::start(launch);
        if ending == Ending::RolledBack {
            world.prometheus.load("wine:v2", Load::BAD);
        }
        course(&world, ending).await;
        compare(&expected, &end_state::masked(&world, NAME), "two operators");
        world.check_invariants();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_watches_make_nothing_twice() {
    let (expected, _) = life(Ending::Promoted, None).await;
    let world = World::start().await;
    world.proxy.link.lag(Duration::from_millis(1500));
    course(&world, Ending::Promoted).await;
    compare(&expected, &end_state::masked(&world, NAME), "late watches");
    let cost = world.cost_since(0);
    let twice = cost.writes.iter().find(|call| call.status == 409);
    world.assert(twice.is_none(), &format!("nothing is written on an older world than its own: {twice:?}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apiserver_away_in_mid_canary_is_survived() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(25, 3), (60, 1)])).await;
    world.proxy.link.cut(true);
    world.looks(5, 30).await;
    world.assert(world.operator().is_running(), "the operator does not end for it");
    world.proxy.link.cut(false);
    world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_at_rest_writes_nothing() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(25, 1), (60, 1)])).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.settled(Duration::from_secs(3)).await;

    let code = world.operator().stop().await;
    assert_eq!(code, Some(0), "asked to end, it ends by itself");
    let mark = world.proxy.calls().mark();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("nothing is written: {cost}"));
    world.assert(cost.confirmations == 0, &format!("nothing is read again: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_in_mid_canary_goes_on_where_it_was() {
    let world = World::start().await;
    world.serve("v1").await;
    let model = world.canary(&wine("v2").steps(&[(25, 600)])).await;
    let (pods, since) = (world.pods("v2"), model.tries("v2").unwrap().since);
    world.settled(Duration::from_secs(2)).await;
    world.operator().kill();
    let mark = world.proxy.calls().mark();
    world.operator().spawn();
    world.looks(3, 20).await;
    world.settled(Duration::from_secs(2)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty(), &format!("a restart changes nothing: {cost}"));
    assert_eq!(world.model(NAME).tries("v2").unwrap().since, since);
    assert_eq!(world.pods("v2"), pods);
    world.check_invariants();
}
