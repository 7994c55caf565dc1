//! Everything at once, by a dice with a seed: whatever happened, what must hold held, and the last wish comes true.

use std::time::Duration;

use serin_tests::{
    Behaviour, Call, Change as _, Fault, Load, NAME, Told as _, Trouble, World, by_hand, crowd, wine,
};

/// A small generator: the same seed, the same story.
struct Dice(u64);

impl Dice {
    /// One of `sides`, from 0.
    fn roll(&mut self, sides: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn version(&mut self) -> String {
        format!("v{}", 1 + self.roll(4))
    }
}

/// Things done to the world, one after the other.
const DEEDS: u64 = 60;

async fn one_deed(world: &mut World, dice: &mut Dice) -> String {
    let version = dice.version();
    let image = serin_tests::fixtures::image(&version);
    match dice.roll(16) {
        0..=4 => {
            let replicas = 1 + i32::try_from(dice.roll(4)).unwrap();
            world.apply(&wine(&version).replicas(replicas).steps(&[(20, 1), (60, 1)])).await;
            format!("asks for {version} with {replicas} replicas")
        }
        5 => {
            let paused = dice.roll(2) == 0;
            world.gateway.pause(paused);
            format!("gateway paused: {paused}")
        }
        6 | 7 => {
            let behaviours = [
                Behaviour::Ready(Duration::ZERO),
                Behaviour::Ready(Duration::from_millis(700)),
                Behaviour::NeverReady,
                Behaviour::CrashLoop(4),
            ];
            let behaviour = behaviours[usize::try_from(dice.roll(4)).unwrap()].clone();
            let told = format!("pods of {version}: {behaviour:?}");
            world.kubelet.script(&image, behaviour);
            told
        }
        8 => {
            let load = if dice.roll(2) == 0 { Load::BAD } else { Load::GOOD };
            world.prometheus.load(&image, load);
            format!("traffic of {version}: {load:?}")
        }
        9 => {
            let troubles = [Trouble::None, Trouble::ServerError, Trouble::Empty, Trouble::NotJson];
            let trouble = troubles[usize::try_from(dice.roll(4)).unwrap()];
            world.prometheus.trouble(trouble);
            format!("Prometheus: {trouble:?}")
        }
        10 | 11 => {
            world.operator().kill();
            world.operator().spawn();
            "operator killed and started".to_owned()
        }
        12 => {
            let fault = match dice.roll(3) {
                0 => Fault::LoseAnswer,
                1 => Fault::Refuse(503),
                _ => Fault::AnswerAfterCommit(504),
            };
            world.proxy.faults.arm(1, fault, |call: &Call| call.is_state_write());
            "the next write goes wrong".to_owned()
        }
        13 => {
            world.proxy.link.cut(true);
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.proxy.link.cut(false);
            "apiserver away for half a second".to_owned()
        }
        14 => {
            // There may be no route yet.
            let _ = world.edit_route(by_hand::rules(30, 70)).await;
            "somebody edits the route".to_owned()
        }
        _ => {
            let lag = Duration::from_millis(dice.roll(2) * 400);
            world.proxy.link.lag(lag);
            format!("watches are late by {lag:?}")
        }
    }
}

async fn story(seed: u64) {
    let _place = crowd::place().await;
    let mut world = World::start().await;
    let mut dice = Dice(seed);
    let mut told = Vec::new();
    world.apply(&wine("v1")).await;
    for _ in 0..DEEDS {
        told.push(one_deed(&mut world, &mut dice).await);
        tokio::time::sleep(Duration::from_millis(100 + dice.roll(900))).await;
    }
    std::fs::write(world.folder().join("deeds.txt"), told.join("\n")).unwrap();

    // Peace.
    world.gateway.pause(false);
    world.proxy.faults.disarm();
    world.proxy.link.lag(Duration::ZERO);
    world.prometheus.trouble(Trouble::None);
    world.prometheus.load("wine", Load::GOOD);
    world.kubelet.script("wine", Behaviour::Ready(Duration::ZERO));
    world.apply(&wine("v9").steps(&[(20, 1), (60, 1)])).await;
    let what = format!("the last wish, after seed {seed}");
    world.until_model(NAME, &what, 150, |m| m.serves("v9")).await;
    world.until("only v9 is left", 60, |now| now.all("Deployment").count() == 1).await;
    world.settled(Duration::from_secs(3)).await;

    let now = world.history.now();
    assert_eq!(world.pods("v9").len(), 3);
    let services = now.all("Service").count();
    world.assert(services == 2, &format!("two Services, not {services}"));
    let mut weights: Vec<_> = world.weights(NAME).into_values().collect();
    weights.sort_unstable();
    assert_eq!(weights, [0, 100]);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_last_wish_comes_true() {
    let given = std::env::var("SERIN_TESTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or_else(|| vec![1, 2, 3, 4], |seed| vec![seed]);
    futures::future::join_all(seeds.into_iter().map(story)).await;
}
