//! Where load may go: this machine, and nowhere else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The loopback address to connect to.
    pub address: SocketAddr,
    /// The `Host` header unless another one is given.
    pub authority: String,
    /// Path and query of the request.
    pub path: String,
}

/// Checks a URL. `localhost` is not looked up but taken as 127.0.0.1, so no resolver can send the
/// load elsewhere.
pub fn parse(url: &str) -> Result<Target, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("{url:?} is not an absolute URL"));
    };
    if scheme != "http" {
        return Err(format!("{scheme} is not supported, only http is"));
    }
    let host = authority.host();
    let ip = if host == "localhost" {
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
    } else {
        host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()
    };
    match ip.filter(IpAddr::is_loopback) {
        Some(ip) => Ok(Target {
            address: SocketAddr::new(ip, authority.port_u16().unwrap_or(80)),
            authority: authority.as_str().rsplit('@').next().unwrap_or_default().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        }),
        None => Err(format!(
            "refusing to send load to {host:?}: only loopback (127.0.0.0/8, ::1, localhost) is allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_accepted() {
        let target = parse("http://127.8.0.1:8080/predict?x=1").unwrap();
        assert_eq!(target.address, "127.8.0.1:8080".parse().unwrap());
        assert_eq!(target.path, "/predict?x=1");
        assert_eq!(parse("http://[::1]:81").unwrap().address, "[::1]:81".parse().unwrap());
        assert_eq!(parse("http://localhost/").unwrap().address, "127.0.0.1:80".parse().unwrap());
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://localhost@example.com/",
            "http://[::ffff:10.0.0.1]/",
            "https://127.0.0.1/",
            "/predict",
            "",
        ] {
            assert!(parse(url).is_err(), "{url} was accepted");
        }
        assert!(parse("http://10.0.0.1/").unwrap_err().contains("only loopback"));
    }
}
