//! The two signals that end a process: the kubelet's SIGTERM and an operator's Ctrl-C.

use tokio::signal::unix::{SignalKind, signal};

/// Listens from the call on; resolves at the first SIGTERM or SIGINT. Call it before saying that the process is there:
/// a signal before the call ends the process as if nobody had asked.
///
/// # Errors
/// If no handler can be set.
pub fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}
