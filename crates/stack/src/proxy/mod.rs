//! A TCP proxy on loopback that can be a bad network: it stands between a client and one server, and is told at run
//! time what goes wrong.
//!
//! It owns its port, its connections and the fault of the moment. It knows no protocol, so it serves Redis, MySQL and
//! Kafka alike (a Kafka broker has to *advertise* the proxy's address, see [`crate::StackOptions::kafka_advertised`]:
//! clients only bootstrap from the address they were given). It never touches the server behind it.
//!
//! The port stays the proxy's from start to drop, whatever the fault: what is refused is refused by a socket that is
//! bound and does not listen, so no other process can move in meanwhile. Dropping the [`Proxy`] ends everything.

mod connection;
mod fault;
mod pipe;
mod traffic;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

pub use fault::Fault;
pub use traffic::Traffic;

use crate::{StackError, ports};
use fault::Weather;
use traffic::Counters;

/// Connections that wait to be accepted; more than any client here opens at once.
const BACKLOG: u32 = 1024;
/// Changes of the weather under way. Each caller waits for its own, so a few are plenty.
const ORDERS: usize = 16;

/// A running proxy, and the handle on it. Dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    doorman: JoinHandle<()>,
}

/// What the connections know of the proxy.
#[derive(Debug)]
struct Shared {
    target: Mutex<Option<String>>,
    weather: watch::Sender<Weather>,
    counters: Counters,
    seed: u64,
}

struct Order {
    change: Change,
    done: oneshot::Sender<()>,
}

enum Change {
    Fault(Fault),
    Disconnect,
}

impl Proxy {
    /// A proxy in front of `target` (`host:port`) that lets everything through. `seed` decides about jitter: the same
    /// seed, the same delays.
    pub async fn start(target: &str, seed: u64) -> Result<Proxy, StackError> {
        let proxy = Proxy::without_target(seed).await?;
        proxy.set_target(target);
        Ok(proxy)
    }

    /// A proxy whose server is not there yet; connections are closed until [`Proxy::set_target`] names one. For a
    /// Kafka broker, which has to know the proxy's address before it starts.
    pub async fn without_target(seed: u64) -> Result<Proxy, StackError> {
        let (listener, address) = listen_anywhere()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            weather: watch::Sender::new(Weather::default()),
            counters: Counters::default(),
            seed,
        });
        let (orders, inbox) = mpsc::channel(ORDERS);
        let doorman = Doorman { address, shared: shared.clone(), connections: JoinSet::new(), accepted: 0 };
        let doorman = tokio::spawn(doorman.run(listener, inbox));
        Ok(Proxy { address, shared, orders, doorman })
    }

    /// Where clients connect: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sends new connections to another server (`host:port`); those that are there stay where they are.
    pub fn set_target(&self, target: &str) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target.to_owned());
    }

    /// Changes what goes wrong. In force when this returns. [`Fault::None`] heals.
    pub async fn set(&self, fault: Fault) {
        self.order(Change::Fault(fault)).await;
    }

    /// Everything gets through again: short for `set(Fault::None)`.
    pub async fn heal(&self) {
        self.set(Fault::None).await;
    }

    /// Resets the connections of this moment, once; new ones are treated as before.
    pub async fn disconnect(&self) {
        self.order(Change::Disconnect).await;
    }

    /// What is going wrong at the moment.
    pub fn fault(&self) -> Fault {
        self.shared.weather.borrow().fault
    }

    /// What came through so far: by it a test sees that its fault has hit something.
    pub fn traffic(&self) -> Traffic {
        self.shared.counters.read()
    }

    async fn order(&self, change: Change) {
        let (done, heard) = oneshot::channel();
        // The doorman ends only with this handle, or with the runtime: then there is nobody left to mind.
        if self.orders.send(Order { change, done }).await.is_ok() {
            let _ = heard.await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections are in its JoinSet and end with it.
        self.doorman.abort();
    }
}

/// The task that has the port: lets connections in or not, and takes orders.
struct Doorman {
    address: SocketAddr,
    shared: Arc<Shared>,
    connections: JoinSet<()>,
    accepted: u64,
}

/// The port, open or closed.
enum Door {
    Open(TcpListener),
    /// Bound without listening: the system answers each attempt with "connection refused".
    Closed(TcpSocket),
    /// Neither could be had just now (the system still holds the old socket): tried again with the next order.
    Missing,
}

impl Doorman {
    async fn run(mut self, listener: TcpListener, mut inbox: mpsc::Receiver<Order>) {
        let mut door = Door::Open(listener);
        loop {
            tokio::select! {
                // Orders first: what is in force is in force for whoever knocks next.
                biased;
                order = inbox.recv() => {
                    let Some(order) = order else { return };
                    door = self.obey(order.change, door);
                    let _ = order.done.send(());
                }
                Some(_) = self.connections.join_next() => {}
                client = knock(&door) => self.let_in(client),
            }
        }
    }

    fn obey(&mut self, change: Change, door: Door) -> Door {
        self.shared.weather.send_modify(|weather| match change {
            Change::Fault(fault) => weather.change(fault),
            Change::Disconnect => weather.disconnections += 1,
        });
        match (self.shared.weather.borrow().fault, door) {
            (Fault::Cut, Door::Closed(socket)) => Door::Closed(socket),
            (Fault::Cut, open) => {
                drop(open);
                bound(self.address).map_or(Door::Missing, Door::Closed)
            }
            (_, Door::Closed(socket)) => socket.listen(BACKLOG).map_or(Door::Missing, Door::Open),
            (_, Door::Open(listener)) => Door::Open(listener),
            (_, Door::Missing) => listen(self.address).map_or(Door::Missing, Door::Open),
        }
    }

    fn let_in(&mut self, client: TcpStream) {
        self.accepted += 1;
        self.shared.counters.accepted();
        if self.shared.weather.borrow().fault == Fault::DropNew {
            connection::reset(&client);
            return;
        }
        self.connections.spawn(connection::run(client, self.shared.clone(), self.accepted));
    }
}

async fn knock(door: &Door) -> TcpStream {
    if let Door::Open(listener) = door {
        loop {
            match listener.accept().await {
                Ok((client, _)) => return client,
                // One connection that went wrong, or no descriptor left for a moment.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    }
    std::future::pending().await
}

fn listen_anywhere() -> Result<(TcpListener, SocketAddr), StackError> {
    const ATTEMPTS: u32 = 5;
    let mut refusal = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()?));
        match listen(address) {
            Ok(listener) => return Ok((listener, address)),
            Err(error) => refusal = error,
        }
    }
    Err(StackError::io("listening for a proxy")(refusal))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were just closed do not keep us from our own port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
