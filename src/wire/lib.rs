//! What the operator and the agent in the pods say to each other: the task that goes in ([`task`]), the result that
//! comes back through the termination message ([`result`]), the listing of a published folder ([`manifest`]) and the
//! places in the pod where a program finds things ([`places`]).
//!
//! No I/O. The operator trusts nothing of a result but its form; what it says is checked against the run
//! (`serin-engine`, `training::envelope` and `retrain::look`).

pub mod manifest;
pub mod places;
pub mod result;
pub mod task;

pub use manifest::{File, Manifest};
pub use result::{
    Arm, EvaluationResult, LookResult, Metric, Published, Report, ResultError, Seen, TrainingResult,
};
pub use task::{Evaluate, Layout, Look, Model, Object, Place, Storage, Task, Train};
