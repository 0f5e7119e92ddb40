//! One SKU in Redis against the sums of its ledger, and what has been in Redis for too long or not at all.

use super::super::cut::{Seen, Stock};
use super::super::ledger::Books;
use super::super::{Reconcile, ReconcileError};
use super::PAGE;
use flash_core::ids::{OrderId, SkuId};
use flash_core::limits::RELEASE_WITHIN_MS;
use flash_core::reconcile::{Finding, GateBooks, Hop, Kind, compare};
use flash_core::stock::Hold;
use flash_stores::mysql::reconcile::Look;
use std::collections::HashSet;

impl Reconcile {
    pub(super) async fn judge_sku(
        &self,
        seen: &Seen,
        books: &Books,
        findings: &mut Vec<Finding>,
    ) -> Result<(), ReconcileError> {
        let sku_id = seen.stored.sku.sku_id;
        let audited = match &seen.stock {
            Stock::Open(audited) => audited,
            Stock::New => return Ok(()),
            Stock::Blocked => {
                let detail = "it was left closed when Redis was filled; nobody can buy it".to_owned();
                findings.push(Finding::new(Kind::BlockedSku, sku_id, Hop::Gate, 0, detail));
                return Ok(());
            }
            Stock::Lost => {
                let detail = "Redis was filled with it and has nothing of it any more".to_owned();
                findings.push(Finding::new(Kind::StockLost, sku_id, Hop::Gate, 0, detail));
                return Ok(());
            }
        };
        if !audited.has_opened_seq {
            let detail =
                "Redis does not say where the epoch began: it was filled by an older version, or changed by hand";
            findings.push(Finding::new(Kind::CounterDrift, sku_id, Hop::Gate, 0, detail.to_owned()));
            return Ok(());
        }
        let (gate, count) = (&audited.books, books.counts.get(&sku_id).copied().unwrap_or_default());
        let gaps = books.found.gaps.get(&sku_id).map_or(&[][..], Vec::as_slice);
        let capacity_max = i64::from(seen.stored.sku.capacity).max(gate.capacity);
        findings.extend(compare(sku_id, capacity_max, gate, &count, gaps));
        if gaps.is_empty() && !count.is_complete(gate) || count.has_surplus(gate) {
            let detail = "the ledger has sequence numbers of this epoch twice, or some that Redis never gave out";
            findings.push(Finding::new(Kind::LedgerDiffers, sku_id, Hop::View, 0, detail.to_owned()));
        }
        self.late(sku_id, gate, findings).await
    }

    /// What should have ended or been finished long ago.
    async fn late(&self, sku_id: SkuId, gate: &GateBooks, findings: &mut Vec<Finding>) -> Result<(), ReconcileError> {
        let late_ms = gate.now_ms.saturating_sub(RELEASE_WITHIN_MS);
        let is_late = |ms: u64| ms > 0 && ms < late_ms;
        if !is_late(gate.first_expiry_ms) && !is_late(gate.first_settling_ms) {
            return Ok(());
        }
        let keys = self.keys(sku_id);
        let traces = self.gate.traces(&keys, |hold| is_late(hold.expires_at_ms), |settling| is_late(settling.at_ms));
        let traces = traces.await?;
        let units = |holds: &mut dyn Iterator<Item = &Hold>| holds.map(|hold| i64::from(hold.quantity)).sum::<i64>();
        if !traces.holds.is_empty() {
            let amount = units(&mut traces.holds.iter());
            let detail = format!("{} holds ended more than {} s ago", traces.holds.len(), RELEASE_WITHIN_MS / 1_000);
            let finding = Finding::new(Kind::ExpiredNotReleased, sku_id, Hop::Gate, amount, detail);
            findings.push(finding.with_orders(traces.holds.iter().map(|hold| hold.order_id)));
        }
        if !traces.settlements.is_empty() {
            let amount = units(&mut traces.settlements.iter().map(|settling| &settling.hold));
            let detail = format!(
                "{} settlements were begun more than {} s ago and are not finished",
                traces.settlements.len(),
                RELEASE_WITHIN_MS / 1_000
            );
            let finding = Finding::new(Kind::SettlementStuck, sku_id, Hop::Gate, amount, detail);
            findings.push(finding.with_orders(traces.settlements.iter().map(|settling| settling.hold.order_id)));
        }
        Ok(())
    }

    /// Orders on hold in MySQL that Redis does not know, although the log has nothing about their end.
    pub(super) async fn lost_holds(&self, sku_id: SkuId, look: &mut Look) -> Result<Option<Finding>, ReconcileError> {
        let keys = self.keys(sku_id);
        let (mut after, mut lost) = (OrderId::new(0), Vec::new());
        loop {
            let page = look.on_hold(sku_id, u64::MAX, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.order_id;
            let ids: Vec<OrderId> = page.iter().map(|order| order.order_id).collect();
            let known = self.gate.knows(&keys, &ids).await?;
            lost.extend(page.into_iter().zip(known).filter(|(_, known)| !known).map(|(order, _)| order));
        }
        if lost.is_empty() {
            return Ok(None);
        }
        // Redis forgets an order after the log knows its end; MySQL knows it once it has passed the log's end.
        self.projected(&|_| {}).await?;
        let mut now = Look::begin(&self.db).await?;
        let mut still = HashSet::new();
        for chunk in lost.chunks(PAGE as usize) {
            let ids: Vec<OrderId> = chunk.iter().map(|order| order.order_id).collect();
            still.extend(now.still_on_hold(&ids).await?);
        }
        now.end().await;
        lost.retain(|order| still.contains(&order.order_id));
        let units = lost.iter().map(|order| i64::from(order.quantity)).sum();
        let detail = format!("{} orders are on hold in MySQL and unknown to Redis", lost.len());
        let finding = Finding::new(Kind::HoldLost, sku_id, Hop::Gate, units, detail);
        Ok((!lost.is_empty()).then(|| finding.with_orders(lost.iter().map(|order| order.order_id))))
    }
}
