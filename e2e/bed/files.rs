//! Reading and writing files, with errors that name the file.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::{At as _, Error};

/// Makes a folder and those above it.
pub fn make_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).at(path)
}

/// Writes a file whole: readers see the old content or the new, never a part.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    write_with_mode(path, content.as_ref(), 0o644)
}

/// Like [`write`], readable by its owner only.
pub fn write_secret(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    write_with_mode(path, content.as_ref(), 0o600)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(new).at(new)?;
    file.write_all(content).at(new)?;
    fs::rename(new, path).at(path)
}

/// Reads a text file.
pub fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).at(path)
}

/// Takes an exclusive lock that is given back when the file is dropped, or
/// when this process dies. `waiting` is called when someone else holds it.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).at(path)?;
    if file.try_lock().is_err() {
        waiting();
        file.lock().at(path)?;
    }
    Ok(file)
}
