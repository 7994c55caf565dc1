//! `serin get`: ModelDeployments at a glance.

mod row;
mod table;

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde_json::json;
use serin_api::ModelDeployment;

use crate::{
    Failure, cluster,
    output::{self, Format},
};
use row::Row;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelDeployment; without it all of the namespace.
    name: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Prints one, or a list.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.name {
        Some(name) => one(args, name),
        None => all(args),
    }
}

fn one(args: &Args, name: &str) -> Result<(), Failure> {
    let deployment: ModelDeployment =
        cluster::block_on(async { args.cluster.connect().await?.get(name).await })?;
    let row = Row::of(&deployment);
    match args.output {
        Format::Json => {
            let mut told = serde_json::to_value(&row)?;
            told["message"] = json!(row::message(&deployment));
            told["metrics"] = json!(row::metrics(&deployment));
            output::json(&told)
        }
        Format::Text => {
            let paint = output::paint();
            let told = table::render(&[row], false, now(), paint);
            output::print(&format!("{told}\n{}", table::details(&deployment, paint)))
        }
    }
}

fn all(args: &Args) -> Result<(), Failure> {
    let (place, found) = cluster::block_on(async {
        let cluster = args.cluster.connect().await?;
        let found = cluster.survey::<ModelDeployment>(args.all_namespaces).await?;
        let place = if args.all_namespaces {
            "in any namespace".to_owned()
        } else {
            format!("in namespace {}", cluster.namespace)
        };
        Ok((place, found))
    })?;
    let rows: Vec<Row> = found.objects.iter().map(Row::of).collect();
    match args.output {
        Format::Json => output::json(&json!({"items": rows, "unreadable": found.unreadable}))?,
        Format::Text if rows.is_empty() && found.unreadable.is_empty() => {
            output::print(&format!("no ModelDeployments {place}\n"))?;
        }
        Format::Text if rows.is_empty() => {}
        Format::Text => output::print(&table::render(&rows, args.all_namespaces, now(), output::paint()))?,
    }
    if let Some(warning) = row::unreadable(&found.unreadable) {
        eprintln!("serin: {warning}");
    }
    Ok(())
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}
