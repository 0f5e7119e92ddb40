//! Cancelling a reservation for its buyer.

use super::{Found, Settler, finish, publish};
use crate::crash;
use crate::meters::{Came, Wish};
use flash_core::ids::{OrderId, UserId};
use flash_core::order::OrderState;
use flash_core::outcome::Refusal;
use flash_core::settlement::{Cancel, Settlement};
use std::sync::Arc;

impl Settler<'_> {
    /// Cancels an order; true if it had been cancelled before. `user_id`, if given, must be its buyer.
    ///
    /// # Errors
    /// [`Refusal`]: what stands in the way, or that the outcome is unknown.
    pub(crate) async fn cancel(&self, order_id: OrderId, user_id: Option<UserId>) -> Result<bool, Refusal> {
        let found = self.find(order_id).await?;
        let gate = &self.shop.deciders.gate;
        let cancelled = gate.cancel(&found.keys, &self.fence, order_id, user_id).await;
        let done = |cancel: &Cancel| matches!(cancel, Cancel::Settling(by) if by.state == OrderState::Cancelled);
        self.app.meters.inventory.count(Wish::Cancel, Came::from(&cancelled, done), 1);
        match cancelled.map_err(|error| self.unsettled(&error))? {
            Cancel::Settling(settlement) if settlement.state == OrderState::Cancelled => {
                crash::point("cancel.begun");
                self.record(&found, settlement).await?;
                self.told(false)
            }
            Cancel::Settling(settlement) => Err(Refusal::of_state(settlement.state)),
            Cancel::Expired => Err(Refusal::ReservationExpired),
            Cancel::NotTheirs => Err(Refusal::OrderNotFound),
            Cancel::Gone => self.cancelled_before(order_id, user_id).await,
        }
    }

    /// Redis has forgotten the order, so MySQL knows how it ended, or will in a moment.
    async fn cancelled_before(&self, order_id: OrderId, user_id: Option<UserId>) -> Result<bool, Refusal> {
        let row = self.row(order_id).await?;
        if user_id.is_some_and(|user_id| user_id != row.order.user_id) {
            return Err(Refusal::OrderNotFound);
        }
        if row.state == OrderState::Cancelled { self.told(true) } else { Err(Refusal::of_state(row.state)) }
    }

    /// Records a settlement; once the log has it, it is finished without the buyer waiting for that.
    pub(super) async fn record(&self, found: &Found, settlement: Settlement) -> Result<(), Refusal> {
        let deciders = &self.shop.deciders;
        let event = settlement.event(found.sku_id, self.fence.epoch);
        let recording = publish(&deciders.recorder, std::iter::once((found.order_id, event)));
        let patience = self.app.config.http.answer_timeout;
        if tokio::time::timeout(patience, recording).await.ok().as_deref() != Some(&[true]) {
            return Err(Refusal::SettlementUnknown);
        }
        let (deciders, keys, fence) = (Arc::clone(deciders), found.keys.clone(), Arc::clone(&self.fence));
        tokio::spawn(async move {
            if let Err(error) = finish(&deciders, &keys, &fence, &[&settlement]).await {
                tracing::debug!(%error, order = %settlement.hold.order_id, "left to a sweeper to finish");
            }
        });
        Ok(())
    }
}
