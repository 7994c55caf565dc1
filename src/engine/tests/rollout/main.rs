//! Rollouts in a world in memory: told as stories, interrupted after every effect, and at random.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod channels;
mod crash;
mod deadlines;
mod properties;
mod room;
mod scenarios;
mod sessions;
mod shadow;
mod sim;
mod user_route;
mod versions;
