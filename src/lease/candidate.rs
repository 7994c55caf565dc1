//! The state machine of one candidate.

use crate::{Claim, Moment, Record, Timing};

/// Longest duration of another's record that is believed; a larger one is a mistake, and would keep everybody out.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(10);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing but that time has passed.
    Tick,
    /// The answer to [`Ask::Read`]; `None` if there is no lease.
    Found(Option<Record>),
    /// The lease as a watch shows it, perhaps late.
    News(Option<Record>),
    /// The answer to a write that happened: the lease as it is now.
    Written(Record),
    /// The answer to a write that did not happen, because the lease is another one by now.
    Refused,
    /// No answer, or one that says nothing. A write may have happened, or may yet.
    Unknown,
    /// It is to give the lease back. Nothing of what it wrote may be under way any more.
    Leave,
}

/// A request to be sent at once. Its answer is the next event but for [`Event::Tick`] and [`Event::Leave`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read the lease.
    Read,
    /// Make it, if there is none.
    Create(Claim),
    /// Change it, if it still has this version.
    Update(String, Claim),
}

/// What the candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes nothing, and listens to news.
    Follows,
    /// It may write.
    Leads {
        /// Before its last renewal was sent. Everything counts from here.
        renewed: Moment,
        /// The epoch: no two leaders ever had the same.
        epoch: u32,
    },
    /// It led, and does no more, for ever: its process must end at once.
    Lost(Loss),
    /// It gave back what it had.
    Left,
}

/// Why it leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not renew in time.
    Expired,
    /// Another one has it.
    Taken,
    /// Somebody deleted it.
    Deleted,
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the candidate is from now on.
    pub role: Role,
    /// The request to send.
    pub ask: Option<Ask>,
    /// When to come with [`Event::Tick`], if nothing happens before.
    pub wake: Moment,
}

/// One who wants the lease, or has it.
#[derive(Clone, Debug)]
pub struct Candidate {
    me: String,
    timing: Timing,
    state: State,
    /// When the request under way was sent.
    asked: Option<Moment>,
}

#[derive(Clone, Debug)]
enum State {
    /// Somebody else has it, or nobody.
    Following(Wait),
    /// It is ours.
    Leading(Term),
    /// It was ours, and is to be given back.
    Leaving(Farewell),
    /// No more.
    Over(Role),
}

#[derive(Clone, Debug)]
struct Wait {
    seen: Option<Seen>,
    /// When to read it again, if what was seen does not count.
    look: Option<Moment>,
    /// A claim is under way that will be given back, if it succeeds.
    leaving: bool,
}

/// What was last seen of another's lease.
#[derive(Clone, Debug)]
struct Seen {
    record: Record,
    /// Since when it has been like that, or longer.
    since: Moment,
}

#[derive(Clone, Debug)]
struct Term {
    version: String,
    epoch: u32,
    renewed: Moment,
    next: Next,
    /// When that is to be done.
    at: Moment,
}

#[derive(Clone, Debug)]
struct Farewell {
    /// `None`: not known.
    version: Option<String>,
    epoch: u32,
    /// When to try (again).
    at: Moment,
    /// When to let it be.
    until: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Renew,
    /// The version is no longer the one we wrote.
    Look,
}

impl Candidate {
    /// One under a name that no other process has, nor ever had.
    pub fn new(me: String, timing: Timing) -> Self {
        let state = State::Following(Wait { seen: None, look: Some(Moment::ZERO), leaving: false });
        Self { me, timing, state, asked: None }
    }

    /// Who holds the lease as far as is known, and the epoch.
    pub fn known(&self) -> Option<(&str, u32)> {
        match &self.state {
            State::Following(wait) => {
                let record = &wait.seen.as_ref()?.record;
                Some((record.holder().unwrap_or_default(), record.transitions))
            }
            State::Leading(Term { epoch, .. }) | State::Leaving(Farewell { epoch, .. }) => {
                Some((&self.me, *epoch))
            }
            State::Over(_) => None,
        }
    }

    /// What follows from an event at this moment. A request in the step is sent after the moment, not before.
    pub fn on(&mut self, event: Event, now: Moment) -> Step {
        let asked = match event {
            Event::Tick | Event::News(_) | Event::Leave => None,
            Event::Found(_) | Event::Written(_) | Event::Refused | Event::Unknown => self.asked.take(),
        };
        let state = std::mem::replace(&mut self.state, State::Over(Role::Left));
        self.state = match state {
            State::Following(wait) => self.following(event, asked, wait, now),
            State::Leading(term) => self.leading(event, asked, term, now),
            State::Leaving(farewell) => self.leaving(event, farewell, now),
            State::Over(role) => State::Over(role),
        };
        let (ask, wake) = self.due(now);
        if ask.is_some() {
            self.asked = Some(now);
        }
        Step { role: self.role(), ask, wake }
    }

    fn role(&self) -> Role {
        match &self.state {
            State::Leading(term) => Role::Leads { renewed: term.renewed, epoch: term.epoch },
            // Who is leaving has closed its fence: whatever it still does, it does not write.
            State::Following(_) | State::Leaving(_) => Role::Follows,
            State::Over(role) => *role,
        }
    }

    fn following(&self, event: Event, asked: Option<Moment>, mut wait: Wait, now: Moment) -> State {
        match event {
            Event::Written(record) if record.holder() == Some(&self.me) => {
                return self.acquired(record, asked.unwrap_or(Moment::ZERO), wait.leaving, now);
            }
            Event::Found(_) | Event::Written(_) | Event::Refused | Event::Unknown if wait.leaving => {
                return State::Over(Role::Left);
            }
            Event::Found(Some(record)) | Event::News(Some(record)) | Event::Written(record) => {
                let since = match &wait.seen {
                    Some(seen) if !seen.record.differs(&record) => seen.since,
                    _ => now,
                };
                wait.seen = Some(Seen { record, since });
                wait.look = None;
            }
            Event::Found(None) | Event::News(None) => {
                let seen = wait.seen.get_or_insert(Seen { record: nothing(), since: now });
                // Deleted under its holder, who may not know yet: the time it was promised is waited for.
                seen.record.version.clear();
                wait.look = None;
            }
            Event::Refused => wait.look = Some(now),
            Event::Unknown => wait.look = Some(now + self.timing.retry()),
            Event::Leave if self.asked.is_none() => return State::Over(Role::Left),
            Event::Leave => wait.leaving = true,
            Event::Tick => {}
        }
        State::Following(wait)
    }

    fn acquired(&self, record: Record, asked: Moment, leaving: bool, now: Moment) -> State {
        let (version, epoch) = (record.version.clone(), record.transitions);
        if leaving {
            return self.farewell(version, epoch, now);
        }
        if now < asked + self.timing.renew() {
            let at = asked + self.timing.retry();
            return State::Leading(Term { version, epoch, renewed: asked, next: Next::Renew, at });
        }
        // An answer so late is worth nothing; but the lease is ours, and is renewed at once.
        State::Following(Wait { seen: Some(Seen { record, since: now }), look: None, leaving })
    }

    fn farewell(&self, version: String, epoch: u32, now: Moment) -> State {
        let until = now + self.timing.answer();
        State::Leaving(Farewell { version: Some(version), epoch, at: now, until })
    }

    fn leading(&self, event: Event, asked: Option<Moment>, mut term: Term, now: Moment) -> State {
        if let Event::Leave = event {
            return self.farewell(term.version, term.epoch, now);
        }
        // Also an answer that comes now is too late: others have counted on our end.
        if now >= term.renewed + self.timing.renew() {
            return State::Over(Role::Lost(Loss::Expired));
        }
        match event {
            // A write that changed nothing is no sign of life to anybody.
            Event::Written(record) if self.is_mine(&record, term.epoch) && record.version != term.version => {
                term.version = record.version;
                term.renewed = asked.unwrap_or(term.renewed);
                term.next = Next::Renew;
                term.at = term.renewed + self.timing.retry();
            }
            Event::Found(Some(record)) if self.is_mine(&record, term.epoch) => {
                term.version = record.version;
                term.next = Next::Renew;
                term.at = now;
            }
            Event::Found(Some(_)) => return State::Over(Role::Lost(Loss::Taken)),
            Event::Found(None) => return State::Over(Role::Lost(Loss::Deleted)),
            Event::Refused => {
                term.next = Next::Look;
                term.at = now;
            }
            Event::Written(_) | Event::Unknown => term.at = now + self.timing.pause(),
            Event::Tick | Event::News(_) | Event::Leave => {}
        }
        State::Leading(term)
    }

    fn leaving(&self, event: Event, mut farewell: Farewell, now: Moment) -> State {
        if now >= farewell.until {
            return State::Over(Role::Left);
        }
        match event {
            // The renewal that was under way, or a look: this version is given back.
            Event::Written(record) | Event::Found(Some(record)) if self.is_mine(&record, farewell.epoch) => {
                farewell.version = Some(record.version);
            }
            Event::Written(_) | Event::Found(_) => return State::Over(Role::Left),
            // By a renewal of ours without an answer, or by somebody's label.
            Event::Refused => farewell.version = None,
            Event::Unknown => farewell.at = now + self.timing.pause(),
            Event::Tick | Event::News(_) | Event::Leave => {}
        }
        State::Leaving(farewell)
    }

    fn is_mine(&self, record: &Record, epoch: u32) -> bool {
        record.holder() == Some(&self.me) && record.transitions == epoch
    }

    /// What the state asks for now, or when it will.
    fn due(&self, now: Moment) -> (Option<Ask>, Moment) {
        let busy = self.asked.is_some();
        match &self.state {
            State::Over(_) => (None, Moment::MAX),
            State::Leaving(Farewell { until, .. }) if busy => (None, *until),
            State::Leaving(Farewell { until, at, .. }) if now < *at => (None, (*at).min(*until)),
            State::Leaving(Farewell { version, epoch, until, .. }) => {
                let claim = Claim { holder: None, transitions: *epoch, acquires: false };
                let give = |version: &String| Ask::Update(version.clone(), claim);
                (Some(version.as_ref().map_or(Ask::Read, give)), *until)
            }
            State::Leading(term) => {
                let end = term.renewed + self.timing.renew();
                if busy || now < term.at {
                    return (None, if busy { end } else { term.at.min(end) });
                }
                let ask = match term.next {
                    Next::Renew => Ask::Update(term.version.clone(), self.claim(term.epoch, false)),
                    Next::Look => Ask::Read,
                };
                (Some(ask), end)
            }
            State::Following(_) if busy => (None, Moment::MAX),
            State::Following(Wait { look: Some(look), .. }) => wait_or(now, *look, Ask::Read),
            State::Following(Wait { seen: Some(seen), .. }) => {
                let (at, ask) = self.chance(seen);
                wait_or(now, at, ask)
            }
            State::Following(Wait { seen: None, .. }) => wait_or(now, now, Ask::Read),
        }
    }

    /// When the lease may be taken, and how.
    fn chance(&self, seen: &Seen) -> (Moment, Ask) {
        let Seen { record, since } = seen;
        let promised = record.duration.filter(|d| *d <= LONGEST).unwrap_or_default().max(self.timing.lease());
        let (at, epoch) = match record.holder() {
            None => (*since, record.transitions.saturating_add(1)),
            // A claim of ours whose answer was lost.
            Some(holder) if holder == self.me => (*since, record.transitions),
            Some(_) => (*since + promised, record.transitions.saturating_add(1)),
        };
        let claim = self.claim(epoch, record.holder() != Some(&self.me));
        let ask = match record.version.as_str() {
            "" => Ask::Create(claim),
            version => Ask::Update(version.to_owned(), claim),
        };
        (at, ask)
    }

    fn claim(&self, transitions: u32, acquires: bool) -> Claim {
        Claim { holder: Some(self.me.clone()), transitions, acquires }
    }
}

/// There never was one, as far as this process knows.
fn nothing() -> Record {
    Record { version: String::new(), holder: None, renewed: String::new(), transitions: 0, duration: None }
}

fn wait_or(now: Moment, at: Moment, ask: Ask) -> (Option<Ask>, Moment) {
    if now >= at { (Some(ask), Moment::MAX) } else { (None, at) }
}
