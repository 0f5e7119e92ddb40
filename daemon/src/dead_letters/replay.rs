//! Replaying one letter: into MySQL, at the place its record came from.
//!
//! One transaction holds the partition against the projector, writes what the record folds into, and counts the attempt.
//! The offset does not move: it was passed when the letter was parked. Rows are idempotent, so a letter that is replayed
//! again changes nothing.

use super::{DeadLetterError, Desk, Letter, LetterStatus, Origin, Standing};
use crate::crash;
use crate::projector::{Effect, LateRecord, in_time};
use flash_core::ids::Epoch;
use flash_core::limits::REPLAYS_MAX;
use flash_stores::mysql::author::Author;
use flash_stores::mysql::offsets::{self, PartitionPosition};
use flash_stores::mysql::projection::{Advance, ProjectionTx};
use flash_stores::mysql::{Db, MySqlError};
use std::time::Duration;

/// How often the partition is tried to be held. Whoever loses it to the projector has just seen it commit, so the next try
/// falls into the time in which it gathers.
const HOLD_TRIES: u32 = 100;
/// After this many tries at once there is a pause before each.
const HASTY_TRIES: u32 = 10;
/// The pause.
const PAUSE: Duration = Duration::from_millis(3);

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are in MySQL, from now on or before.
    Applied {
        /// Redis has been filled under a newer epoch since the event was decided, and without it: stock has to be
        /// reconciled.
        refilled_since: bool,
    },
    /// It stood behind a newer fence; nobody was told of it, and it is recorded as void.
    Void,
    /// It could still not be read or written: one attempt more, and nothing changed.
    Failed(String),
    /// It was not tried.
    Refused(Refused),
}

/// Why a letter is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not a record of the log.
    #[error("only records of order-events can be replayed")]
    ForeignTopic,
    /// The projector will come by and try it itself.
    #[error("the projector has not passed this record yet; it stands at offset {0} of the partition")]
    NotPassed(u64),
    /// It was given up.
    #[error("it was dropped; --force replays it anyway")]
    Dropped,
    /// Enough is enough.
    #[error("it was replayed {0} times; --force tries once more")]
    NoAttemptsLeft(u32),
}

/// What one try needs to know.
struct Try<'a> {
    db: &'a Db,
    origin: &'a Origin,
    record: &'a Result<LateRecord, String>,
    by: &'a Author,
    force: bool,
}

impl Desk {
    /// Replays a letter, whatever happened to it before. `force` also replays what was dropped or failed too often.
    ///
    /// # Errors
    /// [`DeadLetterError`]; the attempt is then not counted, unless the answer to the commit was lost.
    pub async fn replay(&self, letter: &Letter, by: &Author, force: bool) -> Result<Outcome, DeadLetterError> {
        let origin = letter.origin();
        if origin.topic != self.events_topic() {
            return Ok(Outcome::Refused(Refused::ForeignTopic));
        }
        let record = LateRecord::read(&letter.parked);
        let attempt = Try { db: &self.db, origin: &origin, record: &record, by, force };
        for tries in 0..HOLD_TRIES {
            if tries > HASTY_TRIES {
                tokio::time::sleep(PAUSE).await;
            }
            let position = self.position(&origin).await?;
            if position.next_offset <= origin.offset {
                return Ok(Outcome::Refused(Refused::NotPassed(position.next_offset)));
            }
            match in_time(attempt.run(&position)).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => match DeadLetterError::of_step(error, &origin) {
                    DeadLetterError::MySql(MySqlError::Moved) => {}
                    error => return Err(error),
                },
            }
        }
        Err(DeadLetterError::Busy(origin.partition))
    }

    async fn position(&self, origin: &Origin) -> Result<PartitionPosition, DeadLetterError> {
        let rows = offsets::list(&self.db, &origin.topic).await?;
        let found = rows.into_iter().find(|row| row.partition == origin.partition);
        Ok(found.unwrap_or(PartitionPosition::start(origin.partition)))
    }
}

impl Try<'_> {
    async fn run(&self, position: &PartitionPosition) -> Result<Outcome, MySqlError> {
        let mut tx = ProjectionTx::begin(self.db, &self.origin.topic, &[hold(position)]).await?;
        // Behind the lock: another operator may have been here since the letter was read.
        if let Some(refused) = tx.standing(self.origin).await?.and_then(|standing| refuse(&standing, self.force)) {
            tx.rollback().await?;
            return Ok(Outcome::Refused(refused));
        }
        crash::point("replay.held");
        let written = self.write(&mut tx).await?;
        crash::point("replay.written");
        tx.record_replay(self.origin, written.as_ref().err().map(String::as_str), self.by).await?;
        crash::point("replay.counted");
        tx.commit().await?;
        crash::point("replay.committed");
        Ok(match written {
            Ok((Effect::Applied, record)) => {
                Outcome::Applied { refilled_since: record.is_missed_by(position.fence_epoch) }
            }
            Ok((Effect::Void, _)) => Outcome::Void,
            Err(error) => Outcome::Failed(error),
        })
    }

    /// Writes the rows, or none of them.
    async fn write(&self, tx: &mut ProjectionTx) -> Result<Result<(Effect, &LateRecord), String>, MySqlError> {
        let record = match self.record {
            Ok(record) => record,
            Err(error) => return Ok(Err(error.clone())),
        };
        tx.mark().await?;
        match record.write(tx).await {
            Ok(effect) => Ok(Ok((effect, record))),
            Err(error @ MySqlError::Data(_)) => {
                tx.back_to_mark().await?;
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// A step that leads nowhere: it takes the lock of the partition, if that still stands where we saw it.
const fn hold(position: &PartitionPosition) -> Advance {
    Advance {
        partition: position.partition,
        from: position.next_offset,
        to: position.next_offset,
        fence_epoch: Epoch(0),
        applied_ms: 0,
    }
}

fn refuse(standing: &Standing, force: bool) -> Option<Refused> {
    match standing {
        _ if force => None,
        Standing { status: LetterStatus::Dropped, .. } => Some(Refused::Dropped),
        Standing { attempts, .. } if *attempts >= REPLAYS_MAX => Some(Refused::NoAttemptsLeft(*attempts)),
        _ => None,
    }
}
