//! Standard output.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};

use serin_engine::paint::Paint;

use crate::Failure;

/// Prints a text. A reader that has seen enough (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    is_read(text).map(|_| ())
}

/// Prints a text; whether somebody still reads.
pub fn is_read(text: &str) -> Result<bool, Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Prints JSON for people and programs.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Colours only on a terminal, and not where `NO_COLOR` says so (<https://no-color.org>).
pub fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stdout().is_terminal() && !unwanted { Paint::Colour } else { Paint::Plain }
}

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}
