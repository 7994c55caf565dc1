//! The termination message: what Kubernetes copies from a file into the pod's status.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// Most bytes of a message about a failure.
pub const MESSAGE_MAX: usize = 1024;

/// Leaves the message where Kubernetes looks for it. The file exists in pods only; it is not created elsewhere.
pub fn leave(log: &Path, message: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(log)?.write_all(message.as_bytes())
}

/// What the program itself left there, if anything: the message of a torchelastic error file, or plain text.
pub fn left_by_program(log: &Path) -> Option<String> {
    let bytes = std::fs::read(log).ok()?;
    // Such a file holds a stack trace, too; beyond this it is something else.
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(1 << 20))?);
    let text = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => message_of(&json)?,
        Err(_) => text.into_owned(),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| head(text, MESSAGE_MAX).to_owned())
}

/// `{"message": {"message": TEXT, …}}` or `{"message": TEXT}`.
fn message_of(json: &serde_json::Value) -> Option<String> {
    let message = json.get("message")?;
    message.get("message").unwrap_or(message).as_str().map(str::to_owned)
}

/// The beginning of a text, of at most so many bytes.
pub fn head(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_left_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("termination-log");
        let left = |content: &str| {
            std::fs::write(&log, content).unwrap();
            left_by_program(&log)
        };
        let torch =
            r#"{"message": {"message": "RuntimeError: loss is NaN", "extraInfo": {"py_callstack": "…"}}}"#;
        assert_eq!(left(torch).as_deref(), Some("RuntimeError: loss is NaN"));
        assert_eq!(left(r#"{"message": "out of memory"}"#).as_deref(), Some("out of memory"));
        assert_eq!(left("disk full\n").as_deref(), Some("disk full"));
        assert_eq!(left(" \n"), None);
        assert_eq!(left(r#"{"loss": 1}"#), None);
        assert_eq!(left(&"ä".repeat(2000)).unwrap().len(), MESSAGE_MAX);
        assert_eq!(left_by_program(&directory.path().join("none")), None);
    }

    #[test]
    fn the_file_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("termination-log");
        assert!(leave(&log, "x").is_err() && !log.exists());
        std::fs::write(&log, "something longer").unwrap();
        leave(&log, "short").unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "short");
    }
}
