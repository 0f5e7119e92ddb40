//! Free loopback ports, and the proof that the server which answers on one is really ours.
//!
//! Ports come from *below* the kernel's ephemeral range. Above, any outgoing connection may take
//! the port while a test has the server stopped, and a client that retries a closed loopback port in that
//! range can even connect to itself. Two processes can still pick the same port at the same moment:
//! the loser's server fails to bind and is started again on another one.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    ops::Range,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::StackError;

const LOWEST_PORT: u16 = 10_240;
const ATTEMPTS: u32 = 400;

/// Ports handed out by this process, so that two stacks in one test binary never race each other.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A loopback port that nothing listens on at this moment.
pub fn free_port() -> Result<u16, StackError> {
    let range = range();
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    for _ in 0..ATTEMPTS {
        let port = random_in(&range);
        // The listener is closed at once and never accepted anything, so no TIME_WAIT is left behind.
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return Ok(port);
        }
    }
    Err(StackError::Io {
        doing: format!("looking for a free port in {range:?}"),
        source: io::ErrorKind::AddrInUse.into(),
    })
}

fn range() -> Range<u16> {
    let first_ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<u16>().ok());
    match first_ephemeral {
        Some(first) if first > LOWEST_PORT + 1000 => LOWEST_PORT..first,
        _ => LOWEST_PORT..32_768,
    }
}

fn random_in(range: &Range<u16>) -> u16 {
    // Every RandomState has fresh keys; good enough to keep parallel processes apart.
    let random = RandomState::new().hash_one(0_u8);
    let offset = random % u64::from(range.end - range.start);
    range.start + u16::try_from(offset).unwrap_or_default()
}

/// Whether process `pid` holds the listening socket of `port`. An answer alone proves nothing: it may come
/// from the server of another process that won the race for the port. Where there is no /proc, believe.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    if !Path::new("/proc/self/fd").exists() {
        return true;
    }
    let inodes: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    // No such directory: the process has ended, and whoever answered is another.
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        target
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inode| inodes.contains(inode))
    })
}

/// Inodes of the sockets that listen on `port`, out of the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_ours = columns.get(1)?.ends_with(&suffix) && *columns.get(3)? == LISTEN;
            is_ours.then(|| columns.get(9).map(|inode| (*inode).to_owned())).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_lie_below_the_ephemeral_range() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| range().contains(port)));
    }

    #[test]
    fn a_listener_is_known_by_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        assert!(!listens(1, port));
    }
}
