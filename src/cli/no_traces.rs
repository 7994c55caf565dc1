//! Instead of `traces`, in a build without the feature `otel`.

use tokio::runtime::Handle;
use tracing_subscriber::layer::Identity;

use crate::Failure;

/// Nothing that could be left to send.
pub struct Traces;

/// No layer, whoever wants one.
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
pub fn start(_: bool, _: &Handle) -> Result<(Option<Identity>, Option<Traces>), Failure> {
    Ok((None, None))
}
