//! Looking at the servers in the background, for whoever watches: what Redis says of itself, whether MySQL answers, what is left
//! of each SKU while nobody asks for it, and whether a stop of selling is over that no buyer has come to end.
//!
//! Runs where the admin plane does, so that a saturated API does not make it late. Never on the purchase path, and never in the
//! way of selling: see `Gate::nodes` and `Gate::look_at`.

use crate::app::App;
use crate::catalog::Offer;
use crate::clock::boot_ms;
use crate::lane::Deciders;
use flash_core::ids::SkuId;
use flash_core::stats::{Histogram, RedisNode, Timings};
use flash_stores::mysql::{Db, MySqlSettings};
use flash_stores::redis::{SkuKeys, StockError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often the servers are looked at.
const SERVERS_EVERY: Duration = Duration::from_secs(2);
/// A Redis server that has said nothing for so much longer than another counts as gone: replaced by a failover, for one.
const NODE_GONE_MS: u64 = 60_000;
/// How often stock is looked at, and how many SKUs at most in one look. A SKU that was seen more recently than this, because
/// somebody bought it, is passed over.
const STOCK_EVERY: Duration = Duration::from_secs(1);
const STOCK_MAX: usize = 500;
/// Most SKUs that are tried in one look while buyers cannot be told anything, and most of these that nobody has asked for.
const TRIED_MAX: usize = 32;
const TRIED_UNASKED_MAX: usize = 4;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Redis servers by their address, each with when it was seen on the boot clock.
    nodes: Mutex<BTreeMap<String, (RedisNode, u64)>>,
    /// Why MySQL did not answer.
    mysql: Mutex<Option<String>>,
    pings: Timings,
}

impl Default for Watched {
    fn default() -> Self {
        let mysql = Mutex::new(Some("not asked yet".to_owned()));
        Self { nodes: Mutex::default(), mysql, pings: Timings::default() }
    }
}

impl Watched {
    /// The Redis servers that have answered lately, in the order of their addresses, each with the age of what it said.
    pub(super) fn nodes(&self) -> Vec<RedisNode> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let aged = |(node, at_ms): &(RedisNode, u64)| RedisNode {
            seen_ms_ago: boot_ms().saturating_sub(*at_ms),
            ..node.clone()
        };
        nodes.values().map(aged).collect()
    }

    /// Takes what servers have just said. Who said nothing keeps its last word, which gets older, until it counts as gone.
    fn saw(&self, seen: Vec<RedisNode>, now_ms: u64) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for node in seen {
            let at_ms = now_ms.saturating_sub(node.seen_ms_ago);
            nodes.insert(node.address.clone(), (node, at_ms));
        }
        // If all are silent it is the way to them that is broken, or this daemon: nothing is known to be gone.
        let newest_ms = nodes.values().map(|(_, at_ms)| *at_ms).max().unwrap_or(0);
        nodes.retain(|_, (_, at_ms)| newest_ms.saturating_sub(*at_ms) < NODE_GONE_MS);
    }

    /// Why MySQL did not answer the last ping; `None`: it did.
    pub(super) fn mysql_problem(&self) -> Option<String> {
        self.mysql.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long pings took that were answered.
    pub(super) fn pings(&self) -> Histogram {
        self.pings.read()
    }
}

/// Watches until the future is dropped.
pub(crate) async fn watch(app: Arc<App>) {
    tokio::join!(redis(&app), mysql(&app), stock(&app), selling(&app));
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn redis(app: &App) {
    let mut ticks = every(SERVERS_EVERY);
    loop {
        ticks.tick().await;
        let nodes = app.deciders.gate.nodes().await;
        app.meters.watched.saw(nodes, boot_ms());
    }
}

async fn mysql(app: &App) {
    // A connection of its own: a connection lives where it was made, and the pool's belong to those who work.
    let open = || Db::open(&MySqlSettings { connections_max: 1, ..app.config.mysql.clone() });
    let (mut ticks, mut db) = (every(SERVERS_EVERY), open());
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let problem = match tokio::time::timeout(SERVERS_EVERY, db.ping()).await {
            Ok(Ok(())) => {
                app.meters.watched.pings.observe(began.elapsed());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => {
                // The server may be back while this connection to it is not.
                db = open();
                Some(format!("no answer within {} s", SERVERS_EVERY.as_secs()))
            }
        };
        *app.meters.watched.mysql.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

async fn stock(app: &App) {
    let Some(shop) = &app.shop else { return };
    let (mut ticks, mut from) = (every(STOCK_EVERY), 0);
    loop {
        ticks.tick().await;
        let offers = app.catalog.all();
        let due = due(&offers, &mut from);
        if due.is_empty() {
            continue;
        }
        let namespace = shop.deciders.gate.namespace();
        let keys: Vec<_> = due.iter().map(|offer| SkuKeys::new(namespace, offer.sku.sku_id)).collect();
        let at_ms = boot_ms();
        let counters = shop.deciders.gate.look_at(&keys).await;
        due.iter()
            .zip(counters)
            .for_each(|(offer, seen)| seen.into_iter().for_each(|seen| offer.lane.see(seen, at_ms)));
    }
}

/// Finds out that selling is possible again where no buyer does: after a stop in a quiet hour, or of a SKU that nobody wants.
async fn selling(app: &App) {
    let Some(shop) = &app.shop else { return };
    let Deciders { lease, gate, selling, .. } = &*shop.deciders;
    let (mut ticks, mut round) = (every(STOCK_EVERY), 0_usize);
    loop {
        ticks.tick().await;
        let Some(suspects) = selling.suspects() else { continue };
        let Some(fence) = lease.fence().filter(|_| gate.connected().is_ok()) else { continue };
        round = round.wrapping_add(1);
        let offers = app.catalog.all();
        let unasked: Vec<SkuId> = offers.iter().map(|offer| offer.sku.sku_id).collect();
        let tried = turn(&suspects, round, TRIED_MAX).chain(turn(&unasked, round, TRIED_UNASKED_MAX));
        for sku_id in tried {
            let keys = SkuKeys::new(gate.namespace(), sku_id);
            // It checks what every decision checks first, and decides nothing.
            match gate.audit(&keys, &fence).await {
                Ok(_) => selling.can_be_decided(sku_id),
                Err(StockError::Fenced(_)) => {}
                Err(_) => break,
            }
        }
    }
}

/// Some of the SKUs, others in each round.
fn turn(skus: &[SkuId], round: usize, most: usize) -> impl Iterator<Item = SkuId> {
    let start = round.wrapping_mul(most).checked_rem(skus.len()).unwrap_or(0);
    skus[start..].iter().chain(&skus[..start]).take(most).copied()
}

/// The next SKUs to look at, going round.
fn due(offers: &[Arc<Offer>], from: &mut usize) -> Vec<Arc<Offer>> {
    let stale_ms = u64::try_from(STOCK_EVERY.as_millis()).unwrap_or(u64::MAX) / 2;
    let start = if *from >= offers.len() { 0 } else { *from };
    let round = offers[start..].iter().chain(&offers[..start]);
    let stale = round.filter(|offer| offer.lane.seen_ms_ago().is_none_or(|age_ms| age_ms >= stale_ms));
    let due: Vec<_> = stale.take(STOCK_MAX).cloned().collect();
    *from = due.last().and_then(|last| offers.iter().position(|offer| Arc::ptr_eq(offer, last))).map_or(0, |at| at + 1);
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str, seen_ms_ago: u64) -> RedisNode {
        RedisNode { address: address.to_owned(), seen_ms_ago, ..RedisNode::default() }
    }

    #[test]
    fn a_server_that_is_silent_keeps_its_last_word_and_makes_no_other_older() {
        let watched = Watched::default();
        let at_ms = || watched.nodes.lock().unwrap().values().map(|(_, at_ms)| *at_ms).collect::<Vec<_>>();
        watched.saw(vec![node("b:1", 10), node("a:1", 0)], 100_000);
        assert_eq!(at_ms(), [100_000, 99_990]);
        watched.saw(vec![node("a:1", 0)], 102_000);
        assert_eq!(at_ms(), [102_000, 99_990], "by itself");
        watched.saw(Vec::new(), 500_000);
        assert_eq!(at_ms().len(), 2, "nothing is known while nobody answers");
        watched.saw(vec![node("a:1", 0)], 500_000);
        assert_eq!(at_ms(), [500_000], "gone");
    }

    #[test]
    fn every_sku_has_its_turn() {
        let skus: Vec<SkuId> = (1..=5).map(SkuId::new).collect();
        let seen: std::collections::BTreeSet<SkuId> = (0..3).flat_map(|round| turn(&skus, round, 2)).collect();
        assert_eq!(seen.len(), 5);
        assert_eq!(turn(&[], 7, 2).count(), 0);
        assert_eq!(turn(&skus, usize::MAX, 10).count(), 5);
    }
}
