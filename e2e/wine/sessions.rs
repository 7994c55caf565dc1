//! Clients that keep the gateway's cookie, and notice when another version answers them than before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::http::HeaderValue;

use crate::pool::Outcome;

/// All clients.
#[derive(Debug)]
pub struct Sessions {
    all: Vec<Mutex<Session>>,
}

#[derive(Debug, Default)]
struct Session {
    cookie: Option<HeaderValue>,
    version: Option<String>,
}

/// One request of a client.
#[derive(Debug)]
pub struct Turn {
    client: usize,
    /// What it sends along.
    pub cookie: Option<HeaderValue>,
}

impl Sessions {
    /// So many clients.
    pub fn new(clients: u32) -> Self {
        Self { all: (0..clients).map(|_| Mutex::default()).collect() }
    }

    /// The next request is that of one client after the other; `None` without any.
    pub fn next(&self, request: u64) -> Option<Turn> {
        let clients = u64::try_from(self.all.len()).ok().filter(|n| *n > 0)?;
        let client = usize::try_from(request % clients).ok()?;
        let cookie = self.of(client)?.cookie.clone();
        Some(Turn { client, cookie })
    }

    /// Whether a client that sent a cookie was answered by another version than before.
    pub fn answered(&self, turn: &Turn, outcome: &Outcome) -> bool {
        let (Some(mut session), Some(version)) = (self.of(turn.client), outcome.header.clone()) else {
            return false;
        };
        // An answer that another one has overtaken.
        if turn.cookie != session.cookie {
            return false;
        }
        if let Some(cookie) = outcome.cookie.as_ref().and_then(|cookie| cookie.parse().ok()) {
            session.cookie = Some(cookie);
        }
        let before = session.version.replace(version);
        turn.cookie.is_some() && before.is_some() && before != session.version
    }

    fn of(&self, client: usize) -> Option<MutexGuard<'_, Session>> {
        Some(self.all.get(client)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, cookie: Option<&str>) -> Outcome {
        Outcome { header: Some(version.to_owned()), cookie: cookie.map(str::to_owned), result: Ok(200) }
    }

    #[test]
    fn a_client_keeps_its_cookie_and_notices_a_move() {
        let sessions = Sessions::new(2);
        let first = sessions.next(0).unwrap();
        assert_eq!(first.cookie, None);
        assert!(!sessions.answered(&first, &answer("v1", Some("c=1"))));
        assert_eq!(sessions.next(1).unwrap().cookie, None, "another client");
        let second = sessions.next(2).unwrap();
        assert_eq!(second.cookie, Some("c=1".parse().unwrap()));
        assert!(!sessions.answered(&second, &answer("v1", None)));
        let third = sessions.next(4).unwrap();
        assert!(sessions.answered(&third, &answer("v2", Some("c=2"))));
        assert!(!sessions.answered(&third, &answer("v1", None)), "an answer that comes too late");
        assert!(Sessions::new(0).next(0).is_none());
    }
}
