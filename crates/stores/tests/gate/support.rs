//! What the gate's tests share: a real Redis, a gate to it, and a plain connection to look behind the gate's back.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![allow(unreachable_pub, reason = "shared by several test programs")]

use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::stock::{Ask, Counters, Terms};
use flash_stack::{RedisServer, Server};
use flash_stores::redis::{
    Batch, Fence, Gate, GateSettings, LoadStock, Loader, Reserved, SkuKeys, Snapshot, StockError,
};
use redis::aio::MultiplexedConnection;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

pub const SKU: SkuId = SkuId::new(7);
pub const PRICE_MINOR: u64 = 4_900;
pub const TERMS: Terms =
    Terms { capacity: 10, per_user: 4, hold_ms: 300_000, opens_at_ms: 0, closes_at_ms: 0, paused: false };
pub const PATIENCE: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_millis(800);

/// A Redis of its own, and the gate to it.
pub struct Bench {
    pub server: Server,
    pub gate: Gate,
    pub raw: MultiplexedConnection,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = RedisServer::start(dir.path()).await.unwrap();
        let settings = GateSettings { url: server.url().to_owned(), namespace: String::new(), timeout: TIMEOUT };
        let gate = Gate::new(&settings).unwrap();
        gate.wait_connected(PATIENCE).await.unwrap();
        let raw = connect(&server).await;
        Self { server, gate, raw, _dir: dir }
    }

    /// A SKU nobody has bought from, on sale under epoch 1.
    pub async fn open(&self, terms: Terms) -> Stand<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let keys = SkuKeys::new(&format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed)), SKU);
        let fence = Fence { epoch: Epoch(1), replids: self.gate.primaries().await.unwrap().values().collect() };
        let counters = Counters { available: terms.capacity, ..Counters::default() };
        Loader::new(&self.gate, &keys, &fence).create(&LoadStock { terms, counters }).await.unwrap();
        Stand { gate: &self.gate, keys, fence, price_minor: PRICE_MINOR }
    }

    /// A command behind the gate's back.
    pub async fn raw<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut call = redis::cmd(command[0]);
        call.arg(&command[1..]);
        call.query_async(&mut self.raw.clone()).await.unwrap()
    }
}

/// A plain connection.
pub async fn connect(server: &Server) -> MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// One SKU on sale, and the fence it can be bought behind.
pub struct Stand<'a> {
    pub gate: &'a Gate,
    pub keys: SkuKeys,
    pub fence: Fence,
    pub price_minor: u64,
}

impl Stand<'_> {
    pub async fn reserve(&self, asks: &[Ask]) -> Result<Reserved, StockError> {
        self.reserve_behind(&self.fence, asks).await
    }

    pub async fn reserve_behind(&self, fence: &Fence, asks: &[Ask]) -> Result<Reserved, StockError> {
        let batch = Batch { keys: &self.keys, fence, unit_price_minor: self.price_minor, asks };
        self.gate.reserve(&batch).await
    }

    pub async fn snapshot(&self) -> Snapshot {
        self.gate.snapshot(&self.keys).await.unwrap().expect("the SKU is there")
    }
}

/// A replication id that has the right one in it and is another.
pub fn near_miss(fence: &Fence) -> String {
    format!("{}0", fence.replids.as_str())
}

/// A purchase with ids that no other purchase of this program has.
pub fn ask(user: u64, quantity: u32, key: &str) -> Ask {
    // Above 2^53, where a double could no longer tell two neighbours apart.
    static NEXT: AtomicU64 = AtomicU64::new(9_007_199_254_740_993);
    let id = NEXT.fetch_add(2, Ordering::Relaxed);
    Ask {
        user_id: UserId::new(user),
        quantity,
        order_id: OrderId::new(id),
        reservation_id: ReservationId::new(id + 1),
        idempotency_key: key.to_owned(),
        replay_only: false,
    }
}
