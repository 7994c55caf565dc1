//! The object stores: opened once each, credentials from the environment or the pod's identity, a bounded number of
//! pieces in flight over all of them.

use std::collections::HashMap;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ClientOptions;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use serin_wire::Storage;
use tokio::sync::Semaphore;

use crate::connector::Connector;
use crate::http;
use crate::retry::{Patience, Trouble};
use crate::source::{Location, Scheme};

/// Environment variable with the address of an S3 server.
pub const ENDPOINT: &str = "SERIN_STORAGE_ENDPOINT";
/// Environment variable with the region of the buckets.
pub const REGION: &str = "SERIN_STORAGE_REGION";
/// Bytes of a range or part.
pub const PIECE: u64 = 8 << 20;
/// Most of them in flight or in memory at a time.
pub const PIECES: usize = 8;

/// A store that takes objects in parts.
pub trait Store: ObjectStore + MultipartStore {}
impl<T: ObjectStore + MultipartStore> Store for T {}

/// All stores of this process.
pub struct Stores {
    storage: Storage,
    /// Credentials and settings of S3, named as in the environment.
    variables: Vec<(String, String)>,
    opened: Mutex<HashMap<(Scheme, String), Arc<dyn Store>>>,
    /// A permit for each piece in memory.
    pub slots: Arc<Semaphore>,
    /// How patient to be with them.
    pub patience: Patience,
}

impl Default for Stores {
    fn default() -> Self {
        Self::new(Storage::default(), vec![], Patience::default())
    }
}

impl Stores {
    /// Of these places, with variables such as `AWS_ACCESS_KEY_ID`. Nothing is opened before it is used.
    pub fn new(storage: Storage, variables: Vec<(String, String)>, patience: Patience) -> Self {
        let slots = Arc::new(Semaphore::new(PIECES));
        Self { storage, variables, opened: Mutex::default(), slots, patience }
    }

    /// As the environment says.
    pub fn from_environment() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        // `vars` would panic at one that is no UTF-8.
        let variables = env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("AWS_"))?;
            Some((name, value.into_string().ok()?))
        });
        let storage = Storage { endpoint: set(ENDPOINT), region: set(REGION) };
        Self::new(storage, variables.collect(), Patience::default())
    }

    /// As a task says, and where it says nothing, the environment.
    pub fn of(storage: &Storage) -> Self {
        let mut stores = Self::from_environment();
        if storage.endpoint.is_some() {
            stores.storage.endpoint.clone_from(&storage.endpoint);
        }
        if storage.region.is_some() {
            stores.storage.region.clone_from(&storage.region);
        }
        stores
    }

    /// The store of this location, and the location's path in it.
    pub fn open(&self, location: &Location) -> Result<(Arc<dyn Store>, Path), Trouble> {
        let path = Path::parse(&location.key).map_err(|error| Trouble::lasting(error.to_string()))?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (location.scheme, location.bucket.clone());
        if let Some(store) = opened.get(&key) {
            return Ok((Arc::clone(store), path));
        }
        let store = self.build(location)?;
        opened.insert(key, Arc::clone(&store));
        Ok((store, path))
    }

    fn build(&self, location: &Location) -> Result<Arc<dyn Store>, Trouble> {
        let client = http::store_client().map_err(|error| Trouble::lasting(error.to_string()))?;
        let connector = Connector { client };
        // Retries are ours: they are told about, they keep what arrived, and all share one patience.
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, ..RetryConfig::default() };
        let options = ClientOptions::new();
        let bucket = location.bucket.as_str();
        let unusable = |error: object_store::Error| Trouble::lasting(Trouble::of(&error).reason);
        Ok(match location.scheme {
            Scheme::S3 => {
                let plain = self.storage.endpoint.as_deref().is_some_and(|e| e.starts_with("http://"));
                // TLS protects the bytes on their way; without it the signature has to, unless AWS_UNSIGNED_PAYLOAD
                // says otherwise.
                let mut builder = AmazonS3Builder::new().with_unsigned_payload(!plain);
                for (name, value) in &self.variables {
                    if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                builder = builder
                    .with_client_options(options.with_allow_http(plain))
                    .with_allow_http(plain)
                    .with_retry(retry)
                    .with_http_connector(connector)
                    .with_bucket_name(bucket)
                    // One by one: not every server knows the other way.
                    .with_disable_bulk_delete(true);
                if let Some(endpoint) = &self.storage.endpoint {
                    builder = builder
                        .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint)
                        .with_virtual_hosted_style_request(false);
                }
                if let Some(region) = &self.storage.region {
                    builder = builder.with_region(region);
                }
                Arc::new(builder.build().map_err(unusable)?)
            }
            Scheme::Gs => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_client_options(options)
                    .with_retry(retry)
                    .with_http_connector(connector)
                    .with_bucket_name(bucket)
                    .build()
                    .map_err(unusable)?,
            ),
            Scheme::Az => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_client_options(options)
                    .with_retry(retry)
                    .with_http_connector(connector)
                    .with_container_name(bucket)
                    .build()
                    .map_err(unusable)?,
            ),
        })
    }
}
