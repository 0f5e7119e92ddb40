//! Redis as the witness reads it: the hashes that the headers of `lua/*.lua` describe, with plain commands.

use crate::WitnessError;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A live hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hold {
    /// Units.
    pub units: u32,
    /// Its buyer; 0 if the entry cannot be read.
    pub user_id: u64,
    /// Idempotency key of the purchase.
    pub key: String,
}

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
    /// Counts every decision about this SKU.
    pub seq: u64,
    /// Live holds by order.
    pub holds: BTreeMap<u64, Hold>,
    /// Orders whose hold will not end when it says – never, or at another time – or has an end and is none.
    pub misended: BTreeSet<u64>,
    /// Orders whose settlement is under way, and their buyers.
    pub settling: BTreeMap<u64, u64>,
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
    /// When each of them was read, by its Redis' own clock (ms since 1970).
    pub read_at_ms: BTreeMap<u64, u64>,
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
                newest.read_at_ms.extend(here.read_at_ms.get(&sku).map(|at| (sku, *at)));
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

/// By order or buyer.
type Entries = HashMap<u64, String>;
/// Time, stock fields, holds, their ends, settlements, buyers.
type Hashes = ((u64, u64), HashMap<String, String>, Entries, Entries, Entries, Entries);

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
        let ((seconds, micros), fields, holds, ends, settling, buyers): Hashes = redis::pipe()
            .atomic()
            .cmd("TIME")
            .hgetall(key("stock"))
            .hgetall(key("hold"))
            .zrange_withscores(key("holds"), 0, -1)
            .hgetall(key("closing"))
            .hgetall(key("buyers"))
            .query_async(connection)
            .await?;
        if fields.is_empty() {
            continue;
        }
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let units = |text: &str, at: usize| text.split(':').nth(at).and_then(|units| units.parse().ok()).unwrap_or(0);
        gate.read_at_ms.insert(*sku, seconds * 1_000 + micros / 1_000);
        gate.stocks.insert(
            *sku,
            Stock {
                epoch: fields.get("epoch").cloned().unwrap_or_default(),
                capacity: number("capacity"),
                available: number("available"),
                held: number("held"),
                sold: number("sold"),
                closing: number("closing"),
                seq: fields.get("seq").and_then(|text| text.parse().ok()).unwrap_or(0),
                misended: misended(&holds, &ends),
                holds: holds.iter().map(|(order, details)| (*order, hold(details))).collect(),
                // state:token:seq:at:payment:amount:paid_order:hold details
                settling: settling.iter().map(|(order, entry)| (*order, hold_user(entry, 8))).collect(),
                // units:milli_tokens:token_ms
                buyers: buyers.iter().map(|(user, entry)| (*user, units(entry, 0))).filter(|(_, n)| *n > 0).collect(),
            },
        );
    }
    Ok(gate)
}

/// `reservation:user:quantity:price:seq:reserved_at:expires_at:key`
fn hold(details: &str) -> Hold {
    let mut fields = details.splitn(8, ':');
    let user_id = fields.nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let units = fields.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    Hold { units, user_id, key: fields.nth(4).unwrap_or_default().to_owned() }
}

/// Whose end in the sorted set is not the one in their details, or missing on either side.
fn misended(holds: &Entries, ends: &Entries) -> BTreeSet<u64> {
    let said = |order: &u64| holds.get(order).and_then(|details| details.split(':').nth(6));
    let orders = holds.keys().chain(ends.keys());
    orders
        .filter(|order| said(order).is_none() || said(order) != ends.get(order).map(String::as_str))
        .copied()
        .collect()
}

fn hold_user(entry: &str, at: usize) -> u64 {
    entry.split(':').nth(at).and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Hold, hold, hold_user, misended};

    #[test]
    fn every_hold_ends_when_it_says() {
        let hold = |ends: u64| format!("11:22:3:4900:5:1000:{ends}:a:key");
        let holds = [(1, hold(2000)), (2, hold(2000)), (3, hold(2000))].into();
        let ends = [(1, "2000".to_owned()), (2, "99999999999999".to_owned()), (4, "2000".to_owned())].into();
        assert_eq!(misended(&holds, &ends), [2, 3, 4].into());
    }

    #[test]
    fn entries_say_whose_they_are() {
        let details = "11:22:3:4900:5:1000:2000:a:key";
        assert_eq!(hold(details), Hold { units: 3, user_id: 22, key: "a:key".into() });
        assert_eq!(hold_user(&format!("EXPIRED:1-2:9:1500::::{details}"), 8), 22);
        assert_eq!(hold_user(&format!("CONFIRMED:1-2:9:1500:pay-1:4900:7:{details}"), 8), 22);
        assert_eq!((hold("nonsense"), hold_user("nonsense", 8)), (Hold::default(), 0));
    }
}
