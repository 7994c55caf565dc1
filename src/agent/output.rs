//! The file being written: a temporary one beside the output, hashed on the way, renamed when it is right.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::FetchError;

/// Bytes read or copied at a time.
pub const CHUNK: usize = 1 << 20;

/// A partly written output.
pub struct Partial {
    file: File,
    content: Content,
    temporary: PathBuf,
    output: PathBuf,
}

/// What of it is written: how much, and its hash.
#[derive(Default)]
pub struct Content {
    hasher: Sha256,
    bytes: u64,
}

impl Content {
    /// Appends.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl Partial {
    /// Opens the temporary file for `output`, with what an earlier run left in it. None if another process is
    /// writing it now.
    ///
    /// The name contains the expected digest, so that leftovers of another object are never continued.
    pub fn open(output: &Path, digest: &Digest) -> Result<Option<Self>, FetchError> {
        let name = output.file_name().ok_or_else(|| {
            failed(output)(io::Error::new(ErrorKind::InvalidInput, "the output must name a file"))
        })?;
        let directory = directory(output);
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let hex = digest.to_string();
        let short = hex.trim_start_matches("sha256:").get(..16).unwrap_or_default();
        let temporary = directory.join(format!(".{}.{short}.partial", name.display()));

        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&temporary)
            .map_err(failed(&temporary))?;
        // Two pods may share a volume. A file system without locks leaves the digest check, which still holds.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(&file, &temporary) {
            return Ok(None);
        }
        let content = hash(&mut file).map_err(failed(&temporary))?;
        Ok(Some(Self { file, content, temporary, output: output.to_owned() }))
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.content.bytes
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.append(bytes)?;
        self.content.add(bytes);
        Ok(())
    }

    /// Appends to the file alone; whoever does that keeps the account of its content.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(failed(&self.temporary))
    }

    /// Makes durable what is written, from another thread.
    pub fn flusher(&self) -> Result<impl Fn() -> Result<(), FetchError> + use<>, FetchError> {
        let file = self.file.try_clone().map_err(failed(&self.temporary))?;
        let temporary = self.temporary.clone();
        Ok(move || file.sync_data().map_err(failed(&temporary)))
    }

    /// Gives the account of its content away.
    pub fn take_content(&mut self) -> Content {
        std::mem::take(&mut self.content)
    }

    /// Takes it back.
    pub fn put_content(&mut self, content: Content) {
        self.content = content;
    }

    /// Throws away what was written.
    pub fn restart(&mut self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(failed(&self.temporary))?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed(&self.temporary))?;
        self.content = Content::default();
        Ok(())
    }

    /// Digest of what was written.
    pub fn digest(&self) -> Digest {
        Digest::of(self.content.hasher.clone())
    }

    /// Puts the file in place: durable first, then visible, in one step.
    pub fn publish(self) -> Result<(), FetchError> {
        self.file.sync_all().map_err(failed(&self.temporary))?;
        fs::rename(&self.temporary, &self.output).map_err(failed(&self.output))?;
        let directory = directory(&self.output);
        File::open(directory).and_then(|d| d.sync_all()).map_err(failed(directory))
    }

    /// Removes the temporary file.
    pub fn discard(self) {
        // Nothing depends on it; the error that leads here is the one to report.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Whether `output` is there with the digest.
pub fn is_complete(output: &Path, digest: &Digest) -> Result<bool, FetchError> {
    let mut file = match File::open(output) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(output)(error)),
    };
    let content = hash(&mut file).map_err(failed(output))?;
    Ok(Digest::of(content.hasher) == *digest)
}

/// Digest and size of a file.
pub fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
    let content = hash(&mut File::open(path)?)?;
    Ok((Digest::of(content.hasher), content.bytes))
}

fn hash(file: &mut File) -> io::Result<Content> {
    let (mut content, mut buffer) = (Content::default(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(content),
            Ok(count) => content.add(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the open file is still the one at `path`: its former owner may have renamed it into place before the
/// lock was ours.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn directory(output: &Path) -> &Path {
    output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |error| FetchError::Output { path: path.clone(), error }
}
