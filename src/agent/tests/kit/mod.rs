//! A pod's places in a temporary folder, and an S3 server for tests.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod bench;
pub mod s3;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_agent::digest::Digest;
use serin_agent::retry::Patience;
use serin_agent::stores::Stores;
use serin_wire::Storage;

/// Of a range or part.
pub const PIECE_LENGTH: usize = 8 << 20;

/// Variables that the test server's clients need.
pub const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "key-of-a-test"), ("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")];

/// Bytes that do not repeat within a piece.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = move |()| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_n((), length).map(next).collect()
}

/// `sha256:…` of these bytes.
pub fn digest(bytes: &[u8]) -> String {
    Digest::of_bytes(bytes).to_string()
}

/// Stores at this server, impatient.
pub fn stores(endpoint: &str) -> Arc<Stores> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let storage = Storage { endpoint: Some(endpoint.to_owned()), region: None };
    let variables = CREDENTIALS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let patience = Patience { first_pause: Duration::from_millis(1), ..Patience::default() };
    Arc::new(Stores::new(storage, variables, patience))
}

/// Writes a file and the folders that it needs.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Everything below a folder, in order.
pub fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, home: &Path, found: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk(&path, home, found);
            } else {
                found.push(path.strip_prefix(home).unwrap().display().to_string());
            }
        }
    }
    let mut found = vec![];
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// Waits until something is so, and says what, if it never is.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pod's root folder, with the file for its termination message.
pub struct Root(pub tempfile::TempDir);

impl Root {
    pub fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        write(&root.at("/dev/termination-log"), "");
        root
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    pub fn message(&self) -> String {
        fs::read_to_string(self.at("/dev/termination-log")).unwrap()
    }
}
