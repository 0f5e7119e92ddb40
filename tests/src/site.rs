//! A sale of its own: database, topics, Redis and namespace of one test, filled the way an operator fills them.

use crate::backends::{self, Own};
use crate::books::{Book, Exceptions};
use crate::buyer::Buyer;
use crate::cashier::{Cashier, SECRET};
use crate::daemon::Daemon;
use flash_core::ids::{Epoch, SkuId};
use flash_core::sale::Sku;
use flash_stack::Stack;
use flash_stores::kafka::{KafkaSettings, admin, append};
use flash_stores::mysql::author::Author;
use flash_stores::mysql::{Db, MySqlSettings, migrate, skus};
use flash_stores::redis::{Gate, GateSettings, SkuKeys, Snapshot};
use flashd::rebuild::{Rebuild, RebuildOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Partitions of `order-events`.
pub const PARTITIONS: i32 = 4;
/// D, unless a test says otherwise.
const LEASE: Duration = Duration::from_secs(5);

/// Everything one test sells with.
#[derive(Debug)]
pub struct Site {
    /// The servers, for faults.
    pub stack: Stack,
    /// What is on sale.
    pub skus: Vec<Sku>,
    /// The view.
    pub db: Db,
    /// The view, for questions the product does not ask.
    pub sql: sqlx::MySqlPool,
    /// The log.
    pub kafka: KafkaSettings,
    pub(crate) book: Arc<Book>,
    mysql: MySqlSettings,
    redis: GateSettings,
    pub(crate) env: BTreeMap<String, String>,
    finished: bool,
}

/// A SKU that is on sale for everybody, from now on and for ever: 49.00 EUR, four per buyer, held for five minutes.
#[must_use]
pub fn ticket(sku_id: u64, capacity: u32) -> Sku {
    Sku {
        sku_id: SkuId::new(sku_id),
        name: format!("Ticket {sku_id}"),
        price_minor: 4_900,
        currency: "EUR".to_owned(),
        capacity,
        per_user: 4,
        hold_ms: 300_000,
        opens_at_ms: None,
        closes_at_ms: None,
        paused: false,
    }
}

impl Site {
    /// Sets a sale up: schema, topics, SKUs, stock under a first epoch.
    pub async fn open(own: Own, skus: &[Sku]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let namespace = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stack = backends::start(own).await;
        let login = stack.mysql_login();
        let mysql = MySqlSettings {
            host: login.host.clone(),
            port: login.port,
            user: login.user.clone(),
            password: login.password.clone(),
            database: format!("flash_{namespace}"),
            connections_max: 4,
        };
        let mut env = stack.env_map();
        env.insert("MYSQL_DATABASE".to_owned(), mysql.database.clone());
        env.insert("FLASH_NAMESPACE".to_owned(), namespace.clone());
        env.insert("FLASH_WEBHOOK_SECRET".to_owned(), SECRET.to_owned());
        let kafka = KafkaSettings { brokers: stack.kafka().address().to_owned(), namespace: namespace.clone() };
        let redis =
            GateSettings { url: stack.redis_set().url().to_owned(), namespace, timeout: Duration::from_secs(2) };
        migrate::apply(&mysql).await.unwrap();
        admin::create(&kafka, &admin::required(&kafka, PARTITIONS, 1)).await.unwrap();
        let db = Db::open(&mysql);
        let author = Author::new("tests", "setup").unwrap();
        skus::upsert(&db, skus, &author).await.unwrap();
        let url = format!("mysql://{}:{}@{}:{}/{}", mysql.user, mysql.password, mysql.host, mysql.port, mysql.database);
        let sql = sqlx::MySqlPool::connect_lazy(&url).unwrap();
        let site = Self {
            stack,
            skus: skus.to_vec(),
            db,
            sql,
            kafka,
            book: Arc::default(),
            mysql,
            redis,
            env,
            finished: false,
        };
        site.rebuild().await;
        site
    }

    /// Where the servers are, for the operator's tools.
    #[must_use]
    pub fn parts(&self) -> RebuildOptions {
        RebuildOptions { kafka: self.kafka.clone(), mysql: self.mysql.clone(), redis: self.redis.clone(), lease: LEASE }
    }

    /// Fills Redis from the truth under a new epoch.
    pub async fn rebuild(&self) -> Epoch {
        let rebuild = Rebuild::connect(self.parts()).await.unwrap();
        // A worker may be at it this very moment; then this is one rebuild more.
        let lock = rebuild.lock(crate::PATIENCE).await.unwrap().expect("the other coordinator ends");
        let epoch = rebuild.run(|_| {}).await.unwrap();
        lock.release().await;
        epoch
    }

    /// Starts a daemon and waits until it is ready.
    pub async fn daemon(&self, role: &str) -> Daemon {
        self.daemon_with(role, &[]).await
    }

    /// Starts a daemon with settings of its own, as environment variables.
    pub async fn daemon_with(&self, role: &str, settings: &[(&str, &str)]) -> Daemon {
        let mut env = self.env.clone();
        env.insert("FLASH_ROLE".to_owned(), role.to_owned());
        env.insert("FLASH_LOG".to_owned(), "info".to_owned());
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let daemon = Daemon::start(env).await;
        daemon.ready().await;
        daemon
    }

    /// Somebody who buys at these daemons, at the first as long as it answers.
    #[must_use]
    pub fn buyer(&self, daemons: &[&Daemon]) -> Buyer {
        Buyer::new(daemons.iter().map(|daemon| daemon.api.clone()).collect(), Arc::clone(&self.book))
    }

    /// Somebody who pays and cancels at these daemons, at the first as long as it answers.
    #[must_use]
    pub fn cashier(&self, daemons: &[&Daemon]) -> Cashier {
        Cashier::new(daemons.iter().map(|daemon| daemon.api.clone()).collect(), Arc::clone(&self.book))
    }

    /// What Redis says about a SKU, asked anew each time: the test may have restarted it.
    pub async fn stock(&self, sku_id: u64) -> Snapshot {
        let gate = Gate::new(&self.redis).unwrap();
        gate.wait_connected(crate::PATIENCE).await.unwrap();
        gate.snapshot(&self.keys(sku_id)).await.unwrap().expect("the SKU is in Redis")
    }

    /// Key names of a SKU.
    #[must_use]
    pub fn keys(&self, sku_id: u64) -> SkuKeys {
        SkuKeys::new(&self.redis.namespace, SkuId::new(sku_id))
    }

    /// A command to Redis behind everybody's back.
    pub async fn redis<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.redis.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap()
    }

    /// Writes a record to the log that no daemon would.
    pub async fn append(&self, partition: i32, payload: &[u8]) {
        let (kafka, topic) = (self.kafka.clone(), self.kafka.topic_events());
        let records = vec![(partition, "poison".to_owned(), payload.to_vec())];
        let write = move || append::append(&kafka, &topic, &records, crate::PATIENCE);
        tokio::task::spawn_blocking(write).await.unwrap().unwrap();
    }

    /// Orders that MySQL has.
    pub async fn orders(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM orders").fetch_one(&self.sql).await.unwrap_or(-1)
    }

    /// Ends the test: waits until a worker has projected the whole log, and checks that everything adds up – what buyers
    /// were told, the log, MySQL and Redis. A worker must be running.
    pub async fn finish(self, daemons: &[&Daemon]) {
        self.finish_except(daemons, Exceptions::default()).await;
    }

    /// Ends without looking at the books: for measurements, whose orders nobody was told.
    pub async fn abandon(mut self) {
        self.finished = true;
        self.sql.close().await;
        self.db.close().await;
    }

    /// [`Site::finish`] for tests that leave something behind on purpose.
    pub async fn finish_except(mut self, daemons: &[&Daemon], exceptions: Exceptions) {
        self.finished = true;
        crate::books::check(&self, daemons, exceptions).await;
        self.sql.close().await;
        self.db.close().await;
    }
}

/// No test passes without its books being looked at.
impl Drop for Site {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "the test has not called finish()");
    }
}
