//! What is known during a watch, and what a key means. No terminal and no clock.

use std::{collections::VecDeque, time::SystemTime};

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serin_api::ModelDeployment;
use serin_engine::paint::Tone;

use super::{
    changes::changes,
    ending::{Ending, Follow},
    news::News,
    view::Said,
};
use crate::hand::{self, Order, Prepared};

/// Most lines of the log.
const LOG: usize = 500;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub said: Said,
}

/// The state of a watch.
pub struct App {
    /// How the object was seen last.
    pub shown: Option<Box<ModelDeployment>>,
    /// Newest first.
    pub log: VecDeque<Entry>,
    /// Why what is shown may be out of date.
    pub stale: Option<String>,
    /// The answer to the last key.
    pub answer: Option<Said>,
    /// What is to be confirmed.
    pub asked: Option<Prepared>,
    /// Whether keys give orders.
    pub keys: bool,
    /// Whether an order is on its way.
    pub sending: bool,
    follow: Follow,
}

/// What is to be done about a key.
#[derive(Debug)]
pub enum Todo {
    Nothing,
    Quit,
    Send(Prepared),
}

impl App {
    /// Nothing seen yet.
    pub fn new(keys: bool) -> Self {
        Self {
            shown: None,
            log: VecDeque::new(),
            stale: None,
            answer: None,
            asked: None,
            keys,
            sending: false,
            follow: Follow::default(),
        }
    }

    /// Whether a candidate was seen.
    pub fn has_begun(&self) -> bool {
        self.follow.has_begun()
    }

    /// Takes a piece of news; gives what is new in the log, oldest first, and the end if this is it.
    pub fn hear(&mut self, news: News, now: DateTime<Utc>) -> (Vec<Entry>, Option<Ending>) {
        let (said, ending) = match news {
            News::Seen(deployment) => {
                self.stale = None;
                let said = changes(self.shown.as_deref(), &deployment);
                let ending = self.follow.look(&deployment);
                self.shown = Some(deployment);
                (said, ending)
            }
            News::Gone => {
                let said = Said::new(Tone::Bad, "it was deleted");
                self.shown = None;
                (vec![said.clone()], Some(Ending::Bad(said.text)))
            }
            News::Unreadable(why) => {
                (self.is_stale(format!("it cannot be read by this version of serin: {why}")), None)
            }
            News::Interrupted(why) => (self.is_stale(format!("the watch was interrupted: {why}")), None),
            News::Refused(why) => {
                let said = Said::new(Tone::Bad, why);
                (vec![said.clone()], Some(Ending::Bad(said.text)))
            }
        };
        let new: Vec<Entry> = said.into_iter().map(|said| Entry { at: now, said }).collect();
        for entry in &new {
            self.log.push_front(entry.clone());
        }
        self.log.truncate(LOG);
        (new, ending)
    }

    /// Said once, however often it is tried again.
    fn is_stale(&mut self, why: String) -> Vec<Said> {
        if self.stale.as_ref() == Some(&why) {
            return Vec::new();
        }
        let said = Said::new(Tone::Bad, &why);
        self.stale = Some(why);
        vec![said]
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent, now: SystemTime) -> Todo {
        if key.kind == KeyEventKind::Release {
            return Todo::Nothing;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Todo::Quit;
        }
        if let Some(order) = self.asked.take() {
            return self.confirm(order, key.code);
        }
        let order = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Todo::Quit,
            KeyCode::Char('p') => Order::Promote,
            KeyCode::Char('a') => Order::Abort,
            KeyCode::Char('s') => Order::Skip,
            KeyCode::Char('r') => Order::Retry,
            KeyCode::Char(' ') if self.is_paused() => Order::Resume,
            KeyCode::Char(' ') => Order::Pause,
            _ => {
                self.answer = None;
                return Todo::Nothing;
            }
        };
        self.answer = None;
        if !self.keys {
            self.answer = Some(Said::new(Tone::Plain, "--read-only: keys give no orders"));
        } else if self.sending {
            self.answer = Some(Said::new(Tone::Plain, "the last order is still on its way"));
        } else if let Some(deployment) = &self.shown {
            match hand::prepare(deployment, order, now) {
                Ok(order) => self.asked = Some(order),
                Err(error) => self.answer = Some(Said::new(Tone::Bad, error.to_string())),
            }
        }
        Todo::Nothing
    }

    fn confirm(&mut self, order: Prepared, key: KeyCode) -> Todo {
        let is_there = self.shown.as_deref().is_some_and(|deployment| order.holds(deployment));
        match key {
            KeyCode::Char('y' | 'Y') if is_there => {
                self.sending = true;
                self.answer = None;
                return Todo::Send(order);
            }
            KeyCode::Char('y' | 'Y') => {
                self.answer = Some(Said::new(Tone::Bad, "that is no longer what is shown: nothing was sent"));
            }
            _ => self.answer = Some(Said::new(Tone::Plain, "nothing was sent")),
        }
        Todo::Nothing
    }

    /// An order has arrived, or has not. What was ordered stands in the log beside what came of it.
    pub fn answered(&mut self, answer: Result<String, String>, now: DateTime<Utc>) {
        self.sending = false;
        let said = match answer {
            Ok(said) => Said::new(Tone::Good, said),
            Err(error) => Said::new(Tone::Bad, error),
        };
        if said.tone == Tone::Good {
            self.log.push_front(Entry { at: now, said: said.clone() });
            self.log.truncate(LOG);
        }
        self.answer = Some(said);
    }

    fn is_paused(&self) -> bool {
        self.shown.as_ref().is_some_and(|deployment| deployment.spec.rollout.paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};

    fn watching(deployment: ModelDeployment, keys: bool) -> App {
        let mut app = App::new(keys);
        app.hear(News::Seen(Box::new(deployment)), now());
        app
    }

    fn press(app: &mut App, key: char) -> Todo {
        app.press(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), SystemTime::UNIX_EPOCH)
    }

    fn answer(app: &App) -> &str {
        app.answer.as_ref().map_or("", |said| &said.text)
    }

    #[test]
    fn an_order_is_sent_only_when_it_is_confirmed() {
        let mut app = watching(fixtures::trying(), true);
        assert!(matches!(press(&mut app, 'p'), Todo::Nothing));
        assert_eq!(app.asked.as_ref().unwrap().question, "promote v2 (r1-v2)?");
        assert!(matches!(press(&mut app, 'n'), Todo::Nothing));
        assert_eq!((app.asked.is_none(), answer(&app)), (true, "nothing was sent"));
        assert!(matches!(press(&mut app, 'y'), Todo::Nothing));
        press(&mut app, 'a');
        assert!(matches!(press(&mut app, 'y'), Todo::Send(_)));
        press(&mut app, 's');
        assert_eq!(answer(&app), "the last order is still on its way");
        app.answered(Err("no\u{1b}[2J".to_owned()), now());
        assert_eq!(answer(&app), "no [2J");
        press(&mut app, 'x');
        assert_eq!(answer(&app), "", "any key makes room for the list of keys");
        app.answered(Ok("v2 is to go back".to_owned()), now());
        assert_eq!(app.log[0].said.text, "v2 is to go back");
        press(&mut app, ' ');
        assert_eq!(app.asked.as_ref().unwrap().question, "pause the rollout of wine?");
    }

    #[test]
    fn a_stale_confirmation_sends_nothing() {
        let mut app = watching(fixtures::trying(), true);
        press(&mut app, 'p');
        app.hear(News::Seen(Box::new(fixtures::promoted())), now());
        assert!(matches!(press(&mut app, 'y'), Todo::Nothing));
        assert_eq!(answer(&app), "that is no longer what is shown: nothing was sent");
    }

    #[test]
    fn keys_that_mean_nothing_here_say_so() {
        let mut app = watching(fixtures::resting(), true);
        press(&mut app, 'p');
        assert_eq!(answer(&app), "no version is being tried; v1 serves");
        press(&mut app, 'r');
        assert_eq!(answer(&app), "no version was rejected");
        let mut app = watching(fixtures::trying(), false);
        press(&mut app, 'p');
        assert!(app.asked.is_none() && answer(&app).starts_with("--read-only"));
    }

    #[test]
    fn ways_out() {
        let mut app = watching(fixtures::trying(), true);
        assert!(matches!(press(&mut app, 'q'), Todo::Quit));
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut app, 'p');
        assert!(matches!(app.press(ctrl_c, SystemTime::UNIX_EPOCH), Todo::Quit), "also from a question");
        let mut app = watching(fixtures::trying(), true);
        let esc = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        press(&mut app, 'p');
        assert!(matches!(app.press(esc, SystemTime::UNIX_EPOCH), Todo::Nothing), "that is a no");
        assert!(matches!(app.press(esc, SystemTime::UNIX_EPOCH), Todo::Quit));
    }

    #[test]
    fn an_interruption_is_said_once() {
        let mut app = watching(fixtures::trying(), true);
        let interrupted = || News::Interrupted("connection refused".to_owned());
        assert_eq!(app.hear(interrupted(), now()).0.len(), 1);
        assert_eq!(app.hear(interrupted(), now()).0.len(), 0);
        app.hear(News::Seen(Box::new(fixtures::trying())), now());
        assert!(app.stale.is_none() && app.shown.is_some());
        let (said, ending) = app.hear(News::Gone, now());
        assert_eq!(
            (said[0].said.text.as_str(), ending),
            ("it was deleted", Some(Ending::Bad("it was deleted".into())))
        );
    }
}
