//! What can be seen in MySQL alone: ledger against orders, buyers above the cap, money for orders that are not confirmed.

use super::super::cut::Cut;
use super::super::{Reconcile, ReconcileError};
use super::DETAILS_MAX;
use flash_core::ids::SkuId;
use flash_core::reconcile::{Finding, Hop, Kind, ORDERS_NAMED_MAX};
use flash_stores::mysql::reconcile::{Look, Totals};
use std::collections::BTreeMap;

impl Reconcile {
    /// Buyers above the cap at the cut – not at the instant MySQL was read, when one partition may be ahead of another.
    pub(super) async fn caps(
        &self,
        cut: &Cut,
        only: Option<SkuId>,
        look: &mut Look,
        findings: &mut Vec<Finding>,
    ) -> Result<(), ReconcileError> {
        let seq_of: BTreeMap<SkuId, u64> =
            cut.open().map(|(stored, audited)| (stored.sku.sku_id, audited.books.seq)).collect();
        for buyer in look.over_cap(only, DETAILS_MAX).await? {
            let Some(seq) = seq_of.get(&buyer.sku_id) else { continue };
            let (units, orders) = look.units_at(&buyer, cut.fence.epoch, *seq).await?;
            let cap = look.largest_cap(buyer.sku_id).await?;
            let above = units - i64::try_from(cap).unwrap_or(i64::MAX);
            if above > 0 {
                let detail = format!("buyer {} has {units} units; the cap was never above {cap}", buyer.user_id);
                let finding = Finding::new(Kind::CapBroken, buyer.sku_id, Hop::View, above, detail);
                findings.push(finding.with_orders(orders));
            }
        }
        Ok(())
    }
}

/// The ledger against the orders, at one instant.
pub(super) async fn view(
    sku_id: SkuId,
    totals: &Totals,
    look: &mut Look,
    findings: &mut Vec<Finding>,
) -> Result<(), ReconcileError> {
    let Totals { ledger, ledger_rows: [reserved, ends @ ..], orders, held, sold } = totals;
    let [_, ended @ ..] = orders;
    let agree = *reserved == orders.iter().sum::<i64>()
        && ends == ended
        && ledger.occupied == held + sold
        && ledger.sold == *sold;
    if agree {
        return Ok(());
    }
    let (ledger_only, orders_only) = look.one_sided(sku_id, DETAILS_MAX).await?;
    if !ledger_only.is_empty() {
        let detail = format!("{} orders have ledger rows and no row of their own", ledger_only.len());
        let count = i64::try_from(ledger_only.len()).unwrap_or(i64::MAX);
        findings.push(Finding::new(Kind::MissingOrder, sku_id, Hop::View, count, detail).with_orders(ledger_only));
    }
    let mut odd = look.at_odds(sku_id, DETAILS_MAX).await?;
    odd.extend(orders_only);
    if !odd.is_empty() {
        let difference = held + sold - ledger.occupied;
        let detail = format!(
            "{held} held + {sold} sold in orders, {} in the ledger; {} orders and their ledger rows disagree",
            ledger.occupied,
            odd.len()
        );
        findings.push(Finding::new(Kind::LedgerDiffers, sku_id, Hop::View, difference, detail).with_orders(odd));
    }
    Ok(())
}

/// Money for orders that are not confirmed.
pub(super) async fn unconfirmed(
    only: Option<SkuId>,
    look: &mut Look,
    findings: &mut Vec<Finding>,
) -> Result<(), ReconcileError> {
    let mut by_sku: BTreeMap<SkuId, Vec<_>> = BTreeMap::new();
    for payment in look.unconfirmed(only, DETAILS_MAX).await? {
        by_sku.entry(payment.sku_id).or_default().push(payment);
    }
    for (sku_id, payments) in by_sku {
        let told = payments.iter().take(ORDERS_NAMED_MAX.min(5)).map(|payment| {
            format!(
                "{} for order {} ({})",
                payment.payment_id,
                payment.order_id,
                payment.state.as_deref().unwrap_or("no row")
            )
        });
        let detail = format!(
            "{} payments are recorded for orders that are not confirmed: {}",
            payments.len(),
            told.collect::<Vec<_>>().join(", ")
        );
        let count = i64::try_from(payments.len()).unwrap_or(i64::MAX);
        let finding = Finding::new(Kind::PaidNotConfirmed, sku_id, Hop::Payments, count, detail);
        findings.push(finding.with_orders(payments.iter().map(|payment| payment.order_id)));
    }
    Ok(())
}
