//! Running a command to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use crate::Error;

/// Runs a command, and gives what it printed. An error carries the last line
/// of what it said, which is where most programs put the reason.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let what = describe(command);
    let result = command.stdin(Stdio::null()).output();
    let output = result.map_err(|error| failed_to_start(&what, command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    Err(Error::Command { what, detail: last_line(&said).unwrap_or_else(|| output.status.to_string()) })
}

/// Runs a command, with `input` on its standard input.
pub fn feed(command: &mut Command, input: &str) -> Result<String, Error> {
    let what = describe(command);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed_to_start(&what, command, &error))?;
    let broken = |error: io::Error| Error::Command { what: what.clone(), detail: error.to_string() };
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends before it has read everything says why itself.
        let _ = io::Write::write_all(&mut pipe, input.as_bytes());
    }
    let output = child.wait_with_output().map_err(broken)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command {
        detail: last_line(&String::from_utf8_lossy(&output.stderr))
            .unwrap_or_else(|| output.status.to_string()),
        what,
    })
}

fn failed_to_start(what: &str, command: &Command, error: &io::Error) -> Error {
    let program = command.get_program().to_string_lossy();
    Error::Command { what: what.to_owned(), detail: format!("{program}: {error}") }
}

/// The last line that is not blank, cut to a readable length.
pub fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty())?;
    Some(line.chars().take(400).collect())
}

fn describe(command: &Command) -> String {
    let name =
        |text: &std::ffi::OsStr| Path::new(text).file_name().unwrap_or(text).to_string_lossy().into_owned();
    let mut words = vec![name(command.get_program())];
    words.extend(command.get_args().take(4).map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Finds a program on the PATH, or in the system folders that an ordinary
/// user's PATH often leaves out.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}
