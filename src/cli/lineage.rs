//! `serin lineage`.

use clap::ValueEnum;
use serin_api::{ModelDeployment, ModelVersion, TrainingRun};
use serin_engine::lineage::{self, Namespace, Node, text};

use crate::{Failure, cluster, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelVersion.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Form::Tree)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Tree,
    Json,
}

/// Prints the tree.
pub fn run(args: &Args) -> Result<(), Failure> {
    let tree = cluster::block_on(tree(args))?;
    match args.output {
        Form::Tree => output::print(&text::render(&tree, output::paint())),
        Form::Json => output::json(&tree.to_json()),
    }
}

async fn tree(args: &Args) -> Result<Node, Failure> {
    let cluster = args.cluster.connect().await?;
    let version: ModelVersion = cluster.get(&args.name).await?;
    let versions = cluster.list::<ModelVersion>().await?;
    let runs = cluster.list::<TrainingRun>().await?;
    let deployments = cluster.list::<ModelDeployment>().await?;
    let namespace = Namespace { versions: &versions, runs: &runs, deployments: &deployments };
    Ok(lineage::tree(&version, namespace))
}
