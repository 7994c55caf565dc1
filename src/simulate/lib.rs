//! Decision quality: the judge beside rules as in Argo Rollouts, Flagger and Kayenta, on the same random traffic.
//!
//! A grid of cells, each with a traffic rate, an error ratio, a canary that is so many times worse, and a kind of
//! noise. Every run of a cell has a generator of its own, seeded by the cell and the run, so that all rules see the
//! same requests, and the result does not depend on the number of threads. Traffic is Poisson, errors are binomial,
//! scrapes are every 15 s.

mod cells;
mod goals;
mod latency;
mod noise;
mod policy;
mod random;
mod report;
mod rules;
mod run;
mod traffic;

pub use cells::{Cell, Grid, Table};
pub use goals::{Goal, goals};
pub use report::{Report, Row};
pub use run::{simulate, threads};

/// Seconds between scrapes.
pub const SCRAPE_SECONDS: f64 = 15.0;
/// Scrapes in the horizon of half an hour.
pub const HORIZON: usize = 120;
