//! Writing one SKU afresh from MySQL.

use super::{Rebuild, RebuildError};
use crate::crash;
use flash_core::ids::{OrderId, SkuId, UserId};
use flash_core::limits::{IDEMPOTENCY_TTL_MS, PAYMENT_TTL_MS};
use flash_core::order::OrderState;
use flash_core::payment::RefundReason;
use flash_core::sale::Sku;
use flash_core::stock::{Filling, Hold, Terms};
use flash_stores::mysql::orders::{self, OrderRow};
use flash_stores::mysql::payments;
use flash_stores::mysql::projection::PaymentRow;
use flash_stores::redis::{Fate, Fence, LoadError, LoadKey, LoadStock, Loader};

/// Fates of payments written at once.
const FATES_PER_CALL: usize = 500;
/// Orders read from MySQL at once.
const PAGE: u32 = 5_000;

impl Rebuild {
    /// available = capacity − held − sold; live holds, buyers' units and young keys as MySQL has them. Of a SKU that nobody has
    /// sold from MySQL knows nothing, so it is not asked.
    pub(super) async fn fill(&self, sku: &Sku, fence: &Fence, sold_from: bool) -> Result<(), RebuildError> {
        let keys = self.keys(sku.sku_id);
        let loader = Loader::new(&self.gate, &keys, fence);
        let refused = |source| RebuildError::Load { sku_id: sku.sku_id, source };
        loader.begin().await.map_err(refused)?;
        crash::point("fill.begun");
        let sum = if sold_from { self.fill_orders(sku, fence, &loader).await? } else { Filling::default() };
        let stock = stock(sku, &sum)?;
        let occupied = i64::from(stock.counters.held) + i64::from(stock.counters.sold);
        if sold_from {
            self.check_ledger(sku.sku_id, occupied).await?;
        }
        loader.open(&stock).await.map_err(refused)?;
        crash::point("fill.opened");
        Ok(())
    }

    /// The ledger has a row for whatever was given away, also if its order was deleted by hand: such a unit was told to a buyer
    /// and must not be sold again. (Fewer units in the ledger than in the orders sell too little at worst.)
    async fn check_ledger(&self, sku_id: SkuId, occupied: i64) -> Result<(), RebuildError> {
        let given_away = orders::given_away(&self.db, sku_id).await?;
        if given_away > occupied {
            return Err(RebuildError::OrdersLost { sku_id, occupied, given_away });
        }
        Ok(())
    }

    /// Everything that orders and payments leave in Redis, but for the counters.
    async fn fill_orders(&self, sku: &Sku, fence: &Fence, loader: &Loader<'_>) -> Result<Filling, RebuildError> {
        let refused = |source| RebuildError::Load { sku_id: sku.sku_id, source };
        let mut sum = Filling::default();
        let now_ms = self.gate.now_ms().await?;
        for state in [OrderState::Reserved, OrderState::Confirmed, OrderState::Cancelled, OrderState::Expired] {
            let page_after = |after| orders::page_of_sku(&self.db, sku.sku_id, state, after, PAGE);
            let mut page = page_after(OrderId::new(0)).await?;
            while let Some(last) = page.last() {
                // MySQL finds the next page while Redis takes this one.
                let (written, next) =
                    tokio::join!(self.fill_page(&page, sku, loader, now_ms, &mut sum), page_after(last.order.order_id));
                written.map_err(refused)?;
                page = next?;
            }
        }
        crash::point("fill.answers");
        let buyers: Vec<(UserId, u32)> = sum.buyers().collect();
        loader.buyers(&buyers).await.map_err(refused)?;
        crash::point("fill.buyers");
        self.fill_payments(sku, fence, now_ms).await?;
        crash::point("fill.payments");
        Ok(sum)
    }

    /// Writes the holds and answers of some orders of one state, side by side, and adds them to the sum.
    async fn fill_page(
        &self,
        page: &[OrderRow],
        sku: &Sku,
        loader: &Loader<'_>,
        now_ms: u64,
        sum: &mut Filling,
    ) -> Result<(), LoadError> {
        let held = page.iter().filter(|row| row.state == OrderState::Reserved);
        let holds: Vec<Hold> = held.map(hold).collect();
        let answers: Vec<LoadKey> = page.iter().filter_map(|row| answer(row, now_ms)).collect();
        for OrderRow { order, state, .. } in page {
            sum.add(order.user_id, order.quantity, order.seq, *state);
        }
        // Whoever has an answer is known as a winner, also without units: no latch may answer in its place.
        answers.iter().for_each(|answer| sum.know(answer.user_id));
        let (holds, answers) = tokio::join!(loader.holds(&holds), loader.answers(sku.sku_id, &answers));
        holds?;
        crash::point("fill.holds");
        answers
    }

    /// Writes the fates of young payments, so that a notice that is delivered again hears the same.
    async fn fill_payments(&self, sku: &Sku, fence: &Fence, now_ms: u64) -> Result<(), RebuildError> {
        let since_ms = now_ms.saturating_sub(PAYMENT_TTL_MS);
        let mut after = String::new();
        loop {
            let page = payments::page_of_sku(&self.db, sku.sku_id, since_ms, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.payment.payment_id.to_string();
            for chunk in page.chunks(FATES_PER_CALL) {
                let fates: Vec<_> =
                    chunk.iter().map(|row| (&row.payment.payment_id, row.payment.paid_order, fate(row))).collect();
                self.gate.write_fates(fence.epoch, &fates).await?;
            }
        }
    }

    /// Loads a SKU that nobody can have bought from, under the epoch that is open.
    pub(super) async fn create(&self, sku: &Sku, fence: &Fence) -> Result<(), RebuildError> {
        let keys = self.keys(sku.sku_id);
        let created = Loader::new(&self.gate, &keys, fence).create(&stock(sku, &Filling::default())?).await;
        created.map_err(|source| RebuildError::Load { sku_id: sku.sku_id, source })
    }
}

fn stock(sku: &Sku, sum: &Filling) -> Result<LoadStock, RebuildError> {
    let counters = sum.counters(sku.capacity);
    let counters = counters.map_err(|oversold| RebuildError::Oversold { sku_id: sku.sku_id, oversold })?;
    Ok(LoadStock { terms: terms(sku), counters })
}

/// The terms of a definition, as Redis keeps them.
pub(crate) fn terms(sku: &Sku) -> Terms {
    Terms {
        capacity: sku.capacity,
        per_user: sku.per_user,
        hold_ms: sku.hold_ms,
        opens_at_ms: sku.opens_at_ms.unwrap_or(0),
        closes_at_ms: sku.closes_at_ms.unwrap_or(0),
        paused: sku.paused,
    }
}

fn hold(row: &OrderRow) -> Hold {
    let order = row.order.clone();
    Hold {
        order_id: order.order_id,
        reservation_id: order.reservation_id,
        user_id: order.user_id,
        quantity: order.quantity,
        unit_price_minor: order.unit_price_minor,
        seq: order.seq,
        reserved_at_ms: order.reserved_at_ms,
        expires_at_ms: order.expires_at_ms,
        idempotency_key: order.idempotency_key,
    }
}

/// What the log says has become of a payment.
fn fate(row: &PaymentRow) -> Fate {
    match (row.order_id, row.refund) {
        (Some(order_id), _) if order_id == row.payment.paid_order => Fate::Confirmed(row.payment.amount_minor),
        (Some(order_id), _) => Fate::Rebooked(order_id, row.payment.amount_minor),
        (None, reason) => Fate::Refunded(reason.unwrap_or(RefundReason::Amount)),
    }
}

/// The key's answer, if it is younger than a key's life.
fn answer(row: &OrderRow, now_ms: u64) -> Option<LoadKey> {
    let order = &row.order;
    let life_ms = (order.reserved_at_ms + IDEMPOTENCY_TTL_MS).checked_sub(now_ms).filter(|life| *life > 0)?;
    Some(LoadKey {
        user_id: order.user_id,
        idempotency_key: order.idempotency_key.clone(),
        quantity: order.quantity,
        state: row.state,
        receipt: hold(row).receipt(),
        life_ms,
    })
}
