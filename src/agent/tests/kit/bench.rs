//! A pod's folders, an object store, and what a test asks of them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serin_agent::fetch::Request;
use serin_agent::folder::Folder;
use serin_agent::places::Places;
use serin_agent::publish::{PublishError, publish};
use serin_agent::source::Source;
use serin_agent::stores::Stores;
use serin_wire::Published;

use super::s3::S3;
use super::{Root, digest, files, stores};

/// A pod beside an object store.
pub struct Bench {
    pub root: Root,
    pub server: S3,
    pub stores: Arc<Stores>,
}

impl Bench {
    pub fn new() -> Self {
        let server = S3::start();
        let stores = stores(&server.endpoint);
        Self { root: Root::new(), server, stores }
    }

    pub fn claims(&self) -> PathBuf {
        Places::below(self.root.0.path()).claims()
    }

    pub fn request(&self, uri: &str, expected: &[u8]) -> Request {
        Request {
            source: Source::parse(uri, &self.claims()).unwrap(),
            digest: digest(expected).parse().unwrap(),
            output: self.root.at("model/weights.bin"),
            timeout: Duration::from_mins(1),
            patience: self.stores.patience,
            stores: Arc::clone(&self.stores),
            ..Request::default()
        }
    }

    pub fn fetched(&self) -> Vec<u8> {
        fs::read(self.root.at("model/weights.bin")).unwrap()
    }

    pub fn leftovers(&self) -> Vec<String> {
        files(&self.root.at("model"))
    }

    pub fn folder(&self, uri: &str) -> Folder {
        Folder::parse(uri, &self.claims(), &self.stores).unwrap()
    }

    pub async fn publish(&self, to: &str) -> Result<Published, PublishError> {
        publish(&self.root.at("output"), "$SERIN_OUTPUT_DIR", &self.folder(to)).await
    }

    pub async fn refused(&self) -> String {
        let error = self.publish("s3://models/wine").await.unwrap_err();
        assert_eq!(error.exit_code(), 51, "{error}");
        assert_eq!(self.server.paths(), Vec::<String>::new());
        error.to_string()
    }
}
