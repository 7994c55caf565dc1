//! One life for each write that can go wrong, all compared with one in which nothing did.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use serin_tests::{Call, Fault, World};

/// Lives of one test that are begun before the first one has ended; `crowd` bounds those of all tests.
const AT_ONCE: usize = 8;

/// What goes wrong at one write.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    Kill,
    LoseAnswer,
    Refuse(u16),
    AnswerAfterCommit(u16),
}

/// What is left at the end of a life, and whether there was a write that could go wrong.
pub type Life = (BTreeMap<String, String>, bool);

/// Lets a course run while its nth write goes wrong; says whether there was such a write. An operator that was killed is
/// started again.
pub async fn suffer(world: &World, harm: Option<(usize, Harm)>, course: impl Future<Output = ()>) -> bool {
    if let Some((nth, harm)) = harm {
        let fault = match harm {
            Harm::Kill => Fault::Kill(world.operator().killer()),
            Harm::LoseAnswer => Fault::LoseAnswer,
            Harm::Refuse(code) => Fault::Refuse(code),
            Harm::AnswerAfterCommit(code) => Fault::AnswerAfterCommit(code),
        };
        world.proxy.faults.arm(nth, fault, |call: &Call| call.is_write() && !call.is_lease());
    }
    let killed = matches!(harm, Some((_, Harm::Kill)));
    let revive = async {
        if killed {
            world.proxy.faults.fired().await;
            world.operator().reap().await;
            world.operator().spawn();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! { () = course => {} () = revive => {} }
    harm.is_some() && !world.proxy.faults.is_armed()
}

/// One life for each write that can go wrong, until there is no such write any more; a whole life has more than `least`.
pub async fn every_write<F: Future<Output = Life>>(
    least: usize,
    harm: impl Fn(usize) -> Harm,
    life: impl Fn(Option<(usize, Harm)>) -> F,
) {
    let (expected, _) = life(None).await;
    let mut lives = stream::iter(1..)
        .map(|nth| {
            let harm = harm(nth);
            let life = life(Some((nth, harm)));
            async move { (nth, harm, life.await) }
        })
        .buffered(AT_ONCE);
    while let Some((nth, harm, (left, hurt))) = lives.next().await {
        if !hurt {
            println!("{harm:?}: {} writes, each gone wrong once", nth - 1);
            assert!(nth > least, "a whole life takes more than {} writes", nth - 1);
            return;
        }
        compare(&expected, &left, &format!("{harm:?} at write {nth}"));
    }
}

/// Asserts that two lives left the same.
pub fn compare(expected: &BTreeMap<String, String>, left: &BTreeMap<String, String>, when: &str) {
    let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(left), keys(expected), "{when}: other objects are left");
    for (key, object) in expected {
        let different: Vec<_> =
            object.lines().zip(left[key].lines()).filter(|(a, b)| a != b).take(20).collect();
        assert!(left[key] == *object, "{when}: {key} differs (expected, found): {different:#?}");
    }
}
