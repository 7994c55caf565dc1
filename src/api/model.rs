//! What is served: a model artifact named by content.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Channel, Storage, validate};

/// Where the model comes from. Exactly one source.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.artifact), has(self.versionRef), has(self.channel)].exists_one(k, k)")
        .message("model has exactly one of artifact, versionRef and channel"),
    validation = Rule::new("!has(self.version) || has(self.artifact)")
        .message("model.version is a word for an artifact; a ModelVersion has its name").field_path(".version"),
)]
pub struct ModelSource {
    /// A file or folder named by its address and its SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// A ModelVersion of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub version_ref: Option<String>,
    /// The newest version of a model that may be served: it is chosen in the status, and this field stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// A word for people, such as `v3`, shown by `kubectl get`. Not part of the revision: changing it rolls nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub version: Option<String>,
    /// How the pods reach the store; a version brings its own, and what is set here comes before it.
    #[serde(default, skip_serializing_if = "Storage::is_empty")]
    pub storage: Storage,
}

/// A model source with every reference followed: part of a revision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedModel {
    /// The file or folder.
    pub artifact: Artifact,
    /// The ModelVersion it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_ref: Option<String>,
    /// A word for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the pods reach the store.
    #[serde(default, skip_serializing_if = "Storage::is_empty")]
    pub storage: Storage,
}

impl ModelSource {
    /// What an artifact resolves to; a version has to be looked up, and a channel followed.
    pub fn resolved(&self) -> Option<ResolvedModel> {
        Some(ResolvedModel {
            artifact: self.artifact.clone()?,
            version_ref: None,
            version: self.version.clone(),
            storage: self.storage.clone(),
        })
    }
}

/// What a model is made of.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One file.
    #[default]
    File,
    /// Several; the URI names their manifest, which lies beside them.
    Directory,
}
impl Layout {
    /// Whether it is the default.
    pub fn is_file(&self) -> bool {
        *self == Self::File
    }
}

/// A model. It is fetched into the pod and verified before the server starts; a mismatch never serves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("['http://', 'https://', 's3://', 'gs://', 'az://', 'pvc://'].exists(p, self.uri.startsWith(p))")
        .message("uri must start with https://, http://, s3://, gs://, az:// or pvc:// (pvc://CLAIM/PATH)").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("self.uri.startsWith('http') || self.uri.matches('^[a-z0-9]+://[^/]+/[^/].*$')")
        .message("uri names a bucket, container or claim, and something in it: s3://BUCKET/KEY, pvc://CLAIM/PATH").field_path(".uri"),
    validation = Rule::new("!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9]([a-z0-9-]*[a-z0-9])?/[^/].*$')")
        .message("a claim is written pvc://CLAIM/PATH, for example pvc://models/wine/v3.json").field_path(".uri"),
)]
pub struct Artifact {
    /// `http(s)://HOST/PATH`, `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY` or `pvc://CLAIM/PATH` (a claim
    /// in the same namespace, mounted read-only).
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits: the SHA-256 of the file's bytes, or of the manifest's.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
    /// File (default), or Directory: `uri` then names a manifest.
    #[serde(default, skip_serializing_if = "Layout::is_file")]
    pub layout: Layout,
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
    /// In an object store (`s3`, `gs`, `az`), fetched by the agent inside the pod.
    Store(String),
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
        location("model.artifact.uri", &self.uri)
    }
}

/// Takes an address apart; the error is one line that begins with the field's name and says what to change.
pub fn location(field: &str, uri: &str) -> Result<Location, String> {
    if uri.split('/').any(|s| s == "..") {
        return Err(format!("{field} {uri:?} must not contain '..' as a path segment"));
    }
    if uri.starts_with("http://") || uri.starts_with("https://") {
        return Ok(Location::Http(uri.to_owned()));
    }
    for scheme in ["s3://", "gs://", "az://"] {
        if let Some(rest) = uri.strip_prefix(scheme) {
            return match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Location::Store(uri.to_owned()))
                }
                _ => Err(format!("{field} {uri:?}: it is written {scheme}BUCKET/KEY")),
            };
        }
    }
    if let Some(rest) = uri.strip_prefix("pvc://") {
        return match rest.split_once('/') {
            Some((claim, path))
                if validate::dns_label(claim) && !path.is_empty() && !path.starts_with('/') =>
            {
                Ok(Location::Claim { claim: claim.to_owned(), path: path.to_owned() })
            }
            _ => Err(format!("{field} {uri:?}: a claim is written pvc://CLAIM/PATH")),
        };
    }
    Err(format!("{field} {uri:?} must start with https://, http://, s3://, gs://, az:// or pvc://"))
}
