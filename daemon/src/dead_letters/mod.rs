//! The dead letters: reading them, replaying them, giving them up.
//!
//! Owns nothing but the rules. The letters stand in the topic `order-dead-letter`, what was done about them in the table
//! `dead_letters`; one that is not there is waiting. Never writes to `order-events`: an event of an older epoch, appended
//! again, would stand behind a newer fence and be void, and an order that a buyer was told would be lost. A replay goes
//! into MySQL instead, at the place the event came from (see `replay`).
//!
//! Promise kept: a letter is applied at most once in effect, its attempts are bounded and counted together with what they
//! wrote, and every action says who and why.

mod letter;
mod read;
mod replay;

pub use flash_stores::kafka::dead_letter::Origin;
use flash_stores::mysql::author::Author;
pub use flash_stores::mysql::dead_letters::{LetterStatus, Standing};
pub use letter::Letter;
pub use read::Shelf;
pub use replay::{Outcome, Refused};

use crate::projector::{ProjectorError, ProjectorOptions};
use flash_stores::kafka::{KafkaError, KafkaSettings};
use flash_stores::mysql::{Db, MySqlError, MySqlSettings, dead_letters};
use std::time::Duration;

/// Why the dead letters cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The database did not serve.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// The brokers did not serve.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// There are no dead letters because there is no topic for them.
    #[error("the topic {0} does not exist")]
    NoTopic(String),
    /// The brokers stopped in the middle of the topic.
    #[error("{topic} could not be read to its end: nothing came for {} s", .within.as_secs())]
    Stalled {
        /// The topic.
        topic: String,
        /// How long was waited.
        within: Duration,
    },
    /// MySQL took a replay and then said nothing.
    #[error("MySQL did not answer in time; whether {0} was applied will show in its status")]
    NoAnswer(Origin),
    /// The projector was always quicker.
    #[error("partition {0} moves on faster than it can be held; try again")]
    Busy(i32),
    /// A task of ours died of a bug.
    #[error("reading the dead letters failed: {0}")]
    Task(String),
}

impl DeadLetterError {
    /// Whether a server could not be reached, so that the same call may succeed later.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::MySql(error) => error.is_outage(),
            Self::Kafka(_) | Self::Stalled { .. } | Self::NoAnswer(_) => true,
            Self::NoTopic(_) | Self::Busy(_) | Self::Task(_) => false,
        }
    }
}

impl DeadLetterError {
    /// What a step that was given a time limit came to.
    fn of_step(error: ProjectorError, origin: &Origin) -> Self {
        match error {
            ProjectorError::MySql(error) => Self::MySql(error),
            _ => Self::NoAnswer(origin.clone()),
        }
    }
}

/// Where the dead letters are worked on.
#[derive(Debug, Clone)]
pub struct Desk {
    kafka: KafkaSettings,
    db: Db,
}

/// An operator does one thing after the other.
const CONNECTIONS: u32 = 2;

impl Desk {
    /// Prepares the work without connecting. Must be called inside a tokio runtime.
    #[must_use]
    pub fn open(options: &ProjectorOptions) -> Self {
        let mysql = MySqlSettings { connections_max: CONNECTIONS, ..options.mysql.clone() };
        Self { kafka: options.kafka.clone(), db: Db::open(&mysql) }
    }

    /// The only topic whose records can be replayed.
    #[must_use]
    pub fn events_topic(&self) -> String {
        self.kafka.topic_events()
    }

    /// Reads the dead letters that `wanted` picks by their origin and status, in log order.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub async fn letters(
        &self,
        wanted: impl Fn(&Origin, LetterStatus) -> bool + Send + 'static,
    ) -> Result<Shelf, DeadLetterError> {
        let topic = self.kafka.topic_dead_letter();
        let partitions = read::partitions(&self.kafka, &topic).await?;
        let standings = dead_letters::list(&self.db).await?;
        let kafka = self.kafka.clone();
        let read = move || read::read(&kafka, &topic, partitions, standings, wanted);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| DeadLetterError::Task(error.to_string()))?
    }

    /// Gives a letter up: it will not be applied. One that was replayed cannot be given up any more.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub async fn drop_letter(&self, origin: &Origin, by: &Author) -> Result<Standing, DeadLetterError> {
        Ok(dead_letters::drop_letter(&self.db, origin, by).await?)
    }
}
