//! Numbers for stock epochs: each is given out once, and they only grow.

use super::bounded::soon;
use super::{Db, MySqlError};
use flash_core::ids::Epoch;

/// A number above every number given out before and above `seen`, the highest one known from the control topic – so that
/// a database restored from an old backup cannot hand out an epoch that is already in the log.
///
/// # Errors
/// [`MySqlError`]; a number that was taken but lost on the way back is simply never used.
pub async fn next_epoch(db: &Db, seen: Epoch) -> Result<Epoch, MySqlError> {
    let sql = "UPDATE stock_epochs SET last_epoch = LAST_INSERT_ID(GREATEST(last_epoch, ?) + 1) WHERE id = 1";
    let result = soon(sqlx::query(sql).bind(seen.0).execute(db.pool())).await?;
    if result.rows_affected() == 1 {
        Ok(Epoch(result.last_insert_id()))
    } else {
        Err(MySqlError::Foreign("the row of stock_epochs is missing: run the migrations again".into()))
    }
}
