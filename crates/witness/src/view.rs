//! MySQL as the witness reads it: plain SQL over the tables of `schema/migrations`.

use crate::WitnessError;
use crate::log::{State, Terms};
use sqlx::Connection;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where MySQL is.
#[derive(Debug, Clone)]
pub struct ViewAddress {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database.
    pub database: String,
}

/// An order row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewOrder {
    /// Its terms.
    pub terms: Terms,
    /// Its state.
    pub state: State,
}

/// A row of `payments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewPayment {
    /// The buyer.
    pub user_id: u64,
    /// The order that the buyer paid for.
    pub paid_order: u64,
    /// The order it confirmed.
    pub order_id: Option<u64>,
    /// Its amount.
    pub amount_minor: u64,
    /// `CAPTURED` or `REFUND_PENDING`.
    pub status: String,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Order.
    pub order_id: u64,
    /// SKU.
    pub sku_id: u64,
    /// Why.
    pub reason: String,
    /// Change of what is available.
    pub delta: i64,
}

/// A row of `skus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSku {
    /// Units that exist.
    pub capacity: u32,
    /// Most units per buyer.
    pub per_user: u32,
    /// The most units that ever existed: an operator may have lowered the capacity since.
    pub capacity_once: u32,
    /// The highest cap that there ever was.
    pub per_user_once: u32,
}

impl ViewSku {
    fn new(capacity: u32, per_user: u32, capacity_before: u64, per_user_before: u64) -> Self {
        let most = |now: u32, before: u64| now.max(u32::try_from(before).unwrap_or(u32::MAX));
        let (capacity_once, per_user_once) = (most(capacity, capacity_before), most(per_user, per_user_before));
        Self { capacity, per_user, capacity_once, per_user_once }
    }

    /// A SKU whose capacity and cap were never changed.
    #[must_use]
    pub fn unchanged(capacity: u32, per_user: u32) -> Self {
        Self { capacity, per_user, capacity_once: capacity, per_user_once: per_user }
    }
}

/// Everything the judge wants to know from MySQL.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Orders by id.
    pub orders: BTreeMap<u64, ViewOrder>,
    /// Payments by id.
    pub payments: BTreeMap<String, ViewPayment>,
    /// The ledger.
    pub ledger: Vec<LedgerRow>,
    /// What is on sale.
    pub skus: BTreeMap<u64, ViewSku>,
    /// Next offset per partition of the log that has been applied.
    pub applied: BTreeMap<i32, i64>,
}

/// Connects.
///
/// # Errors
/// If MySQL does not answer within ten seconds.
pub async fn connect(address: &ViewAddress) -> Result<MySqlPool, WitnessError> {
    let options = MySqlConnectOptions::new()
        .host(&address.host)
        .port(address.port)
        .username(&address.user)
        .password(&address.password)
        .database(&address.database);
    let pool = MySqlPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10));
    Ok(pool.connect_with(options).await?)
}

/// The server's version, as it names itself.
///
/// # Errors
/// As sqlx says.
pub async fn version(pool: &MySqlPool) -> Result<String, WitnessError> {
    Ok(sqlx::query_scalar("SELECT VERSION()").fetch_one(pool).await?)
}

/// Versions of the daemons that said within the last 20 s that they run, each once.
///
/// # Errors
/// As sqlx says.
pub async fn daemons(pool: &MySqlPool) -> Result<Vec<String>, WitnessError> {
    let sql = "SELECT DISTINCT build FROM daemons \
               WHERE seen_at_ms >= CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED) - 20000 ORDER BY build";
    Ok(sqlx::query_scalar(sql).fetch_all(pool).await?)
}

/// How far the projection of `topic` has come.
///
/// # Errors
/// As sqlx says.
pub async fn applied(pool: &MySqlPool, topic: &str) -> Result<BTreeMap<i32, i64>, WitnessError> {
    applied_in(&mut *pool.acquire().await?, topic).await
}

async fn applied_in(connection: &mut MySqlConnection, topic: &str) -> Result<BTreeMap<i32, i64>, WitnessError> {
    let sql = "SELECT partition_id, next_offset FROM projector_offsets WHERE topic = ?";
    let rows: Vec<(u32, u64)> = sqlx::query_as(sql).bind(topic).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(partition, next)| (partition.cast_signed(), next.cast_signed())).collect())
}

/// Reads everything as of one instant: the projector writes rows and offsets in one transaction, so what is returned is exactly
/// the log up to [`View::applied`], whatever is written meanwhile.
///
/// # Errors
/// As sqlx says.
pub async fn read(pool: &MySqlPool, topic: &str) -> Result<View, WitnessError> {
    let mut connection = pool.acquire().await?.detach();
    // A plain statement: not every server prepares these.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut connection).await?;
    sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT").execute(&mut connection).await?;
    let view = read_in(&mut connection, topic).await;
    // Whatever came of it, the connection is not used again: nothing holds the snapshot open.
    connection.close().await?;
    view
}

async fn read_in(connection: &mut MySqlConnection, topic: &str) -> Result<View, WitnessError> {
    let orders = sqlx::query_as::<_, OrderRow>("SELECT * FROM orders").fetch_all(&mut *connection).await?;
    let sql = "SELECT payment_id, user_id, paid_order_id, order_id, amount_minor, CAST(status AS CHAR) FROM payments";
    let payments: Vec<(String, u64, u64, Option<u64>, u64, String)> =
        sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let sql = "SELECT order_id, sku_id, CAST(reason AS CHAR), CAST(delta AS SIGNED) FROM inventory_audit";
    let ledger: Vec<(u64, u64, String, i64)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let sql = "SELECT s.sku_id, s.capacity, s.per_user, \
               CAST(COALESCE((SELECT MAX(CAST(c.old_value AS UNSIGNED)) FROM sku_changes c \
                              WHERE c.sku_id = s.sku_id AND c.what = 'capacity'), 0) AS UNSIGNED), \
               CAST(COALESCE((SELECT MAX(CAST(c.old_value AS UNSIGNED)) FROM sku_changes c \
                              WHERE c.sku_id = s.sku_id AND c.what = 'per_user'), 0) AS UNSIGNED) FROM skus s";
    let skus: Vec<(u64, u32, u32, u64, u64)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    Ok(View {
        orders: orders.into_iter().map(OrderRow::order).collect::<Result<_, _>>()?,
        payments: payments
            .into_iter()
            .map(|(id, user_id, paid_order, order_id, amount_minor, status)| {
                (id, ViewPayment { user_id, paid_order, order_id, amount_minor, status })
            })
            .collect(),
        ledger: ledger
            .into_iter()
            .map(|(order_id, sku_id, reason, delta)| LedgerRow { order_id, sku_id, reason, delta })
            .collect(),
        skus: skus
            .into_iter()
            .map(|(id, capacity, per_user, most, cap)| (id, ViewSku::new(capacity, per_user, most, cap)))
            .collect(),
        applied: applied_in(connection, topic).await?,
    })
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    order_id: u64,
    reservation_id: u64,
    user_id: u64,
    sku_id: u64,
    quantity: u32,
    unit_price_minor: u64,
    state: String,
    idempotency_key: String,
    reserved_at_ms: u64,
    expires_at_ms: u64,
}

impl OrderRow {
    fn order(self) -> Result<(u64, ViewOrder), sqlx::Error> {
        let state = State::parse(&self.state)
            .ok_or_else(|| sqlx::Error::Decode(format!("order {} is {:?}", self.order_id, self.state).into()))?;
        let terms = Terms {
            reservation_id: self.reservation_id,
            user_id: self.user_id,
            sku_id: self.sku_id,
            quantity: self.quantity,
            unit_price_minor: self.unit_price_minor,
            key: self.idempotency_key,
            reserved_at_ms: self.reserved_at_ms,
            expires_at_ms: self.expires_at_ms,
        };
        Ok((self.order_id, ViewOrder { terms, state }))
    }
}
