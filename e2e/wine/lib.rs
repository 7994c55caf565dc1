//! The real model of the tests: wine quality, trained, evaluated, stored, served and asked for predictions.
//!
//! The failures it can show have real causes: a model trained on columns its clients do not send, a
//! model that does far more arithmetic per row, a file that does not load.

pub mod csv;
pub mod data;
pub mod evaluate;
pub mod gang;
pub mod job;
pub mod load;
pub mod metrics;
pub mod model;
pub mod neighbours;
pub mod pool;
pub mod report;
pub mod rng;
pub mod serve;
pub mod sessions;
pub mod shutdown;
pub mod store;
pub mod target;
pub mod train;
