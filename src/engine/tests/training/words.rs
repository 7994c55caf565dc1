//! How an end is classified, and how it is told why something waits.

use rstest::rstest;
use serin_api::{AttemptEnd, Reason, RunPhase};
use serin_engine::training::{
    Child, ContainerEnd, ObservedJob, ObservedPod, PodPhase, Wait,
    classify::{self, Before},
    waiting::{self, Waiting},
};

use crate::sim::{at, spec};

fn pod(index: i32) -> ObservedPod {
    ObservedPod {
        name: format!("wine-7-a1-{index}"),
        job_uid: "job".to_owned(),
        index,
        phase: PodPhase::Pending,
        deleting: false,
        disrupted: None,
        started_at: None,
        image: None,
        prepare: None,
        program: None,
        waits: None,
    }
}

fn exited(index: i32, code: i32, seconds: i64, reason: &str, message: &str) -> ObservedPod {
    let end = ContainerEnd { code, reason: reason.to_owned(), message: message.to_owned(), at: at(seconds) };
    ObservedPod { phase: PodPhase::Failed, program: Some(end), ..pod(index) }
}

fn rule(n: usize) -> String {
    format!("Container train for pod ns/p failed with exit code 1 matching FailJob rule at index {n}")
}

#[rstest]
#[case("PodFailurePolicy", &rule(0), AttemptEnd::Disrupted)]
#[case("PodFailurePolicy", &rule(1), AttemptEnd::Fatal)]
#[case("PodFailurePolicy", &rule(2), AttemptEnd::InputsRefused)]
#[case("PodFailurePolicy", &rule(3), AttemptEnd::NoOutput)]
#[case("PodFailurePolicy", &rule(10), AttemptEnd::Crashed)]
#[case("PodFailurePolicy", "words of a later Kubernetes", AttemptEnd::Crashed)]
#[case("BackoffLimitExceeded", "Job has reached the specified backoff limit", AttemptEnd::Crashed)]
#[case("DeadlineExceeded", "Job was active longer than specified deadline", AttemptEnd::DeadlineExceeded)]
#[case("WhoKnows", "", AttemptEnd::Crashed)]
fn the_job_says_how_it_failed(#[case] reason: &str, #[case] message: &str, #[case] end: AttemptEnd) {
    assert_eq!(classify::failure(reason, message, Before { ran: true, disruption: None }, &[]).0, end);
}

#[test]
fn pods_correct_what_the_job_cannot_tell() {
    let backoff = |pods: &[ObservedPod]| {
        let pods: Vec<_> = pods.iter().collect();
        classify::failure("BackoffLimitExceeded", "backoff", Before::default(), &pods)
    };
    let crashed = exited(0, 1, 5, "Error", "NCCL error");
    let evicted = ObservedPod { disrupted: Some("node pressure".to_owned()), ..pod(1) };
    let (end, words) = backoff(&[crashed.clone(), evicted]);
    assert_eq!((end, words.as_str()), (AttemptEnd::Disrupted, "rank 1 was disrupted: node pressure"));
    let (end, words) = backoff(&[crashed, exited(2, 43, 6, "Error", "no such column")]);
    assert_eq!(
        (end, words.as_str()),
        (AttemptEnd::Fatal, "rank 2: its program exited with 43: no such column")
    );
    let (end, _) = classify::failure("DeadlineExceeded", "", Before::default(), &[]);
    assert_eq!(end, AttemptEnd::NeverStarted);
    // Seen while it lasted, and gone by now.
    let seen = Before { ran: true, disruption: Some("rank 2 was disrupted: node lost") };
    let (end, words) = classify::failure("BackoffLimitExceeded", "backoff", seen, &[]);
    assert_eq!((end, words.as_str()), (AttemptEnd::Disrupted, "rank 2 was disrupted: node lost"));
    assert_eq!(classify::failure("PodFailurePolicy", &rule(1), seen, &[]).0, AttemptEnd::Fatal);
}

#[test]
fn the_first_that_failed_is_quoted_in_one_bounded_line() {
    let said = "line one\nline two\u{1b}[31m".to_owned() + &"x".repeat(5000);
    let pods = [exited(0, 1, 9, "Error", "later"), exited(3, 137, 5, "OOMKilled", &said)];
    let pods: Vec<_> = pods.iter().collect();
    let (_, words) = classify::failure("BackoffLimitExceeded", "", Before::default(), &pods);
    assert!(
        words.starts_with("rank 3: its program exited with 137 (OOMKilled): line one line two"),
        "{words}"
    );
    assert!(words.chars().count() <= 600 && !words.chars().any(char::is_control));
}

fn job(suspended: bool) -> ObservedJob {
    ObservedJob {
        name: "wine-7-a1".to_owned(),
        uid: "job".to_owned(),
        child: Child::Attempt(1),
        run_hash: None,
        created_at: at(0),
        started_at: Some(at(0)),
        suspended,
        parallelism: 2,
        active: 2,
        terminating: 0,
        end: None,
        deleting: false,
    }
}

fn why(waits: &[Option<Wait>], findable: bool, now: i64) -> Waiting {
    let pods: Vec<_> =
        (0..).zip(waits).map(|(i, wait)| ObservedPod { waits: wait.clone(), ..pod(i) }).collect();
    let pods: Vec<_> = pods.iter().collect();
    waiting::of("attempt 1", &spec(), &job(false), &pods, findable, at(now))
}

#[rstest]
#[case(Wait::Gate("example/quota".to_owned()), Reason::WaitingForPods, "the scheduling gate example/quota holds it")]
#[case(Wait::Node("0/3 nodes: cpu".to_owned()), Reason::Unschedulable, "no node takes it: 0/3 nodes: cpu")]
#[case(
    Wait::Node("pod has unbound immediate PersistentVolumeClaims".to_owned()),
    Reason::WaitingForPods,
    "its volume is not there: pod has unbound immediate PersistentVolumeClaims"
)]
#[case(Wait::Image("no such tag".to_owned()), Reason::ImagePull, "its image cannot be pulled: no such tag")]
#[case(
    Wait::Config("secret \"s3\" not found".to_owned()),
    Reason::WaitingForPods,
    "its container cannot be made: secret \"s3\" not found"
)]
#[case(Wait::Sandbox(at(0)), Reason::WaitingForPods, "its volumes and network are not ready after 60 s")]
fn the_gravest_obstacle_is_told(#[case] wait: Wait, #[case] reason: Reason, #[case] words: &str) {
    let told = why(&[Some(Wait::Inputs), Some(wait)], true, 100);
    let expected = format!("attempt 1, rank 1: {words}; the other ranks wait for it");
    assert_eq!((told.phase, told.reason, told.message), (RunPhase::Waiting, reason, expected));
}

#[test]
fn a_usual_start_is_one_sentence_all_the_way() {
    let words = "attempt 1: its pods start and fetch their inputs";
    for waits in [vec![], vec![Some(Wait::Sandbox(at(0)))], vec![Some(Wait::Inputs), None]] {
        let told = why(&waits, true, 30);
        assert_eq!((told.phase, told.message.as_str()), (RunPhase::Starting, words));
    }
    // But it is looked at again before it gets too long.
    assert_eq!(why(&[Some(Wait::Sandbox(at(0)))], true, 30).until, Some(at(60)));
}

#[test]
fn ranks_that_cannot_find_each_other_are_told() {
    let told = why(&[None, None], false, 30);
    assert_eq!(told.reason, Reason::WaitingForPods);
    assert!(told.message.contains("its Service wine-7-a1 is not there"), "{}", told.message);
}

#[test]
fn numbers_that_move_and_words_that_alternate_write_nothing() {
    let image = Reason::ImagePull.as_str();
    let old = "attempt 1, rank 0: its image cannot be pulled: rpc error";
    let new = "attempt 1, rank 0: its image cannot be pulled: Back-off pulling".to_owned();
    assert_eq!(waiting::steady(Reason::ImagePull, new.clone(), Some((image, old))), old);
    let other = new.replace("attempt 1", "attempt 2");
    assert_eq!(waiting::steady(Reason::ImagePull, other.clone(), Some((image, old))), other);
    let node = Reason::Unschedulable.as_str();
    let old = "attempt 1, rank 0: no node takes it: 0/3 nodes are available";
    let more = old.replace("0/3", "0/12");
    assert_eq!(waiting::steady(Reason::Unschedulable, more, Some((node, old))), old);
    let rank = old.replace("rank 0", "rank 1");
    assert_eq!(waiting::steady(Reason::Unschedulable, rank.clone(), Some((node, old))), rank);
}
