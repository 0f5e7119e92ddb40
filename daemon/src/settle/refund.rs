//! Money that bought nothing: one word about it in the register, one event in the log.

use super::{Fated, Settler, publish};
use crate::crash;
use flash_core::event::{Body, Event, Order};
use flash_core::outcome::Refusal;
use flash_core::payment::{Payment, RefundReason};
use flash_stores::redis::{Fate, Register};

impl Settler<'_> {
    /// Decides that a payment is to be given back, unless its fate is decided otherwise already, and records it.
    /// `instead_of` is a fate that has turned out to be impossible.
    pub(super) async fn refund(
        &self,
        order: &Order,
        payment: &Payment,
        reason: RefundReason,
        instead_of: Fate,
    ) -> Result<Fated, Refusal> {
        match self.decide(payment, Fate::Refunding(reason), instead_of).await? {
            Fate::Refunding(reason) => self.record_refund(order, payment, reason).await,
            Fate::Refunded(reason) => self.told(Fated::Refund { reason }),
            Fate::Confirmed(amount_minor) => {
                self.same_amount(payment, amount_minor, Fated::Confirmed { replayed: true })
            }
            Fate::Rebooked(order_id, amount_minor) => {
                self.same_amount(payment, amount_minor, Fated::Rebooked { order_id, replayed: true })
            }
            // Somebody else reserved again for it this very moment; ask again.
            Fate::Rebooking(_) | Fate::Open => Err(Refusal::SettlementUnknown),
        }
    }

    /// The answer that was given before – to the very same payment; another amount under its id is another payment.
    pub(super) fn same_amount(&self, payment: &Payment, amount_minor: u64, fated: Fated) -> Result<Fated, Refusal> {
        if payment.amount_minor != amount_minor {
            return Err(Refusal::AmountMismatch { expected_minor: amount_minor });
        }
        self.told(fated)
    }

    /// Proposes a fate and returns the one that counts.
    pub(super) async fn decide(&self, payment: &Payment, fate: Fate, instead_of: Fate) -> Result<Fate, Refusal> {
        let gate = &self.shop.deciders.gate;
        let (payment_id, paid_order) = (&payment.payment_id, payment.paid_order);
        let decided = gate.propose(&self.fence, payment_id, paid_order, fate, instead_of).await;
        match decided.map_err(|error| self.unsettled(&error))? {
            Register::Fate(fate) => Ok(fate),
            Register::Other(order_id) => Err(Refusal::PaymentReused { order_id }),
        }
    }

    async fn record_refund(&self, order: &Order, payment: &Payment, reason: RefundReason) -> Result<Fated, Refusal> {
        let deciders = &self.shop.deciders;
        let at_ms = deciders.gate.now_ms().await.map_err(|error| self.unsettled(&error))?;
        crash::point("refund.decided");
        let body = Body::Refund { order: order.clone(), payment: payment.clone(), reason };
        let event = Event { epoch: self.fence.epoch, at_ms, body };
        let recording = publish(&deciders.recorder, std::iter::once((order.order_id, event)));
        let patience = self.app.config.http.answer_timeout;
        if tokio::time::timeout(patience, recording).await.ok().as_deref() != Some(&[true]) {
            return Err(Refusal::SettlementUnknown);
        }
        crash::point("refund.recorded");
        self.remember(payment, Fate::Refunded(reason));
        tracing::warn!(payment = %payment.payment_id, order = %order.order_id, reason = reason.as_str(), "a payment is to be given back");
        self.told(Fated::Refund { reason })
    }

    /// Notes a fate that the log knows; the answer does not wait for it.
    pub(super) fn remember(&self, payment: &Payment, fate: Fate) {
        let (gate, epoch) = (self.shop.deciders.gate.clone(), self.fence.epoch);
        let (payment_id, order_id) = (payment.payment_id.clone(), payment.paid_order);
        tokio::spawn(async move {
            let written = gate.write_fates(epoch, &[(&payment_id, order_id, fate)]).await;
            crash::point("refund.remembered");
            written
        });
    }
}
