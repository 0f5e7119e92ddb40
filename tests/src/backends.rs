//! Real servers. MariaDB and the broker are shared by all tests of a program, because they are slow to start and can be
//! shared by names; a test that hurts one of them takes its own. Redis is always the test's own.

use flash_stack::{KafkaChoice, MysqlChoice, RedisChoice, Stack, StackOptions};
use std::sync::OnceLock;

/// Which servers a test needs for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// A MariaDB of its own.
    pub mysql: bool,
    /// A broker of its own, and which.
    pub kafka: Option<Broker>,
    /// What its Redis looks like.
    pub redis: RedisTopology,
}

/// How many Redis servers, and how they belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisTopology {
    /// One.
    #[default]
    Single,
    /// A primary and a replica.
    Replica,
    /// A cluster of three primaries and three replicas.
    Cluster,
}

/// A broker of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// Tansu in memory: may be frozen, forgets everything when it dies.
    Memory,
    /// Tansu on SQLite: may be killed and restarted.
    Sqlite,
}

/// Starts what the test owns and points at what it shares.
pub async fn start(own: Own) -> Stack {
    start_advertising(own, None).await
}

/// [`start`], with a broker of one's own that tells its clients to connect to another address.
pub async fn start_advertising(own: Own, kafka_advertised: Option<String>) -> Stack {
    let shared = tokio::task::spawn_blocking(shared).await.unwrap();
    let kafka = match own.kafka {
        None => KafkaChoice::External(shared.kafka().address().to_owned()),
        Some(Broker::Memory) => KafkaChoice::Tansu,
        Some(Broker::Sqlite) => KafkaChoice::TansuSqlite,
    };
    let mysql = if own.mysql {
        MysqlChoice::Start
    } else {
        let login = shared.mysql_login();
        let (user, password, database) = (&login.user, &login.password, &login.database);
        MysqlChoice::External(format!("mysql://{user}:{password}@{}:{}/{database}", login.host, login.port))
    };
    let redis = match own.redis {
        RedisTopology::Single => RedisChoice::Start,
        RedisTopology::Replica => RedisChoice::Replica,
        RedisTopology::Cluster => RedisChoice::Cluster,
    };
    Stack::start(StackOptions { kafka, kafka_advertised, mysql, redis, ..StackOptions::default() }).await.unwrap()
}

/// The servers that the tests of this program share. They live on a runtime of their own, because each test's runtime
/// ends with the test; they end with the program.
fn shared() -> &'static Stack {
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
        receive.recv().expect("the shared servers start")
    })
}
