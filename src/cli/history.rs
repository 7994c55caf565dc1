//! `serin history`: what became of the last versions.

use serin_api::{ModelDeployment, ModelDeploymentStatus, Outcome};

use crate::{
    Failure, cluster, facts,
    output::{self, Format},
};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelDeployment.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Prints what serves, what is tried, and the last ten outcomes, newest first.
pub fn run(args: &Args) -> Result<(), Failure> {
    let deployment: ModelDeployment =
        cluster::block_on(async { args.cluster.connect().await?.get(&args.name).await })?;
    let status = deployment.status.unwrap_or_default();
    match args.output {
        Format::Text => output::print(&(table(&status) + &facts::lines(&facts::channel(&status)))),
        Format::Json => output::json(&serde_json::json!({
            "stable": status.stable.as_ref().map(|s| &s.version),
            "candidate": status.candidate.as_ref().map(|c| &c.version),
            "history": status.history,
            "lastFailed": status.last_failed,
            "channel": status.channel,
        })),
    }
}

fn table(status: &ModelDeploymentStatus) -> String {
    let mut rows = vec![["WHEN", "VERSION", "REVISION", "OUTCOME", "WHY"].map(str::to_owned)];
    if let Some(c) = &status.candidate {
        let what = format!("{:?} {} at {}", c.phase, c.step, facts::share(c));
        rows.push([c.started_at.to_string(), c.version.clone(), c.revision.clone(), what, String::new()]);
    }
    for entry in &status.history {
        let failed = status.last_failed.as_ref();
        let why = failed.filter(|f| {
            entry.outcome == Outcome::RolledBack && f.revision == entry.revision && f.at == entry.at
        });
        rows.push([
            entry.at.to_string(),
            entry.version.clone(),
            entry.revision.clone(),
            format!("{:?}", entry.outcome),
            why.map_or_else(String::new, |f| format!("{}: {}", f.reason, f.message)),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let cells: Vec<String> = padded.chain([row[4].clone()]).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_stands_first_and_says_why() {
        let entry = |version: &str, outcome: &str, at: &str| {
            serde_json::json!({"revision": format!("r1-{version}"), "version": version, "digest": "d",
                "outcome": outcome, "at": at})
        };
        let status: ModelDeploymentStatus = serde_json::from_value(serde_json::json!({
            "history": [
                entry("v2", "RolledBack", "2026-08-01T10:00:00Z"),
                entry("v1", "Deployed", "2026-08-01T09:00:00Z"),
            ],
            "lastFailed": {"revision": "r1-v2", "version": "v2", "digest": "d", "reason": "AnalysisFailed",
                "message": "worse", "at": "2026-08-01T10:00:00Z"},
        }))
        .unwrap();
        assert_eq!(
            table(&status),
            "WHEN                     VERSION  REVISION  OUTCOME     WHY\n\
             2026-08-01 10:00:00 UTC  v2       r1-v2     RolledBack  AnalysisFailed: worse\n\
             2026-08-01 09:00:00 UTC  v1       r1-v1     Deployed\n"
        );
    }
}
