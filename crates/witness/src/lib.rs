//! The witness: decides whether a sale kept its promises, from four testimonies that it reads by itself.
//!
//! | testimony | module | read as |
//! |---|---|---|
//! | what buyers were told | [`told`] | the workload's own list |
//! | the log `order-events` | [`log`], [`read_log`] | JSON by `schema/event.schema.json`, own state machine, own void rule |
//! | MySQL | [`view`] | plain SQL by `schema/migrations` |
//! | Redis | [`gate`] | plain `HGETALL`, by the headers of `lua/*.lua` |
//!
//! [`judge()`] compares them and names every contradiction. MySQL is compared with the log exactly as far as MySQL has applied it,
//! so a system that goes on selling is no contradiction. Independence is the point: this crate depends on nothing of the
//! product – not `flash-core`, not `flash-stores`, not `flashd` – and shares with it only the wire formats. A mistake in the
//! product's codec, state machine, void rule or queries can therefore not hide itself. That is why this is the one crate
//! besides `flash-stores` that names `redis`, `rdkafka` and `sqlx` (docs/dependencies.md). It never writes anything.

pub mod gate;
pub mod judge;
pub mod log;
pub mod read_log;
pub mod told;
pub mod view;

pub use gate::Gate;
pub use judge::{Kind, Terms, Testimonies, Violation, judge};
pub use log::Log;
pub use told::{Settled, SettledTold, Told, ToldList};
pub use view::View;

/// Why a testimony could not be read; never a verdict.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The log.
    #[error("reading the log: {0}")]
    Log(#[from] rdkafka::error::KafkaError),
    /// The log ended before the offset that it had named as its end.
    #[error("reading the log: nothing came from partition {partition} at {offset} of {end}")]
    Silent {
        /// Which partition.
        partition: i32,
        /// Where reading stood.
        offset: i64,
        /// Where the partition ends.
        end: i64,
    },
    /// MySQL.
    #[error("reading MySQL: {0}")]
    View(#[from] sqlx::Error),
    /// Redis.
    #[error("reading Redis: {0}")]
    Gate(#[from] redis::RedisError),
    /// None of the given servers is a primary that holds stock.
    #[error("none of the given Redis servers is a primary that holds stock")]
    NoPrimary,
    /// A task died.
    #[error("a task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}
