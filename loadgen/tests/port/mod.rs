//! Ports at which nobody listens, or nobody any more, and that nobody else can take: a port that was merely free, or given back,
//! may be another test's a moment later.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

/// Bound, but not listening: whoever connects is refused. Taken until it is dropped.
pub(crate) struct Port {
    _reserved: TcpSocket,
    pub(crate) address: SocketAddr,
}

/// Accepts connections and answers nobody. When it is dropped its port refuses again.
pub(crate) struct Mute {
    _listener: TcpListener,
    _runtime: Runtime,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let reserved = socket("127.0.0.1:0".parse().unwrap());
        let address = reserved.local_addr().unwrap();
        Self { _reserved: reserved, address }
    }

    /// Listens at this port, beside the one that keeps it.
    pub(crate) fn listen(&self) -> Mute {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _within = runtime.enter();
            socket(self.address).listen(128).unwrap()
        };
        Mute { _listener: listener, _runtime: runtime }
    }
}

/// A socket that shares its port with others of this kind.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
