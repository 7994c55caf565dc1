//! Every test program, built in one go. Cargo unifies features over what is selected: each ring built alone would
//! compile half of the dependencies once more.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use serin_e2e::{Error, images};
use tokio::process::Command;

/// A built program.
#[derive(Debug)]
pub struct Program {
    /// Its package.
    pub package: String,
    /// Its target.
    pub target: String,
    /// Whether it is a test program.
    pub tests: bool,
    /// Where it is.
    pub path: PathBuf,
    /// Folder of its package: tests expect to be started there.
    pub folder: PathBuf,
}

/// What is off in the image, and tested all the same.
const FEATURES: &str = "serin/otel";

/// Builds all of them.
pub async fn build() -> Result<Vec<Program>, Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(images::repository());
    cargo.args([
        "build",
        "--workspace",
        "--all-targets",
        "--features",
        FEATURES,
        "--message-format=json-render-diagnostics",
    ]);
    let built = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await?;
    if !built.status.success() {
        return Err("cargo build --workspace --all-targets failed".into());
    }
    let lines = String::from_utf8_lossy(&built.stdout);
    Ok(lines.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.program()).collect())
}

/// What cargo says of a thing it built (<https://doc.rust-lang.org/cargo/reference/external-tools.html>).
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}
#[derive(Deserialize)]
struct Target {
    name: String,
}
#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Message {
    fn program(self) -> Option<Program> {
        let folder = self.manifest_path.as_deref().and_then(Path::parent)?.to_owned();
        Some(Program {
            // Folders are named by what their packages are for, packages `serin-…`; either is unique.
            package: folder.strip_prefix(images::repository()).ok()?.to_string_lossy().into_owned(),
            target: self.target?.name,
            tests: self.profile?.test,
            path: self.executable?,
            folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_told_from_the_rest() {
        let manifest = images::repository().join("src/judge/Cargo.toml");
        let line = |test: bool, executable: Option<&str>| {
            let message = serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "target": {"name": "judge", "kind": ["test"]},
                "profile": {"test": test}, "executable": executable,
            });
            serde_json::from_value::<Message>(message).unwrap().program()
        };
        let program = line(true, Some("/t/judge-1")).unwrap();
        assert_eq!(
            (program.package.as_str(), program.target.as_str(), program.tests),
            ("src/judge", "judge", true)
        );
        assert!(line(true, None).is_none(), "a library");
        let finished: Message =
            serde_json::from_str(r#"{"reason":"build-finished","success":true}"#).unwrap();
        assert!(finished.program().is_none());
    }
}
