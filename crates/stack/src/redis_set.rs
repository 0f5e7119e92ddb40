//! Several Redis servers that belong together: a primary with replicas, or a cluster.
//!
//! Owns how they are introduced to each other, and the few words with which an operator (or a test) moves the role of the
//! primary about. Nobody watches them: a primary with replicas fails over only when it is told to; a cluster by itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    LogSender, Server, StackError,
    logs::LogTarget,
    redis::{NODES_FILE, RedisRecipe},
    redis_command,
    server::Home,
};

const NAMES: [&str; 6] = ["redis-1", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"];
const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;
/// How long servers may take to know each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers that belong together; each may be killed, frozen and restarted as any [`Server`].
#[derive(Debug, Clone)]
pub struct RedisSet {
    servers: Vec<Server>,
    url: String,
}

impl RedisSet {
    /// One server, ours or not.
    pub(crate) fn single(server: Server) -> Self {
        Self { url: server.url().to_owned(), servers: vec![server] }
    }

    /// A primary (the first server) with up to five replicas that have caught up with it.
    ///
    /// # Errors
    /// [`StackError`].
    pub async fn start_replicated(dir: impl AsRef<Path>, replicas: usize) -> Result<Self, StackError> {
        Self::replicated(&Place { dir: dir.as_ref().to_owned(), ephemeral: false, logs: None }, replicas).await
    }

    /// A cluster: three primaries with a third of the slots each, then a replica of each.
    ///
    /// # Errors
    /// [`StackError`].
    pub async fn start_cluster(dir: impl AsRef<Path>) -> Result<Self, StackError> {
        Self::cluster(&Place { dir: dir.as_ref().to_owned(), ephemeral: false, logs: None }).await
    }

    pub(crate) async fn replicated(place: &Place, replicas: usize) -> Result<Self, StackError> {
        let servers = start_all(place, (replicas + 1).min(NAMES.len()), false).await?;
        for replica in &servers[1..] {
            follow(replica, &servers[0]).await?;
        }
        let url = format!("redis://{}", addresses(&servers));
        Ok(Self { servers, url })
    }

    pub(crate) async fn cluster(place: &Place) -> Result<Self, StackError> {
        let servers = start_all(place, 2 * PRIMARIES, true).await?;
        introduce(&servers).await?;
        let url = format!("redis-cluster://{}", addresses(&servers));
        Ok(Self { servers, url })
    }

    /// What clients are given as `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The servers, in the order they were started: primaries first.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }
}

/// Where servers of a set live.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) ephemeral: bool,
    pub(crate) logs: Option<LogSender>,
}

/// Makes a server a primary of its own, with whatever it has.
///
/// # Errors
/// [`StackError::Unreachable`].
pub async fn promote(server: &Server) -> Result<(), StackError> {
    redis_command(server, &["REPLICAOF", "NO", "ONE"]).await.map(drop)
}

/// Makes a server a replica of another and waits until it has caught up.
///
/// # Errors
/// [`StackError`].
pub async fn follow(replica: &Server, primary: &Server) -> Result<(), StackError> {
    redis_command(replica, &["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await?;
    until(replica, &["INFO", "replication"], "master_link_status:up").await
}

/// Moves the slot of a key from one primary of a cluster to another, as `redis-cli --cluster reshard` does.
///
/// # Errors
/// [`StackError::Unreachable`]; the slot may then be between the two.
pub async fn move_slot(key: &str, from: &Server, to: &Server) -> Result<(), StackError> {
    let slot = redis_command(from, &["CLUSTER", "KEYSLOT", key]).await?;
    let (from_id, to_id) =
        (redis_command(from, &["CLUSTER", "MYID"]).await?, redis_command(to, &["CLUSTER", "MYID"]).await?);
    redis_command(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await?;
    redis_command(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await?;
    let port = to.port().to_string();
    loop {
        let keys = redis_command(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await?;
        if keys.is_empty() {
            break;
        }
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.lines());
        redis_command(from, &migrate).await?;
    }
    for node in [to, from] {
        // The others hear of it from these two.
        redis_command(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await?;
    }
    Ok(())
}

async fn start_all(place: &Place, count: usize, cluster: bool) -> Result<Vec<Server>, StackError> {
    let mut servers = Vec::with_capacity(count);
    for name in &NAMES[..count] {
        let dir = place.dir.join(name);
        // Who it was in an earlier life, on other ports, helps nobody.
        let _ = std::fs::remove_file(dir.join(NODES_FILE));
        let logs = match &place.logs {
            Some(sender) => LogTarget::Channel(sender.clone()),
            None => LogTarget::File(dir.join(format!("{name}.log"))),
        };
        let recipe = RedisRecipe::member(dir.clone(), name, cluster);
        servers.push(Server::start(Arc::new(recipe), Home { dir, ephemeral: place.ephemeral, logs }).await?);
    }
    Ok(servers)
}

/// Hands out the slots, lets everybody meet, and gives each primary its replica.
async fn introduce(servers: &[Server]) -> Result<(), StackError> {
    for (index, server) in servers.iter().enumerate() {
        redis_command(server, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
        if index < PRIMARIES {
            let (first, end) = (index * SLOTS / PRIMARIES, (index + 1) * SLOTS / PRIMARIES);
            let range = [first.to_string(), (end - 1).to_string()];
            redis_command(server, &["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await?;
        }
    }
    for other in &servers[1..] {
        // Its bus listens on a port of its own, which only it knows.
        let bus = redis_command(other, &["CLUSTER", "NODES"]).await?;
        let bus =
            bus.split_once('@').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        let (port, bus) = (other.port().to_string(), bus.unwrap_or_default());
        redis_command(&servers[0], &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await?;
    }
    for server in servers {
        until(server, &["CLUSTER", "INFO"], &format!("cluster_known_nodes:{}", servers.len())).await?;
        until(server, &["CLUSTER", "INFO"], &format!("cluster_slots_ok:{SLOTS}")).await?;
    }
    for (primary, replica) in servers[..PRIMARIES].iter().zip(&servers[PRIMARIES..]) {
        let id = redis_command(primary, &["CLUSTER", "MYID"]).await?;
        redis_command(replica, &["CLUSTER", "REPLICATE", &id]).await?;
        until(replica, &["INFO", "replication"], "master_link_status:up").await?;
    }
    for server in servers {
        until(server, &["CLUSTER", "INFO"], "cluster_state:ok").await?;
    }
    Ok(())
}

async fn until(server: &Server, command: &[&str], line: &str) -> Result<(), StackError> {
    let started = Instant::now();
    while !redis_command(server, command).await?.contains(line) {
        if started.elapsed() > PATIENCE {
            return Err(StackError::NotReady {
                server: server.name().to_owned(),
                address: server.address().to_owned(),
                waited: PATIENCE,
                reason: format!("{} does not say {line}", command.join(" ")),
                lines: server.last_lines(),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn addresses(servers: &[Server]) -> String {
    servers.iter().map(Server::address).collect::<Vec<_>>().join(",")
}
