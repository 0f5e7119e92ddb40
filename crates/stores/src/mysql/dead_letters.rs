//! What was done about dead letters. The letters themselves stand in the log; one without a row here is waiting.
//!
//! A replay is recorded in the transaction of the rows it writes, behind the lock of its partition, so that neither a
//! crash nor a second operator can count an attempt twice or apply a letter that was just dropped.

use super::author::Author;
use super::bounded::soon;
use super::projection::ProjectionTx;
use super::{Db, MySqlError, NOW_MS};
use crate::kafka::dead_letter::Origin;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;

/// Most characters of each text, as in the schema.
const ERROR_MAX_CHARS: usize = 1_000;
/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LetterStatus {
    /// Somebody has to look at it.
    Waiting,
    /// Its event is in MySQL, or recorded as void.
    Replayed,
    /// It will not be applied.
    Dropped,
}

impl LetterStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Replayed, Self::Dropped];

    /// The name used in MySQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Replayed => "REPLAYED",
            Self::Dropped => "DROPPED",
        }
    }
}

/// One row of `dead_letters`: the last thing that was done about a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it came to.
    pub status: LetterStatus,
    /// Replays so far.
    pub attempts: u32,
    /// What the last replay failed with; empty if it did not.
    pub last_error: String,
    /// Who did it.
    pub who: String,
    /// And why.
    pub why: String,
    /// When, in milliseconds since 1970 by the database's clock.
    pub updated_at_ms: u64,
}

const COLUMNS: &str = "topic, partition_id, offset_no, status, attempts, last_error, who, why, updated_at_ms";

/// Every letter that something was done about.
///
/// # Errors
/// [`MySqlError`].
pub async fn list(db: &Db) -> Result<HashMap<Origin, Standing>, MySqlError> {
    let sql = format!("SELECT {COLUMNS} FROM dead_letters");
    let rows = soon(sqlx::query(AssertSqlSafe(sql)).fetch_all(db.pool())).await?;
    rows.iter().map(read).collect()
}

/// Gives a letter up. One that was replayed stays replayed: its event is in MySQL, and the row that is returned says so.
///
/// # Errors
/// [`MySqlError`].
pub async fn drop_letter(db: &Db, origin: &Origin, by: &Author) -> Result<Standing, MySqlError> {
    // Assignments are evaluated from left to right, so `status`, which the others look at, comes last.
    let sql = format!(
        "INSERT INTO dead_letters (topic, partition_id, offset_no, status, who, why, updated_at_ms) \
         VALUES (?, ?, ?, 'DROPPED', ?, ?, {NOW_MS}) ON DUPLICATE KEY UPDATE \
         who = IF(status = 'REPLAYED', who, VALUES(who)), why = IF(status = 'REPLAYED', why, VALUES(why)), \
         updated_at_ms = IF(status = 'REPLAYED', updated_at_ms, VALUES(updated_at_ms)), \
         status = IF(status = 'REPLAYED', status, 'DROPPED')"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(&origin.topic).bind(origin.partition).bind(origin.offset);
    soon(query.bind(by.who()).bind(by.why()).execute(db.pool())).await?;
    let row = soon(select_one(origin).fetch_one(db.pool())).await?;
    Ok(read(&row)?.1)
}

/// A replay, inside the transaction that holds its partition.
impl ProjectionTx {
    /// Where a letter stands. True until the commit as far as replays are concerned.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn standing(&mut self, origin: &Origin) -> Result<Option<Standing>, MySqlError> {
        let row = select_one(origin).fetch_optional(&mut *self.tx).await?;
        Ok(row.as_ref().map(read).transpose()?.map(|(_, standing)| standing))
    }

    /// Notes the point that [`ProjectionTx::back_to_mark`] goes back to.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn mark(&mut self) -> Result<(), MySqlError> {
        sqlx::raw_sql("SAVEPOINT before_rows").execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Takes back every row written since [`ProjectionTx::mark`], and keeps the locks.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn back_to_mark(&mut self) -> Result<(), MySqlError> {
        sqlx::raw_sql("ROLLBACK TO SAVEPOINT before_rows").execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Counts one replay. Without an error the letter is replayed; with one it stays what it was.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn record_replay(&mut self, origin: &Origin, error: Option<&str>, by: &Author) -> Result<(), MySqlError> {
        let status = if error.is_none() { LetterStatus::Replayed } else { LetterStatus::Waiting };
        let sql = format!(
            "INSERT INTO dead_letters (topic, partition_id, offset_no, status, attempts, last_error, who, why, \
             updated_at_ms) VALUES (?, ?, ?, ?, 1, ?, ?, ?, {NOW_MS}) ON DUPLICATE KEY UPDATE \
             status = IF(VALUES(status) = 'REPLAYED', 'REPLAYED', status), attempts = attempts + 1, \
             last_error = VALUES(last_error), who = VALUES(who), why = VALUES(why), \
             updated_at_ms = VALUES(updated_at_ms)"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&origin.topic).bind(origin.partition).bind(origin.offset);
        let query = query.bind(status.as_str()).bind(cut(error.unwrap_or_default(), ERROR_MAX_CHARS));
        let query = query.bind(by.who()).bind(by.why());
        query.execute(&mut *self.tx).await?;
        Ok(())
    }
}

fn select_one(origin: &Origin) -> super::insert::MySqlQuery<'_> {
    let sql = format!("SELECT {COLUMNS} FROM dead_letters WHERE topic = ? AND partition_id = ? AND offset_no = ?");
    sqlx::query(AssertSqlSafe(sql)).bind(&origin.topic).bind(origin.partition).bind(origin.offset)
}

/// The text, or as much of it as the column holds.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn read(row: &MySqlRow) -> Result<(Origin, Standing), MySqlError> {
    let partition: u32 = row.try_get("partition_id")?;
    let partition = i32::try_from(partition).map_err(|_| MySqlError::Foreign(format!("partition {partition}")))?;
    let status: &str = row.try_get("status")?;
    let known = LetterStatus::ALL.into_iter().find(|known| known.as_str() == status);
    let status = known.ok_or_else(|| MySqlError::Foreign(format!("dead letter status {status}")))?;
    let origin = Origin { topic: row.try_get("topic")?, partition, offset: row.try_get("offset_no")? };
    let standing = Standing {
        status,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
        who: row.try_get("who")?,
        why: row.try_get("why")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
    };
    Ok((origin, standing))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("", 3), "");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äöü");
    }
}
