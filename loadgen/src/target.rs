//! Where the load goes: URL → socket addresses, loopback only unless a host is named.
//!
//! Owns the guard that keeps a load test off other people's machines. Never opens a connection.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::LoadError;

/// A resolved, permitted target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Addresses of the host, in the order in which they are tried; never empty. A run keeps to the first that accepts.
    pub addresses: Vec<SocketAddr>,
    /// `host:port` as it goes into the Host header.
    pub authority: String,
    /// Path prefix of the URL without a trailing slash, often empty.
    pub prefix: String,
}

impl Target {
    /// Parses and resolves `url`. A host with an address that is not loopback is refused unless `allow_remote`
    /// spells exactly the URL's host.
    pub fn resolve(url: &str, allow_remote: Option<&str>) -> Result<Self, LoadError> {
        let bad = |why: &str| LoadError::Plan(format!("target {:?}: {why}", without_password(url)));
        let rest = url.strip_prefix("http://").ok_or_else(|| bad("only http:// URLs can be loaded"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if authority.is_empty() || authority.contains('@') || !visible(rest) || path.contains(['?', '#']) {
            return Err(bad("expected http://HOST:PORT"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("the port is not a number"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = (bare, port)
            .to_socket_addrs()
            .map_err(|source| LoadError::Unreachable { target: url.to_owned(), source })?
            .collect();
        if addresses.is_empty() {
            return Err(bad("the host has no address"));
        }
        let is_here = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
        if !is_here && allow_remote != Some(bare) {
            return Err(LoadError::NotLoopback { host: bare.to_owned() });
        }
        Ok(Self { addresses, authority: authority.to_owned(), prefix: path.trim_end_matches('/').to_owned() })
    }
}

/// The URL as it may be shown: whatever stands before an `@` is somebody's name and password.
fn without_password(url: &str) -> String {
    let Some((before, after)) = url.rsplit_once('@') else { return url.to_owned() };
    let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}…@{after}")
}

/// Splits `host:port`, with 80 where no port is given and brackets kept around IPv6.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let port_at = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| at + bracket),
        None => authority.rfind(':'),
    };
    match port_at {
        Some(at) => Some((&authority[..at], authority[at + 1..].parse().ok()?)),
        None => Some((authority, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_fine() {
        let target = Target::resolve("http://127.0.0.1:8080/base/", None).unwrap();
        assert_eq!((target.authority.as_str(), target.prefix.as_str()), ("127.0.0.1:8080", "/base"));
        assert!(Target::resolve("http://[::1]:8080", None).unwrap().addresses[0].is_ipv6());
        assert_eq!(Target::resolve("http://127.0.0.1", None).unwrap().addresses[0].port(), 80);
    }

    #[test]
    fn other_hosts_must_be_named() {
        let refused = Target::resolve("http://192.0.2.1:80", None);
        assert!(matches!(refused, Err(LoadError::NotLoopback { .. })));
        assert!(matches!(
            Target::resolve("http://192.0.2.1:80", Some("192.0.2.2")),
            Err(LoadError::NotLoopback { .. })
        ));
        Target::resolve("http://192.0.2.1:80", Some("192.0.2.1")).unwrap();
    }

    #[test]
    fn a_password_is_not_repeated() {
        for url in ["http://user:secret@127.0.0.1:80", "https://user:se@cret@127.0.0.1", "user:secret@127.0.0.1"] {
            let error = Target::resolve(url, None).unwrap_err().to_string();
            assert!(error.contains("…@127.0.0.1") && !error.contains("cret"), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "https://127.0.0.1",
            "127.0.0.1:80",
            "http://",
            "http://a@127.0.0.1",
            "http://127.0.0.1:x",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/?q",
            "http://127.0.0.1:99999",
        ] {
            assert!(matches!(Target::resolve(bad, None), Err(LoadError::Plan(_))), "{bad}");
        }
    }
}
