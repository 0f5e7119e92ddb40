//! From sums to findings: the comparison of every SKU, and what else can be seen in MySQL at the same instant.
//!
//! Owns the order of the comparisons and the report; `gate` compares Redis with the ledger, `view` MySQL with itself, `beside`
//! definitions and dead letters. Changes nothing.

mod beside;
mod gate;
mod view;

use super::cut::{Cut, Seen, Stock};
use super::ledger::Books;
use super::{Reconcile, ReconcileError};
use flash_core::ids::{Epoch, SkuId};
use flash_core::reconcile::{Count, Finding, GateBooks, Hop, Kind};
use flash_core::stock::Hold;
use flash_stores::mysql::skus::StoredSku;
use flash_stores::redis::Fence;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use view::{unconfirmed, view};

/// Most orders, buyers or payments that are read behind one difference.
const DETAILS_MAX: u32 = 1_000;
/// Orders asked about at once.
const PAGE: u32 = 2_000;

/// What a run has found.
#[derive(Debug)]
pub struct Report {
    /// The epoch that was compared.
    pub epoch: Epoch,
    /// One row per SKU, by id.
    pub skus: Vec<SkuRow>,
    /// Everything that is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
    pub(super) fence: Fence,
    /// Holds that may be given back early, and since when nobody may have been given them as an answer.
    pub(super) orphans: BTreeMap<SkuId, (Vec<Hold>, u64)>,
    pub(super) definitions: BTreeMap<SkuId, StoredSku>,
}

/// The books of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuRow {
    /// Which SKU.
    pub sku_id: SkuId,
    /// Its name.
    pub name: String,
    /// open, blocked, lost or new.
    pub state: &'static str,
    /// Units that exist, by MySQL.
    pub capacity: u32,
    /// Redis' counters; `None` if it has none.
    pub redis: Option<RedisRow>,
    /// Units on hold by the ledger, up to the same stock change.
    pub mysql_held: i64,
    /// Units sold by the ledger, up to the same stock change.
    pub mysql_sold: i64,
    /// Units that are not on sale in Redis minus units that are given away in MySQL.
    pub difference: i64,
    /// The hop that owns the worst finding.
    pub hop: Option<Hop>,
}

/// Redis' counters at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisRow {
    /// Units that exist.
    pub capacity: i64,
    /// Units on sale.
    pub available: i64,
    /// Units on hold.
    pub held: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units on their way back.
    pub closing: i64,
    /// Stock changes so far.
    pub seq: u64,
}

impl Reconcile {
    /// Compares. `light`: without what takes reading whole tables.
    pub(super) async fn judge(&self, cut: &Cut, mut books: Books, light: bool) -> Result<Report, ReconcileError> {
        let started = Instant::now();
        let mut findings = Vec::new();
        for seen in &cut.skus {
            let before = findings.len();
            self.judge_sku(seen, &books, &mut findings).await?;
            let drifts = |finding: &Finding| finding.kind == Kind::CounterDrift;
            if findings.iter().skip(before).any(drifts) && matches!(seen.stock, Stock::Open(_)) {
                findings.extend(self.lost_holds(seen.stored.sku.sku_id, &mut books.look).await?);
            }
        }
        if !light {
            let only = if let [one] = cut.skus.as_slice() { Some(one.stored.sku.sku_id) } else { None };
            for (sku_id, totals) in &books.totals {
                view(*sku_id, totals, &mut books.look, &mut findings).await?;
            }
            self.caps(cut, only, &mut books.look, &mut findings).await?;
            unconfirmed(only, &mut books.look, &mut findings).await?;
        }
        books.look.end().await;
        self.definitions(cut, &mut findings).await?;
        self.letters(cut, &mut findings).await?;
        findings.sort_by_key(|finding| (finding.kind, finding.sku_id));
        let rows = cut.skus.iter().map(|seen| row(seen, &books.counts, &findings)).collect();
        let since = |sku_id: &SkuId| {
            let open = cut.open().find(|(stored, _)| stored.sku.sku_id == *sku_id);
            open.map_or(0, |(_, audited)| audited.books.now_ms)
        };
        let orphans =
            books.found.orphans.into_iter().map(|(sku_id, holds)| (sku_id, (holds, since(&sku_id)))).collect();
        Ok(Report {
            epoch: cut.fence.epoch,
            skus: rows,
            findings,
            took: started.elapsed() + Duration::from_millis(crate::clock::boot_ms().saturating_sub(cut.taken_ms)),
            fence: cut.fence.clone(),
            orphans,
            definitions: cut.skus.iter().map(|seen| (seen.stored.sku.sku_id, seen.stored.clone())).collect(),
        })
    }
}

fn row(seen: &Seen, counts: &BTreeMap<SkuId, Count>, findings: &[Finding]) -> SkuRow {
    let sku = &seen.stored.sku;
    let count = counts.get(&sku.sku_id).copied().unwrap_or_default();
    let (state, redis) = match &seen.stock {
        Stock::Open(audited) => {
            let GateBooks { capacity, available, held, sold, closing, seq, .. } = audited.books;
            ("open", Some(RedisRow { capacity, available, held, sold, closing, seq }))
        }
        Stock::Blocked => ("blocked", None),
        Stock::Lost => ("lost", None),
        Stock::New => ("new", None),
    };
    let given_away = |redis: RedisRow| redis.capacity - redis.available - redis.closing;
    SkuRow {
        sku_id: sku.sku_id,
        name: sku.name.clone(),
        state,
        capacity: sku.capacity,
        redis,
        mysql_held: count.occupied - count.sold,
        mysql_sold: count.sold,
        difference: redis.map_or(0, |redis| given_away(redis) - count.occupied),
        hop: findings.iter().find(|finding| finding.sku_id == Some(sku.sku_id)).map(|finding| finding.hop),
    }
}
