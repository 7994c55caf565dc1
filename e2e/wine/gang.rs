//! `wine gang`: pods of one attempt that have to find each other by name before any of them can go on, as the
//! processes of a distributed training do.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// The rendezvous as `env://` reads it.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Host name of rank 0
    #[arg(long, env = "MASTER_ADDR")]
    pub master_addr: String,
    /// Its port
    #[arg(long, env = "MASTER_PORT")]
    pub master_port: u16,
    /// Processes
    #[arg(long, env = "WORLD_SIZE")]
    pub world_size: usize,
    /// Number of this one
    #[arg(long, env = "RANK")]
    pub rank: usize,
    /// Where rank 0 writes who was there
    #[arg(long, env = "SERIN_OUTPUT_DIR")]
    pub output: PathBuf,
    /// How long the others are waited for
    #[arg(long, default_value_t = 120)]
    pub patience_seconds: u64,
}

/// Meets the others: all send their number to rank 0, which answers with the sum.
pub async fn run(options: &Options) -> Result<(), String> {
    if options.rank >= options.world_size {
        return Err(format!("rank {} of {}", options.rank, options.world_size));
    }
    let patience = Duration::from_secs(options.patience_seconds);
    let meeting = async { if options.rank == 0 { lead(options).await } else { follow(options).await } };
    let sum = tokio::time::timeout(patience, meeting)
        .await
        .map_err(|_| format!("rank {}: the others were not there within {patience:?}", options.rank))??;
    let expected: usize = (0..options.world_size).sum();
    if sum != expected {
        return Err(format!("the sum of the ranks is {sum}, not {expected}"));
    }
    println!("{}", json!({ "rank": options.rank, "world": options.world_size, "sum": sum }));
    Ok(())
}

async fn lead(options: &Options) -> Result<usize, String> {
    let listener = TcpListener::bind(("0.0.0.0", options.master_port)).await.map_err(line)?;
    let mut present: Vec<Option<BufReader<TcpStream>>> = (0..options.world_size).map(|_| None).collect();
    while present.iter().skip(1).any(Option::is_none) {
        let (stream, _) = listener.accept().await.map_err(line)?;
        let mut stream = BufReader::new(stream);
        let mut said = String::new();
        // Whoever hangs up before it has said anything was only looking.
        if stream.read_line(&mut said).await.is_ok()
            && let Ok(rank @ 1..) = said.trim().parse::<usize>()
            && let Some(seat) = present.get_mut(rank)
        {
            *seat = Some(stream);
        }
    }
    let sum = (0..options.world_size).sum();
    for stream in present.iter_mut().flatten() {
        stream.write_all(format!("{sum}\n").as_bytes()).await.map_err(line)?;
    }
    let report = json!({ "world": options.world_size, "ranks": (0..options.world_size).collect::<Vec<_>>() });
    std::fs::write(options.output.join("gang.json"), report.to_string()).map_err(line)?;
    Ok(sum)
}

async fn follow(options: &Options) -> Result<usize, String> {
    let mut said = Instant::now();
    loop {
        // The name appears a moment after the pod, and the port after the name.
        match ask(options).await {
            Ok(sum) => return Ok(sum),
            Err(error) if said.elapsed() > Duration::from_secs(2) => {
                eprintln!("rank {}: {}: {error}", options.rank, options.master_addr);
                said = Instant::now();
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(options: &Options) -> Result<usize, String> {
    let stream =
        TcpStream::connect((options.master_addr.as_str(), options.master_port)).await.map_err(line)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{}\n", options.rank).as_bytes()).await.map_err(line)?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await.map_err(line)?;
    answer.trim().parse().map_err(|_| format!("rank 0 answered {answer:?}"))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn line(error: std::io::Error) -> String {
    error.to_string()
}
