//! Real servers as child processes: Redis, MariaDB or MySQL, and a Kafka-protocol broker.
//!
//! This crate owns the life of a server it started: finding its program, a free loopback port, a
//! data directory, the proof that it really answers, its log lines, faults on purpose for tests
//! (kill -9, freeze, stop for a while and come back on the same port), and its orderly end. It never
//! touches a server it did not start, never listens beyond 127.0.0.1, and never leaves a server
//! behind – not even when the process that holds a [`Stack`] is killed with SIGKILL (see `guard.sh`).
//!
//! Order of the modules is the order of a start: options → program → ports → process → probe →
//! server → stack. Between a client and a server, a [`Proxy`] can be a bad network.
//!
//! ```no_run
//! # async fn example() -> Result<(), flash_stack::StackError> {
//! use flash_stack::{Stack, StackOptions};
//!
//! let stack = Stack::start(StackOptions::default()).await?;
//! println!("{}", stack.redis().url());
//! stack.mysql().stop().await?;      // an outage …
//! stack.mysql().restart().await?;   // … and its end: same port, same data
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```

mod apache;
mod error;
mod external;
mod logs;
mod mysql;
mod options;
mod ports;
mod probe;
mod probe_kafka;
mod process;
mod program;
mod proxy;
mod redis;
mod redis_command;
mod redis_set;
mod server;
mod stack;
mod tansu;

pub use error::StackError;
pub use logs::{LogLine, LogSender, log_channel};
pub use mysql::MysqlLogin;
pub use options::{KafkaChoice, MysqlChoice, RedisChoice, StackOptions};
pub use ports::free_port;
pub use process::{Exit, Process, ProcessSpec};
pub use proxy::{Fault, Proxy, Traffic};
pub use redis::RedisServer;
pub use redis_command::redis_command;
pub use redis_set::{RedisSet, follow, move_slot, promote};
pub use server::Server;
pub use stack::{ServerExit, Stack};
