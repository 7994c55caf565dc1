//! An S3 server, as a process on the node: versitygw over plain files. A folder below its root is a bucket.

use std::time::Duration;

use crate::error::Error;
use crate::process::Process;
use crate::state::State;
use crate::{files, node, wait};

const PORT: u16 = 7070;
const HEALTH: &str = "/healthz";

/// Made at the start.
pub const BUCKETS: [&str; 2] = ["data", "models"];

/// The server's region; requests are signed with it.
pub const REGION: &str = "us-east-1";

/// Environment variables that tell of a given cluster's: endpoint, key, secret.
pub const VARIABLES: [&str; 3] =
    ["SERIN_S3_ENDPOINT", "SERIN_S3_ACCESS_KEY_ID", "SERIN_S3_SECRET_ACCESS_KEY"];

/// What a client needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// Address, as the host and pods reach it.
    pub endpoint: String,
    /// Region.
    pub region: String,
    /// Of the one account.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// Where it is and how to get in.
pub fn access(state: &State) -> S3 {
    S3 {
        endpoint: format!("http://{}", state.socket(PORT)),
        region: REGION.to_owned(),
        access_key_id: state.tokens.s3_key.clone(),
        secret_access_key: state.tokens.s3_secret.clone(),
    }
}

/// Starts it.
pub fn start(state: &State) -> Result<(), Error> {
    let Some(program) = state.tools.as_ref().and_then(|tools| tools.versitygw.as_ref()) else {
        return Ok(());
    };
    for bucket in BUCKETS {
        files::make_dir(&state.path("s3/buckets").join(bucket))?;
    }
    files::make_dir(&state.path("s3/metadata"))?;
    let access = access(state);
    state.place().start(&Process {
        name: "versitygw",
        argv: [
            &*program.to_string_lossy(),
            &format!("--port=0.0.0.0:{PORT}"),
            &format!("--region={}", access.region),
            &format!("--health={HEALTH}"),
            "--quiet",
            "posix",
            // Not every file system keeps what it would else write into extended attributes.
            &format!("--sidecar={}", state.text("s3/metadata")),
            &state.text("s3/buckets"),
        ]
        .map(str::to_owned)
        .into(),
        env: vec![
            ("ROOT_ACCESS_KEY_ID", access.access_key_id),
            ("ROOT_SECRET_ACCESS_KEY", access.secret_access_key),
        ],
    })
}

/// Ends it. What was put stays.
pub fn stop(state: &State) {
    state.place().stop("versitygw", Duration::from_secs(10));
}

/// Waits until it answers.
pub fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let socket = state.socket(PORT);
    wait::until("S3 ready", node::PATIENCE, &place, &["versitygw"], || wait::http_ok(socket, HEALTH))
}
