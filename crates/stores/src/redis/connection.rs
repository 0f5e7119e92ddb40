//! One multiplexed connection to the Redis primary that heals itself.
//!
//! After any time-out or lost connection the connection is given up at once and calls are refused without being sent
//! (that is the breaker), until a new connection has answered a PING. So one slow Redis costs one batch per lane its
//! answer, not every purchase its patience.

use super::StockError;
use flash_core::epoch::SINGLE_PRIMARY;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How the gate is reached.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// `redis://[user:password@]host:port[/db]`.
    pub url: String,
    /// Prefix of all keys; may be empty.
    pub namespace: String,
    /// Time without an answer after which an outcome is unknown.
    pub timeout: Duration,
}

/// First and longest pause between attempts to connect.
const RECONNECT_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    generation: u64,
}

/// A cheap, shared handle to the gate.
#[derive(Clone)]
pub struct Gate {
    line: watch::Receiver<Result<Line, String>>,
    broken: Arc<watch::Sender<u64>>,
    namespace: Arc<str>,
    _keeper: Arc<StopOnDrop>,
}

struct StopOnDrop(Arc<Notify>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Gate {
    /// Starts to connect in the background; calls are [`StockError::NotSent`] until it has succeeded. Must be called
    /// inside a Tokio runtime.
    ///
    /// # Errors
    /// If the URL cannot be read.
    pub fn new(settings: &GateSettings) -> Result<Self, StockError> {
        let client = Client::open(settings.url.as_str()).map_err(|error| StockError::NotSent(error.to_string()))?;
        let (line_out, line) = watch::channel(Err("not connected yet".to_owned()));
        let (broken, broken_in) = watch::channel(0);
        let stop = Arc::new(Notify::new());
        let keeper = Arc::new(StopOnDrop(Arc::clone(&stop)));
        tokio::spawn(keep_connected(client, settings.timeout, line_out, broken_in, stop));
        Ok(Self { line, broken: Arc::new(broken), namespace: settings.namespace.as_str().into(), _keeper: keeper })
    }

    /// The prefix of all keys.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether calls are sent at the moment; the error says why not.
    ///
    /// # Errors
    /// The reason for which there is no connection.
    pub fn connected(&self) -> Result<(), String> {
        self.line.borrow().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Waits until there is a connection, at most `patience`.
    ///
    /// # Errors
    /// [`StockError::NotSent`] with the last reason.
    pub async fn wait_connected(&self, patience: Duration) -> Result<(), StockError> {
        let mut line = self.line.clone();
        let connected = tokio::time::timeout(patience, line.wait_for(Result::is_ok)).await.is_ok();
        if connected { Ok(()) } else { self.connected().map_err(StockError::NotSent) }
    }

    /// Runs one call. If its outcome is unknown the connection is given up.
    pub(super) async fn run(&self, call: &super::scripts::Call) -> Result<redis::Value, StockError> {
        let mut line = self.line()?;
        let result = call.run(&mut line.connection).await;
        if matches!(result, Err(StockError::Unknown(_))) {
            self.give_up(line.generation);
        }
        result
    }

    /// The connection, unless it has been given up already.
    fn line(&self) -> Result<Line, StockError> {
        let line = self.line.borrow().clone().map_err(StockError::NotSent)?;
        if *self.broken.borrow() >= line.generation {
            return Err(StockError::NotSent("the last call was not answered".to_owned()));
        }
        Ok(line)
    }

    /// Has the connection made anew, unless somebody already did.
    fn give_up(&self, generation: u64) {
        self.broken.send_if_modified(|broken| {
            let newer = *broken < generation;
            *broken = generation.max(*broken);
            newer
        });
    }

    /// Sends a plain read command.
    pub(super) async fn query(&self, command: &redis::Cmd) -> Result<redis::Value, StockError> {
        let mut line = self.line()?;
        let reply = line.connection.send_packed_command(command).await.and_then(redis::Value::extract_error);
        reply.map_err(|error| StockError::Unknown(error.to_string()))
    }

    /// Sends several commands at once and returns their replies. Without an answer the connection is given up.
    pub(super) async fn pipeline(
        &self,
        commands: &redis::Pipeline,
        count: usize,
    ) -> Result<Vec<redis::Value>, StockError> {
        let mut line = self.line()?;
        let replies = line.connection.send_packed_commands(commands, 0, count).await;
        let replies = replies.and_then(|values| values.into_iter().map(redis::Value::extract_error).collect());
        replies.map_err(|error: redis::RedisError| {
            self.give_up(line.generation);
            StockError::Unknown(error.to_string())
        })
    }

    /// The replication id of every primary, by its name. Without a cluster there is one.
    ///
    /// # Errors
    /// [`StockError::NotSent`] without a connection, [`StockError::Refused`] on a replica, [`StockError::Unknown`] else.
    pub async fn primaries(&self) -> Result<BTreeMap<String, String>, StockError> {
        let reply = self.query(redis::cmd("INFO").arg("replication")).await?;
        let info: String = redis::from_redis_value(reply).map_err(|error| StockError::Unknown(error.to_string()))?;
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        match (field("role:").as_deref(), field("master_replid:")) {
            (Some("master"), Some(replid)) => Ok(BTreeMap::from([(SINGLE_PRIMARY.to_owned(), replid)])),
            (role, _) => Err(StockError::Refused(format!("not a primary: role {}", role.unwrap_or("unknown")))),
        }
    }
}

async fn keep_connected(
    client: Client,
    timeout: Duration,
    line: watch::Sender<Result<Line, String>>,
    mut broken: watch::Receiver<u64>,
    stop: Arc<Notify>,
) {
    let mut generation = 0;
    loop {
        generation += 1;
        let connection = tokio::select! {
            () = stop.notified() => return,
            connection = connect(&client, timeout, &line) => connection,
        };
        let _ = line.send_replace(Ok(Line { connection, generation }));
        tokio::select! {
            () = stop.notified() => return,
            gone = broken.wait_for(|given_up| *given_up >= generation) => if gone.is_err() { return },
        }
        tracing::warn!(generation, "Redis gave no answer; the connection is given up and made anew");
        let _ = line.send_replace(Err("the last call was not answered".to_owned()));
    }
}

async fn connect(
    client: &Client,
    timeout: Duration,
    line: &watch::Sender<Result<Line, String>>,
) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
    let (mut pause, longest) = RECONNECT_PAUSES;
    loop {
        match try_connect(client, &config).await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::debug!(%error, "Redis cannot be reached");
                let _ = line.send_replace(Err(error.to_string()));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn try_connect(client: &Client, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
    redis::cmd("PING").query_async::<String>(&mut connection).await?;
    Ok(connection)
}
