//! `serin watch`: one ModelDeployment as it changes.
//!
//! - `view`: what the screen shows at a moment; `changes`: what changed since the look before; `ending`: whether it is over
//! - `app`: what is known and what a key means; `render`: the screen as a frame
//! - `news`: the watch; `live`: the loop at a terminal; `plain`: the loop in a pipe

mod app;
mod changes;
mod ending;
mod live;
mod news;
mod plain;
mod render;
mod view;

use std::{
    io::{IsTerminal as _, stdout},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use serin_api::ModelDeployment;
use serin_engine::paint::clean;
use tokio::time::Instant;

use crate::{
    Failure,
    cluster::{self, Cluster},
    facts, output,
};
use app::App;
use ending::Ending;
use news::News;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelDeployment.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// Keys give no orders.
    #[arg(long)]
    read_only: bool,
    /// End when no candidate is left: with exit code 0 if what the spec asks for serves, else with 1.
    #[arg(long)]
    until_done: bool,
    /// Seconds after which it is given up, with exit code 1.
    #[arg(long, requires = "until_done", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    timeout: Option<u32>,
}

/// What is watched, and until when.
struct Watch<'a> {
    cluster: &'a Cluster,
    name: &'a str,
    until_done: bool,
    seconds: Option<u32>,
    since: Instant,
}

/// Shows it at a terminal, or writes a log.
pub fn run(args: &Args) -> Result<(), Failure> {
    cluster::block_on(async {
        let cluster = args.cluster.connect().await?;
        // What is not there, or not ours to see, is said before the screen is taken.
        cluster.get::<ModelDeployment>(&args.name).await?;
        let watch = Watch {
            cluster: &cluster,
            name: &args.name,
            until_done: args.until_done,
            seconds: args.timeout,
            since: Instant::now(),
        };
        if stdout().is_terminal() {
            live::show(&watch, args.read_only).await
        } else {
            plain::follow(&watch).await
        }
    })
}

impl Watch<'_> {
    /// Returns when its time is over.
    async fn timeout(&self) {
        match self.seconds {
            Some(seconds) => {
                tokio::time::sleep_until(self.since + Duration::from_secs(seconds.into())).await;
            }
            None => std::future::pending().await,
        }
    }

    fn too_late(&self, app: &App) -> Failure {
        let headline = app.shown.as_ref().and_then(|d| d.status.as_ref()).and_then(facts::headline);
        let stands = headline.map_or_else(String::new, |c| format!("; {}: {}", c.reason, c.message));
        clean(&format!("not over within {} s{stands}", self.seconds.unwrap_or_default())).into()
    }
}

/// What no patience helps against.
fn is_fatal(news: &News) -> bool {
    matches!(news, News::Refused(_))
}

/// The end as an exit code.
fn exit(ending: Ending) -> Result<(), Failure> {
    match ending {
        Ending::Good(said) => output::print(&format!("{said}\n")),
        Ending::Bad(why) => Err(why.into()),
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}
