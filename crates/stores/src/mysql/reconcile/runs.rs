//! The record of past runs (`reconcile_runs`). Append-only.

use super::super::bounded::soon;
use super::super::{Db, MySqlError, NOW_MS};
use flash_core::ids::Epoch;
use flash_core::reconcile::Finding;
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;

/// Most findings that are kept of one run.
const KEPT_MAX: usize = 1_000;

/// A run that has ended.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// How long it took.
    pub took: Duration,
    /// Who ran it.
    pub who: &'a str,
    /// Why something was repaired; empty if nothing was to be.
    pub why: &'a str,
    /// The epoch it looked at.
    pub epoch: Epoch,
    /// SKUs it looked at.
    pub skus: usize,
    /// What it found.
    pub findings: &'a [Finding],
    /// What it repaired, and what it had to leave: one line each.
    pub repairs: &'a [String],
    /// How many findings were repaired.
    pub fixed: usize,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Grows with time.
    pub run_id: u64,
    /// When it ended, by the database's clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Who.
    pub who: String,
    /// Why something was repaired.
    pub why: String,
    /// The epoch.
    pub epoch: u64,
    /// SKUs.
    pub skus: u32,
    /// Findings.
    pub found: u32,
    /// Findings that were repaired.
    pub fixed: u32,
    /// The findings as JSON.
    pub findings: String,
    /// What was done, as a JSON list of lines.
    pub repairs: String,
}

/// Keeps a run; returns its number.
///
/// # Errors
/// [`MySqlError`].
pub async fn record(db: &Db, run: &NewRun<'_>) -> Result<u64, MySqlError> {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let json = |value: Result<String, serde_json::Error>| value.unwrap_or_else(|_| "[]".to_owned());
    let kept = run.findings.get(..KEPT_MAX).unwrap_or(run.findings);
    let repairs = run.repairs.get(..KEPT_MAX).unwrap_or(run.repairs);
    let sql = format!(
        "INSERT INTO reconcile_runs (at_ms, took_ms, who, why, epoch, skus, found, fixed, findings, repairs) \
         VALUES ({NOW_MS}, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(u64::try_from(run.took.as_millis()).unwrap_or(u64::MAX))
        .bind(run.who)
        .bind(run.why)
        .bind(run.epoch.0)
        .bind(small(run.skus))
        .bind(small(run.findings.len()))
        .bind(small(run.fixed))
        .bind(json(serde_json::to_string(kept)))
        .bind(json(serde_json::to_string(repairs)));
    let done = soon(query.execute(db.pool())).await?;
    Ok(done.last_insert_id())
}

/// The newest `most` runs, newest first.
///
/// # Errors
/// [`MySqlError`].
pub async fn list(db: &Db, most: u32) -> Result<Vec<Run>, MySqlError> {
    let sql = "SELECT run_id, at_ms, took_ms, who, why, epoch, skus, found, fixed, findings, repairs FROM reconcile_runs \
               ORDER BY run_id DESC LIMIT ?";
    let rows = soon(sqlx::query(sql).bind(most).fetch_all(db.pool())).await?;
    let read = |row: &sqlx::mysql::MySqlRow| -> Result<Run, sqlx::Error> {
        Ok(Run {
            run_id: row.try_get("run_id")?,
            at_ms: row.try_get("at_ms")?,
            took_ms: row.try_get("took_ms")?,
            who: row.try_get("who")?,
            why: row.try_get("why")?,
            epoch: row.try_get("epoch")?,
            skus: row.try_get("skus")?,
            found: row.try_get("found")?,
            fixed: row.try_get("fixed")?,
            findings: row.try_get("findings")?,
            repairs: row.try_get("repairs")?,
        })
    };
    rows.iter().map(|row| read(row).map_err(MySqlError::from)).collect()
}
