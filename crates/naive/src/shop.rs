//! A shop, whichever kind: what a purchase is, and what comes of it.

use redis::aio::MultiplexedConnection;
use sqlx::mysql::MySqlPool;

use crate::{Kind, mysql, redis_first};

/// Where MySQL and Redis are.
#[derive(Debug, Clone)]
pub struct Stores {
    /// MySQL's host.
    pub mysql_host: String,
    /// MySQL's port.
    pub mysql_port: u16,
    /// A user that may create databases.
    pub mysql_user: String,
    /// Its password.
    pub mysql_password: String,
    /// `redis://HOST:PORT`.
    pub redis_url: String,
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// Who.
    pub user_id: u64,
    /// What.
    pub sku_id: u64,
    /// How many units, 1 to 10.
    pub quantity: u32,
    /// The same for every click of the same wish.
    pub key: Option<String>,
}

/// An order as MySQL has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub order_id: u64,
    /// What.
    pub sku_id: u64,
    /// How many units.
    pub quantity: u32,
    /// When the hold ends, milliseconds since 1970.
    pub expires_at_ms: u64,
}

impl Order {
    pub(crate) fn from_row((order_id, sku_id, quantity, expires_at_ms): (u64, u64, u32, u64)) -> Self {
        Self { order_id, sku_id, quantity, expires_at_ms }
    }
}

/// What came of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sold {
    /// It is the buyer's.
    Order(Order),
    /// Not enough left.
    Out,
    /// There is no such SKU.
    UnknownSku,
}

/// A store that does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// MySQL.
    #[error("MySQL: {0}")]
    Mysql(#[from] sqlx::Error),
    /// Redis.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
}

impl ShopError {
    /// Nothing was asked yet: all connections are busy.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Mysql(sqlx::Error::PoolTimedOut))
    }
}

/// An open shop.
#[derive(Debug, Clone)]
pub struct Shop {
    kind: Kind,
    pool: MySqlPool,
    /// Only where it is used.
    redis: Option<MultiplexedConnection>,
}

impl Shop {
    /// Connects, and makes the tables.
    ///
    /// # Errors
    /// [`ShopError`] if a store cannot be reached.
    pub async fn open(kind: Kind, stores: &Stores) -> Result<Self, ShopError> {
        let redis = match kind {
            Kind::RedisThenMysql => Some(redis_first::open(&stores.redis_url).await?),
            Kind::ReadThenWrite | Kind::RowLock => None,
        };
        Ok(Self { kind, pool: mysql::open(kind, stores).await?, redis })
    }

    /// Puts so many units of a SKU on sale, whatever there was before.
    ///
    /// # Errors
    /// [`ShopError`] if a store does not do it.
    pub async fn stock_up(&self, sku_id: u64, units: u32) -> Result<(), ShopError> {
        mysql::stock_up(&self.pool, sku_id, units).await?;
        if let Some(mut redis) = self.redis.clone() {
            redis_first::stock_up(&mut redis, sku_id, units).await?;
        }
        Ok(())
    }

    /// Sells, if it can.
    ///
    /// # Errors
    /// [`ShopError`] if a store does not answer; what became of the purchase is then unknown unless every connection was busy.
    pub async fn buy(&self, purchase: &Purchase) -> Result<Sold, ShopError> {
        match &self.redis {
            Some(redis) => redis_first::buy(&mut redis.clone(), &self.pool, purchase).await,
            None => mysql::buy(&self.pool, purchase, self.kind == Kind::RowLock).await,
        }
    }

    /// Every SKU: id, capacity, and what is left as the shop sees it.
    ///
    /// # Errors
    /// [`ShopError`] if a store does not answer.
    pub async fn stocks(&self) -> Result<Vec<(u64, i64, i64)>, ShopError> {
        let mut stocks = mysql::stocks(&self.pool).await?;
        if let Some(mut redis) = self.redis.clone() {
            for (sku_id, _, left) in &mut stocks {
                *left = redis_first::stock(&mut redis, *sku_id).await?.unwrap_or(0);
            }
        }
        Ok(stocks)
    }

    /// One order.
    ///
    /// # Errors
    /// [`ShopError`] if MySQL does not answer.
    pub async fn order(&self, order_id: u64) -> Result<Option<Order>, ShopError> {
        Ok(mysql::order(&self.pool, order_id).await?)
    }

    /// Every order there is: the books, to be compared with what buyers were told.
    ///
    /// # Errors
    /// [`ShopError`] if MySQL does not answer.
    pub async fn orders(&self) -> Result<Vec<Order>, ShopError> {
        Ok(mysql::orders(&self.pool).await?)
    }

    /// Closes the connections.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
