//! What is served: a model artifact named by content.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate;

/// Where the model comes from. Exactly one source.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ModelSource {
    /// A file named by its address and its SHA-256.
    pub artifact: Artifact,
    /// A word for people, such as `v3`, shown by `kubectl get`. Not part of the revision: changing it rolls nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub version: Option<String>,
}

/// A model file. It is fetched into the pod and verified before the server starts; a mismatch never serves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.uri.startsWith('http://') || self.uri.startsWith('https://') || self.uri.startsWith('pvc://')")
        .message("uri must start with http://, https:// or pvc:// (pvc://CLAIM/PATH)").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9]([a-z0-9-]*[a-z0-9])?/[^/].*$')")
        .message("a claim is written pvc://CLAIM/PATH, for example pvc://models/wine/v3.json").field_path(".uri"),
)]
pub struct Artifact {
    /// `http(s)://HOST/PATH` or `pvc://CLAIM/PATH` (a claim in the same namespace, mounted read-only).
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits: the SHA-256 of the file's bytes.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
}

/// A content digest, `sha256:<64 hex>`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }
    /// Whether the text has the form that the schema asks for.
    pub fn is_well_formed(&self) -> bool {
        self.0.strip_prefix("sha256:").is_some_and(|h| {
            h.len() == 64 && h.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An artifact's address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Fetched over HTTP(S) by the agent inside the pod; the operator itself never calls it.
    Http(String),
    /// A file in a claim of the same namespace.
    Claim {
        /// Name of the PersistentVolumeClaim.
        claim: String,
        /// Path below the claim's root, without a leading slash.
        path: String,
    },
}

impl Artifact {
    /// Takes the address apart; the error is one line that says what to change.
    pub fn location(&self) -> Result<Location, String> {
        if self.uri.split('/').any(|s| s == "..") {
            return Err(format!("model.artifact.uri {:?} must not contain '..' as a path segment", self.uri));
        }
        if self.uri.starts_with("http://") || self.uri.starts_with("https://") {
            return Ok(Location::Http(self.uri.clone()));
        }
        if let Some(rest) = self.uri.strip_prefix("pvc://") {
            return match rest.split_once('/') {
                Some((claim, path))
                    if validate::dns_label(claim) && !path.is_empty() && !path.starts_with('/') =>
                {
                    Ok(Location::Claim { claim: claim.to_owned(), path: path.to_owned() })
                }
                _ => Err(format!("model.artifact.uri {:?}: a claim is written pvc://CLAIM/PATH", self.uri)),
            };
        }
        Err(format!("model.artifact.uri {:?} must start with http://, https:// or pvc://", self.uri))
    }
}
