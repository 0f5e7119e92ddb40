//! A sale of its own: database, topics, Redis and namespace of one test, filled the way an operator fills them.

use crate::backends::{self, Broker, Own};
use crate::books::{Book, Exceptions};
use crate::buyer::Buyer;
use crate::cashier::{Cashier, SECRET};
use crate::daemon::Daemon;
use crate::operator::{self, Ran};
use flash_core::ids::{Epoch, SkuId};
use flash_core::sale::Sku;
use flash_stack::{Proxy, Server, Stack};
use flash_stores::kafka::epochs::EpochReader;
use flash_stores::kafka::producer::RecorderSettings;
use flash_stores::kafka::{KafkaSettings, admin, append};
use flash_stores::mysql::author::Author;
use flash_stores::mysql::{Db, MySqlSettings, migrate, skus};
use flash_stores::redis::{Fence, Gate, GateSettings, SkuKeys, Snapshot};
use flashd::rebuild::{Rebuild, RebuildOptions};
use flashd::reconcile::ReconcileOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Partitions of `order-events`.
pub const PARTITIONS: i32 = 4;
/// D, unless a test says otherwise.
const LEASE: Duration = Duration::from_secs(5);

/// What whoever commands a daemon of a site has to know.
pub const ADMIN_TOKEN: &str = "the-token-of-the-tests";

/// Settings of a daemon whose books are audited: an event that does not come is given up soon, and nobody audits unasked.
pub const AUDITED: [(&str, &str); 2] = [("FLASH_KAFKA_MESSAGE_TIMEOUT", "5s"), ("FLASH_AUDIT_EVERY", "0s")];

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
    env: BTreeMap<String, String>,
    finished: bool,
}

/// The network between the daemons of a site and each server.
#[derive(Debug)]
pub struct Links {
    /// To Redis.
    pub redis: Proxy,
    /// To MySQL.
    pub mysql: Proxy,
    /// To the broker; it advertises this address.
    pub kafka: Proxy,
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
        let mut site = Self::bare(own).await;
        site.sell(skus).await;
        site
    }

    async fn sell(&mut self, skus: &[Sku]) {
        self.skus = skus.to_vec();
        migrate::apply(&self.mysql).await.unwrap();
        admin::create(&self.kafka, &admin::required(&self.kafka, PARTITIONS, 1)).await.unwrap();
        let author = Author::new("tests", "setup").unwrap();
        skus::upsert(&self.db, skus, &author).await.unwrap();
        self.rebuild().await;
    }

    /// Servers and names, and nothing else: no schema, no topics, nothing on sale.
    pub async fn bare(own: Own) -> Self {
        Self::on(backends::start(own).await)
    }

    /// A sale behind a network that can be made bad. The broker is its own; what the test itself asks Redis and MySQL goes
    /// past the network, what it asks Kafka does not.
    pub async fn linked(skus: &[Sku]) -> (Self, Links) {
        const SEED: u64 = 4;
        let kafka = Proxy::without_target(SEED).await.unwrap();
        let own = Own { kafka: Some(Broker::Memory), ..Own::default() };
        let stack = backends::start_advertising(own, Some(kafka.address())).await;
        kafka.set_target(stack.kafka().address());
        let redis = Proxy::start(stack.redis().address(), SEED).await.unwrap();
        let mysql = Proxy::start(&format!("127.0.0.1:{}", stack.mysql_login().port), SEED).await.unwrap();
        let mut site = Self::on(stack);
        site.sell(skus).await;
        site.env.insert("REDIS_URL".to_owned(), format!("redis://{}", redis.address()));
        site.env.insert("MYSQL_PORT".to_owned(), mysql.port().to_string());
        site.env.insert("KAFKA_BROKERS".to_owned(), kafka.address());
        (site, Links { redis, mysql, kafka })
    }

    fn on(stack: Stack) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let namespace = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
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
        env.insert("FLASH_ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned());
        env.insert("FLASH_WEBHOOK_SECRET".to_owned(), SECRET.to_owned());
        let kafka = KafkaSettings { brokers: stack.kafka().address().to_owned(), namespace: namespace.clone() };
        let redis =
            GateSettings { url: stack.redis_set().url().to_owned(), namespace, timeout: Duration::from_secs(2) };
        let db = Db::open(&mysql);
        let url = format!("mysql://{}:{}@{}:{}/{}", mysql.user, mysql.password, mysql.host, mysql.port, mysql.database);
        let sql = sqlx::MySqlPool::connect_lazy(&url).unwrap();
        Self { stack, skus: Vec::new(), db, sql, kafka, book: Arc::default(), mysql, redis, env, finished: false }
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

    /// Starts a daemon with settings of its own, as environment variables, and waits until it is ready.
    pub async fn daemon_with(&self, role: &str, settings: &[(&str, &str)]) -> Daemon {
        let daemon = self.start_daemon(role, settings).await;
        daemon.ready().await;
        daemon
    }

    /// Starts a daemon that will die at a crash point, which may be before it is ready.
    pub async fn doomed(&self, role: &str, point: &str) -> Daemon {
        self.start_daemon(role, &[("FLASHD_CRASH_AT", point)]).await
    }

    /// Starts a daemon and waits until it listens.
    pub async fn start_daemon(&self, role: &str, settings: &[(&str, &str)]) -> Daemon {
        let mut env = self.env.clone();
        env.insert("FLASH_ROLE".to_owned(), role.to_owned());
        env.insert("FLASH_LOG".to_owned(), "info".to_owned());
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Daemon::start(env).await
    }

    /// Runs `flashctl` as an operator would, without a terminal.
    pub async fn flashctl(&self, args: &[&str]) -> Ran {
        operator::run(&self.env, args, None).await
    }

    /// The same, and it dies at a crash point if one is named.
    pub async fn flashctl_dying(&self, args: &[&str], crash_at: Option<&str>) -> Ran {
        operator::run(&self.env, args, crash_at).await
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
        if self.stack.redis_set().servers().len() > 1 {
            gate.look_for(&self.fence().await).await;
        }
        gate.snapshot(&self.keys(sku_id)).await.unwrap().expect("the SKU is in Redis")
    }

    /// Key names of a SKU.
    #[must_use]
    pub fn keys(&self, sku_id: u64) -> SkuKeys {
        SkuKeys::new(&self.redis.namespace, SkuId::new(sku_id))
    }

    /// The open epoch, and the primaries it was opened with.
    pub async fn fence(&self) -> Fence {
        let kafka = self.kafka.clone();
        let read = move || {
            let mut reader = EpochReader::new(&kafka).unwrap();
            reader.read_to_end(1, crate::PATIENCE).unwrap();
            Fence::of(reader.view().open().expect("an epoch is open"))
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// A command to Redis behind everybody's back: to the only one, or to the primary of the open epoch that owns its key.
    pub async fn redis<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let servers = self.stack.redis_set().servers();
        if let [only] = servers {
            return ask(only, command).await.unwrap();
        }
        let fence = self.fence().await;
        for server in servers {
            let info = ask::<String>(server, &["INFO", "replication"]).await.unwrap_or_default();
            let of_epoch = |id: &str| fence.replids.contains(id.trim());
            let is_primary = info.contains("role:master")
                && info.lines().filter_map(|line| line.strip_prefix("master_replid:")).any(of_epoch);
            // One that does not own the key says MOVED.
            if is_primary && let Ok(answer) = ask(server, command).await {
                return answer;
            }
        }
        panic!("no primary of {fence:?} answers {command:?}");
    }

    /// Writes a record to the log that no daemon would.
    pub async fn append(&self, partition: i32, payload: &[u8]) {
        let (kafka, topic) = (self.kafka.clone(), self.kafka.topic_events());
        let records = vec![(partition, "poison".to_owned(), payload.to_vec())];
        let write = move || append::append(&kafka, &topic, &records, crate::PATIENCE);
        tokio::task::spawn_blocking(write).await.unwrap().unwrap();
    }

    /// What an audit needs, for daemons that were started with [`AUDITED`].
    #[must_use]
    pub fn audit(&self) -> ReconcileOptions {
        let recorder = RecorderSettings {
            linger: Duration::from_millis(1),
            message_timeout: Duration::from_secs(5),
            queue_max: 10_000,
        };
        ReconcileOptions { parts: self.parts(), recorder }
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

    /// Ends without looking at the books: for measurements, whose orders nobody was told, and for tests that have damaged them on
    /// purpose.
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

async fn ask<T: redis::FromRedisValue>(server: &Server, command: &[&str]) -> redis::RedisResult<T> {
    let mut connection = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
    redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await
}

/// No test passes without its books being looked at.
impl Drop for Site {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "the test has not called finish()");
    }
}
