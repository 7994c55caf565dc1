//! [`serin_wire::places`] below a root, which is `/` but in tests.

use std::path::{Path, PathBuf};

use serin_wire::places;

/// Where things are in this pod.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Places {
    /// Everything below this folder.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// One of [`serin_wire::places`].
    pub fn at(&self, place: &str) -> PathBuf {
        self.root.join(place.trim_start_matches('/'))
    }

    /// Where claims are mounted.
    pub fn claims(&self) -> PathBuf {
        self.at(places::CLAIMS_DIR)
    }

    /// Which checkpoint `prepare` fetched, for `run` to report: `a1/step-200`.
    pub fn resumed_from(&self) -> PathBuf {
        self.at(places::ROOT).join("resumed-from")
    }

    /// The folder of the evaluation's report.
    pub fn result_dir(&self) -> PathBuf {
        self.at(places::RESULT).with_file_name("")
    }
}
