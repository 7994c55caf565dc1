//! `serin provenance`.

use serin_api::ModelVersion;
use serin_engine::provenance;

use crate::{Failure, cluster, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelVersion.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// Prints the statement.
pub fn run(args: &Args) -> Result<(), Failure> {
    let version: ModelVersion =
        cluster::block_on(async { args.cluster.connect().await?.get(&args.name).await })?;
    output::json(&provenance::statement(&version)?)
}
