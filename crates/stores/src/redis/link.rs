//! One multiplexed connection to one Redis primary that heals itself.
//!
//! After any time-out or lost connection the connection is given up at once and calls are refused without being sent
//! (that is the breaker), until a new connection has answered. So one slow Redis costs one batch per lane its answer, not
//! every purchase its patience. Where there are several candidates, the keeper also looks whether the server it is
//! connected to is still the primary to ask, and moves on if another one is (see `search`).

use super::meters::Meters;
use super::search::{self, Found, Search};
use super::{Fence, Replids, StockError};
use redis::ConnectionInfo;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// First and longest pause between attempts to connect.
const RECONNECT_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How often it is looked whether the server is still the primary, and how soon again if callers have doubts.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long somebody waits for such a look.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    generation: u64,
    /// Place of the server in the list of candidates.
    place: usize,
}

/// What callers tell the keeper.
#[derive(Debug, Default)]
struct Doubts {
    /// The newest connection that gave no answer.
    broken: u64,
    /// How often somebody doubted that this is the primary to ask.
    doubted: u64,
    /// The newest fence that somebody stood before.
    fence: Option<Fence>,
}

/// A cheap, shared handle to the connection.
#[derive(Clone)]
pub(super) struct Link {
    line: watch::Receiver<Result<Line, String>>,
    looked: watch::Receiver<u64>,
    doubts: Arc<watch::Sender<Doubts>>,
    names: Arc<[String]>,
    _keeper: Arc<StopOnDrop>,
}

/// Ends a task with its last handle.
pub(super) struct StopOnDrop(pub(super) Arc<Notify>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Link {
    /// Starts to connect in the background to whichever of the servers is the primary.
    pub(super) fn start(servers: Vec<ConnectionInfo>, timeout: Duration, meters: Arc<Meters>) -> Self {
        let (line_out, line) = watch::channel(Err("not connected yet".to_owned()));
        let (looked_out, looked) = watch::channel(0);
        let (doubts, told) = watch::channel(Doubts::default());
        let stop = Arc::new(Notify::new());
        let keeper = Arc::new(StopOnDrop(Arc::clone(&stop)));
        let search = Search::new(servers, timeout);
        let names = search.names().into();
        let task = Keeper { search, line: line_out, looked: looked_out, told, meters };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.notified() => {}
                () = task.keep() => {}
            }
        });
        Self { line, looked, doubts: Arc::new(doubts), names, _keeper: keeper }
    }

    /// Whether calls are sent at the moment; the error says why not.
    pub(super) fn connected(&self) -> Result<(), String> {
        self.line.borrow().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Waits until there is a connection, at most `patience`.
    pub(super) async fn wait_connected(&self, patience: Duration) -> Result<(), StockError> {
        let mut line = self.line.clone();
        let connected = tokio::time::timeout(patience, line.wait_for(Result::is_ok)).await.is_ok();
        if connected { Ok(()) } else { self.connected().map_err(StockError::NotSent) }
    }

    /// Runs one call. If its outcome is unknown the connection is given up.
    pub(super) async fn run(&self, call: &super::scripts::Call) -> Result<redis::Value, StockError> {
        let mut line = self.line()?;
        let result = call.run(&mut line.connection).await;
        match &result {
            Err(StockError::Unknown(_)) => self.give_up(line.generation),
            Err(_) => self.doubt(None),
            Ok(reply) if super::reply::is_fenced(reply) => self.doubt(call.stands_before()),
            Ok(_) => {}
        }
        result
    }

    /// Sends a plain read command. An answer that is an error is an answer: only without one, or with one that cannot be read,
    /// is the connection given up.
    pub(super) async fn query(&self, command: &redis::Cmd) -> Result<redis::Value, StockError> {
        let mut line = self.line()?;
        let reply = line.connection.send_packed_command(command).await.and_then(redis::Value::extract_error);
        reply.map_err(|error| {
            if error.code().is_none() {
                self.give_up(line.generation);
            }
            super::scripts::classify(error)
        })
    }

    /// Sends several commands at once and returns their replies. Without an answer the connection is given up. Whatever goes
    /// wrong, some of them may have been done.
    pub(super) async fn pipeline(
        &self,
        commands: &redis::Pipeline,
        count: usize,
    ) -> Result<Vec<redis::Value>, StockError> {
        let mut line = self.line()?;
        let unknown = |error: redis::RedisError| StockError::Unknown(error.to_string());
        let replies = line.connection.send_packed_commands(commands, 0, count).await.map_err(|error| {
            self.give_up(line.generation);
            unknown(error)
        })?;
        let replies: Result<_, _> = replies.into_iter().map(redis::Value::extract_error).collect();
        replies.map_err(|error| {
            self.doubt(None);
            unknown(error)
        })
    }

    /// The same, and last of all the server is asked who it is. Was it a primary of this fence then, it was one when it did the
    /// rest: an id does not come back. Else its replies count for nothing.
    pub(super) async fn pipeline_behind(
        &self,
        mut commands: redis::Pipeline,
        fence: &Fence,
    ) -> Result<Vec<redis::Value>, StockError> {
        commands.cmd("INFO").arg("replication");
        let mut replies = self.pipeline(&commands, commands.len()).await?;
        let info = replies.pop().ok_or_else(|| super::reply::unexpected("no INFO"))?;
        let info: String = redis::from_redis_value(info).map_err(|error| StockError::Unknown(error.to_string()))?;
        let reason = match search::primary_replid(&info) {
            Ok(replid) if fence.replids.contains(&replid) => return Ok(replies),
            Ok(replid) => format!("REPLID {replid}"),
            Err(no_primary) => no_primary,
        };
        self.doubt(Some(fence));
        Err(StockError::Fenced(reason))
    }

    /// Whether it can lead to one server only.
    pub(super) fn is_alone(&self) -> bool {
        self.names.len() == 1
    }

    /// Address of the server that it leads to, or led to last.
    pub(super) fn address(&self) -> String {
        let place = self.line.borrow().as_ref().map_or(0, |line| line.place);
        self.names.get(place).cloned().unwrap_or_default()
    }

    /// Sends commands that only look, for whoever watches. Whatever becomes of them, the connection stays.
    pub(super) async fn glance(
        &self,
        commands: &redis::Pipeline,
        count: usize,
    ) -> Result<Vec<redis::Value>, StockError> {
        let mut line = self.line()?;
        let unknown = |error: redis::RedisError| StockError::Unknown(error.to_string());
        let replies = line.connection.send_packed_commands(commands, 0, count).await.map_err(unknown)?;
        replies.into_iter().map(redis::Value::extract_error).collect::<Result<_, _>>().map_err(unknown)
    }

    /// Makes sure that the connection leads to the primary that the epoch was opened with, if that is one of the candidates
    /// and can be reached.
    pub(super) async fn look_for(&self, fence: &Fence) {
        if self.is_alone() {
            return;
        }
        self.doubt(Some(fence));
        let asked = self.doubts.borrow().doubted;
        let mut looked = self.looked.clone();
        // In vain or not: whoever asks looks for himself what he is connected to.
        let _ = tokio::time::timeout(LOOK_PATIENCE, looked.wait_for(|looked| *looked >= asked)).await;
    }

    /// The connection, unless it has been given up already.
    fn line(&self) -> Result<Line, StockError> {
        let line = self.line.borrow().clone().map_err(StockError::NotSent)?;
        if self.doubts.borrow().broken >= line.generation {
            return Err(StockError::NotSent("the last call was not answered".to_owned()));
        }
        Ok(line)
    }

    /// Has the connection made anew, unless somebody already did.
    fn give_up(&self, generation: u64) {
        self.doubts.send_if_modified(|doubts| {
            let newer = doubts.broken < generation;
            doubts.broken = generation.max(doubts.broken);
            newer
        });
    }

    /// Has it looked whether this is the primary to ask.
    fn doubt(&self, fence: Option<&Fence>) {
        if self.is_alone() {
            return;
        }
        self.doubts.send_modify(|doubts| {
            doubts.doubted += 1;
            if let Some(fence) = fence
                && doubts.fence.as_ref().is_none_or(|known| known.epoch < fence.epoch)
            {
                doubts.fence = Some(fence.clone());
            }
        });
    }
}

/// The task behind a link.
struct Keeper {
    search: Search,
    line: watch::Sender<Result<Line, String>>,
    looked: watch::Sender<u64>,
    told: watch::Receiver<Doubts>,
    meters: Arc<Meters>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut generation = 0;
        loop {
            generation += 1;
            let Found { place, connection } = self.connect().await;
            let _ = self.line.send_replace(Ok(Line { connection: connection.clone(), generation, place }));
            generation = self.watch(connection, generation).await;
            self.meters.breaker_opens();
            tracing::warn!(generation, "Redis gave no answer; the connection is given up and made anew");
            let _ = self.line.send_replace(Err("the last call was not answered".to_owned()));
        }
    }

    fn wanted(&self) -> Replids {
        self.told.borrow().fence.as_ref().map(|fence| fence.replids.clone()).unwrap_or_default()
    }

    async fn connect(&self) -> Found {
        let (mut pause, longest) = RECONNECT_PAUSES;
        loop {
            match self.search.find(&self.wanted()).await {
                Ok(found) => return found,
                Err(reason) => {
                    tracing::debug!(reason, "Redis cannot be reached");
                    let _ = self.line.send_replace(Err(reason));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Waits until the connection gives no answer, and returns its number. It may be another by then, if that turned out to
    /// be the one to ask.
    async fn watch(&mut self, mut connection: MultiplexedConnection, mut generation: u64) -> u64 {
        let alone = self.search.is_alone();
        let mut broken = self.told.clone();
        loop {
            let look = async {
                if alone {
                    return std::future::pending().await;
                }
                // Timed out or told: both are a reason to look.
                let _ = tokio::time::timeout(LOOK_EVERY, self.told.changed()).await;
                let doubted = self.told.borrow_and_update().doubted;
                let better = self.search.better(&mut connection.clone(), &self.wanted()).await;
                (doubted, better)
            };
            let (doubted, better) = tokio::select! {
                _ = broken.wait_for(|doubts| doubts.broken >= generation) => return generation,
                looked = look => looked,
            };
            match better {
                Ok(None) => {}
                Ok(Some(Found { place, connection: better })) => {
                    generation += 1;
                    tracing::warn!(generation, "another Redis is the primary now; the connection moves to it");
                    let _ = self.line.send_replace(Ok(Line { connection: better.clone(), generation, place }));
                    connection = better;
                }
                Err(_) => return generation,
            }
            let _ = self.looked.send_replace(doubted);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
