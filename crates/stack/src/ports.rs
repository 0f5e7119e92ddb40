//! Free loopback ports, and the proof that the server which answers on one is really ours.
//!
//! Ports come from *below* the kernel's ephemeral range. Above, any outgoing connection may take
//! the port while a test has the server stopped, and a client that retries a closed loopback port in that
//! range can even connect to itself.
//!
//! Nor may another of our processes take it meanwhile, so each draws from blocks of its own. A block is claimed by a name in
//! Linux' abstract socket namespace, `flash-ports-N`, which the kernel frees with the process; elsewhere luck must do. Strangers
//! claim nothing: a server that finds its first port taken is started again on another.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    ops::Range,
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::StackError;

const LOWEST_PORT: u16 = 10_240;
/// Ports in a block.
const BLOCK: u16 = 64;
const ATTEMPTS: u32 = 1_000;

/// What this process may hand out. Each port once, so that two stacks in one test binary never race each other.
static OURS: Mutex<Blocks> = Mutex::new(Blocks { claims: Vec::new(), ports: Vec::new() });

struct Blocks {
    /// Held until the process ends.
    claims: Vec<UnixDatagram>,
    /// Not yet handed out.
    ports: Vec<u16>,
}

/// A loopback port that nothing listens on at this moment, and that no other process of ours will take.
pub fn free_port() -> Result<u16, StackError> {
    let range = range();
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        let Some(port) = ours.ports.pop() else {
            let block = random_in(range.start / BLOCK + 1..range.end / BLOCK);
            if let Ok(claim) = claim(block) {
                ours.claims.push(claim);
                ours.ports.extend(block * BLOCK..(block + 1) * BLOCK);
            }
            continue;
        };
        // The listener is closed at once and never accepted anything, so no TIME_WAIT is left behind.
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(StackError::Io {
        doing: format!("looking for a free port in {range:?}"),
        source: io::ErrorKind::AddrInUse.into(),
    })
}

/// Claims a block; fails if another process has it.
#[cfg(target_os = "linux")]
fn claim(block: u16) -> io::Result<UnixDatagram> {
    use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("flash-ports-{block}"))?)
}

#[cfg(not(target_os = "linux"))]
fn claim(_block: u16) -> io::Result<UnixDatagram> {
    UnixDatagram::unbound()
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

fn random_in(range: Range<u16>) -> u16 {
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
        let ports: HashSet<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 200);
        assert!(ports.iter().all(|port| range().contains(port)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_block_belongs_to_one_process_until_it_ends() {
        // Beyond all ports, so that nobody else wants it.
        let block = u16::MAX;
        let held = claim(block);
        assert!(held.is_ok());
        assert!(claim(block).is_err());
        drop(held);
        assert!(claim(block).is_ok());
        // What was handed out is claimed.
        let port = free_port().unwrap();
        assert!(claim(port / BLOCK).is_err());
    }

    #[test]
    fn a_listener_is_known_by_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        assert!(!listens(1, port));
    }
}
