//! The shop that counts in Redis and writes the order to MySQL before it answers.
//!
//! `DECRBY` is atomic, so nobody gets a unit twice – while both servers and this process live. See the crate's description for
//! what happens when one of them does not.

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use sqlx::mysql::MySqlPool;
use std::time::Duration;

use crate::{Purchase, ShopError, Sold, mysql};

/// The client's own default is half a second; a queue in front of a busy server is no reason to fail.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the connection: one for all buyers, whose commands are pipelined.
pub(crate) async fn open(url: &str) -> Result<MultiplexedConnection, redis::RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

fn key(sku_id: u64) -> String {
    format!("naive:stock:{sku_id}")
}

/// Puts so many units on sale, whatever there was before.
pub(crate) async fn stock_up(
    redis: &mut MultiplexedConnection,
    sku_id: u64,
    units: u32,
) -> Result<(), redis::RedisError> {
    redis::cmd("SET").arg(key(sku_id)).arg(units).exec_async(redis).await
}

/// How many are left.
pub(crate) async fn stock(redis: &mut MultiplexedConnection, sku_id: u64) -> Result<Option<i64>, redis::RedisError> {
    redis::cmd("GET").arg(key(sku_id)).query_async(redis).await
}

async fn add(redis: &mut MultiplexedConnection, sku_id: u64, units: i64) -> Result<i64, redis::RedisError> {
    redis::cmd("INCRBY").arg(key(sku_id)).arg(units).query_async(redis).await
}

/// Looks, takes, writes.
pub(crate) async fn buy(
    redis: &mut MultiplexedConnection,
    pool: &MySqlPool,
    purchase: &Purchase,
) -> Result<Sold, ShopError> {
    let (sku_id, units) = (purchase.sku_id, i64::from(purchase.quantity));
    // The usual answer of a sold-out sale, for one cheap question.
    match stock(redis, sku_id).await? {
        None => return Ok(Sold::UnknownSku),
        Some(left) if left < units => return Ok(Sold::Out),
        Some(_) => {}
    }
    if add(redis, sku_id, -units).await? < 0 {
        add(redis, sku_id, units).await?;
        return Ok(Sold::Out);
    }
    // From here to the commit the ticket exists in this process alone.
    match write(pool, purchase).await {
        Ok(Some(order)) => Ok(Sold::Order(order)),
        Ok(None) => {
            add(redis, sku_id, units).await?;
            mysql::earlier(pool, purchase).await
        }
        Err(error) => {
            // "It failed, so give it back" – though a time-out does not say that it failed.
            add(redis, sku_id, units).await?;
            Err(error)
        }
    }
}

async fn write(pool: &MySqlPool, purchase: &Purchase) -> Result<Option<crate::Order>, ShopError> {
    let mut connection = pool.acquire().await?;
    Ok(mysql::insert(&mut connection, purchase).await?)
}
