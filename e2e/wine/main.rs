//! `wine train | serve | store | load`: the real model of the tests.

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use serde_json::json;
use serin_wine::{load, model, model::Model, serve, shutdown::asked_to_stop, store, train};
use tokio::net::TcpListener;

/// Train, store, serve and ask the wine model
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Train a model and write its file
    Train {
        /// The file to write
        #[arg(long)]
        output: PathBuf,
        #[command(flatten)]
        params: train::Params,
    },
    #[command(flatten)]
    Async(Async),
}

#[derive(Subcommand)]
enum Async {
    /// Serve the predictions of a model
    Serve(serve::Options),
    /// Serve the files of a folder
    Store(store::Options),
    /// Send requests to a server on this machine
    Load(load::Options),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Train { output, params } => train_to(&output, &params),
        Command::Async(command) => in_runtime(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn train_to(output: &PathBuf, params: &train::Params) -> Result<(), Box<dyn Error>> {
    let model = train::train(params)?;
    let file = model.to_bytes()?;
    fs::write(output, &file).map_err(|error| format!("cannot write {}: {error}", output.display()))?;
    let digest = model::digest(&file);
    let line = json!({
        "output": output,
        "sha256": digest,
        "digest": model::short(&digest),
        "bytes": file.len(),
        "features": model.header.features,
        "accuracy": model.header.accuracy,
        "failing_share": train::failing_share(&model),
        "params": params,
    });
    println!("{line}");
    Ok(())
}

fn in_runtime(command: Async) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Predictions run here; more threads than this would only queue on the same cores.
        .max_blocking_threads(8)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Async::Serve(options) => {
                // Loaded before the port opens: a server that answers is a server that is ready.
                let (model, digest) = Model::load(&options.model)?;
                let listener = TcpListener::bind(options.listen).await?;
                println!(
                    "{}",
                    json!({ "listening": listener.local_addr()?, "digest": model::short(&digest) })
                );
                let drain = Duration::from_secs(u64::from(options.drain_seconds));
                serve::serve(model, &digest, &options.pod, drain, listener, asked_to_stop()).await?;
            }
            Async::Store(options) => {
                let listener = TcpListener::bind(options.listen).await?;
                println!("{}", json!({ "listening": listener.local_addr()? }));
                store::serve(&options.dir, listener, asked_to_stop()).await?;
            }
            Async::Load(options) => {
                load::run(&options, asked_to_stop()).await?;
            }
        }
        Ok(())
    })
}
