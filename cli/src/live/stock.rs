//! Units of all SKUs: every daemon tells of the same stock, so each SKU is counted as the daemon knows it that looked last.

use std::collections::BTreeMap;

use flash_core::{
    ids::SkuId,
    stats::{SkuStats, Stats},
};
use serde::Serialize;

use super::judge::Units;

/// Units of all SKUs that are known, each as the daemon knows it that has looked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stock {
    /// SKUs on sale, and of how many the units are counted here.
    pub(crate) skus: u64,
    pub(crate) skus_counted: u64,
    pub(crate) capacity: u64,
    pub(crate) left: u64,
    pub(crate) held: u64,
    pub(crate) sold: u64,
    pub(crate) closing: u64,
}

/// Every daemon tells of the same stock: of each SKU the counters count that were read last.
fn freshest<'a>(all: &[&'a Stats]) -> BTreeMap<SkuId, &'a SkuStats> {
    let mut skus: BTreeMap<SkuId, &SkuStats> = BTreeMap::new();
    let age = |sku: &SkuStats| sku.seen_ms_ago.unwrap_or(u64::MAX);
    for sku in all.iter().filter_map(|stats| stats.api.as_ref()).flat_map(|api| &api.skus) {
        let known = skus.entry(sku.sku_id).or_insert(sku);
        if age(sku) < age(known) {
            *known = sku;
        }
    }
    skus
}

/// The units of all SKUs that are known, and what a judge needs of them; `None` if no daemon that sells answers.
pub(super) fn stock(all: &[&Stats]) -> Option<(Stock, Units)> {
    let skus = all.iter().filter_map(|stats| stats.api.as_ref()).map(|api| api.sku_count).max()?;
    let freshest = freshest(all);
    let mut stock = Stock { skus, ..Stock::default() };
    for sku in freshest.values() {
        let (Some(left), Some(held), Some(sold)) = (sku.available, sku.held, sku.sold) else { continue };
        stock.skus_counted += 1;
        stock.capacity = stock.capacity.saturating_add(sku.capacity);
        stock.left = stock.left.saturating_add(left);
        stock.held = stock.held.saturating_add(held);
        stock.sold = stock.sold.saturating_add(sold);
        stock.closing = stock.closing.saturating_add(sku.closing.unwrap_or(0));
    }
    let units = Units::of(freshest.into_values(), skus);
    Some((stock, units))
}
