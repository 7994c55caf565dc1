//! `serin-agent`: what runs inside pods. It fetches and verifies a model before a server starts ([`fetch`]), prepares
//! the inputs of a training or an evaluation ([`prepare`]), runs the user's program as process 1 should ([`run`],
//! [`evaluate`]), and publishes what it left, named by content ([`publish`]). For a policy it says what lies
//! at an address now ([`look`]).
//!
//! A library only so that its tests can call it; `main.rs` is the product.

pub mod cache;
pub mod checkpoint;
pub mod child;
pub mod connector;
pub mod copy;
pub mod digest;
pub mod directory;
pub mod environment;
pub mod error;
pub mod evaluate;
pub mod fetch;
pub mod folder;
pub mod http;
pub mod look;
pub mod output;
pub mod places;
pub mod prepare;
pub mod progress;
pub mod publish;
pub mod ranges;
pub mod retry;
pub mod run;
pub mod snapshot;
pub mod source;
pub mod stores;
pub mod termination;
pub mod upload;
pub mod writer;

/// Exit code after SIGTERM.
pub const TERMINATED: u8 = 143;
