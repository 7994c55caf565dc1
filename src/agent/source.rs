//! Where an artifact comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;
use serin_wire::{manifest, places};

/// A place named by a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An object on a web server.
    Http(Url),
    /// A file of a mounted volume.
    File(PathBuf),
    /// A file of a claim.
    Claim(Claim),
    /// An object in an object store.
    Store(Location),
}

/// A path in a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As the user names it: `pvc://CLAIM/PATH`.
    pub uri: String,
    /// Where it is mounted.
    pub file: PathBuf,
}

/// An object, or a folder of objects, in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Which kind of store.
    pub scheme: Scheme,
    /// The bucket or container.
    pub bucket: String,
    /// The key, as it is: nothing in it is percent-encoded. Of a folder without a slash at the end, and empty for all
    /// of the bucket.
    pub key: String,
}

/// A kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        match text {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Gs),
            "az" => Some(Self::Az),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

impl Location {
    /// The key below this one.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let key = if self.key.is_empty() { path.to_owned() } else { format!("{}/{path}", self.key) };
        Self { key, ..self.clone() }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::File(PathBuf::new())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, Path::new(places::CLAIMS_DIR))
    }
}

impl Source {
    /// Reads a URI; claims are mounted below `claims`.
    pub fn parse(text: &str, claims: &Path) -> Result<Self, String> {
        if let Some((scheme, bucket, key)) = in_store(text) {
            if key.is_empty() {
                return Err(format!(
                    "{}://{bucket} names no object; use {}://BUCKET/KEY",
                    scheme.name(),
                    scheme.name()
                ));
            }
            return Ok(Self::Store(location(scheme, bucket, key)?));
        }
        if let Some(rest) = text.strip_prefix("pvc://") {
            let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
            if path.is_empty() {
                return Err(format!("{text} names no file; use pvc://CLAIM/PATH"));
            }
            return Ok(Self::Claim(Claim { uri: text.to_owned(), file: in_claim(claims, claim, path)? }));
        }
        let url = Url::parse(text).map_err(|error| format!("not a URI: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            // `to_file_path` refuses any host but localhost.
            "file" => url.to_file_path().map(Self::File).map_err(|()| {
                "a file URI needs three slashes and an absolute path: file:///mnt/model.onnx".into()
            }),
            other => {
                Err(format!("scheme {other:?} is not supported; use https, http, s3, gs, az, pvc or file"))
            }
        }
    }

    /// The place of another file, named by its path below the folder that this one is in.
    pub fn beside(&self, path: &str) -> Result<Self, String> {
        let refused = || format!("{path:?} is no path beside {self}");
        if !manifest::is_safe(path) {
            return Err(refused());
        }
        match self {
            Self::Http(url) => {
                let mut url = url.clone();
                url.path_segments_mut().map_err(|()| refused())?.pop().extend(path.split('/'));
                Ok(Self::Http(url))
            }
            Self::File(file) => Ok(Self::File(file.with_file_name("").join(path))),
            Self::Claim(claim) => {
                let folder = claim.uri.rsplit_once('/').map_or("", |(folder, _)| folder);
                let file = claim.file.with_file_name("").join(path);
                Ok(Self::Claim(Claim { uri: format!("{folder}/{path}"), file }))
            }
            Self::Store(location) => {
                let folder = location.key.rsplit_once('/').map_or("", |(folder, _)| folder);
                let folder = Location { key: folder.to_owned(), ..location.clone() };
                Ok(Self::Store(folder.join(path)))
            }
        }
    }

    /// Last part of the path: what the file is called.
    pub fn file_name(&self) -> Option<String> {
        let name = match self {
            Self::Http(url) => url.path_segments()?.next_back()?.to_owned(),
            Self::File(file) | Self::Claim(Claim { file, .. }) => file.file_name()?.to_str()?.to_owned(),
            Self::Store(location) => location.key.rsplit('/').next()?.to_owned(),
        };
        (manifest::is_safe(&name) && !name.contains('/')).then_some(name)
    }
}

/// Splits `s3://BUCKET/KEY` and its like.
pub fn in_store(text: &str) -> Option<(Scheme, &str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    Some((Scheme::of(scheme)?, bucket, key))
}

/// Checks bucket and key.
pub fn location(scheme: Scheme, bucket: &str, key: &str) -> Result<Location, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(plain) {
        return Err(format!("{bucket:?} is no name of a bucket"));
    }
    if !key.is_empty() && !is_key(key) {
        return Err(format!("{key:?} is no key: it has an empty part, `.`, `..`, or a control character"));
    }
    Ok(Location { scheme, bucket: bucket.to_owned(), key: key.to_owned() })
}

/// Whether a path can be a key as it is.
pub fn is_key(path: &str) -> bool {
    manifest::is_safe(path) && !path.chars().any(|c| c.is_ascii_control())
}

/// The file of `pvc://CLAIM/PATH`.
pub fn in_claim(claims: &Path, claim: &str, path: &str) -> Result<PathBuf, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if claim.is_empty() || claim.len() > 253 || claim.starts_with('.') || !claim.chars().all(plain) {
        return Err(format!("{claim:?} is no name of a claim"));
    }
    if !path.is_empty() && !manifest::is_safe(path) {
        return Err(format!("{path:?} is no path below a claim"));
    }
    Ok(claims.join(claim).join(path))
}

/// For messages: without user, password and query, which may be a signature.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => {
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Claim(claim) => f.write_str(&claim.uri),
            Self::Store(location) => location.fmt(f),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.bucket)?;
        if self.key.is_empty() { Ok(()) } else { write!(f, "/{}", self.key) }
    }
}
