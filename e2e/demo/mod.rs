//! `cargo demo`: from nothing to three trained versions, a promotion and a rollback, before the reader's eyes. `cargo demo
//! --loop`: the world changes, and the model follows by itself.
//!
//! - [`story`] has the phases, and what must have happened in each: [`learn`] trains, [`rollout`] serves
//! - [`feedback`] has those of the loop
//! - [`timeline`] holds what is known so far
//! - [`screen`] shows the timeline on a terminal, or as a plain log
//! - [`report`] writes `target/demo/report.json`

mod feedback;
mod learn;
mod report;
mod rollout;
mod screen;
mod story;
mod timeline;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
};

use clap::Args;
use serin_bed::{Bed, Kind, Options};

use crate::{Error, images};
use timeline::Timeline;

/// Flags of `cargo demo`.
#[derive(Args, Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Arguments {
    /// Bed to use, or to make
    #[arg(long, env = "SERIN_BED", default_value = "demo")]
    name: String,
    /// Use the cluster of this kubeconfig (its gateway, Prometheus and object store from SERIN_GATEWAY_PORT, SERIN_PROMETHEUS_URL and SERIN_S3_...)
    #[arg(long, env = "SERIN_KUBECONFIG", value_name = "PATH")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Requests a second through the gateway
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=500))]
    rps: u32,
    /// Close the loop: nobody trains or deploys; live answers get worse, and a policy and a channel do the rest
    #[arg(long = "loop")]
    closes: bool,
    /// Install by Helm, from charts/serin, instead of from the plain manifests
    #[arg(long)]
    helm: bool,
    /// Leave everything up afterwards and say how to look around
    #[arg(long)]
    keep: bool,
    /// A plain log even on a terminal
    #[arg(long)]
    plain: bool,
}

/// Shared between the story and the screen.
type Shared = Arc<Mutex<Timeline>>;

/// Runs it; exit code 0 only if what should happen happened.
pub fn run(arguments: &Arguments) -> ExitCode {
    match demo(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments) -> Result<bool, Error> {
    let timeline: Shared = Arc::new(Mutex::new(Timeline::new()));
    let screen = screen::start(&timeline, arguments.plain)?;
    let outcome = act(arguments, &timeline);
    if let Err(error) = &outcome {
        timeline::lock(&timeline).fail(&error.to_string());
    }
    screen.finish();
    let timeline = timeline::lock(&timeline).clone();
    let path = images::target().join("demo/report.json");
    let report = report::Report::of(&timeline);
    report.write(&path)?;
    report.print(&path);
    let bed = outcome?;
    if arguments.keep {
        story::look_around(&bed, &arguments.name);
    } else if !bed.is_external() {
        eprintln!("taking the bed down (--keep leaves it up)");
        bed.clone().down()?;
    }
    Ok(report.ok)
}

fn act(arguments: &Arguments, timeline: &Shared) -> Result<Bed, Error> {
    timeline::lock(timeline).begin("cluster", "a whole Kubernetes with gateway, Prometheus and S3");
    let kind = if arguments.kubeconfig.is_some() { Kind::External } else { Kind::Whole };
    let options = Options { name: arguments.name.clone(), kind, kubeconfig: arguments.kubeconfig.clone() };
    let bed = Bed::up(&options, &mut |line| timeline::lock(timeline).say(line))?;
    timeline::lock(timeline).done(&bed.apiserver_url());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let told = runtime.block_on(async {
        if arguments.closes {
            feedback::tell(arguments, &bed, timeline).await
        } else {
            story::tell(arguments, &bed, timeline).await
        }
    });
    if told.is_err() && !arguments.keep && !bed.is_external() {
        // The error is the news; what the bed said stays in its logs until the next run.
        bed.clone().down()?;
    }
    told.map(|()| bed)
}

impl Arguments {
    pub(crate) fn rps(&self) -> u32 {
        self.rps
    }
}
