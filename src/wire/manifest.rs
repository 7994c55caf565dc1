//! The listing of a published folder. Its SHA-256 is the model's digest; it is written last, so that a folder without
//! it is not there.

use serde::{Deserialize, Serialize};

/// Most files in one model.
pub const FILES_MAX: usize = 10_000;
/// Most bytes of a manifest that are read.
pub const BYTES_MAX: usize = 8 << 20;
/// Its name beside the files.
pub const NAME: &str = "manifest.json";

/// Files of a folder, sorted by path.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `serin.dev/manifest/v1`.
    pub schema: String,
    /// The files.
    pub files: Vec<File>,
}

/// One file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Below the folder, with `/`, never `..` and never absolute.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

impl Manifest {
    /// Its one schema.
    pub const SCHEMA: &str = "serin.dev/manifest/v1";

    /// Of these files, in order.
    pub fn of(mut files: Vec<File>) -> Self {
        files.sort();
        Self { schema: Self::SCHEMA.to_owned(), files }
    }

    /// The bytes that are hashed and published.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads one; the error is one line. Paths are safe to join to a folder afterwards.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > BYTES_MAX {
            return Err(format!("the manifest has {} bytes; at most {BYTES_MAX} are read", bytes.len()));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("no manifest: {error}"))?;
        if manifest.schema != Self::SCHEMA {
            return Err(format!("the manifest has schema {:?}; {} is known", manifest.schema, Self::SCHEMA));
        }
        if manifest.files.is_empty() || manifest.files.len() > FILES_MAX {
            return Err(format!(
                "the manifest lists {} files; 1 to {FILES_MAX} are allowed",
                manifest.files.len()
            ));
        }
        for pair in manifest.files.windows(2) {
            if pair[0].path >= pair[1].path {
                return Err(format!("the manifest lists {:?} twice or out of order", pair[1].path));
            }
        }
        for file in &manifest.files {
            if !is_safe(&file.path) {
                return Err(format!("the manifest lists {:?}, which is no path below the folder", file.path));
            }
        }
        Ok(manifest)
    }
}

/// Whether a path stays below the folder it is joined to.
pub fn is_safe(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    path.len() <= 1024 && path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File { path: path.to_owned(), size: 1, digest: format!("sha256:{}", "0".repeat(64)) }
    }

    #[test]
    fn what_was_written_is_read() {
        let manifest = Manifest::of(vec![file("b/c"), file("a")]);
        assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap()), Ok(manifest));
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in ["../a", "a/../b", "/etc/passwd", "a//b", "", ".", "a\\b"] {
            let bytes = Manifest::of(vec![file(path)]).to_bytes().unwrap();
            assert!(Manifest::parse(&bytes).is_err(), "{path}");
        }
    }

    #[test]
    fn doubles_strangers_and_emptiness_are_refused() {
        let double = Manifest::of(vec![file("a"), file("a")]).to_bytes().unwrap();
        assert!(Manifest::parse(&double).unwrap_err().contains("twice"));
        assert!(Manifest::parse(&Manifest::of(vec![]).to_bytes().unwrap()).is_err());
        assert!(Manifest::parse(br#"{"schema":"x","files":[]}"#).is_err());
        assert!(Manifest::parse(b"[]").is_err());
    }
}
