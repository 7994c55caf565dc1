//! Checksums of files, folders and texts.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{At as _, Error};

/// The checksum as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of some bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file.
pub fn of_file(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).at(path)?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).at(path)?;
    Ok(hex(&hasher.finalize()))
}

/// A checksum over the names and contents of all files under a folder, and
/// over `more`. The same everywhere for the same tree.
pub fn of_folder(folder: &Path, more: &[&str]) -> Result<String, Error> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        let mut content = Vec::new();
        File::open(&path).and_then(|mut file| file.read_to_end(&mut content)).at(&path)?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        frame(&mut hasher, name.as_os_str().as_encoded_bytes());
        frame(&mut hasher, &content);
    }
    for text in more {
        frame(&mut hasher, text.as_bytes());
    }
    Ok(hex(&hasher.finalize()))
}

/// Each part with its length, so that moving a byte from one part to the next
/// changes the sum.
fn frame(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).at(folder)? {
        let path = entry.at(folder)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_sum() {
        assert_eq!(of_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn folder_sums_follow_names_contents_and_extras() {
        let sum = |files: &[(&str, &str)], more: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            for (name, content) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            of_folder(dir.path(), more).unwrap()
        };
        let base = sum(&[("a", "1"), ("d/b", "2")], &["v1"]);
        assert_eq!(base, sum(&[("d/b", "2"), ("a", "1")], &["v1"]));
        assert_ne!(base, sum(&[("a", "2"), ("d/b", "1")], &["v1"]));
        assert_ne!(base, sum(&[("c", "1"), ("d/b", "2")], &["v1"]));
        assert_ne!(base, sum(&[("a", "1"), ("d/b", "2")], &["v2"]));
    }
}
