//! The servers that all runs share, because MariaDB and a broker are slow to start: two Redis (primary and replica), one
//! MariaDB, one broker behind a proxy whose address it advertises.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use flash_stack::{KafkaChoice, Proxy, RedisServer, Server, Stack, StackOptions};

use crate::report::Failure;

/// The running servers.
pub(super) struct Servers {
    /// One of them is the primary, see [`Servers::primary`].
    redis: [Server; 2],
    primary: Mutex<usize>,
    pub(super) stack: Stack,
    /// Between everybody and the broker.
    pub(super) kafka: Proxy,
}

impl Servers {
    /// Starts them. Let it finish rather than cancel it, see [`Stack::start`].
    pub(super) async fn start(kafka: KafkaChoice) -> Result<Self, Failure> {
        let proxy = Proxy::without_target(0).await?;
        let options = StackOptions { kafka, kafka_advertised: Some(proxy.address()), ..StackOptions::default() };
        let stack = Stack::start(options).await?;
        proxy.set_target(stack.kafka().address());
        let second = RedisServer::start(stack.dir().join("redis-b")).await?;
        let redis = [stack.redis().clone(), second];
        Ok(Self { redis, primary: Mutex::new(0), stack, kafka: proxy })
    }

    /// Both Redis empty, the first one the primary and the second its replica; every fault of the last run healed.
    pub(super) async fn reset(&self) -> Result<(), Failure> {
        self.kafka.heal().await;
        // A run that could not be finished may have left one of them down.
        for server in [self.stack.mysql(), self.stack.kafka()] {
            if !server.answers().await && server.keeps_data() {
                server.restart().await?;
            }
        }
        *self.lock() = 0;
        for index in 0..2 {
            self.forget_snapshot(index)?;
            self.redis[index].restart().await?;
        }
        self.follow(1).await
    }

    /// The Redis that daemons are sent to.
    pub(super) fn primary(&self) -> usize {
        *self.lock()
    }

    /// Daemons are sent to this one from now on.
    pub(super) fn set_primary(&self, index: usize) {
        *self.lock() = index;
    }

    /// One of the two Redis.
    pub(super) fn redis(&self, index: usize) -> &Server {
        &self.redis[index]
    }

    /// Both, for whoever looks for the primary by itself.
    pub(super) fn redis_urls(&self) -> Vec<String> {
        self.redis.iter().map(|server| server.url().to_owned()).collect()
    }

    /// Removes the snapshot that a Redis would load when it starts.
    pub(super) fn forget_snapshot(&self, index: usize) -> Result<(), Failure> {
        match std::fs::remove_file(self.redis_dir(index).join("dump.rdb")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::from_error(error)),
            _ => Ok(()),
        }
    }

    /// Makes the Redis `index` a replica of the other.
    pub(super) async fn follow(&self, index: usize) -> Result<(), Failure> {
        let port = self.redis[1 - index].port().to_string();
        resp(self.redis[index].address(), &["REPLICAOF", "127.0.0.1", &port]).await
    }

    fn redis_dir(&self, index: usize) -> PathBuf {
        self.stack.dir().join(if index == 0 { "redis" } else { "redis-b" })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops everything in order.
    pub(super) async fn stop(self) {
        // What cannot be stopped is ended by its guard.
        _ = self.redis[1].stop().await;
        self.stack.stop().await;
    }
}

/// One command to a Redis, in its own protocol; the answer must not be an error. For faults that only need to be said.
pub(super) async fn resp(address: &str, words: &[&str]) -> Result<(), Failure> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes()).await?;
        let mut answer = vec![0; 256];
        let read = stream.read(&mut answer).await?;
        answer.truncate(read);
        Ok::<_, std::io::Error>(answer)
    };
    let patience = std::time::Duration::from_secs(10);
    let answer =
        tokio::time::timeout(patience, ask).await.map_err(Failure::from_error)?.map_err(Failure::from_error)?;
    if answer.first() == Some(&b'+') {
        return Ok(());
    }
    Err(Failure::message(format!("Redis at {address} answers {words:?} with {:?}", String::from_utf8_lossy(&answer))))
}
