//! What the projector tests share: one real stack per test program, a database and a namespace per test.

// Each test program uses its own part of this module.
#![expect(dead_code, unreachable_pub, reason = "shared by several test programs")]
#![expect(clippy::unwrap_used, reason = "a test that cannot get its surroundings may stop at once")]

use flash_core::event::{Body, Event, Order};
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId};
use flash_stack::{Stack, StackOptions};
use flash_stores::kafka::{KafkaSettings, admin, append};
use flash_stores::mysql::{Db, MySqlSettings, migrate, offsets};
use flashd::projector::{Handle, Projector, ProjectorError, ProjectorOptions};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const SKU: SkuId = SkuId::new(7);
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The stack that the tests of this program share. It lives on a runtime of its own, because each test's runtime ends
/// with the test; its servers end with the program.
pub fn shared_stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                send.send(Stack::start(StackOptions::default()).await.unwrap()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receive.recv().expect("the stack starts")
    })
}

/// A system of its own on a stack: database, topics, namespace.
pub struct Site {
    pub options: ProjectorOptions,
    pub db: Db,
    pub sql: sqlx::MySqlPool,
    pub partitions: i32,
}

impl Site {
    /// On the shared stack.
    pub async fn new(partitions: i32) -> Self {
        let stack = tokio::task::spawn_blocking(shared_stack).await.unwrap();
        Self::on(stack, partitions).await
    }

    pub async fn on(stack: &Stack, partitions: i32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let login = stack.mysql_login().clone();
        let kafka = KafkaSettings { brokers: stack.kafka().address().to_owned(), namespace: name.clone() };
        let mysql = MySqlSettings {
            host: login.host,
            port: login.port,
            user: login.user,
            password: login.password,
            database: format!("projector_{name}"),
            connections_max: 4,
        };
        migrate::apply(&mysql).await.unwrap();
        admin::create(&kafka, &admin::required(&kafka, partitions, 1)).await.unwrap();
        let url = format!("mysql://{}:{}@{}:{}/{}", mysql.user, mysql.password, mysql.host, mysql.port, mysql.database);
        let sql = sqlx::MySqlPool::connect_lazy(&url).unwrap();
        Self { db: Db::open(&mysql), sql, options: ProjectorOptions { kafka, mysql }, partitions }
    }

    pub fn topic(&self) -> String {
        self.options.kafka.topic_events()
    }

    /// Writes raw payloads to the log.
    pub async fn append(&self, records: Vec<(i32, Vec<u8>)>) {
        let (kafka, topic) = (self.options.kafka.clone(), self.topic());
        let records: Vec<_> =
            records.into_iter().map(|(partition, payload)| (partition, String::new(), payload)).collect();
        tokio::task::spawn_blocking(move || append::append(&kafka, &topic, &records, Duration::from_secs(20)).unwrap())
            .await
            .unwrap();
    }

    /// Writes events, each to the partition of its order; a fence to all partitions.
    pub async fn events(&self, events: &[Event]) {
        let mut records = Vec::new();
        for event in events {
            let payload = event.encode().unwrap();
            match &event.body {
                Body::Fence => (0..self.partitions).for_each(|partition| records.push((partition, payload.clone()))),
                Body::Order { order, .. } | Body::Refund { order, .. } => {
                    records.push((self.partition(order.order_id.get()), payload));
                }
            }
        }
        self.append(records).await;
    }

    pub fn partition(&self, order_id: u64) -> i32 {
        i32::try_from(order_id % u64::from(self.partitions.unsigned_abs())).unwrap()
    }

    pub fn start(&self) -> Worker {
        Worker::start(self.options.clone())
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.sql).await.unwrap()
    }

    /// Waits until a query gives a number, and says which one it got instead.
    pub async fn until(&self, sql: &'static str, expected: i64) {
        let started = Instant::now();
        let mut got = None;
        while got != Some(expected) {
            assert!(started.elapsed() < PATIENCE, "{sql}: {got:?} instead of {expected}");
            got = sqlx::query_scalar(sql).fetch_one(&self.sql).await.ok();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Events that MySQL has passed, over all partitions.
    pub async fn passed(&self) -> u64 {
        offsets::list(&self.db, &self.topic()).await.unwrap().iter().map(|row| row.next_offset).sum()
    }

    /// The books: one order and one reservation per reserved order, and a ledger that agrees with the orders.
    pub async fn assert_balanced(&self) {
        let occupied = self
            .number("SELECT CAST(COALESCE(SUM(quantity), 0) AS SIGNED) FROM orders WHERE state IN ('RESERVED', 'CONFIRMED')")
            .await;
        let ledger = self.number("SELECT CAST(COALESCE(SUM(delta), 0) AS SIGNED) FROM inventory_audit").await;
        assert_eq!(ledger, -occupied, "the ledger and the orders disagree");
        let orders = self.number("SELECT COUNT(*) FROM orders").await;
        let reservations = self.number("SELECT COUNT(*) FROM inventory_audit WHERE reason = 'RESERVED'").await;
        assert_eq!(orders, reservations, "an order without its reservation, or the reverse");
    }
}

/// A running projector.
pub struct Worker {
    pub handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Worker {
    pub fn start(options: ProjectorOptions) -> Self {
        let projector = Projector::new(options);
        let handle = projector.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(projector.run(async {
            let _ = stopped.await;
        }));
        Self { handle, stop, task }
    }

    /// Stops gracefully.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
    }

    /// Drops everything without a goodbye to the caller.
    pub fn abort(self) {
        self.task.abort();
    }
}

/// An event about order `id`, whose units are 1 + id % 3.
pub fn event(id: u64, epoch: u64, state: OrderState) -> Event {
    let at_ms = 1_700_000_000_000 + id;
    let order = Order {
        order_id: OrderId::new(id),
        reservation_id: ReservationId::new(id + 1_000_000),
        user_id: UserId::new(id % 100 + 1),
        sku_id: SKU,
        quantity: u32::try_from(id % 3).unwrap() + 1,
        unit_price_minor: 4_900,
        seq: id * 2,
        idempotency_key: format!("key-'\"\\;--{id}"),
        reserved_at_ms: at_ms,
        expires_at_ms: at_ms + 300_000,
    };
    let seq = id * 2 + u64::from(state != OrderState::Reserved);
    let payment = (state == OrderState::Confirmed).then(|| payment(id));
    Event { epoch: Epoch(epoch), at_ms, body: Body::Order { state, seq, order, payment } }
}

/// The payment of order `id`.
pub fn payment(id: u64) -> Payment {
    Payment {
        payment_id: PaymentId::parse(&format!("pay-{id}")).unwrap(),
        amount_minor: 4_900,
        paid_order: OrderId::new(id),
    }
}

pub fn fence(epoch: u64) -> Event {
    Event { epoch: Epoch(epoch), at_ms: 1_700_000_000_000, body: Body::Fence }
}
