//! Several operators, one lease: whatever happens to the one that decides, another goes on, and never two write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serin_api::Outcome;
use serin_tests::audit::{self, Write};
use serin_tests::replica::{self, Replica};
use serin_tests::{Call, Change as _, NAME, Told as _, World, crowd, wine};

/// As installed.
const LEASE: u16 = 15;
/// The same proportions, more stories a minute.
const SHORT: u16 = 3;

async fn replicas(world: &World, names: &[&str], seconds: u16) -> Vec<Replica> {
    replica::grant(world).await;
    let mut replicas = Vec::new();
    for name in names {
        replicas.push(Replica::start(world, name, seconds).await);
    }
    replicas
}

/// Returns when one is ready: it has seen the lease, and if it leads, everything else.
async fn ready(world: &World, replica: &Replica) {
    let limit = Instant::now() + Duration::from_secs(20);
    while replica.says("/readyz").await.is_none_or(|(code, _)| code != 200) {
        world.assert(Instant::now() < limit, &format!("{} is ready", replica.name));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes by sort.
fn sorts(writes: &[Write]) -> BTreeMap<String, usize> {
    let mut sorts = BTreeMap::new();
    for write in writes.iter().filter(|write| write.is_state()) {
        *sorts.entry(format!("{} {} {}", write.verb, write.resource, write.code)).or_default() += 1;
    }
    sorts
}

/// What one life came to.
#[derive(Debug, PartialEq)]
struct Life {
    outcomes: Vec<(String, Outcome)>,
    steps: Vec<i64>,
    writes: BTreeMap<String, usize>,
}

/// A canary of two steps by two operators; `hurt` happens while it rests at its first one.
async fn life(hurt: impl AsyncFnOnce(&World, &mut Vec<Replica>)) -> Life {
    let _place = crowd::place().await;
    let world = World::without_operator().await;
    let mut all = replicas(&world, &["one", "two"], LEASE).await;
    world.apply(&wine("v1").replicas(1)).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    quiet(&all, Duration::from_secs(2)).await;
    let mark = audit::mark(&world);
    world.canary(&wine("v2").replicas(1).steps(&[(25, 8), (60, 0)])).await;
    quiet(&all, Duration::from_secs(2)).await;
    hurt(&world, &mut all).await;
    world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
    world.until("v1 is removed", 60, |_| world.pods("v1").is_empty()).await;
    quiet(&all, Duration::from_secs(3)).await;
    let writes = sorts(&audit::since(&world, mark));
    replica::check(&world, &all);
    Life { outcomes: world.model(NAME).outcomes(), steps: world.steps(NAME), writes }
}

/// Returns when none of them has written anything but the lease for so long.
async fn quiet(replicas: &[Replica], rest: Duration) {
    let marks = || replicas.iter().map(|r| r.proxy.calls().count(0, Call::is_state_write)).sum::<usize>();
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let before = marks();
        tokio::time::sleep(rest).await;
        if marks() == before {
            return;
        }
        assert!(Instant::now() < limit, "they never rest");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_canary_another_goes_on_and_no_write_is_more_or_less() {
    let undisturbed = life(async |_, _| {}).await;
    let killed = life(async |world, all| {
        let holder = replica::holder(world).await.unwrap();
        let leader = replica::leader(world, all, None, 5).await;
        let killed = Instant::now();
        let mark = audit::mark(world);
        all[leader].operator.kill();
        // Longer than the step: what is to be decided is due.
        replica::leader(world, all, Some(&holder), 20).await;
        let decided = |w: &Write| w.is_state() && w.happened();
        world.until("the next decision", 20, |_| audit::since(world, mark).iter().any(decided)).await;
        let took = killed.elapsed();
        println!("{:.1} s from a leader's death to the next decision", took.as_secs_f64());
        world.assert(took <= Duration::from_secs(20), &format!("{took:?}"));
    })
    .await;
    assert_eq!(killed, undisturbed);
    assert_eq!(killed.outcomes[0], ("v2".to_owned(), Outcome::Promoted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_by_asks_for_nothing_but_the_lease_and_is_ready() {
    let world = World::without_operator().await;
    let mut all = replicas(&world, &["one"], LEASE).await;
    replica::leader(&world, &all, None, 10).await;
    all.push(Replica::start(&world, "two", LEASE).await);
    ready(&world, &all[0]).await;
    ready(&world, &all[1]).await;
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;

    let calls = all[1].proxy.calls().all();
    // Before that, whether it could.
    let probe =
        |call: &Call| call.verb == "list" && call.group == "serin.dev" && call.query.contains("limit=1");
    let more: Vec<_> = calls.iter().filter(|call| !call.is_lease() && !probe(call)).collect();
    world.assert(more.is_empty(), &format!("{more:?}"));
    world.assert(!calls.iter().any(|call| call.is_lease() && call.is_write()), "it never tried to take it");
    for (replica, leads) in [(&all[0], 1), (&all[1], 0)] {
        let (_, metrics) = replica.says("/metrics").await.unwrap();
        world.assert(metrics.contains(&format!("\nserin_leader {leads}\n")), &metrics);
        world.assert(metrics.contains("\nserin_lease_transitions 1\n"), &metrics);
        assert_eq!(replica.says("/livez").await, Some((200, "ok\n".to_owned())));
        let (_, told) = replica.says("/readyz?verbose").await.unwrap();
        world.assert(told.contains("[+]pods ok\n") == (leads == 1), &told);
        let (code, page) = replica.shows("/").await.unwrap();
        let (wanted, words) = if leads == 1 { (200, "/wine\"") } else { (503, "this operator stands by") };
        world.assert(code == wanted && page.contains(words), &page);
    }
    // Nothing to give back, nothing to wait for.
    let began = Instant::now();
    assert_eq!(all[1].operator.stop().await, Some(0));
    world.assert(began.elapsed() < Duration::from_secs(1), &format!("{:?}", began.elapsed()));
    replica::check(&world, &all);
}

/// Changes models all the time, so that whoever leads writes all the time.
async fn busy(world: &World) {
    for round in 0_i32.. {
        for name in ["ash", "elm", "fir", "oak"] {
            world.apply(&wine("v1").named(name).without_gateway().replicas(1 + round % 2)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What may happen to who leads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// SIGTERM.
    Asked,
    /// SIGKILL.
    Killed,
    /// SIGSTOP, until another has taken over and writes; then SIGCONT.
    Stopped,
    /// The connection is cut, until another has taken over and writes.
    Cut,
}

/// How one handover went.
struct Handover {
    end: End,
    /// Who had the lease.
    holder: String,
    /// Until the next one wrote.
    took: Duration,
}

/// Who leads and is at work. One that ended by itself, as on a machine that was too busy for so short a lease, is started
/// again.
async fn at_work<'a>(world: &World, all: &'a [Replica]) -> &'a Replica {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        for replica in all.iter().filter(|replica| !replica.operator.is_running()) {
            replica.operator.reap().await;
            replica.operator.spawn();
        }
        let leader = &all[replica::leader(world, all, None, 20).await];
        let (mark, until) = (leader.proxy.calls().mark(), Instant::now() + Duration::from_secs(5));
        while Instant::now() < until && leader.operator.is_running() {
            if wrote(leader, mark) > 3 {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.assert(Instant::now() < limit, "somebody leads and writes");
    }
}

fn wrote(replica: &Replica, mark: usize) -> usize {
    replica.proxy.calls().count(mark, |call| call.is_state_write() && call.status < 300)
}

/// Ends one leader's time, waits until another one writes, and starts the old one again.
async fn hand_over(world: &World, all: &[Replica], end: End) -> Handover {
    let old = at_work(world, all).await;
    let holder = replica::holder(world).await.unwrap_or_default();
    let marks: Vec<usize> = all.iter().map(|r| r.proxy.calls().mark()).collect();
    let began = Instant::now();
    match end {
        End::Asked => assert_eq!(old.operator.stop().await, Some(0)),
        End::Killed => old.operator.kill(),
        End::Stopped => old.operator.pause(),
        End::Cut => old.proxy.link.cut(true),
    }
    let next = |(replica, mark): (&Replica, &usize)| replica.name != old.name && wrote(replica, *mark) > 0;
    let what = format!("another one writes after {} was {end:?}", old.name);
    world.until(&what, 30, |_| all.iter().zip(&marks).any(next)).await;
    let took = began.elapsed();
    match end {
        End::Asked | End::Killed => {}
        // It wakes up in the belief that it leads, with requests half made.
        End::Stopped => {
            old.operator.resume();
            assert_eq!(old.operator.reap().await, Some(1), "{end:?}");
        }
        End::Cut => {
            assert_eq!(old.operator.reap().await, Some(1), "{end:?}");
            old.proxy.link.cut(false);
        }
    }
    old.operator.spawn();
    Handover { end, holder, took }
}

/// The apiserver's word: each write was over before the lease went to another, and begun after it came.
fn one_at_a_time(world: &World, writes: &[Write]) -> usize {
    let mut terms: Vec<(&str, DateTime<Utc>)> = Vec::new();
    for lease in writes.iter().filter(|write| write.is_lease() && write.happened()) {
        if terms.last().is_none_or(|(agent, _)| *agent != lease.agent) {
            terms.push((&lease.agent, lease.at));
        }
    }
    for write in writes.iter().filter(|write| !write.is_lease()) {
        let term = terms.iter().rposition(|(_, since)| *since <= write.at);
        let holder = term.map(|term| terms[term].0);
        world.assert(holder == Some(&write.agent), &format!("{holder:?} has the lease: {write:?}"));
        let next = term.and_then(|term| terms.get(term + 1));
        let over = next.is_none_or(|(_, since)| write.done <= *since);
        world.assert(over, &format!("not over before {next:?}: {write:?}"));
    }
    terms.len() - 1
}

/// From this holder's last word about the lease to the next one's first, by the apiserver's clock.
fn vacant(writes: &[Write], holder: &str) -> Duration {
    let lease: Vec<&Write> = writes.iter().filter(|w| w.is_lease() && w.happened()).collect();
    let last = lease.iter().rposition(|w| w.agent.contains(holder)).unwrap();
    (lease[last + 1].at - lease[last].done).to_std().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_two_dozen_handovers_of_every_kind_never_two_write() {
    let _place = crowd::place().await;
    let ends: Vec<End> =
        [End::Asked, End::Stopped, End::Killed, End::Cut].into_iter().cycle().take(24).collect();
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two", "three"], SHORT).await;
    let mark = audit::mark(&world);
    let mut told = Vec::new();
    let story = async {
        for end in &ends {
            told.push(hand_over(&world, &all, *end).await);
        }
    };
    tokio::select! {
        () = story => {}
        () = busy(&world) => {}
    }
    let writes = audit::since(&world, mark);
    let changed = one_at_a_time(&world, &writes);
    let state = writes.iter().filter(|write| write.is_state()).count();
    println!("{changed} handovers, {state} writes");
    for end in [End::Asked, End::Killed, End::Stopped, End::Cut] {
        let times: Vec<f64> = told.iter().filter(|h| h.end == end).map(|h| h.took.as_secs_f64()).collect();
        let longest = times.iter().copied().fold(0.0, f64::max);
        println!("{end:?}: {} times, longest {longest:.2} s until another one wrote", times.len());
    }
    world.assert(changed >= ends.len(), &format!("{changed} of {}", ends.len()));
    for handover in told.iter().filter(|h| h.end == End::Asked) {
        let vacant = vacant(&writes, &handover.holder);
        println!("given back, it was nobody's for {:.2} s", vacant.as_secs_f64());
        // Who had to wait for its end would have waited for all of it.
        world.assert(vacant < Duration::from_secs(SHORT.into()), &format!("{vacant:?}"));
    }
    replica::check(&world, &all);
}

/// With a lease of full length, and nothing else in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_given_back_is_taken_within_two_seconds() {
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two"], LEASE).await;
    let mark = audit::mark(&world);
    let leader = replica::leader(&world, &all, None, 10).await;
    ready(&world, &all[leader]).await;
    ready(&world, &all[1 - leader]).await;
    let holder = replica::holder(&world).await.unwrap();
    let asked = Instant::now();
    assert_eq!(all[leader].operator.stop().await, Some(0));
    replica::leader(&world, &all, Some(&holder), 10).await;
    println!("{:.2} s from SIGTERM until another one leads", asked.elapsed().as_secs_f64());
    let vacant = vacant(&audit::since(&world, mark), &holder);
    world.assert(vacant < Duration::from_secs(2), &format!("{vacant:?}"));
    replica::check(&world, &all);
}

/// Objects in the middle of whose look a zombie falls asleep.
const ASLEEP: usize = 12;

/// A zombie with a lease of full length. It wakes up with the answers to its last writes at hand, and the next ones are due at
/// once: it sends none of them, and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_writes_nothing() {
    let _place = crowd::place().await;
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two"], LEASE).await;
    let mark = audit::mark(&world);
    let leader = replica::leader(&world, &all, None, 10).await;
    let (old, next) = (&all[leader], &all[1 - leader]);
    ready(&world, old).await;
    ready(&world, next).await;
    let zombie = replica::holder(&world).await.unwrap();
    old.proxy.link.hold(true);
    for number in 0..ASLEEP {
        world.apply(&wine("v1").named(&format!("m{number}")).without_gateway().replicas(1)).await;
    }
    world.until("each has had its first write", 30, |_| wrote(old, 0) >= ASLEEP).await;
    old.operator.pause();
    let began = Instant::now();
    // They lie in its sockets now.
    old.proxy.link.hold(false);
    world.until("another one writes", 30, |_| wrote(next, 0) > 0).await;
    println!("{:.1} s until another one wrote", began.elapsed().as_secs_f64());
    old.operator.resume();
    assert_eq!(old.operator.reap().await, Some(1));
    for number in 0..ASLEEP {
        world.until_model(&format!("m{number}"), "it serves", 60, |m| m.serves("v1")).await;
    }
    let writes = audit::since(&world, mark);
    let taken = writes.iter().find(|w| w.is_lease() && w.happened() && !w.agent.contains(&zombie)).unwrap();
    let late: Vec<_> = writes.iter().filter(|w| w.agent.contains(&zombie) && w.done > taken.at).collect();
    world.assert(late.is_empty(), &format!("{late:?}"));
    one_at_a_time(&world, &writes);
    replica::check(&world, &all);
}

/// Its renewals do not get through, everything else does. It writes on for as long as its last one lasts, less what a write may
/// take, and no longer; its process ends later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_renew_writes_no_more_long_before_another_may() {
    let _place = crowd::place().await;
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two"], LEASE).await;
    let mark = audit::mark(&world);
    let story = async {
        let old = at_work(&world, &all).await;
        let holder = replica::holder(&world).await.unwrap();
        old.proxy.link.no_lease(true);
        assert_eq!(old.operator.reap().await, Some(1));
        let next = |replica: &Replica| replica.name != old.name && wrote(replica, 0) > 0;
        world.until("another one writes", 30, |_| all.iter().any(next)).await;
        holder
    };
    let holder = tokio::select! {
        holder = story => holder,
        () = busy(&world) => unreachable!(),
    };
    let writes = audit::since(&world, mark);
    let mine =
        |lease: bool| writes.iter().filter(|w| w.agent.contains(&holder)).rfind(|w| w.is_lease() == lease);
    let (renewed, last) = (mine(true).unwrap(), mine(false).unwrap());
    let wrote_on = (last.at - renewed.at).as_seconds_f64();
    println!("its last write arrived {wrote_on:.2} s after its last renewal");
    // The lease begins before the renewal arrives, and ends for writing 6.5 s later.
    world.assert((3.0..8.0).contains(&wrote_on), &format!("{wrote_on} s: {last:?}"));
    one_at_a_time(&world, &writes);
    replica::check(&world, &all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_deleted_by_hand_ends_its_holder_and_another_waits_its_time() {
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two"], SHORT).await;
    let leader = replica::leader(&world, &all, None, 10).await;
    let holder = replica::holder(&world).await.unwrap();
    // The other one has seen it.
    ready(&world, &all[1 - leader]).await;
    replica::leases(&world).delete(replica::LEASE, &kube::api::DeleteParams::default()).await.unwrap();
    let deleted = Instant::now();
    assert_eq!(all[leader].operator.reap().await, Some(1));
    replica::leader(&world, &all, Some(&holder), 10).await;
    // From when it was last seen renewed, which is not long ago.
    let waited = deleted.elapsed();
    world.assert(waited > Duration::from_millis(1200), &format!("{waited:?}"));
    replica::check(&world, &all);
}

/// Nobody reaches the apiserver: who leads ends before its lease does, who stands by waits, and one goes on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_apiserver_is_survived_by_who_stands_by() {
    let world = World::without_operator().await;
    let all = replicas(&world, &["one", "two"], SHORT).await;
    let mark = audit::mark(&world);
    let leader = replica::leader(&world, &all, None, 10).await;
    let (old, other) = (&all[leader], &all[1 - leader]);
    ready(&world, other).await;
    let lease = Duration::from_secs(SHORT.into());
    let cut = Instant::now();
    for replica in &all {
        replica.proxy.link.cut(true);
    }
    assert_eq!(old.operator.reap().await, Some(1));
    let took = cut.elapsed();
    world.assert(took < lease, &format!("{took:?}"));
    // A start in these minutes waits, too.
    old.operator.spawn();
    while cut.elapsed() < lease * 3 {
        world.assert(other.operator.is_running() && old.operator.is_running(), "both wait");
        // Another start would mend nothing.
        assert_eq!(other.says("/livez").await, Some((200, "ok\n".to_owned())));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for replica in &all {
        replica.proxy.link.cut(false);
    }
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    one_at_a_time(&world, &audit::since(&world, mark));
    replica::check(&world, &all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_is_away_at_the_start_is_waited_for() {
    let mut world = World::without_operator().await;
    world.proxy.link.cut(true);
    world.start_operator();
    let waits = || world.operator().log().matches("trying again").count() >= 2;
    world.until("it tries again", 20, |_| waits()).await;
    world.assert(world.operator().is_running(), "it does not end for it");
    world.proxy.link.cut(false);
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.check_invariants();
}
