//! Where things are kept: built programs and beds, outside the repository and
//! the target folder, so that a fresh clone finds what an older one built.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;

/// `$SERIN_CACHE`, or `serin` in the user's cache folder.
pub fn cache() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("SERIN_CACHE") {
        return dir.into();
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Path::new(&dir).join("serin");
    }
    match set("HOME") {
        Some(home) => Path::new(&home).join(".cache/serin"),
        None => env::temp_dir().join("serin"),
    }
}

/// Where the built and downloaded programs are.
pub fn tools() -> PathBuf {
    cache().join("bed-tools")
}

/// Where all beds are.
pub fn beds() -> PathBuf {
    cache().join("beds")
}

/// Where one bed is.
pub fn bed(name: &str) -> PathBuf {
    beds().join(name)
}

/// Held by whoever brings this bed up or down. Beside the bed's folder, not in
/// it, so that taking the bed down does not take the lock away.
pub fn bed_lock(name: &str) -> PathBuf {
    beds().join(format!("{name}.lock"))
}

/// Held while an address range is chosen.
pub fn range_lock() -> PathBuf {
    beds().join(".ranges.lock")
}

/// The Go sources of the programs the bed builds.
pub fn go_sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/go"))
}

/// The Go sources of the program that asks Argo CD's engine and kstatus.
pub fn gitops_sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../gitops"))
}

/// A bed's name goes into namespace, cgroup and file names, and its folder
/// into socket paths, which may have 107 bytes.
pub fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=20).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit() {
        for name in ["serin", "a", "ci-2", "a-name-of-20-letters"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a/b", "..", "2a", "a-name-of-21-letters-"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
