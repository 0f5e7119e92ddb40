//! The sums: whole tables grouped by SKU, and the ledger rows behind a sequence number.

use super::super::bounded::{in_the_end, soon};
use super::super::{Db, MySqlError};
use flash_core::ids::{Epoch, SkuId};
use flash_core::reconcile::Count;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::BTreeMap;

/// What MySQL has of one SKU at the instant of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What the ledger adds up to; its steps are those of the asked epoch.
    pub ledger: Count,
    /// Ledger rows by reason: RESERVED, CONFIRMED, CANCELLED, EXPIRED.
    pub ledger_rows: [i64; 4],
    /// Orders by state, in the same order.
    pub orders: [i64; 4],
    /// Units of orders on hold.
    pub held: i64,
    /// Units of orders that are paid for.
    pub sold: i64,
}

/// A connection inside a read-only transaction: everything it reads is of one instant.
pub struct Look {
    pub(super) connection: MySqlConnection,
}

impl Look {
    /// Begins. Dropping it ends it.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn begin(db: &Db) -> Result<Self, MySqlError> {
        let mut connection = db.pool().acquire().await?.detach();
        let begin =
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        soon(sqlx::raw_sql(begin).execute(&mut connection)).await?;
        Ok(Self { connection })
    }

    /// Ends at once; not necessary, only quicker than dropping it.
    pub async fn end(self) {
        // A connection that cannot say goodbye is noticed by the server anyway.
        let _ = soon(self.connection.close()).await;
    }

    /// The sums of these SKUs, or of all; a SKU without any order is missing.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn totals(
        &mut self,
        epoch: Epoch,
        only: Option<&[SkuId]>,
    ) -> Result<BTreeMap<SkuId, Totals>, MySqlError> {
        let filter = |column: &str| match only {
            None => String::new(),
            Some(skus) => {
                let ids: Vec<String> = skus.iter().map(|sku| sku.get().to_string()).collect();
                format!("AND {column} IN ({})", if ids.is_empty() { "0".to_owned() } else { ids.join(",") })
            }
        };
        let mut totals: BTreeMap<SkuId, Totals> = BTreeMap::new();
        let sql = format!(
            "SELECT sku_id, CAST(SUM(epoch = {epoch}) AS UNSIGNED) AS steps, \
                    CAST(SUM(IF(epoch = {epoch}, seq, 0)) AS UNSIGNED) AS seq_sum, CAST(-SUM(delta) AS SIGNED) AS occupied, \
                    {counts} FROM inventory_audit WHERE 1 {filter} GROUP BY sku_id",
            epoch = epoch.0,
            counts = counts("reason"),
            filter = filter("sku_id"),
        );
        for row in in_the_end(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection)).await? {
            let entry = totals.entry(sku(&row)?).or_default();
            entry.ledger_rows = four(&row)?;
            let [reserved, confirmed, cancelled, expired] = entry.ledger_rows;
            entry.ledger.steps = row.try_get("steps")?;
            entry.ledger.seq_sum = u128::from(row.try_get::<u64, _>("seq_sum")?);
            entry.ledger.occupied = row.try_get("occupied")?;
            entry.ledger.orders_held = reserved - confirmed - cancelled - expired;
        }
        let sql = format!(
            "SELECT c.sku_id AS sku_id, CAST(-SUM(r.delta) AS SIGNED) AS sold FROM inventory_audit c \
             JOIN inventory_audit r ON r.order_id = c.order_id AND r.reason = 'RESERVED' \
             WHERE c.reason = 'CONFIRMED' {} GROUP BY c.sku_id",
            filter("c.sku_id")
        );
        for row in in_the_end(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection)).await? {
            totals.entry(sku(&row)?).or_default().ledger.sold = row.try_get("sold")?;
        }
        let sql = format!(
            "SELECT sku_id, CAST(SUM(IF(state = 'RESERVED', quantity, 0)) AS SIGNED) AS held, \
                    CAST(SUM(IF(state = 'CONFIRMED', quantity, 0)) AS SIGNED) AS sold, {counts} \
             FROM orders WHERE 1 {filter} GROUP BY sku_id",
            counts = counts("state"),
            filter = filter("sku_id"),
        );
        for row in in_the_end(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection)).await? {
            let entry = totals.entry(sku(&row)?).or_default();
            entry.orders = four(&row)?;
            (entry.held, entry.sold) = (row.try_get("held")?, row.try_get("sold")?);
        }
        Ok(totals)
    }

    /// What the ledger rows of one SKU and epoch behind `after`, up to and including `upto`, add up to.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn range(&mut self, sku_id: SkuId, epoch: Epoch, after: u64, upto: u64) -> Result<Count, MySqlError> {
        let sql = "SELECT COUNT(*) AS steps, CAST(COALESCE(SUM(a.seq), 0) AS UNSIGNED) AS seq_sum, \
                          CAST(COALESCE(-SUM(a.delta), 0) AS SIGNED) AS occupied, \
                          CAST(COALESCE(SUM(IF(a.reason = 'CONFIRMED', -COALESCE(r.delta, 0), 0)), 0) AS SIGNED) AS sold, \
                          CAST(COALESCE(SUM(IF(a.reason = 'RESERVED', 1, -1)), 0) AS SIGNED) AS orders_held \
                   FROM inventory_audit a \
                   LEFT JOIN inventory_audit r ON r.order_id = a.order_id AND r.reason = 'RESERVED' \
                   WHERE a.sku_id = ? AND a.seq > ? AND a.seq <= ? AND a.epoch = ?";
        let query = sqlx::query(sql).bind(sku_id.get()).bind(after).bind(upto).bind(epoch.0);
        let row = in_the_end(query.fetch_one(&mut self.connection)).await?;
        Ok(Count {
            steps: row.try_get::<i64, _>("steps")?.unsigned_abs(),
            seq_sum: u128::from(row.try_get::<u64, _>("seq_sum")?),
            occupied: row.try_get("occupied")?,
            sold: row.try_get("sold")?,
            orders_held: row.try_get("orders_held")?,
        })
    }

    /// The sequence numbers of one SKU and epoch behind `after`, up to and including `upto`, that have no row: at most `most`
    /// runs of them, each from its first to its last.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn missing(
        &mut self,
        sku_id: SkuId,
        epoch: Epoch,
        after: u64,
        upto: u64,
        most: u32,
    ) -> Result<Vec<(u64, u64)>, MySqlError> {
        let sql = "SELECT CAST(before_seq + 1 AS UNSIGNED), CAST(seq - 1 AS UNSIGNED) FROM \
                     (SELECT seq, COALESCE(LAG(seq) OVER (ORDER BY seq), ?) AS before_seq FROM \
                        (SELECT seq FROM inventory_audit WHERE sku_id = ? AND seq > ? AND seq <= ? AND epoch = ? \
                         UNION SELECT ? + 1) AS steps) AS pairs \
                   WHERE seq > before_seq + 1 ORDER BY seq LIMIT ?";
        let query = sqlx::query_as(sql).bind(after).bind(sku_id.get()).bind(after).bind(upto).bind(epoch.0);
        Ok(in_the_end(query.bind(upto).bind(most).fetch_all(&mut self.connection)).await?)
    }

    /// Behind which offset of each partition the events of an epoch stand: those of older epochs that count are before it.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn offsets_of_older(&mut self, epoch: Epoch) -> Result<BTreeMap<i32, u64>, MySqlError> {
        let sql = "SELECT partition_id, MAX(offset_no) FROM inventory_audit WHERE epoch < ? GROUP BY partition_id";
        let rows: Vec<(u32, u64)> =
            in_the_end(sqlx::query_as(sql).bind(epoch.0).fetch_all(&mut self.connection)).await?;
        Ok(rows.into_iter().filter_map(|(id, offset)| Some((i32::try_from(id).ok()?, offset + 1))).collect())
    }
}

fn counts(column: &str) -> String {
    ["RESERVED", "CONFIRMED", "CANCELLED", "EXPIRED"]
        .map(|state| format!("CAST(SUM({column} = '{state}') AS SIGNED) AS n_{state}"))
        .join(", ")
}

fn four(row: &MySqlRow) -> Result<[i64; 4], MySqlError> {
    Ok([
        row.try_get("n_RESERVED")?,
        row.try_get("n_CONFIRMED")?,
        row.try_get("n_CANCELLED")?,
        row.try_get("n_EXPIRED")?,
    ])
}

fn sku(row: &MySqlRow) -> Result<SkuId, MySqlError> {
    Ok(SkuId::new(row.try_get("sku_id")?))
}
