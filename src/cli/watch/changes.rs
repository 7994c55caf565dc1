//! What changed between two looks at a ModelDeployment, a line each.

use serin_api::{HistoryEntry, ModelDeployment, ModelDeploymentStatus, Outcome, Phase};
use serin_engine::paint::Tone;

use super::view::{self, Said};
use crate::facts;

/// The lines; of the first look, what there is.
pub fn changes(before: Option<&ModelDeployment>, now: &ModelDeployment) -> Vec<Said> {
    let Some(before) = before.filter(|before| before.metadata.uid == now.metadata.uid) else {
        return first(now);
    };
    let (was, is) = (before.status.clone().unwrap_or_default(), now.status.clone().unwrap_or_default());
    let mut lines = Vec::new();
    spec(&mut lines, before, now);
    for entry in new_outcomes(&was, &is).iter().rev() {
        lines.push(outcome(entry, &is));
    }
    candidate(&mut lines, &was, &is);
    verdict(&mut lines, &was, &is);
    headline(&mut lines, &was, &is);
    troubles(&mut lines, &was, &is);
    lines
}

fn first(now: &ModelDeployment) -> Vec<Said> {
    let status = now.status.clone().unwrap_or_default();
    let serves = status
        .stable
        .as_ref()
        .map_or_else(|| "nothing serves yet".to_owned(), |s| format!("{} serves", s.version));
    let place = view::place(now);
    let mut lines = vec![match &status.candidate {
        None => Said::new(Tone::Plain, format!("{place}: {serves}")),
        Some(c) => Said::new(
            Tone::Plain,
            format!(
                "{place}: {serves}; {} ({}) is tried: {:?}, step {} at {}",
                c.version,
                c.revision,
                c.phase,
                c.step,
                facts::share(c)
            ),
        ),
    }];
    headline(&mut lines, &ModelDeploymentStatus::default(), &status);
    troubles(&mut lines, &ModelDeploymentStatus::default(), &status);
    lines
}

fn spec(lines: &mut Vec<Said>, before: &ModelDeployment, now: &ModelDeployment) {
    let (was, is) = (&before.spec.rollout, &now.spec.rollout);
    if was.paused != is.paused {
        lines.push(Said::new(Tone::Plain, if is.paused { "paused" } else { "resumed" }));
    }
    let mut same = now.spec.clone();
    same.rollout.paused = was.paused;
    if same != before.spec {
        let generation = now.metadata.generation.unwrap_or_default();
        lines.push(Said::new(Tone::Plain, format!("the spec was changed (generation {generation})")));
    }
}

/// Newest first, as in the status.
fn new_outcomes<'a>(was: &ModelDeploymentStatus, is: &'a ModelDeploymentStatus) -> &'a [HistoryEntry] {
    let known = is.history.iter().position(|entry| was.history.first() == Some(entry));
    is.history.get(..known.unwrap_or(is.history.len())).unwrap_or_default()
}

fn outcome(entry: &HistoryEntry, is: &ModelDeploymentStatus) -> Said {
    let version = &entry.version;
    let failed = is.last_failed.as_ref().filter(|f| f.revision == entry.revision && f.at == entry.at);
    let text = match (entry.outcome, failed) {
        (Outcome::Deployed, _) => format!("{version} serves"),
        (Outcome::Promoted, _) => format!("{version} was promoted"),
        (Outcome::Superseded, _) => format!("{version} was superseded"),
        (Outcome::RolledBack, Some(why)) => format!("{version} was rolled back ({})", why.reason),
        (Outcome::RolledBack, None) => format!("{version} was rolled back"),
    };
    Said::new(view::tone(entry.outcome), text)
}

fn candidate(lines: &mut Vec<Said>, was: &ModelDeploymentStatus, is: &ModelDeploymentStatus) {
    let Some(c) = &is.candidate else { return };
    let version = &c.version;
    let Some(before) = was.candidate.as_ref().filter(|before| before.revision == c.revision) else {
        let text = format!("{version} ({}) starts: step {} at {}", c.revision, c.step, facts::share(c));
        return lines.push(Said::new(Tone::Plain, text));
    };
    if before.phase != c.phase {
        let why = c.retreat.as_ref().filter(|_| c.phase == Phase::Retreating);
        let why = why.map_or_else(String::new, |r| format!(" ({}): {}", r.reason, r.message));
        let tone = if c.phase == Phase::Retreating { Tone::Bad } else { Tone::Plain };
        lines.push(Said::new(tone, format!("{version}: {:?} -> {:?}{why}", before.phase, c.phase)));
    }
    let (had, has) = (facts::share(before), facts::share(c));
    if (&before.step, &had) != (&c.step, &has) {
        let text = format!("{version}: step {} -> {}, weight {had} -> {has}", before.step, c.step);
        lines.push(Said::new(Tone::Plain, text));
    }
    if c.skipped_step.is_some() && before.skipped_step != c.skipped_step {
        lines.push(Said::new(Tone::Plain, format!("{version}: step {} is left behind by hand", c.step)));
    }
    if c.takes_over.is_some() && before.takes_over != c.takes_over {
        lines.push(Said::new(Tone::Plain, format!("{version} is to take over without further evidence")));
    }
}

/// Of a candidate; how it ended is said by its outcome.
fn verdict(lines: &mut Vec<Said>, was: &ModelDeploymentStatus, is: &ModelDeploymentStatus) {
    let (Some(_), Some(verdict)) = (&is.candidate, is.verdict) else { return };
    if was.verdict == Some(verdict) {
        return;
    }
    let loudest = is.candidate.as_ref().and_then(|c| facts::strongest(&c.evidence));
    let evidence = loudest.map_or_else(String::new, |e| format!(": {} {}", e.metric, e.estimate));
    lines.push(Said::new(verdict.into(), format!("verdict {verdict:?}{evidence}")));
}

fn headline(lines: &mut Vec<Said>, was: &ModelDeploymentStatus, is: &ModelDeploymentStatus) {
    let Some(condition) = facts::headline(is) else { return };
    if facts::headline(was).is_some_and(|before| before.reason == condition.reason) {
        return;
    }
    let tone = if facts::is_stalled(is) { Tone::Bad } else { Tone::Plain };
    lines.push(Said::new(tone, format!("{}: {}", condition.reason, condition.message)));
}

/// What went wrong, and what no longer is.
fn troubles(lines: &mut Vec<Said>, was: &ModelDeploymentStatus, is: &ModelDeploymentStatus) {
    let known = |of: &ModelDeploymentStatus, ty: &str| facts::troubles(of).any(|c| c.type_ == ty);
    for trouble in facts::troubles(is).filter(|c| !known(was, &c.type_)) {
        lines.push(Said::new(Tone::Bad, facts::words(trouble)));
    }
    for over in facts::troubles(was).filter(|c| !known(is, &c.type_)) {
        if let Some(present) = is.conditions.iter().find(|c| c.type_ == over.type_) {
            lines.push(Said::new(Tone::Good, facts::words(present)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn told(before: Option<&ModelDeployment>, now: &ModelDeployment) -> Vec<String> {
        changes(before, now).into_iter().map(|said| said.text).collect()
    }

    #[test]
    fn the_first_look_says_what_there_is() {
        assert_eq!(
            told(None, &fixtures::trying()),
            [
                "cellar/wine: v1 serves; v2 (r1-v2) is tried: Canary, step 2/3 at 25 %",
                "Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence",
            ]
        );
        let mut new = fixtures::resting();
        new.status = None;
        assert_eq!(told(None, &new), ["cellar/wine: nothing serves yet"]);
    }

    #[test]
    fn nothing_changed_says_nothing() {
        for model in [fixtures::trying(), fixtures::resting(), fixtures::rejected()] {
            assert!(changes(Some(&model), &model).is_empty());
        }
    }

    #[test]
    fn a_rollout_is_a_story() {
        assert_eq!(
            told(Some(&fixtures::resting()), &fixtures::trying()),
            [
                "v2 (r1-v2) starts: step 2/3 at 25 %",
                "verdict Undecided: errors 2.10 % errors, stable 0.44 % (4.8x)",
                "Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence",
            ]
        );
        let mut next = fixtures::trying();
        next.spec.rollout.paused = true;
        let c = next.status.as_mut().unwrap().candidate.as_mut().unwrap();
        (c.step, c.step_index, c.weight, c.skipped_step) = ("3/3".to_owned(), 3, 50, Some(3));
        assert_eq!(
            told(Some(&fixtures::trying()), &next),
            ["paused", "v2: step 2/3 -> 3/3, weight 25 % -> 50 %", "v2: step 3/3 is left behind by hand"]
        );
        assert_eq!(
            told(Some(&next), &fixtures::promoted()),
            ["resumed", "v2 was promoted", "Complete: v2 serves"]
        );
    }

    #[test]
    fn copies_are_no_weight() {
        let mut starting = fixtures::shadowed();
        starting.status.as_mut().unwrap().candidate.as_mut().unwrap().weights.clear();
        assert_eq!(
            told(Some(&starting), &fixtures::shadowed()),
            ["v2: step 1/1 -> 1/1, weight 0 % -> copies of 40 %"]
        );
    }

    #[test]
    fn a_rollback_says_why() {
        let mut back = fixtures::trying();
        let c = back.status.as_mut().unwrap().candidate.as_mut().unwrap();
        c.phase = Phase::Retreating;
        let (reason, message) = ("AnalysisFailed".to_owned(), "errors: 9 % errors".to_owned());
        c.retreat = Some(serin_api::Retreat { reason, message, reject: true, pace: serin_api::Pace::AtOnce });
        assert_eq!(
            told(Some(&fixtures::trying()), &back),
            ["v2: Canary -> Retreating (AnalysisFailed): errors: 9 % errors"]
        );
        let lines = told(Some(&back), &fixtures::rejected());
        assert_eq!(lines[0], "v2 was rolled back (AnalysisFailed)");
        assert!(lines[1].starts_with("Rejected: v2 was rejected"), "{lines:?}");
    }

    #[test]
    fn conditions_are_told_when_they_turn() {
        let mut gone = fixtures::resting();
        let ready = &mut gone.status.as_mut().unwrap().conditions[1];
        (ready.status, ready.reason, ready.message) =
            ("False".to_owned(), "Unavailable".to_owned(), "v1 has fewer\u{1b}[2J pods".to_owned());
        assert_eq!(
            told(Some(&fixtures::resting()), &gone),
            ["Ready is False (Unavailable): v1 has fewer [2J pods"]
        );
        assert_eq!(told(Some(&gone), &fixtures::resting()), ["Ready is True (Complete): v1 serves"]);
    }

    #[test]
    fn a_namesake_is_another_one() {
        let mut namesake = fixtures::resting();
        namesake.metadata.uid = Some("u2".to_owned());
        assert_eq!(told(Some(&fixtures::trying()), &namesake)[0], "cellar/wine: v1 serves");
    }
}
