//! A whole real Kubernetes on one machine, for tests.
//!
//! [`Bed::up`] builds (once, cached) and starts either a control plane alone,
//! which needs no privileges, or a whole cluster: node, DNS, gateway,
//! Prometheus and an S3 server, in a network namespace of its own. [`Bed::down`] ends all of it
//! and nothing else.
//!
//! ```no_run
//! use serin_bed::{Bed, Kind, Options};
//!
//! let options = Options { name: "demo".into(), kind: Kind::ControlPlane, kubeconfig: None };
//! let bed = Bed::up(&options, &mut |line| eprintln!("{line}"))?;
//! println!("{}", bed.apiserver_url());
//! bed.down()?;
//! # Ok::<(), serin_bed::Error>(())
//! ```

mod bed;
mod cgroup;
mod control_plane;
mod debian;
mod digest;
mod dns;
mod down;
mod error;
mod files;
mod gateway;
pub mod image;
mod mounts;
mod network;
mod node;
mod paths;
mod process;
mod prometheus;
mod run;
mod s3;
mod second_gateway;
mod state;
mod tools;
mod up;
mod wait;

pub use bed::{Bed, Health};
pub use debian::chromium;
pub use down::down;
pub use error::Error;
pub use prometheus::TWICE as SCRAPED_TWICE;
pub use s3::S3;
pub use second_gateway::{Channel, SecondGateway, build_second_gateway};
pub use state::Kind;
pub use tools::{HelmLine, gitops, helm, kubectl, promtool, torch};
pub use up::Options;
