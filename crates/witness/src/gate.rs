//! Redis as the witness reads it: the hashes that the headers of `lua/*.lua` describe, with plain commands.

use crate::WitnessError;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One SKU's stock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// The epoch field as it stands: a number when the SKU is open.
    pub epoch: String,
    /// Units that exist.
    pub capacity: i64,
    /// Units on sale.
    pub available: i64,
    /// Units on hold.
    pub held: i64,
    /// Units paid.
    pub sold: i64,
    /// Units on their way back.
    pub closing: i64,
    /// Live holds: order and units.
    pub holds: BTreeMap<u64, u32>,
    /// Orders whose settlement is under way.
    pub settling: Vec<u64>,
    /// Units per buyer; buyers with none are left out.
    pub buyers: BTreeMap<u64, u32>,
}

impl Stock {
    /// Whether it is on sale.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.epoch.is_empty() && self.epoch.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The epoch as a number; a SKU that is not on sale has none, which is older than any.
    fn epoch_number(&self) -> Option<u64> {
        self.epoch.parse().ok()
    }

    /// Whether nothing is held or on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_open() && self.held == 0 && self.closing == 0 && self.holds.is_empty() && self.settling.is_empty()
    }
}

/// Every SKU's stock.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// By SKU. A SKU that Redis does not know is not there.
    pub stocks: BTreeMap<u64, Stock>,
}

/// Reads the stock of `skus` from the primaries among `urls`: each SKU from the one that holds its newest epoch. The nodes of
/// a cluster may be given, too; each is asked for what it owns. `prefix` stands before every key.
///
/// # Errors
/// [`WitnessError::NoPrimary`] if none of them is a primary that answers.
pub async fn read(urls: &[String], prefix: &str, skus: &[u64]) -> Result<Gate, WitnessError> {
    let mut found: Option<Gate> = None;
    for url in urls {
        let Ok(mut connection) = connect(url).await else { continue };
        let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await.unwrap_or_default();
        if !matches!(role.first(), Some(redis::Value::BulkString(role)) if role == b"master") {
            continue;
        }
        let here = read_from(&mut connection, prefix, skus).await?;
        let newest = found.get_or_insert_default();
        for (sku, stock) in here.stocks {
            let older = newest.stocks.get(&sku).is_none_or(|known| known.epoch_number() < stock.epoch_number());
            if older {
                newest.stocks.insert(sku, stock);
            }
        }
    }
    found.ok_or(WitnessError::NoPrimary)
}

/// Versions of the servers that answer, each once.
pub async fn versions(urls: &[String]) -> Vec<String> {
    let mut versions = Vec::new();
    for url in urls {
        let Ok(mut connection) = connect(url).await else { continue };
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap_or_default();
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        versions.extend(version.map(|version| version.trim().to_owned()));
    }
    versions.sort();
    versions.dedup();
    versions
}

/// Stock fields, holds by order, orders under settlement, buyers.
type Hashes = (HashMap<String, String>, HashMap<u64, String>, Vec<u64>, HashMap<u64, String>);

async fn connect(url: &str) -> Result<MultiplexedConnection, redis::RedisError> {
    // All holds of a SKU are one answer. The client's own bound is half a second, which a hundred thousand on a busy machine exceed.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

async fn read_from(
    connection: &mut MultiplexedConnection,
    prefix: &str,
    skus: &[u64],
) -> Result<Gate, redis::RedisError> {
    let mut gate = Gate::default();
    for sku in skus {
        let key = |name: &str| format!("{prefix}{{sku:{sku}}}:{name}");
        // A cluster's node says which other node owns the SKU. That one is asked by its own address, or the SKU is not read.
        let here: Result<bool, redis::RedisError> =
            redis::cmd("EXISTS").arg(key("stock")).query_async(connection).await;
        match here {
            Err(error) if error.code() == Some("MOVED") => continue,
            here => _ = here?,
        }
        // One step, so that counters and hashes are of the same moment.
        let (fields, holds, settling, buyers): Hashes = redis::pipe()
            .atomic()
            .hgetall(key("stock"))
            .hgetall(key("hold"))
            .hkeys(key("closing"))
            .hgetall(key("buyers"))
            .query_async(connection)
            .await?;
        if fields.is_empty() {
            continue;
        }
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let units = |text: &str, at: usize| text.split(':').nth(at).and_then(|units| units.parse().ok()).unwrap_or(0);
        gate.stocks.insert(
            *sku,
            Stock {
                epoch: fields.get("epoch").cloned().unwrap_or_default(),
                capacity: number("capacity"),
                available: number("available"),
                held: number("held"),
                sold: number("sold"),
                closing: number("closing"),
                // reservation:user:quantity:price:…
                holds: holds.iter().map(|(order, details)| (*order, units(details, 2))).collect(),
                settling,
                // units:milli_tokens:token_ms
                buyers: buyers.iter().map(|(user, entry)| (*user, units(entry, 0))).filter(|(_, n)| *n > 0).collect(),
            },
        );
    }
    Ok(gate)
}
