//! Walking over a whole hash, page by page.
//!
//! Owns the paging. Keeps nothing of what it has shown, so a SKU with a million holds costs its caller what the caller picks,
//! and Redis a short step per page.

use super::reply::{text, unexpected};
use super::{Gate, StockError};
use redis::Value;

/// Entries asked for per page.
const PAGE: usize = 1_000;

impl Gate {
    /// Shows each field of a hash with its value, and stops behind the page with which about `most` have been shown. Returns
    /// whether all were. What is there from the beginning to the end is shown, now and then twice; what comes or goes
    /// meanwhile may be.
    pub(super) async fn walk(
        &self,
        key: &str,
        most: usize,
        mut show: impl FnMut(&str, &str) -> Result<(), StockError>,
    ) -> Result<bool, StockError> {
        let (mut cursor, mut shown) = ("0".to_owned(), 0);
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(key).arg(&cursor).arg("COUNT").arg(PAGE);
            let Value::Array(reply) = self.query(&scan).await? else { return Err(unexpected("walk")) };
            let [next, Value::Array(fields)] = reply.as_slice() else { return Err(unexpected("walk")) };
            for pair in fields.chunks(2) {
                if let [field, value] = pair
                    && let (Some(field), Some(value)) = (text(field), text(value))
                {
                    show(field, value)?;
                }
                shown += 1;
            }
            cursor = text(next).ok_or_else(|| unexpected("walk"))?.to_owned();
            if cursor == "0" || shown >= most {
                return Ok(cursor == "0");
            }
        }
    }
}
