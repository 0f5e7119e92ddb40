//! The three servers together: started side by side, stopped in order, described by one map of environment
//! variables.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    Exit, KafkaChoice, MysqlChoice, MysqlLogin, RedisChoice, Server, StackError, StackOptions,
    apache::{self, ApacheRecipe},
    external,
    logs::{LogSender, LogTarget},
    mysql::MysqlRecipe,
    probe::Probe,
    program,
    redis::RedisRecipe,
    redis_set::{Place, RedisSet},
    server::{Home, Recipe},
    tansu::{Storage, TansuRecipe},
};

/// A running stack. [`Stack::stop`] ends it in order; dropping it ends it at once.
///
/// The field order is the drop order: servers before the directory they live in.
#[derive(Debug)]
pub struct Stack {
    kafka: Server,
    /// Which broker that is.
    broker: &'static str,
    mysql: Server,
    redis: RedisSet,
    login: MysqlLogin,
    root: Root,
}

/// A server that ended although nobody asked it to.
#[derive(Debug, Clone)]
pub struct ServerExit {
    /// Which server.
    pub server: &'static str,
    /// How it ended.
    pub exit: Exit,
    /// What it said last.
    pub last_lines: Vec<String>,
}

impl Stack {
    /// Starts (or finds) all three servers and returns when each answers. If one cannot be had, the others are
    /// ended again. Let it finish rather than cancel it: cancelled while MariaDB makes its data directory, it leaves
    /// that directory behind.
    pub async fn start(options: StackOptions) -> Result<Stack, StackError> {
        check_addresses(&options)?;
        check_programs(&options)?;
        let root = Root::open(options.data.as_deref())?;
        let broker = options.kafka.name();
        let home = |name: &str| Home::new(&root, name, options.logs.as_ref());
        let (kafka, mysql, redis) = tokio::join!(
            start_kafka(options.kafka, options.kafka_advertised, home("kafka")),
            start_mysql(options.mysql, home("mysql")),
            start_redis(options.redis, home("redis"), options.logs.as_ref()),
        );
        // Joined first and judged then: an early return would leave a half-made data directory behind.
        let (kafka, (mysql, login), redis) = (kafka?, mysql?, redis?);
        Ok(Stack { kafka, broker, mysql, redis, login, root })
    }

    /// The Redis server; the first of them if there are several.
    pub fn redis(&self) -> &Server {
        &self.redis.servers()[0]
    }

    /// All Redis servers, and the address clients are given.
    pub fn redis_set(&self) -> &RedisSet {
        &self.redis
    }

    /// The MySQL or MariaDB server.
    pub fn mysql(&self) -> &Server {
        &self.mysql
    }

    /// The Kafka-protocol broker.
    pub fn kafka(&self) -> &Server {
        &self.kafka
    }

    /// How to log in to MySQL.
    pub fn mysql_login(&self) -> &MysqlLogin {
        &self.login
    }

    /// The directory all data is under.
    pub fn dir(&self) -> &Path {
        &self.root.dir
    }

    /// The seed's environment variables for this stack.
    pub fn env_map(&self) -> BTreeMap<String, String> {
        [
            ("REDIS_URL", self.redis.url().to_owned()),
            ("KAFKA_BROKERS", self.kafka.address().to_owned()),
            // The protocol does not tell which broker speaks it; reports of measurements want to say.
            ("FLASH_BROKER", self.broker.to_owned()),
            ("MYSQL_HOST", self.login.host.clone()),
            ("MYSQL_PORT", self.login.port.to_string()),
            ("MYSQL_USER", self.login.user.clone()),
            ("MYSQL_PASSWORD", self.login.password.clone()),
            ("MYSQL_DATABASE", self.login.database.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Resolves with the first server that ends by itself; of several Redis servers, when the last one has. Cancel-safe.
    pub async fn first_exit(&self) -> ServerExit {
        let (server, exit) = tokio::select! {
            exit = self.kafka.ended() => (&self.kafka, exit),
            exit = self.mysql.ended() => (&self.mysql, exit),
            ended = all_ended(self.redis.servers()) => ended,
        };
        ServerExit { server: server.name(), exit, last_lines: server.last_lines() }
    }

    /// Stops our servers in order – first the log, then the view, last the gate – and deletes temporary data.
    /// `told` hears of each server that was stopped.
    pub async fn stop_telling(self, mut told: impl FnMut(&'static str, Exit)) {
        for server in [&self.kafka, &self.mysql].into_iter().chain(self.redis.servers()) {
            // External servers refuse, and are none of our business.
            if let Ok(Some(exit)) = server.stop().await {
                told(server.name(), exit);
            }
        }
    }

    /// Stops our servers in order and deletes temporary data.
    pub async fn stop(self) {
        self.stop_telling(|_, _| {}).await;
    }
}

/// The directory of a stack: temporary and deleted at the end, or given and locked against a second stack.
#[derive(Debug)]
struct Root {
    dir: PathBuf,
    temporary: Option<TempDir>,
    _lock: Option<File>,
}

impl Root {
    fn open(data: Option<&Path>) -> Result<Root, StackError> {
        let Some(data) = data else {
            let temporary = tempfile::Builder::new()
                .prefix("flash-stack-")
                .tempdir()
                .map_err(StackError::io("creating a temporary directory"))?;
            return Ok(Root { dir: temporary.path().to_owned(), temporary: Some(temporary), _lock: None });
        };
        fs::create_dir_all(data).map_err(StackError::io(format!("creating {}", data.display())))?;
        let lock = File::create(data.join("stack.lock"))
            .map_err(StackError::io(format!("creating a lock in {}", data.display())))?;
        // Released by the system when we end, however we end.
        lock.try_lock().map_err(|_| StackError::DataInUse(data.to_owned()))?;
        Ok(Root { dir: data.to_owned(), temporary: None, _lock: Some(lock) })
    }
}

impl Home {
    fn new(root: &Root, name: &str, logs: Option<&LogSender>) -> Home {
        let dir = root.dir.join(name);
        let logs = match logs {
            Some(sender) => LogTarget::Channel(sender.clone()),
            None => LogTarget::File(dir.join(format!("{name}.log"))),
        };
        Home { dir, ephemeral: root.temporary.is_some(), logs }
    }
}

/// Whatever is missing is told before anything is started.
fn check_programs(options: &StackOptions) -> Result<(), StackError> {
    if !matches!(options.redis, RedisChoice::External(_)) {
        program::REDIS.find()?;
    }
    if options.mysql == MysqlChoice::Start {
        program::MYSQLD.find()?;
    }
    match options.kafka {
        KafkaChoice::Tansu | KafkaChoice::TansuSqlite => program::TANSU.find().map(drop),
        KafkaChoice::Apache => apache::check(),
        KafkaChoice::External(_) => Ok(()),
    }
}

/// Before anything is started, so that a typing error leaves nothing behind.
fn check_addresses(options: &StackOptions) -> Result<(), StackError> {
    if let RedisChoice::External(url) = &options.redis {
        external::redis(url)?;
    }
    if let MysqlChoice::External(url) = &options.mysql {
        external::mysql(url)?;
    }
    Ok(())
}

async fn start_kafka(choice: KafkaChoice, advertised: Option<String>, home: Home) -> Result<Server, StackError> {
    let dir = home.dir.clone();
    let recipe: Arc<dyn Recipe> = match choice {
        KafkaChoice::Tansu => Arc::new(TansuRecipe { dir, storage: Storage::Memory, advertised }),
        KafkaChoice::TansuSqlite => Arc::new(TansuRecipe { dir, storage: Storage::Sqlite, advertised }),
        KafkaChoice::Apache => Arc::new(ApacheRecipe { dir, advertised }),
        KafkaChoice::External(brokers) => {
            return Server::external("kafka", brokers.clone(), brokers, Probe::Kafka).await;
        }
    };
    Server::start(recipe, home).await
}

async fn start_mysql(choice: MysqlChoice, home: Home) -> Result<(Server, MysqlLogin), StackError> {
    match choice {
        MysqlChoice::Start => {
            let server = Server::start(Arc::new(MysqlRecipe { dir: home.dir.clone() }), home).await?;
            let login = MysqlLogin::of_ours(server.port());
            Ok((server, login))
        }
        MysqlChoice::External(url) => {
            let login = external::mysql(&url)?;
            let address = format!("{}:{}", login.host, login.port);
            Ok((Server::external("mysql", address, url, Probe::Mysql).await?, login))
        }
    }
}

async fn start_redis(choice: RedisChoice, home: Home, logs: Option<&LogSender>) -> Result<RedisSet, StackError> {
    let place = || Place { dir: home.dir.clone(), ephemeral: home.ephemeral, logs: logs.cloned() };
    match choice {
        RedisChoice::Replica => RedisSet::replicated(&place(), 1).await,
        RedisChoice::Cluster => RedisSet::cluster(&place()).await,
        RedisChoice::Start => {
            let recipe = Arc::new(RedisRecipe::single(home.dir.clone()));
            Server::start(recipe, home).await.map(RedisSet::single)
        }
        RedisChoice::External(url) => {
            let address = external::redis(&url)?;
            Server::external("redis", address, url, Probe::Redis).await.map(RedisSet::single)
        }
    }
}

/// The last of these servers, when all have ended by themselves: while one of several lives, that is what they are several for.
async fn all_ended(servers: &[Server]) -> (&Server, Exit) {
    let mut last = None;
    for server in servers {
        last = Some((server, server.ended().await));
    }
    match last {
        Some(last) => last,
        None => std::future::pending().await,
    }
}
