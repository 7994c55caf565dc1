//! The whole-cluster ring: the product as its users get it, in real pods, behind a real gateway, judged on what a real
//! Prometheus scraped.
//!
//! - [`images`]: static binaries, trained models, images
//! - [`helm`]: real Helm on the chart
//! - [`install`]: Serin and the model store into a cluster
//! - [`client`]: a Kubernetes client, and waiting for conditions with a deadline
//! - [`s3`]: the object store, as the harness uses it
//! - [`sbom`]: what a release is made of
//! - [`transfer`]: the agent's speed beside that of a plain copy
//! - [`training`]: the `TrainingRun` of the tests, in its good and bad versions
//! - [`wine`]: the `ModelDeployment` of the tests, in its good and bad versions
//! - [`load`]: bounded load through the gateway, counted by version
//! - [`demo`]: `cargo demo`
//! - [`ring`]: what the scenarios in `tests` share

pub mod client;
pub mod demo;
pub mod helm;
pub mod images;
pub mod install;
pub mod load;
pub mod ring;
pub mod s3;
pub mod sbom;
pub mod training;
pub mod transfer;
pub mod wine;

/// What goes wrong in the harness, in one line.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
