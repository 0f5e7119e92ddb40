//! Settling orders for buyers: pay and cancel (DESIGN section 6).
//!
//! Owns the order of the steps – begin in Redis, record in the log, answer under the lease, finish in Redis – and never
//! decides: the scripts do. Promise kept (P2, P3): nobody is told that an order is settled before the log knows, and no unit
//! goes back on sale before the log knows. A step that gets no answer is "unknown", and asking again finds out: every
//! step may be repeated, and what nobody finishes a sweeper takes over.

mod cancel;
mod fate;
mod late;
mod pay;
mod publish;
mod refund;

pub(crate) use fate::{Fated, Sender};
pub(crate) use publish::{finish, finish_covered, publish};

use crate::app::{App, Shop};
use crate::crash;
use crate::http::may_still_come;
use flash_core::event::Order;
use flash_core::ids::{OrderId, SkuId};
use flash_core::outcome::Refusal;
use flash_core::payment::PaymentId;
use flash_stores::mysql::orders::{self, OrderRow};
use flash_stores::mysql::payments;
use flash_stores::mysql::projection::PaymentRow;
use flash_stores::redis::{Fence, SkuKeys, StockError};
use std::sync::Arc;
use std::time::Duration;

/// How long a look at MySQL may take.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// What one settlement works with.
pub(crate) struct Settler<'a> {
    app: &'a App,
    shop: &'a Shop,
    fence: Arc<Fence>,
}

/// An order that is known to exist, and where.
struct Found {
    order_id: OrderId,
    sku_id: SkuId,
    keys: SkuKeys,
}

impl<'a> Settler<'a> {
    /// A settlement under the epoch that is open now.
    ///
    /// # Errors
    /// [`Refusal::StockRecovering`] without a fresh lease.
    pub(crate) fn new(app: &'a App, shop: &'a Shop) -> Result<Self, Refusal> {
        let fence = shop.deciders.lease.fence().ok_or(Refusal::StockRecovering)?;
        Ok(Self { app, shop, fence })
    }

    /// Finds the SKU of an order: Redis remembers it until MySQL certainly knows.
    async fn find(&self, order_id: OrderId) -> Result<Found, Refusal> {
        let remembered =
            self.shop.deciders.gate.sku_of_order(order_id).await.map_err(|error| self.unsettled(&error))?;
        let sku_id = match remembered {
            Some(sku_id) => sku_id,
            None => self.row(order_id).await?.order.sku_id,
        };
        Ok(Found { order_id, sku_id, keys: self.keys(sku_id) })
    }

    /// The order as MySQL has it. One that may still be on its way is pending, not missing.
    async fn row(&self, order_id: OrderId) -> Result<OrderRow, Refusal> {
        let look = async {
            // Whether it may still come is judged before it is looked for: see the order look-up.
            let pending = may_still_come(self.app, self.shop, order_id).await?;
            Ok::<_, flash_stores::mysql::MySqlError>((orders::get(&self.app.db, order_id).await?, pending))
        };
        match tokio::time::timeout(VIEW_TIMEOUT, look).await {
            Ok(Ok((Some(row), _))) => Ok(row),
            Ok(Ok((None, true))) => Err(Refusal::OrderPending),
            Ok(Ok((None, false))) => Err(Refusal::OrderNotFound),
            Ok(Err(_)) | Err(_) => Err(Refusal::ViewUnavailable),
        }
    }

    /// What MySQL knows of a payment.
    async fn payment_row(&self, payment_id: &PaymentId) -> Result<Option<PaymentRow>, Refusal> {
        match tokio::time::timeout(VIEW_TIMEOUT, payments::get(&self.app.db, payment_id)).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(_)) | Err(_) => Err(Refusal::ViewUnavailable),
        }
    }

    fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(self.shop.deciders.gate.namespace(), sku_id)
    }

    /// What a failed call to Redis means for a settlement.
    fn unsettled(&self, error: &StockError) -> Refusal {
        match error {
            StockError::Unknown(reason) => {
                tracing::warn!(reason, "a settlement's outcome is unknown");
                Refusal::SettlementUnknown
            }
            StockError::Fenced(reason) => {
                self.shop.deciders.lease.suspect();
                self.shop.deciders.fenced.note(reason);
                Refusal::StockRecovering
            }
            StockError::NotSent(_) | StockError::Refused(_) => Refusal::StockRecovering,
        }
    }

    /// The lease rule: what was decided under an epoch may be told only while it is surely the open one.
    fn told<T>(&self, answer: T) -> Result<T, Refusal> {
        crash::point("settle.answered");
        if self.shop.deciders.lease.covers(self.fence.epoch) { Ok(answer) } else { Err(Refusal::SettlementUnknown) }
    }
}

/// What all units of an order cost, in minor units.
fn total_minor(order: &Order) -> u64 {
    order.unit_price_minor.saturating_mul(u64::from(order.quantity))
}
