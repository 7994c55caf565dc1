//! Object stores: how pods reach them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How pods reach the object stores that URIs name. The operator itself never connects to any of them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.endpoint) || self.endpoint.startsWith('http://') || self.endpoint.startsWith('https://')")
        .message("storage.endpoint must start with http:// or https://").field_path(".endpoint"),
)]
pub struct Storage {
    /// Secret of the same namespace whose keys become environment of the pods, such as `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`. Read by the kubelet, never by Serin. Absent: the pods' own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub secret_name: Option<String>,
    /// Address of an S3 server other than Amazon's: `https://minio.example:9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 253), regex(pattern = r"^[a-z]+://[!-~]+$"))]
    pub endpoint: Option<String>,
    /// Region of the buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub region: Option<String>,
}

impl Storage {
    /// Nothing set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
