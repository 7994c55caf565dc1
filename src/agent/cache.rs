//! What this node fetched before, by digest: `DIR/sha256/HEX`. Nothing in it is trusted: a file is verified again each
//! time it is used, and one that is wrong is removed. Without a cache everything works, only slower, so that its own
//! troubles are told and not fatal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::error::FetchError;
use crate::output;

/// Puts the file into place if the cache has it.
pub fn take(cache: &Path, digest: &Digest, output: &Path) -> Result<bool, FetchError> {
    let cached = place(cache, digest);
    if !cached.is_file() {
        return Ok(false);
    }
    let failed = |error| FetchError::Output { path: output.to_owned(), error };
    let temporary = unique(output);
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    if let Err(error) = link_or_copy(&cached, &temporary) {
        eprintln!("the cached {} cannot be used: {error}", cached.display());
        let _ = fs::remove_file(&temporary);
        return Ok(false);
    }
    if output::is_complete(&temporary, digest)? {
        fs::rename(&temporary, output).map_err(failed)?;
        return Ok(true);
    }
    eprintln!("the cached {} is not what its name says; removed", cached.display());
    let _ = fs::remove_file(&temporary);
    let _ = fs::remove_file(&cached);
    Ok(false)
}

/// Adds a verified file.
pub fn keep(cache: &Path, digest: &Digest, output: &Path) {
    let cached = place(cache, digest);
    let temporary = unique(&cached);
    let kept = fs::create_dir_all(cache.join("sha256"))
        .and_then(|()| link_or_copy(output, &temporary))
        .and_then(|()| fs::rename(&temporary, &cached));
    if let Err(error) = kept {
        eprintln!("not cached: {}: {error}", cached.display());
        let _ = fs::remove_file(&temporary);
    }
}

fn place(cache: &Path, digest: &Digest) -> PathBuf {
    cache.join("sha256").join(digest.hex())
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // A link costs nothing, but only works within one volume.
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// A name beside `path` that no other process uses, in this pod or another.
pub fn unique(path: &Path) -> PathBuf {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".{}.{}-{nanos}.partial", name.display(), std::process::id()))
}
