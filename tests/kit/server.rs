//! An HTTP server that can be taken away at once, with every connection it holds.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A server on 127.0.0.1 with threads of its own: a busy test does not slow it down, and ending it closes its
/// connections as the death of a process would.
pub struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Listens on `port` (0: any). The router is made on the server's own runtime, where clients that it holds live.
    pub async fn start<F>(port: u16, router: F) -> Self
    where
        F: Future<Output = Router> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ready = runtime.spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let address = listener.local_addr().unwrap();
            // Without it the last packet of each answer waits for the client's delayed acknowledgement: 40 ms.
            let listener = listener.tap_io(|io| io.set_nodelay(true).unwrap());
            let router = router.await;
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        let address = ready.await.unwrap();
        Self { address, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
