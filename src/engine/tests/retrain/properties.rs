//! Whatever happens, no rule against storms is broken: the simulated world checks them at every start (`check_start`).

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use serin_api::Live;
use serin_engine::retrain::Share;

use super::sim::{Fate, Sim, policy};

#[derive(Clone, Debug)]
enum Happening {
    Bad(u16),
    Unknown,
    Data(u8),
    NoData,
    Fate(Fate),
    Rollout(bool),
    SentBack,
    Suspend(bool),
    ByHand(u8),
    Deleted,
    Dies(usize),
    Pass(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    let fate = prop_oneof![Just(Fate::Version), Just(Fate::Refused), Just(Fate::Crashed), Just(Fate::Goes)];
    prop_oneof![
        (0_u16..1000).prop_map(Happening::Bad),
        Just(Happening::Unknown),
        (0_u8..4).prop_map(Happening::Data),
        Just(Happening::NoData),
        fate.prop_map(Happening::Fate),
        any::<bool>().prop_map(Happening::Rollout),
        Just(Happening::SentBack),
        any::<bool>().prop_map(Happening::Suspend),
        (0_u8..3).prop_map(Happening::ByHand),
        Just(Happening::Deleted),
        (0_usize..3).prop_map(Happening::Dies),
        (1_u16..600).prop_map(Happening::Pass),
    ]
}

fn happen(sim: &mut Sim, happening: &Happening) {
    match happening {
        Happening::Bad(permille) => sim.bad(f64::from(*permille)),
        Happening::Unknown => sim.share = Share::Unknown("away".into()),
        Happening::Data(content) => sim.data = Some((*content, u64::from(*content) * 1000)),
        Happening::NoData => sim.data = None,
        Happening::Fate(fate) => sim.fate = *fate,
        Happening::Rollout(changing) => {
            let now = sim.now;
            let served = sim.served.as_mut().unwrap();
            served.changing = *changing;
            served.changed_at = Some(now);
        }
        Happening::SentBack => {
            let last = sim.status.runs.last().and_then(|r| r.version.clone());
            sim.lives.extend(last.map(|version| (version, Live::RolledBack)));
        }
        Happening::Suspend(suspend) => {
            sim.generation += i64::from(sim.spec.suspend != *suspend);
            sim.spec.suspend = *suspend;
        }
        Happening::ByHand(word) => sim.by_hand = Some(format!("word-{word}")),
        Happening::Deleted => {
            sim.runs.pop();
            sim.specs.pop();
        }
        Happening::Dies(before) => {
            sim.look(Some(*before));
        }
        Happening::Pass(minutes) => sim.over(TimeDelta::minutes(i64::from(*minutes))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_story_breaks_a_rule_and_every_one_comes_to_rest(story in prop::collection::vec(happening(), 1..40)) {
        let mut sim = Sim::new(policy(&json!([
            {"name": "mistakes", "quality": {
                "bad": {"series": "wrong_total"}, "all": {"series": "labelled_total"},
                "maxBadPermille": 200, "forSeconds": 600,
            }},
            {"name": "nightly", "schedule": {"cron": "0 3 * * *"}},
            {"name": "data", "newData": {"everySeconds": 1800}},
            {"name": "stale", "maxAge": {"seconds": 172_800}},
        ])));
        for one in &story {
            happen(&mut sim, one);
        }
        sim.settle();
        prop_assert!(sim.status.runs.len() <= 20);
        // A person can always go on from here.
        sim.spec.suspend = false;
        sim.generation += 1;
        sim.data = Some((9, 9));
        sim.fate = Fate::Version;
        sim.hours(2);
        let before = sim.status.started;
        sim.by_hand = Some("at last".into());
        sim.hours(2);
        prop_assert_eq!(sim.status.started, before + 1, "{:?}", sim.status);
        prop_assert!(sim.status.runs.last().unwrap().version.is_some());
    }
}
