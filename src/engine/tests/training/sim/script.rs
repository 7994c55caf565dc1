//! The stories: what happens to a run, by the clock.

use serin_api::{TrainingRunSpec, WhenNoChampion};
use serin_engine::training::{Child, EvaluationJob};

use super::{
    Event::{self, *},
    Sim, UID,
    cluster::{
        Job,
        Judge::{self, Scores},
        Program::{self, Blamed, Disrupted, Exit, Gone, Good, Hangs, NoImage, NoNode, Prepare, Says},
        measured, published,
    },
    spec,
};

/// A story.
#[derive(Clone)]
pub struct Script {
    pub name: &'static str,
    pub edit: fn(&mut TrainingRunSpec),
    pub events: Vec<(i64, Event)>,
    pub end: i64,
}

impl Script {
    pub fn sim(&self) -> Sim {
        let mut first = spec();
        (self.edit)(&mut first);
        let mut sim = Sim::new(first);
        sim.schedule(&self.events);
        sim
    }
    pub fn run(&self) -> Sim {
        let mut sim = self.sim();
        sim.run_until(self.end);
        sim
    }
}

pub fn named(name: &str) -> Script {
    all().into_iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no story {name}"))
}

fn as_it_is(_: &mut TrainingRunSpec) {}
fn unjudged(s: &mut TrainingRunSpec) {
    s.evaluation = None;
}
fn gang(s: &mut TrainingRunSpec) {
    s.trainer.nodes = 4;
    s.trainer.launcher = serin_api::Launcher::Torchrun;
}
fn queued(s: &mut TrainingRunSpec) {
    s.queue_name = Some("gpus".to_owned());
}
fn impatient(s: &mut TrainingRunSpec) {
    s.pre_running_deadline_seconds = 60;
}
fn impatient_gang(s: &mut TrainingRunSpec) {
    gang(s);
    impatient(s);
}
fn deadline(s: &mut TrainingRunSpec) {
    s.deadline_seconds = Some(100);
}
fn queued_deadline(s: &mut TrainingRunSpec) {
    queued(s);
    deadline(s);
}
fn one_disruption(s: &mut TrainingRunSpec) {
    s.retries.disruptions = 1;
}
fn suspended(s: &mut TrainingRunSpec) {
    s.suspend = true;
}
fn choosy(s: &mut TrainingRunSpec) {
    gate(s, |gate| gate.when_no_champion = WhenNoChampion::Reject);
}
fn with_champion(s: &mut TrainingRunSpec) {
    if let Some(evaluation) = &mut s.evaluation {
        evaluation.champion = Some("wine-old".to_owned());
    }
}
fn again(s: &mut TrainingRunSpec) {
    s.rerun_token = Some("once-more".to_owned());
}
fn replay(s: &mut TrainingRunSpec) {
    s.replay_of = Some("wine-old".to_owned());
}
fn replay_unjudged(s: &mut TrainingRunSpec) {
    replay(s);
    unjudged(s);
}
fn other_seed(s: &mut TrainingRunSpec) {
    s.seed = Some("8".to_owned());
}
fn first_seed(s: &mut TrainingRunSpec) {
    s.seed = None;
}
fn branch(s: &mut TrainingRunSpec) {
    if let Some(source) = &mut s.source {
        "main".clone_into(&mut source.commit);
    }
}
fn foreign(s: &mut TrainingRunSpec) {
    s.managed_by = Some("kueue.x-k8s.io/multikueue".to_owned());
}

fn gate(s: &mut TrainingRunSpec, edit: impl FnOnce(&mut serin_api::Gate)) {
    if let Some(evaluation) = &mut s.evaluation {
        edit(&mut evaluation.gate);
    }
}

fn of_an_earlier_attempt(job: &Job) -> String {
    published(UID, job.number() - 1, 'a')
}
fn of_another_run(job: &Job) -> String {
    published("somebody-else", job.number(), 'a')
}
fn nothing(_: &Job) -> String {
    String::new()
}
fn far_too_much(job: &Job) -> String {
    published(UID, job.number(), 'a') + &" ".repeat(4000)
}
fn forged_nonce(job: &EvaluationJob) -> String {
    measured(job, 1.0).replace(&job.nonce, &"0".repeat(32))
}
fn forged_model(job: &EvaluationJob) -> String {
    measured(job, 1.0).replace(&job.candidate.digest.0, &format!("sha256:{}", "f".repeat(64)))
}
fn no_number(job: &EvaluationJob) -> String {
    measured(job, 0.25).replace("0.25", "NaN")
}
fn twice(job: &EvaluationJob) -> String {
    let one = r#"{"name":"accuracy","value":0.25}"#;
    measured(job, 0.25).replace(one, &format!("{one},{}", one.replace("0.25", "0.99")))
}

/// All of them. An undisturbed run trains from second 5 to 65, and is judged at 80.
#[allow(clippy::too_many_lines, reason = "a list")]
pub fn all() -> Vec<Script> {
    let story =
        |name, edit, events: &[(i64, Event)]| Script { name, edit, events: events.to_vec(), end: 2000 };
    let programs = |name, edit, programs: &[Program]| {
        let events = vec![(0, Programs(programs.to_vec()))];
        Script { name, edit, events, end: 2000 }
    };
    let judges = |name, edit, judges: &[Judge]| {
        let events = vec![(0, Judges(judges.to_vec()))];
        Script { name, edit, events, end: 2000 }
    };
    let old = |inputs, bytes| (0, Version("wine-old", inputs, bytes));
    let same = old(Some("0.1"), 'b');
    let serves = (0, Serves("wine-old"));
    vec![
        story("plain", as_it_is, &[]),
        story("unjudged", unjudged, &[]),
        story("gang", gang, &[]),
        story("gang without its Service", gang, &[(3, LoseService), (30, LoseService)]),
        story("slow cache of pods", gang, &[(0, PodsLag(4))]),
        story("cache of pods that stands still for a minute", gang, &[(0, PodsLag(60)), (120, PodsLag(0))]),
        programs("one crash", as_it_is, &[Exit(1), Good]),
        programs("one crash in a gang", gang, &[Exit(1), Good]),
        programs("crashes", as_it_is, &[Exit(1), Exit(1), Exit(1), Good]),
        programs(
            "disruptions and crashes",
            as_it_is,
            &[Disrupted, Exit(1), Disrupted, Disrupted, Exit(137), Good],
        ),
        programs("disruptions", one_disruption, &[Disrupted, Disrupted, Good]),
        programs("blamed on another rank", gang, &[Blamed, Good]),
        programs("fatal", as_it_is, &[Exit(42), Good]),
        programs("wrong inputs", as_it_is, &[Prepare(50), Good]),
        programs("inputs away", as_it_is, &[Prepare(60), Good]),
        programs("no output", as_it_is, &[Exit(51), Good]),
        programs("image missing", impatient, &[NoImage, NoImage, Good]),
        programs("image there at last", impatient, &[NoImage, Good]),
        programs("a rank without a node", impatient_gang, &[NoNode, Good]),
        programs("result gone", as_it_is, &[Gone, Good]),
        programs("result of an earlier attempt", as_it_is, &[Exit(1), Says(of_an_earlier_attempt), Good]),
        programs("result of another run", as_it_is, &[Says(of_another_run), Good]),
        programs("no result", as_it_is, &[Says(nothing), Says(nothing), Says(nothing), Good]),
        programs("oversized result", as_it_is, &[Says(far_too_much), Good]),
        story(
            "deadline over suspensions",
            deadline,
            &[(0, Programs(vec![Hangs, Hangs, Hangs])), (45, Suspend(true)), (200, Suspend(false))],
        ),
        story(
            "deadline over evictions",
            queued_deadline,
            &[
                (0, Programs(vec![Hangs, Hangs])),
                (10, Admit),
                (55, Evict),
                (100, Admit),
                (145, Evict),
                (500, Admit),
            ],
        ),
        programs("deadline over crashes", deadline, &[Exit(1), Exit(1), Hangs]),
        story("suspended and resumed", as_it_is, &[(30, Suspend(true)), (300, Suspend(false))]),
        story("suspended from the start", suspended, &[(100, Suspend(false))]),
        story("suspended while judged", as_it_is, &[(70, Suspend(true))]),
        story(
            "suspended between attempts",
            as_it_is,
            &[(0, Programs(vec![Exit(1), Good])), (40, Suspend(true)), (100, Suspend(false))],
        ),
        story("suspended for good", as_it_is, &[(30, Suspend(true))]),
        story("queued", queued, &[(100, Admit), (200, Admit)]),
        story("evicted", queued, &[(10, Admit), (40, Evict), (100, Admit), (200, Admit)]),
        story("never admitted", queued, &[]),
        story("Job lost", as_it_is, &[(30, Lose(Child::Attempt(1)))]),
        story("Jobs lost at once", as_it_is, &[(30, LoseAll)]),
        story("everything lost after the end", gang, &[(500, LoseAll)]),
        story("evaluation lost", as_it_is, &[(70, Lose(Child::Evaluation(1)))]),
        story(
            "a dead node",
            gang,
            &[
                (0, Programs(vec![Hangs, Good])),
                (0, DeletionTakes(600)),
                (30, Suspend(true)),
                (40, Suspend(false)),
                (900, DeletionTakes(2)),
            ],
        ),
        judges("low score", as_it_is, &[Scores(0.4)]),
        judges("judge crashes once", as_it_is, &[Judge::Exit(1), Scores(0.9)]),
        judges("judge crashes", as_it_is, &[Judge::Exit(1), Judge::Exit(1), Judge::Exit(1), Scores(0.9)]),
        judges("judge gives up", as_it_is, &[Judge::Exit(42), Scores(0.9)]),
        judges("judge hangs", as_it_is, &[Judge::Hangs, Scores(0.9)]),
        judges("judgement gone", as_it_is, &[Judge::Gone, Scores(0.9)]),
        judges(
            "forged judgements",
            as_it_is,
            &[Judge::Says(forged_nonce), Judge::Says(forged_model), Judge::Says(no_number), Scores(0.9)],
        ),
        judges("judgement twice in one", as_it_is, &[Judge::Says(twice), Scores(0.4)]),
        story("better than what serves", as_it_is, &[old(None, 'b'), serves.clone()]),
        story(
            "worse than what serves",
            as_it_is,
            &[old(None, 'b'), serves.clone(), (0, Judges(vec![Scores(0.7)]))],
        ),
        story("nothing to compare with", choosy, &[]),
        story("champion missing", with_champion, &[]),
        story("champion appears", with_champion, &[(100, Version("wine-old", None, 'b'))]),
        story("champion revoked", with_champion, &[old(None, 'b'), (30, Revoke("wine-old"))]),
        story(
            "what serves is revoked",
            as_it_is,
            &[old(None, 'b'), serves.clone(), (30, Revoke("wine-old"))],
        ),
        story("known inputs", unjudged, std::slice::from_ref(&same)),
        story("known inputs, judged again", as_it_is, std::slice::from_ref(&same)),
        story("known inputs, what serves", as_it_is, &[same.clone(), serves]),
        story("known inputs, refused", as_it_is, &[same.clone(), (0, Judges(vec![Scores(0.4)]))]),
        story("known inputs, revoked", as_it_is, &[same.clone(), (0, Revoke("wine-old"))]),
        story("known inputs, revoked while judged", as_it_is, &[same.clone(), (8, Revoke("wine-old"))]),
        story("known inputs, trained again", again, &[same]),
        story("replay, same bytes", replay, &[old(Some("0.1"), 'a')]),
        story("replay, other bytes", replay, &[old(Some("0.1"), 'b')]),
        story("replay, different", replay, &[old(Some("0.1"), 'b'), (0, Judges(vec![Scores(0.4)]))]),
        story("replay, unjudged", replay_unjudged, &[old(Some("0.1"), 'b')]),
        story("replay of other inputs", replay, &[old(Some("0.2"), 'b')]),
        story("replay of an import", replay, &[old(None, 'b')]),
        story("spec changed and put back", as_it_is, &[(30, Edit(other_seed)), (100, Edit(first_seed))]),
        story("spec changed", as_it_is, &[(30, Edit(other_seed))]),
        story("invalid, then repaired", branch, &[(50, Edit(repaired))]),
        story("invalid", branch, &[]),
        story("somebody else's", foreign, &[(30, Suspend(true)), (60, Suspend(false))]),
    ]
}

fn repaired(s: &mut TrainingRunSpec) {
    s.source = spec().source;
}
