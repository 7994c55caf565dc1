//! Thousands of handovers in a world where everything goes wrong that can: requests and answers are late or lost, clocks run
//! apart, processes stand still at the worst moment, are cut off, die. Time is simulated; a seed is a story.
#![allow(clippy::unwrap_used, reason = "tests: what fails is to be seen where it fails")]

mod world;

use world::World;

/// One writer at any instant, by the apiserver's own order.
#[test]
fn a_thousand_handovers_and_never_two_writers() {
    let (mut handovers, mut writes, mut cut, mut refused) = (0, 0, 0, 0);
    for seed in 0..20 {
        let told = World::new(seed, 3).run(3600);
        handovers += told.handovers;
        writes += told.writes;
        cut += told.never_sent;
        refused += told.refused;
        assert!(told.longest_gap <= 60, "seed {seed}: {} s without a leader", told.longest_gap);
    }
    println!(
        "{handovers} handovers, {writes} writes, {refused} refused by the fence, {cut} stopped on their way out"
    );
    assert!(handovers >= 1000, "{handovers}");
    // The faults were there, and the fence did something about them.
    assert!(writes > 100_000 && refused > 100 && cut > 10, "{writes}, {refused}, {cut}");
}

/// Undisturbed, nobody ever hands over, and nothing is refused.
#[test]
fn in_good_times_one_leads_for_ever() {
    let told = World::calm(1, 3).run(3600);
    assert_eq!((told.handovers, told.refused, told.never_sent), (1, 0, 0));
}

/// The proof that the above proves something: without the fence it fails.
#[test]
fn without_the_fence_there_are_two_writers() {
    let violations: usize = (0..20).map(|seed| World::unfenced(seed, 3).run(3600).violations).sum();
    assert!(violations > 0);
}
