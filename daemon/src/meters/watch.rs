//! Looking at the servers in the background, for whoever watches: what Redis says of itself, whether MySQL answers, and what
//! is left of each SKU while nobody asks for it.
//!
//! Never on the purchase path, and never in the way of selling: see `Gate::nodes` and `Gate::look_at`.

use crate::app::App;
use crate::catalog::Offer;
use crate::clock::boot_ms;
use flash_core::stats::{Histogram, RedisNode, Timings};
use flash_stores::redis::SkuKeys;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often the servers are looked at.
const SERVERS_EVERY: Duration = Duration::from_secs(2);
/// How often stock is looked at, and how many SKUs at most in one look. A SKU that was seen more recently than this, because
/// somebody bought it, is passed over.
const STOCK_EVERY: Duration = Duration::from_secs(1);
const STOCK_MAX: usize = 500;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Redis servers, and when they were seen on the boot clock.
    nodes: Mutex<(Vec<RedisNode>, u64)>,
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
    /// The Redis servers that answered last, with the age of what they said.
    pub(super) fn nodes(&self) -> Vec<RedisNode> {
        let (mut nodes, at_ms) = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        nodes.iter_mut().for_each(|node| node.seen_ms_ago = boot_ms().saturating_sub(at_ms));
        nodes
    }

    /// Why MySQL did not answer the last ping; `None`: it did.
    pub(super) fn mysql_problem(&self) -> Option<String> {
        self.mysql.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long pings took that were answered, a connection from the pool included.
    pub(super) fn pings(&self) -> Histogram {
        self.pings.read()
    }
}

/// Watches until the future is dropped.
pub(crate) async fn watch(app: Arc<App>) {
    tokio::join!(redis(&app), mysql(&app), stock(&app));
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
        // What did not answer keeps its last word, which gets older.
        if !nodes.is_empty() {
            *app.meters.watched.nodes.lock().unwrap_or_else(PoisonError::into_inner) = (nodes, boot_ms());
        }
    }
}

async fn mysql(app: &App) {
    let mut ticks = every(SERVERS_EVERY);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let problem = match tokio::time::timeout(SERVERS_EVERY, app.db.ping()).await {
            Ok(Ok(())) => {
                app.meters.watched.pings.observe(began.elapsed());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", SERVERS_EVERY.as_secs())),
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
