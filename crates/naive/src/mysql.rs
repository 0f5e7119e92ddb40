//! The tables, and the two shops that have nothing but MySQL.
//!
//! What makes the first oversell is in [`buy`]: a plain `SELECT` inside a transaction reads a snapshot and locks nothing, so
//! what is written back counts from a number that may be old. Under InnoDB's default isolation nothing complains.

use sqlx::{
    AssertSqlSafe, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlSslMode},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Kind, Order, Purchase, ShopError, Sold, Stores};

/// Connections. More than this gained nothing on two cores (docs/compare.md); a usual default is ten.
const CONNECTIONS: u32 = 32;
/// How long a buyer waits for one of them before being told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an order is held for its buyer. Nothing here looks whether it has ended.
const HOLD_MS: u64 = 300_000;

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS stock (
        sku_id   BIGINT UNSIGNED NOT NULL PRIMARY KEY,
        capacity BIGINT NOT NULL,
        stock    BIGINT NOT NULL
    ) ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS orders (
        order_id        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        user_id         BIGINT UNSIGNED NOT NULL,
        sku_id          BIGINT UNSIGNED NOT NULL,
        quantity        INT UNSIGNED NOT NULL,
        idempotency_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
        expires_at_ms   BIGINT UNSIGNED NOT NULL,
        created_at      TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        UNIQUE KEY by_key (user_id, idempotency_key)
    ) ENGINE = InnoDB",
];

fn options(stores: &Stores) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new().host(&stores.mysql_host).port(stores.mysql_port);
    options.username(&stores.mysql_user).password(&stores.mysql_password).ssl_mode(MySqlSslMode::Disabled)
}

/// Makes database and tables and opens the pool.
pub(crate) async fn open(kind: Kind, stores: &Stores) -> Result<MySqlPool, sqlx::Error> {
    let database = kind.database();
    let server = MySqlPoolOptions::new().max_connections(1).connect_with(options(stores)).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE IF NOT EXISTS {database}"))).execute(&server).await?;
    server.close().await;
    let pool = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Asking a connection whether it lives before every use would be one more round trip.
        .test_before_acquire(false)
        .connect_with(options(stores).database(database))
        .await?;
    for table in TABLES {
        sqlx::raw_sql(table).execute(&pool).await?;
    }
    Ok(pool)
}

/// Puts so many units on sale, whatever there was before.
pub(crate) async fn stock_up(pool: &MySqlPool, sku_id: u64, units: u32) -> Result<(), sqlx::Error> {
    let put = "INSERT INTO stock (sku_id, capacity, stock) VALUES (?, ?, ?)
        ON DUPLICATE KEY UPDATE capacity = VALUES(capacity), stock = VALUES(stock)";
    sqlx::query(put).bind(sku_id).bind(units).bind(units).execute(pool).await?;
    Ok(())
}

/// Every SKU: id, capacity, stock.
pub(crate) async fn stocks(pool: &MySqlPool) -> Result<Vec<(u64, i64, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT sku_id, capacity, stock FROM stock ORDER BY sku_id").fetch_all(pool).await
}

/// Every order.
pub(crate) async fn orders(pool: &MySqlPool) -> Result<Vec<Order>, sqlx::Error> {
    let rows: Vec<(u64, u64, u32, u64)> =
        sqlx::query_as("SELECT order_id, sku_id, quantity, expires_at_ms FROM orders").fetch_all(pool).await?;
    Ok(rows.into_iter().map(Order::from_row).collect())
}

/// One order.
pub(crate) async fn order(pool: &MySqlPool, order_id: u64) -> Result<Option<Order>, sqlx::Error> {
    let select = "SELECT order_id, sku_id, quantity, expires_at_ms FROM orders WHERE order_id = ?";
    let row: Option<(u64, u64, u32, u64)> = sqlx::query_as(select).bind(order_id).fetch_optional(pool).await?;
    Ok(row.map(Order::from_row))
}

/// The order of an earlier click with the same key.
pub(crate) async fn earlier(pool: &MySqlPool, purchase: &Purchase) -> Result<Sold, ShopError> {
    let select =
        "SELECT order_id, sku_id, quantity, expires_at_ms FROM orders WHERE user_id = ? AND idempotency_key = ?";
    let query = sqlx::query_as(select).bind(purchase.user_id).bind(&purchase.key);
    let row: (u64, u64, u32, u64) = query.fetch_one(pool).await?;
    Ok(Sold::Order(Order::from_row(row)))
}

/// Writes the order; `None` if its key has one already.
pub(crate) async fn insert(db: &mut MySqlConnection, purchase: &Purchase) -> Result<Option<Order>, sqlx::Error> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let expires_at_ms = u64::try_from(now_ms).unwrap_or(u64::MAX / 2) + HOLD_MS;
    let insert =
        "INSERT INTO orders (user_id, sku_id, quantity, idempotency_key, expires_at_ms) VALUES (?, ?, ?, ?, ?)";
    let Purchase { user_id, sku_id, quantity, key } = purchase;
    let query = sqlx::query(insert).bind(user_id).bind(sku_id).bind(quantity).bind(key).bind(expires_at_ms);
    match query.execute(db).await {
        Ok(done) => {
            let order_id = done.last_insert_id();
            Ok(Some(Order { order_id, sku_id: *sku_id, quantity: *quantity, expires_at_ms }))
        }
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the stock, writes what is left, and writes the order: one transaction.
///
/// `locked` is the whole difference between the shop that oversells and the one that makes everybody wait.
pub(crate) async fn buy(pool: &MySqlPool, purchase: &Purchase, locked: bool) -> Result<Sold, ShopError> {
    let mut transaction = pool.begin().await?;
    let select = match locked {
        true => "SELECT stock FROM stock WHERE sku_id = ? FOR UPDATE",
        false => "SELECT stock FROM stock WHERE sku_id = ?",
    };
    let stock: Option<i64> = sqlx::query_scalar(select).bind(purchase.sku_id).fetch_optional(&mut *transaction).await?;
    let Some(stock) = stock else {
        transaction.rollback().await?;
        return Ok(Sold::UnknownSku);
    };
    let left = stock - i64::from(purchase.quantity);
    if left < 0 {
        transaction.rollback().await?;
        return Ok(Sold::Out);
    }
    let update = "UPDATE stock SET stock = ? WHERE sku_id = ?";
    sqlx::query(update).bind(left).bind(purchase.sku_id).execute(&mut *transaction).await?;
    let Some(order) = insert(&mut transaction, purchase).await? else {
        transaction.rollback().await?;
        return earlier(pool, purchase).await;
    };
    transaction.commit().await?;
    Ok(Sold::Order(order))
}
