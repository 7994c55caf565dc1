//! `cargo cluster`: the test bed, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};
use serin_bed::{Bed, Error, Kind, Options, SecondGateway};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Name {
    /// Beds of different names run side by side
    #[arg(long = "name", env = "SERIN_BED", default_value = "serin")]
    name: String,
}

#[derive(Subcommand)]
enum Command {
    /// Bring a bed up; returns at once if it is up already
    Up {
        #[command(flatten)]
        bed: Name,
        /// Only etcd, apiserver and controller manager: no pods, no root needed
        #[arg(long, conflicts_with = "kubeconfig")]
        control_plane_only: bool,
        /// Also a gateway that mirrors requests and keeps sessions
        #[arg(long, conflicts_with_all = ["control_plane_only", "kubeconfig"])]
        second_gateway: bool,
        /// Use the cluster of this kubeconfig instead of making one
        #[arg(long, value_name = "PATH")]
        kubeconfig: Option<PathBuf>,
    },
    /// Take a bed down, with everything `up` started
    Down {
        #[command(flatten)]
        bed: Name,
    },
    /// Say what of a bed is running
    Status {
        #[command(flatten)]
        bed: Name,
    },
    /// Load an image (a docker-archive tar) into a bed's node
    Load {
        /// The archive
        image: PathBuf,
        #[command(flatten)]
        bed: Name,
    },
    /// Print what a shell needs: eval "$(cargo cluster env)"
    Env {
        #[command(flatten)]
        bed: Name,
    },
    /// Run kubectl against a bed: cargo cluster kubectl -- get pods
    Kubectl {
        #[command(flatten)]
        bed: Name,
        /// kubectl's arguments
        #[arg(last = true)]
        args: Vec<String>,
    },
}

/// Runs the command; errors are one line that says what to do.
pub fn run(arguments: Arguments) -> ExitCode {
    match carry_out(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Up { bed, control_plane_only, second_gateway, kubeconfig } => {
            let kind = if kubeconfig.is_some() {
                Kind::External
            } else if control_plane_only {
                Kind::ControlPlane
            } else {
                Kind::Whole
            };
            let options = Options { name: bed.name, kind, kubeconfig };
            up(&options, second_gateway)?;
        }
        Command::Down { bed } => {
            let start = Instant::now();
            serin_bed::down(&bed.name)?;
            eprintln!("[{:5.1} s] {} is down", start.elapsed().as_secs_f32(), bed.name);
        }
        Command::Status { bed } => return Ok(status(&find(bed.name)?)),
        Command::Load { image, bed } => find(bed.name)?.load_image(&image)?,
        Command::Env { bed } => env(&find(bed.name)?),
        Command::Kubectl { bed, args } => return kubectl(&find(bed.name)?, &args),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: String) -> Result<Bed, Error> {
    Bed::find(&name).ok_or(Error::NoBed(name))
}

fn up(options: &Options, second_gateway: bool) -> Result<(), Error> {
    let start = Instant::now();
    let mut say = |line: &str| eprintln!("[{:5.1} s] {line}", start.elapsed().as_secs_f32());
    let bed = Bed::up(options, &mut say)?;
    if second_gateway {
        let SecondGateway { class, port, .. } = bed.second_gateway(&mut say)?;
        say(&format!("the Gateway of the class {class} answers at port {port}"));
    }
    say(&format!("{} is up: {}", bed.name(), bed.apiserver_url()));
    eprintln!("          eval \"$(cargo cluster env --name {})\"", bed.name());
    Ok(())
}

fn status(bed: &Bed) -> ExitCode {
    let health = bed.health();
    println!("{}: {} at {}", bed.name(), bed.kind(), bed.apiserver_url());
    println!("folder: {}", bed.dir().display());
    let word = |good: bool| if good { "running" } else { "NOT RUNNING" };
    for (name, runs) in &health.processes {
        println!("  {name:<24} {}", word(*runs));
    }
    println!("apiserver ready: {}", if health.apiserver { "yes" } else { "NO" });
    if health.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn env(bed: &Bed) {
    let export = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            println!("export {name}={}", quoted(&value));
        }
    };
    export("SERIN_BED", Some(bed.name().to_owned()));
    export("KUBECONFIG", Some(bed.kubeconfig().to_string_lossy().into_owned()));
    export("SERIN_APISERVER_URL", Some(bed.apiserver_url()));
    export("SERIN_PROMETHEUS_URL", bed.prometheus_url());
    let port = bed.gateway_port();
    export("SERIN_GATEWAY_PORT", port.map(|port| port.to_string()));
    let gateway = bed.node_ip().zip(port);
    export("SERIN_GATEWAY_URL", gateway.map(|(ip, port)| format!("http://{ip}:{port}")));
    export("SERIN_GATEWAY_METRICS_URL", bed.gateway_metrics_url());
    if let Some(s3) = bed.s3() {
        export("SERIN_S3_ENDPOINT", Some(s3.endpoint));
        export("SERIN_S3_REGION", Some(s3.region));
        export("SERIN_S3_ACCESS_KEY_ID", Some(s3.access_key_id));
        export("SERIN_S3_SECRET_ACCESS_KEY", Some(s3.secret_access_key));
    }
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn kubectl(bed: &Bed, args: &[String]) -> Result<ExitCode, Error> {
    let status = bed.kubectl().args(args).status();
    let status = status.map_err(|source| Error::Io { path: "kubectl".into(), source })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
