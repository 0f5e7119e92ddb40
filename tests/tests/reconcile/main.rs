//! Reconcile on the real stack: nothing is found where nothing is wrong, however much is going on; whatever is wrong is found
//! by its name; and what is repaired balances afterwards.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod auditor;
mod damage;
mod load;
mod repair;

use flash_core::reconcile::Kind;
use flash_tests::site::Site;
use flashd::reconcile::{Reconcile, Report};

/// Tests here measure nothing, but each brings a load of its own: one at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn desk(site: &Site) -> Reconcile {
    Reconcile::connect(site.audit()).await.unwrap()
}

/// What was found, as `(kind, SKU)`.
fn kinds(report: &Report) -> Vec<(Kind, u64)> {
    report.findings.iter().map(|one| (one.kind, one.sku_id.map_or(0, flash_core::ids::SkuId::get))).collect()
}
