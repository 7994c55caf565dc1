//! The user's program, run as process 1 should: signals are passed on, orphans are reaped, what it says on standard
//! error goes out unchanged and its end is remembered, and nothing of it is left running when it has ended.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::select_all;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait,
};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use crate::termination::MESSAGE_MAX;

/// Passed on to the program.
const FORWARDED: [(Signal, &str); 6] = [
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::HUP, "SIGHUP"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
];
/// For what the program left running to go away.
const LEFTOVERS: Duration = Duration::from_secs(10);
/// For the rest of standard error.
const DRAIN: Duration = Duration::from_secs(2);

/// What to run.
pub struct Program {
    /// Command and arguments.
    pub command: Vec<OsString>,
    /// Set for it.
    pub set: BTreeMap<String, String>,
    /// Of our own environment, not handed on.
    pub unset: &'static [&'static str],
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code, or 128 and the number of the signal that ended it.
    pub code: i32,
    /// The same in words.
    pub how: String,
    /// The end of what it said on standard error.
    pub last_words: String,
    /// Whether it was asked to stop: even if it ended well, it may not be done.
    pub told_to_stop: bool,
}

/// A program that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {command:?}: {error}")]
pub struct StartError {
    command: OsString,
    error: io::Error,
}

impl StartError {
    /// As shells have it.
    pub fn exit_code(&self) -> i32 {
        if self.error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    }
}

/// Runs it to its end.
pub async fn run(program: Program) -> Result<Ended, StartError> {
    let mut command = program.command.into_iter();
    let name = command.next().unwrap_or_default();
    let failed = |error: io::Error| StartError { command: name.clone(), error };

    // Orphans come to process 1, and to us also where another process is that.
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        eprintln!("orphans may not be reaped: {error}");
    }
    // Before the start: a signal that comes in between is kept, not lost.
    let mut signals = vec![];
    for (forwarded, _) in FORWARDED {
        signals.push(signal(SignalKind::from_raw(forwarded.as_raw())).map_err(failed)?);
    }
    let mut child_ended = signal(SignalKind::child()).map_err(failed)?;

    let mut starting = Command::new(&name);
    starting.args(command).envs(program.set).stderr(Stdio::piped());
    for variable in program.unset {
        starting.env_remove(variable);
    }
    let mut child = starting.spawn().map_err(failed)?;
    let last_words = Tail::default();
    let drained = child.stderr.take().map(|stderr| pass_on(stderr, last_words.clone()));
    // The handle is not used any more: whoever waits for any child must be the only one who waits.
    let pid = Pid::from_child(&child);

    let mut told_to_stop = false;
    let status = loop {
        if let Some(status) = reap(Some(pid)) {
            break status;
        }
        tokio::select! {
            _ = child_ended.recv() => {}
            index = next_of(&mut signals) => {
                if let Some((forwarded, name)) = FORWARDED.get(index) {
                    eprintln!("{name} is passed on to the program");
                    told_to_stop |= matches!(*forwarded, Signal::TERM | Signal::INT | Signal::QUIT);
                    // It can only have ended already, which the next round finds out.
                    let _ = kill_process(pid, *forwarded);
                }
            }
        }
    };
    end_leftovers().await;
    if let Some(drained) = drained {
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }
    let (code, how) = told(status);
    Ok(Ended { code, how, last_words: last_words.text(), told_to_stop })
}

fn told(status: WaitStatus) -> (i32, String) {
    if let Some(signal) = status.terminating_signal() {
        let name = match signal {
            6 => " (SIGABRT)",
            9 => " (SIGKILL: out of memory, or stopped for good)",
            11 => " (SIGSEGV)",
            15 => " (SIGTERM)",
            _ => "",
        };
        return (128 + signal, format!("the program was ended by signal {signal}{name}"));
    }
    let code = status.exit_status().unwrap_or(1);
    (code, format!("the program ended with exit code {code}"))
}

/// Index of the next signal that arrives.
async fn next_of(signals: &mut [Signals]) -> usize {
    select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await.1
}

/// Takes every child that has ended; gives the status of the one that was asked for.
fn reap(wanted: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == wanted => found = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return found,
        }
    }
}

/// Ends what the program left running: its files are about to be hashed and published. As the reaper of all orphans we
/// find whatever it started among our children, one generation after the other.
async fn end_leftovers() {
    let deadline = Instant::now() + LEFTOVERS;
    loop {
        let _ = reap(None);
        let left = children();
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            eprintln!("{} processes that the program left running do not end", left.len());
            return;
        }
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return vec![] };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let pids = lists.flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>());
    pids.filter_map(|pid| Pid::from_raw(pid.ok()?)).collect()
}

/// Copies standard error through a thread of its own; done when every holder of the pipe has closed it.
fn pass_on(mut stderr: ChildStderr, tail: Tail) -> tokio::sync::oneshot::Receiver<()> {
    let (done, drained) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            let bytes = match stderr.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => buffer.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            // Nobody may be listening; the program must not notice.
            let _ = io::stderr().write_all(bytes);
            tail.add(bytes);
        }
        let _ = done.send(());
    });
    drained
}

/// The last bytes of a stream.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        // One byte more than a message has tells whether the first line is whole.
        let surplus = kept.len().saturating_sub(MESSAGE_MAX + 1);
        kept.drain(..surplus);
    }

    /// Its last whole lines, of at most [`MESSAGE_MAX`] bytes.
    fn text(&self) -> String {
        let kept: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&kept);
        let text = text.trim_end();
        let start = text.len().saturating_sub(MESSAGE_MAX);
        let last = text.get(text.ceil_char_boundary(start)..).unwrap_or_default();
        match last.split_once('\n') {
            Some((_, whole)) if kept.len() > MESSAGE_MAX && !whole.is_empty() => whole.to_owned(),
            _ => last.trim_start().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_MAX, Tail};

    #[test]
    fn the_tail_has_whole_lines_and_is_bounded() {
        let tail = Tail::default();
        tail.add(b"one\ntwo\n");
        assert_eq!(tail.text(), "one\ntwo");
        for number in 0..1000 {
            tail.add(format!("line {number}\n").as_bytes());
        }
        let text = tail.text();
        assert!(
            text.len() <= MESSAGE_MAX && text.starts_with("line ") && text.ends_with("line 999"),
            "{text}"
        );
        let long = Tail::default();
        long.add("ä".repeat(5000).as_bytes());
        assert!((MESSAGE_MAX - 6..=MESSAGE_MAX).contains(&long.text().len()), "{}", long.text().len());
    }
}
