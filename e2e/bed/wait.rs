//! Waiting for things to become true, while the processes they need live.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::process::Place;

/// Asks `ready` until it is true. Fails at once when one of `needs` has ended,
/// rather than at the end of the patience.
pub fn until(
    what: &str,
    patience: Duration,
    place: &Place,
    needs: &[&str],
    mut ready: impl FnMut() -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(20);
    while !ready() {
        if let Some(name) = needs.iter().find(|name| place.running(name).is_none()) {
            return Err(place.died(name));
        }
        if Instant::now() > deadline {
            return Err(Error::Timeout {
                what: what.to_owned(),
                seconds: patience.as_secs(),
                logs: place.logs.clone(),
            });
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(300));
    }
    Ok(())
}

/// Whether something accepts connections there.
pub fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// Whether `GET path` over plain HTTP answers 200.
pub fn http_ok(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: bed\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
