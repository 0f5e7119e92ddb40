//! The stock as anybody can see it: the catalogue, asked once per second while a run goes on.
//!
//! Owns one thread that reads the catalogue. It must never disturb the run: one short-lived connection per second, and a server
//! without a catalogue is left alone after three tries.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catalog::{SkuOnSale, fetch_catalog};
use crate::plan::Plan;
use crate::report::StockPoint;
use crate::shared::Shared;
use crate::target::Target;
use crate::{LoadError, MAX_STOCK_LINES};

/// Shortest time between two looks.
const MIN_LOOK: Duration = Duration::from_secs(1);
/// Most looks of a run.
const MAX_LOOKS: u64 = 1_200;
/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Looks that may fail from the start before the catalogue is given up.
const MAX_FIRST_FAILURES: usize = 3;
/// How often the watcher looks whether the run is over.
const PIECE: Duration = Duration::from_millis(20);

/// Starts looking, until [`Shared::watch_ended`].
pub(crate) fn watch(shared: &Arc<Shared>) -> Result<JoinHandle<()>, LoadError> {
    let shared = Arc::clone(shared);
    let runtime = runtime()?;
    std::thread::Builder::new()
        .name("load-stock".to_owned())
        .spawn(move || look_until_the_end(&shared, &runtime))
        .map_err(|e| LoadError::Internal(format!("cannot start the stock's watcher: {e}")))
}

fn look_until_the_end(shared: &Shared, runtime: &tokio::runtime::Runtime) {
    let every = MIN_LOOK.max(Duration::from_millis(shared.plan.duration_ms() / MAX_LOOKS));
    let mut failures = 0;
    loop {
        let next = Instant::now() + every;
        let listing = runtime.block_on(fetch_catalog(&shared.target, LOOK_TIMEOUT));
        let point = point(shared, listing.ok().as_deref());
        failures = if point.available.is_some() { usize::MAX } else { failures.saturating_add(1) };
        if let Ok(mut stock) = shared.stock.lock() {
            stock.push(point);
            if failures == MAX_FIRST_FAILURES {
                stock.clear();
                return;
            }
        }
        while Instant::now() < next {
            if shared.watch_ended.load(Relaxed) {
                return;
            }
            std::thread::sleep(PIECE);
        }
    }
}

/// What the catalogue says about the SKUs of the run. A server may say any number.
fn point(shared: &Shared, listing: Option<&[SkuOnSale]>) -> StockPoint {
    let at_ms = shared.now_us() / 1_000;
    let Some(listing) = listing else { return StockPoint { at_ms, ..StockPoint::default() } };
    let available: HashMap<u64, Option<u64>> = listing.iter().map(|sku| (sku.sku_id, sku.available)).collect();
    let of_run = || shared.plan.skus.iter().map(|sku| available.get(&sku.sku_id).copied().flatten());
    let total = of_run().try_fold(0_u64, |sum, units| Some(sum.saturating_add(units?)));
    let few = shared.plan.skus.len() <= MAX_STOCK_LINES;
    StockPoint { at_ms, available: total, by_sku: if few { of_run().collect() } else { Vec::new() } }
}

/// Everything seen.
pub(crate) fn all(shared: &Shared) -> Vec<StockPoint> {
    shared.stock.lock().map(|stock| stock.clone()).unwrap_or_default()
}

/// The last number seen.
pub(crate) fn latest(shared: &Shared) -> Option<u64> {
    shared.stock.lock().ok()?.iter().rev().find_map(|point| point.available)
}

/// The price of every SKU of the plan, for those who pay.
pub(crate) fn prices(plan: &Plan, target: &Target) -> Result<Vec<u64>, LoadError> {
    let listing = runtime()?.block_on(fetch_catalog(target, LOOK_TIMEOUT))?;
    let prices: HashMap<u64, Option<u64>> = listing.iter().map(|sku| (sku.sku_id, sku.price_minor)).collect();
    let price = |sku_id: u64| {
        let price = prices.get(&sku_id).copied().flatten();
        price.ok_or_else(|| {
            LoadError::Catalog(format!("the catalogue tells no price of SKU {sku_id}: nobody can pay for it"))
        })
    };
    plan.skus.iter().map(|sku| price(sku.sku_id)).collect()
}

/// A runtime for one connection at a time.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, LoadError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| LoadError::Internal(format!("cannot start a runtime: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::SkuShare;

    fn on_sale(sku_id: u64, available: Option<u64>) -> SkuOnSale {
        SkuOnSale { sku_id, name: String::new(), capacity: None, available, price_minor: None }
    }

    #[test]
    fn no_number_is_too_large_to_be_added() {
        let skus = [1, 2].map(|sku_id| SkuShare { sku_id, weight: 1 }).to_vec();
        let target = Target::resolve("http://127.0.0.1:9", None).unwrap();
        let shared = Shared::new(Plan { skus, ..Plan::default() }, target, 7, Vec::new()).unwrap();
        let seen = point(&shared, Some(&[on_sale(1, Some(u64::MAX)), on_sale(2, Some(5)), on_sale(3, Some(1))]));
        assert_eq!((seen.available, seen.by_sku), (Some(u64::MAX), vec![Some(u64::MAX), Some(5)]));
        let silent = point(&shared, Some(&[on_sale(1, Some(3)), on_sale(2, None)]));
        assert_eq!((silent.available, silent.by_sku), (None, vec![Some(3), None]));
    }
}
