//! `wine make | data | train | evaluate | gang | serve | store | load`: the real model of the tests.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::{Parser, Subcommand};
use serde_json::json;
use serin_wine::{
    csv,
    data::{MEASURED, Taste, Wines},
    evaluate, gang, job, load, model,
    model::Model,
    serve,
    shutdown::asked_to_stop,
    store, train,
};
use tokio::net::TcpListener;

/// Make, train, evaluate, store, serve and ask the wine model
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Train a model on the built-in data and write its file
    Make {
        /// The file to write
        #[arg(long)]
        output: PathBuf,
        #[command(flatten)]
        params: train::Params,
    },
    /// Write the built-in data as files: train.csv, enriched.csv (a column more) and eval.csv, and of the lighter and the
    /// stronger wines alone light.csv, light-eval.csv and strong-eval.csv
    Data {
        /// The folder to write them to
        #[arg(long)]
        dir: PathBuf,
    },
    /// Compare two models on the same data
    Evaluate(evaluate::Options),
    #[command(flatten)]
    Async(Async),
}

#[derive(Subcommand)]
enum Async {
    /// Train a model on a data set, with checkpoints
    Train(job::Options),
    /// Meet the other pods of an attempt
    Gang(gang::Options),
    /// Serve the predictions of a model
    Serve(serve::Options),
    /// Serve the files of a folder
    Store(store::Options),
    /// Send requests to a server on this machine
    Load(load::Options),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Make { output, params } => make(&output, &params),
        Command::Data { dir } => data(&dir),
        Command::Evaluate(options) => {
            evaluate::run(&options).map(|result| println!("{result}")).map_err(Into::into)
        }
        Command::Async(command) => in_runtime(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wine: {error}");
            error.downcast::<job::JobError>().map_or(ExitCode::FAILURE, |error| ExitCode::from(error.code()))
        }
    }
}

fn make(output: &PathBuf, params: &train::Params) -> Result<(), Box<dyn Error>> {
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

/// The rows that `make` trains on, those with the column that no client sends, and the held-out rows, which have all
/// columns: what is wrong with a model that needs one more does not show in them.
fn data(dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let enriched = MEASURED + 1;
    let sets = [
        ("train.csv", Wines::all(MEASURED).split(1).0),
        ("enriched.csv", Wines::all(enriched).split(1).0),
        ("eval.csv", Wines::all(enriched).split(1).1),
        ("light.csv", Wines::all(MEASURED).split(1).0.of(Taste::Light)),
        ("light-eval.csv", Wines::all(MEASURED).split(1).1.of(Taste::Light)),
        ("strong-eval.csv", Wines::all(MEASURED).split(1).1.of(Taste::Strong)),
    ];
    for (name, wines) in sets {
        let path = dir.join(name);
        let text = csv::write(&wines);
        fs::write(&path, &text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!(
            "{}",
            json!({ "file": name, "rows": wines.rows.len(), "sha256": model::digest(text.as_bytes()) })
        );
    }
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
            Async::Train(options) => {
                let stop = asked_to_stop()?;
                let asked = Arc::new(AtomicBool::new(false));
                let seen = asked.clone();
                tokio::spawn(async move {
                    stop.await;
                    asked.store(true, Ordering::Release);
                });
                tokio::task::spawn_blocking(move || job::run(&options, &seen)).await??;
            }
            Async::Gang(options) => gang::run(&options).await?,
            Async::Serve(options) => {
                // Loaded before the port opens: a server that answers is a server that is ready.
                let (model, digest) = Model::load(&options.model)?;
                let listener = TcpListener::bind(options.listen).await?;
                let stop = asked_to_stop()?;
                println!(
                    "{}",
                    json!({ "listening": listener.local_addr()?, "digest": model::short(&digest) })
                );
                let drain = Duration::from_secs(u64::from(options.drain_seconds));
                serve::serve(model, &digest, &options.pod, drain, listener, stop).await?;
            }
            Async::Store(options) => {
                let listener = TcpListener::bind(options.listen).await?;
                let stop = asked_to_stop()?;
                println!("{}", json!({ "listening": listener.local_addr()? }));
                store::serve(&options.dir, listener, stop).await?;
            }
            Async::Load(options) => {
                load::run(&options, asked_to_stop()?).await?;
            }
        }
        Ok(())
    })
}
