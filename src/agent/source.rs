//! Where an artifact comes from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

/// The place named by `--uri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An object on a web server.
    Http(Url),
    /// A file of a mounted volume.
    File(PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Self::File(PathBuf::new())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| format!("not a URI: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            // `to_file_path` refuses any host but localhost.
            "file" => url.to_file_path().map(Self::File).map_err(|()| {
                "a file URI needs three slashes and an absolute path: file:///mnt/model.onnx".into()
            }),
            other => Err(format!("scheme {other:?} is not supported; use http, https or file")),
        }
    }
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
        }
    }
}
