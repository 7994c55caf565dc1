//! Tests that need many worlds, such as one for each write that can go wrong, share places: they neither wait for each
//! other nor crowd out those that need one.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Worlds of such tests at the same time, of all of them together.
const PLACES: usize = 8;

static FREE: Semaphore = Semaphore::const_new(PLACES);

/// One of the places; whoever asks first has it first.
pub async fn place() -> SemaphorePermit<'static> {
    FREE.acquire().await.unwrap()
}
