//! A payment that came after its hold had ended: the same buyer gets other units if any are free, otherwise the money back.
//!
//! A hold that has ended and is not given back yet stands in its own buyer's way: it fills the cap, and its units are not on sale.
//! That is over in a moment, so nothing is decided about the payment until then.
//!
//! Which of the two is decided by one word in the payment's register, before anything is published: two deliveries of one
//! notice may find the stock in different states, and must not give both.

use super::pay::is_by;
use super::{Fated, Found, Settler, total_minor};
use crate::crash;
use crate::meters::{Came, Wish};
use flash_core::event::Order;
use flash_core::ids::OrderId;
use flash_core::order::OrderState;
use flash_core::outcome::Refusal;
use flash_core::payment::{Payment, RefundReason};
use flash_core::settlement::Confirm;
use flash_core::stock::{Ask, Decision};
use flash_stores::redis::{Batch, Fate, Reserved, StockError};

/// Where the units of the ended hold are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// On their way back: they count for the buyer's cap and are not on sale.
    Returning,
    /// Back on sale.
    Returned,
}

impl Settler<'_> {
    /// Reserves again for the buyer of `order`, or has the payment given back.
    pub(super) async fn late(
        &self,
        found: &Found,
        order: &Order,
        payment: &Payment,
        ended: Ended,
    ) -> Result<Fated, Refusal> {
        if payment.amount_minor != total_minor(order) {
            return self.refund(order, payment, RefundReason::Amount, Fate::Open).await;
        }
        let fate = match self.reserve_again(found, order, ended).await? {
            Some(rebooked) => Fate::Rebooking(rebooked),
            None => Fate::Refunding(RefundReason::Expired),
        };
        match self.decide(payment, fate, Fate::Open).await? {
            Fate::Rebooking(rebooked) => {
                crash::point("late.decided");
                self.confirm_rebooked(found, rebooked, payment).await
            }
            // Decided before. Units that were reserved just now are nobody's and end like any unpaid hold.
            _ => self.refund(order, payment, RefundReason::Expired, Fate::Open).await,
        }
    }

    /// One purchase by the gate's own rules – window, cap, stock – at the price that was paid. Its key is the order's, so that
    /// every delivery finds the same units, and a second payment for the order finds them paid for.
    async fn reserve_again(&self, found: &Found, order: &Order, ended: Ended) -> Result<Option<OrderId>, Refusal> {
        let (order_id, reservation_id) = self.shop.ids.next().ok_or(Refusal::StockRecovering)?;
        let ask = Ask {
            user_id: order.user_id,
            quantity: order.quantity,
            order_id,
            reservation_id,
            idempotency_key: format!("late-{}", order.order_id),
            replay_only: false,
        };
        let (keys, fence) = (&found.keys, &*self.fence);
        let batch = Batch { keys, fence, unit_price_minor: order.unit_price_minor, asks: &[ask] };
        let gate = &self.shop.deciders.gate;
        let reserved = gate.reserve(&batch).await;
        self.count_rebook(&reserved);
        let mut reserved = reserved.map_err(|error| self.unsettled(&error))?;
        match reserved.decisions.pop() {
            Some(Decision::Won(hold) | Decision::Replayed(hold)) => {
                crash::point("late.reserved");
                let kept = gate.keep_claims(found.sku_id, &[&hold]).await;
                kept.into_iter().collect::<Result<(), _>>().map_err(|error| self.unsettled(&error))?;
                crash::point("late.kept");
                Ok(Some(hold.order_id))
            }
            Some(Decision::Kept(receipt)) => Ok(Some(receipt.order_id)),
            // These pass; whoever reports the payment reports it again.
            Some(Decision::RateLimited) => Err(Refusal::RateLimited),
            Some(Decision::Paused) => Err(Refusal::SalePaused),
            Some(Decision::LimitReached | Decision::SoldOut) if ended == Ended::Returning => Err(Refusal::OrderPending),
            _ => Ok(None),
        }
    }

    fn count_rebook(&self, reserved: &Result<Reserved, StockError>) {
        let came = match reserved.as_ref().map(|reserved| reserved.decisions.first()) {
            Ok(Some(Decision::Won(_))) => Came::Success,
            Ok(Some(Decision::Replayed(_) | Decision::Kept(_))) => Came::Replayed,
            Ok(_) => Came::Refused,
            Err(error) => Came::of(error),
        };
        self.app.meters.inventory.count(Wish::Rebook, came, 1);
    }

    /// Confirms the order that was reserved again.
    pub(super) async fn confirm_rebooked(
        &self,
        found: &Found,
        rebooked: OrderId,
        payment: &Payment,
    ) -> Result<Fated, Refusal> {
        let again = Found { order_id: rebooked, sku_id: found.sku_id, keys: found.keys.clone() };
        let gate = &self.shop.deciders.gate;
        let confirmed = gate.confirm(&again.keys, &self.fence, rebooked, payment).await;
        self.count_confirm(&confirmed, payment);
        match confirmed.map_err(|error| self.unsettled(&error))? {
            Confirm::Settling(settlement) if is_by(&settlement, payment)? => {
                crash::point("late.begun");
                self.record(&again, settlement).await?;
                self.told(Fated::Rebooked { order_id: rebooked, replayed: false })
            }
            Confirm::Gone => self.rebooked_before(found, rebooked, payment).await,
            Confirm::Settling(other) if other.state == OrderState::Confirmed => {
                self.not_rebooked(found, rebooked, payment, RefundReason::AlreadyPaid).await
            }
            // It waited so long that these units are gone as well.
            Confirm::Settling(_) | Confirm::Expired(_) | Confirm::Amount(_) => {
                self.not_rebooked(found, rebooked, payment, RefundReason::Expired).await
            }
        }
    }

    /// Redis has forgotten the order that stands for the late one. The order is read before the payment: if it is confirmed
    /// and this payment is not there afterwards, it was another one.
    async fn rebooked_before(&self, found: &Found, rebooked: OrderId, payment: &Payment) -> Result<Fated, Refusal> {
        let state = self.row(rebooked).await?.state;
        if let Some(order_id) = self.payment_row(&payment.payment_id).await?.and_then(|row| row.order_id) {
            return self.told(Fated::Rebooked { order_id, replayed: true });
        }
        match state {
            OrderState::Reserved => Err(Refusal::OrderPending),
            OrderState::Confirmed => self.not_rebooked(found, rebooked, payment, RefundReason::AlreadyPaid).await,
            OrderState::Cancelled | OrderState::Expired => {
                self.not_rebooked(found, rebooked, payment, RefundReason::Expired).await
            }
        }
    }

    /// The order that was to stand for the late one can not be confirmed by this payment.
    async fn not_rebooked(
        &self,
        found: &Found,
        rebooked: OrderId,
        payment: &Payment,
        reason: RefundReason,
    ) -> Result<Fated, Refusal> {
        let order = self.row(found.order_id).await?.order;
        self.refund(&order, payment, reason, Fate::Rebooking(rebooked)).await
    }
}
