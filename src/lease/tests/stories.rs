//! One candidate, one thing after the other.
#![allow(clippy::unwrap_used, reason = "tests: what fails is to be seen where it fails")]

use std::time::Duration;

use serin_lease::{Ask, Candidate, Claim, Event, Loss, Record, Role, Step, Timing};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(version: u32, holder: &str, transitions: u32) -> Record {
    Record {
        version: version.to_string(),
        holder: (!holder.is_empty()).then(|| holder.to_owned()),
        renewed: format!("then {version}"),
        transitions,
        duration: Some(s(15)),
    }
}

fn claim(holder: &str, transitions: u32, acquires: bool) -> Claim {
    Claim { holder: (!holder.is_empty()).then(|| holder.to_owned()), transitions, acquires }
}

fn update(version: u32, claim: Claim) -> Ask {
    Ask::Update(version.to_string(), claim)
}

fn candidate() -> Candidate {
    Candidate::new("me".to_owned(), Timing::of(15))
}

/// One that acquired at 100 s a lease that nobody had.
fn leader() -> Candidate {
    let mut me = candidate();
    assert_eq!(me.on(Event::Tick, s(100)).ask, Some(Ask::Read));
    let step = me.on(Event::Found(Some(record(1, "", 4))), s(100));
    assert_eq!(step.ask, Some(update(1, claim("me", 5, true))));
    let step = me.on(Event::Written(record(2, "me", 5)), s(101));
    assert_eq!(step.role, Role::Leads { renewed: s(100), epoch: 5 }, "counted from before it was asked");
    assert_eq!((step.ask, step.wake), (None, s(102)));
    me
}

#[test]
fn where_there_is_none_one_is_made() {
    let mut me = candidate();
    me.on(Event::Tick, s(1));
    let step = me.on(Event::Found(None), s(1));
    assert_eq!(step.ask, Some(Ask::Create(claim("me", 1, true))));
    // Another one was quicker.
    assert_eq!(me.on(Event::Refused, s(2)).ask, Some(Ask::Read));
    let step = me.on(Event::Found(Some(record(1, "you", 1))), s(2));
    assert_eq!((step.role, step.ask, step.wake), (Role::Follows, None, s(17)));
}

#[test]
fn it_waits_for_a_whole_duration_after_the_last_sign_of_life() {
    let mut me = candidate();
    me.on(Event::Tick, s(0));
    assert_eq!(me.on(Event::Found(Some(record(1, "you", 1))), s(0)).wake, s(15));
    assert_eq!(me.on(Event::News(Some(record(2, "you", 1))), s(14)).wake, s(29));
    // A label that somebody changed is no sign of life; the version is what counts for the swap.
    let labelled = Record { version: "3".to_owned(), ..record(2, "you", 1) };
    assert_eq!(me.on(Event::News(Some(labelled)), s(20)).wake, s(29));
    assert_eq!(me.on(Event::Tick, s(28)).ask, None);
    assert_eq!(me.on(Event::Tick, s(29)).ask, Some(update(3, claim("me", 2, true))));
    // The watch was dead: there were signs of life all the time.
    assert_eq!(me.on(Event::Refused, s(29)).ask, Some(Ask::Read));
    assert_eq!(me.on(Event::Found(Some(record(9, "you", 1))), s(29)).wake, s(44));
}

#[test]
fn another_ones_longer_promise_is_kept_a_mistaken_one_is_not() {
    for (promised, waits) in [(60, 60), (5, 15), (100_000, 15)] {
        let mut me = candidate();
        me.on(Event::Tick, s(0));
        let found = Record { duration: Some(s(promised)), ..record(1, "you", 1) };
        assert_eq!(me.on(Event::Found(Some(found)), s(0)).wake, s(waits));
    }
}

#[test]
fn what_is_given_back_is_taken_at_once() {
    let mut me = candidate();
    me.on(Event::Tick, s(0));
    me.on(Event::Found(Some(record(1, "you", 1))), s(0));
    assert_eq!(me.on(Event::News(Some(record(2, "", 1))), s(3)).ask, Some(update(2, claim("me", 2, true))));
}

#[test]
fn a_lease_deleted_under_its_holder_is_waited_for() {
    let mut me = candidate();
    me.on(Event::Tick, s(0));
    me.on(Event::Found(Some(record(1, "you", 7))), s(0));
    let step = me.on(Event::News(None), s(3));
    assert_eq!((step.ask, step.wake), (None, s(15)));
    assert_eq!(me.on(Event::Tick, s(15)).ask, Some(Ask::Create(claim("me", 8, true))));
}

#[test]
fn an_answer_that_is_lost_is_no_renewal() {
    let mut me = leader();
    assert_eq!(me.on(Event::Tick, s(102)).ask, Some(update(2, claim("me", 5, false))));
    let step = me.on(Event::Unknown, s(107));
    assert_eq!(step.role, Role::Leads { renewed: s(100), epoch: 5 });
    // Once more with the same version, for if it never happened; if it did, what is there is ours.
    let step = me.on(Event::Tick, step.wake);
    assert_eq!(step.ask, Some(update(2, claim("me", 5, false))));
    assert_eq!(me.on(Event::Refused, s(108)).ask, Some(Ask::Read));
    assert_eq!(
        me.on(Event::Found(Some(record(3, "me", 5))), s(108)).ask,
        Some(update(3, claim("me", 5, false)))
    );
    let step = me.on(Event::Written(record(4, "me", 5)), s(109));
    assert_eq!(step.role, Role::Leads { renewed: s(108), epoch: 5 });
}

#[test]
fn renewed_too_late_is_lost_whatever_the_answer() {
    for event in [Event::Tick, Event::Unknown, Event::Written(record(3, "me", 5)), Event::Found(None)] {
        let mut me = leader();
        let step = me.on(Event::Tick, s(102));
        assert_eq!(step.wake, s(110), "it wakes for its end, answer or not");
        assert_eq!(me.on(event, s(110)).role, Role::Lost(Loss::Expired));
        let step = me.on(Event::Written(record(9, "me", 5)), s(111));
        assert_eq!((step.role, step.ask), (Role::Lost(Loss::Expired), None), "for ever");
    }
}

#[test]
fn one_that_stood_still_has_lost() {
    let mut me = leader();
    assert_eq!(me.on(Event::Tick, s(500)).role, Role::Lost(Loss::Expired));
}

#[test]
fn another_holder_is_a_loss_and_so_is_no_lease() {
    for (found, loss) in [
        (Some(record(7, "you", 6)), Loss::Taken),
        // The same name in another epoch, or given back: not by us.
        (Some(record(7, "me", 6)), Loss::Taken),
        (Some(record(7, "", 5)), Loss::Taken),
        (None, Loss::Deleted),
    ] {
        let mut me = leader();
        me.on(Event::Tick, s(102));
        assert_eq!(me.on(Event::Refused, s(102)).ask, Some(Ask::Read));
        assert_eq!(me.on(Event::Found(found), s(102)).role, Role::Lost(loss));
    }
}

#[test]
fn a_write_that_changed_nothing_is_no_renewal() {
    let mut me = leader();
    me.on(Event::Tick, s(102));
    let step = me.on(Event::Written(record(2, "me", 5)), s(102));
    assert_eq!(step.role, Role::Leads { renewed: s(100), epoch: 5 });
}

#[test]
fn a_claim_whose_answer_was_lost_is_renewed_before_it_counts() {
    let mut me = candidate();
    me.on(Event::Tick, s(0));
    assert!(me.on(Event::Found(Some(record(1, "", 1))), s(0)).ask.is_some());
    let Step { role, ask, wake } = me.on(Event::Unknown, s(5));
    assert_eq!((role, ask, wake), (Role::Follows, None, s(7)));
    assert_eq!(me.on(Event::Tick, s(7)).ask, Some(Ask::Read));
    assert_eq!(
        me.on(Event::Found(Some(record(2, "me", 2))), s(7)).ask,
        Some(update(2, claim("me", 2, false)))
    );
    let step = me.on(Event::Written(record(3, "me", 2)), s(8));
    assert_eq!(step.role, Role::Leads { renewed: s(7), epoch: 2 });
}

#[test]
fn who_leaves_gives_it_back() {
    let mut me = leader();
    let step = me.on(Event::Leave, s(101));
    assert_eq!((step.role, step.ask), (Role::Follows, Some(update(2, claim("", 5, false)))));
    assert_eq!(me.on(Event::Written(record(3, "", 5)), s(101)).role, Role::Left);
}

#[test]
fn who_leaves_during_a_renewal_gives_back_what_that_wrote() {
    let mut me = leader();
    me.on(Event::Tick, s(102));
    assert_eq!(me.on(Event::Leave, s(102)).ask, None);
    assert_eq!(me.on(Event::Written(record(3, "me", 5)), s(102)).ask, Some(update(3, claim("", 5, false))));
    // No answer: again after a pause, but not for ever.
    let step = me.on(Event::Unknown, s(103));
    assert_eq!((step.ask, step.wake), (None, s(103) + Duration::from_millis(250)));
    assert_eq!(me.on(Event::Tick, step.wake).ask, Some(update(3, claim("", 5, false))));
    assert_eq!(me.on(Event::Refused, s(104)).ask, Some(Ask::Read));
    assert_eq!(me.on(Event::Unknown, s(107)).role, Role::Left);
}

#[test]
fn who_only_waits_leaves_at_once_and_a_claim_under_way_is_given_back() {
    let mut me = candidate();
    me.on(Event::Tick, s(0));
    me.on(Event::Found(Some(record(1, "you", 1))), s(0));
    assert_eq!(me.on(Event::Leave, s(1)).role, Role::Left);

    let mut me = candidate();
    me.on(Event::Tick, s(0));
    me.on(Event::Found(Some(record(1, "", 1))), s(0));
    assert_eq!(me.on(Event::Leave, s(1)).role, Role::Follows);
    assert_eq!(me.on(Event::Written(record(2, "me", 2)), s(1)).ask, Some(update(2, claim("", 2, false))));
    assert_eq!(me.on(Event::Written(record(3, "", 2)), s(1)).role, Role::Left);
}
