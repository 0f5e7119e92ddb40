//! Multi-row inserts as prepared statements of a few fixed sizes.
//!
//! A statement is parsed once per connection and size, then only its values travel. Measured against MariaDB 10.11 with
//! both tables of the projection: 250-row prepared statements 55,000 orders/s, the same rows as text 41,000.

use super::MySqlError;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql, Transaction};

pub(super) type MySqlQuery<'q> = Query<'q, MySql, MySqlArguments>;

/// Rows per statement, largest first. A batch is cut greedily: few sizes, so that all of them stay prepared.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// One kind of insert, in the parts that a statement of any size is made of.
pub(super) struct Insert {
    /// Up to and including `VALUES `.
    pub(super) head: &'static str,
    /// The placeholders of one row.
    pub(super) row: &'static str,
    /// What follows the rows.
    pub(super) tail: &'static str,
}

impl Insert {
    /// Inserts all rows; `bind` binds the values of one.
    pub(super) async fn run<'q, T>(
        &self,
        tx: &mut Transaction<'static, MySql>,
        rows: &'q [T],
        bind: impl Fn(MySqlQuery<'q>, &'q T) -> MySqlQuery<'q>,
    ) -> Result<(), MySqlError> {
        let mut left = rows;
        for size in SIZES {
            while let Some((part, rest)) = left.split_at_checked(size) {
                let query = part.iter().fold(sqlx::query(AssertSqlSafe(self.sql(size))), &bind);
                query.execute(&mut **tx).await?;
                left = rest;
            }
        }
        Ok(())
    }

    fn sql(&self, rows: usize) -> String {
        let mut sql = String::with_capacity(self.head.len() + (self.row.len() + 1) * rows + self.tail.len());
        sql.push_str(self.head);
        for index in 0..rows {
            if index > 0 {
                sql.push(',');
            }
            sql.push_str(self.row);
        }
        sql.push_str(self.tail);
        sql
    }
}
