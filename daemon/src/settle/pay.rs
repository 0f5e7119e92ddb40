//! Confirming an order with a payment.

use super::late::Ended;
use super::{Fated, Found, Sender, Settler, total_minor};
use crate::crash;
use crate::meters::{Came, Wish};
use flash_core::ids::OrderId;
use flash_core::order::OrderState;
use flash_core::outcome::Refusal;
use flash_core::payment::{PayRequest, Payment, RefundReason};
use flash_core::settlement::{Confirm, Settlement, order_of};
use flash_stores::mysql::projection::PaymentRow;
use flash_stores::redis::{Fate, StockError};

impl Settler<'_> {
    /// Settles an order with a payment, however often it is reported.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was decided about the payment, or the outcome is unknown. In both cases it may be reported again.
    pub(crate) async fn pay(&self, order_id: OrderId, request: &PayRequest, sender: Sender) -> Result<Fated, Refusal> {
        let found = self.find(order_id).await?;
        let payment = Payment {
            payment_id: request.payment_id.clone(),
            amount_minor: request.amount_minor,
            paid_order: order_id,
        };
        let foreign = self.foreign_currency(&found, request);
        if let (Some(expected), Sender::Shop) = (&foreign, sender) {
            return Err(Refusal::CurrencyMismatch { expected: expected.clone() });
        }
        match self.decide(&payment, Fate::Open, Fate::Open).await? {
            Fate::Confirmed(amount_minor) => {
                self.same_amount(&payment, amount_minor, Fated::Confirmed { replayed: true })
            }
            Fate::Rebooked(order_id, amount_minor) => {
                self.same_amount(&payment, amount_minor, Fated::Rebooked { order_id, replayed: true })
            }
            Fate::Refunded(reason) => self.told(Fated::Refund { reason }),
            Fate::Rebooking(rebooked) => self.confirm_rebooked(&found, rebooked, &payment).await,
            Fate::Refunding(reason) => {
                let order = self.row(order_id).await?.order;
                self.refund(&order, &payment, reason, Fate::Open).await
            }
            // Other money than the order's can not confirm it, whatever its amount says.
            Fate::Open if foreign.is_some() => {
                let order = self.row(order_id).await?.order;
                self.refund(&order, &payment, RefundReason::Amount, Fate::Open).await
            }
            Fate::Open => {
                crash::point("pay.registered");
                self.confirm(&found, &payment, sender).await
            }
        }
    }

    /// The SKU's currency, if the request names another.
    fn foreign_currency(&self, found: &Found, request: &PayRequest) -> Option<String> {
        let offer = self.shop.catalog.get(found.sku_id)?;
        let named = request.currency.as_ref()?;
        (*named != offer.sku.currency).then(|| offer.sku.currency.clone())
    }

    async fn confirm(&self, found: &Found, payment: &Payment, sender: Sender) -> Result<Fated, Refusal> {
        let gate = &self.shop.deciders.gate;
        let confirmed = gate.confirm(&found.keys, &self.fence, found.order_id, payment).await;
        self.count_confirm(&confirmed, payment);
        match confirmed.map_err(|error| self.unsettled(&error))? {
            Confirm::Settling(settlement) => self.settling(found, settlement, payment).await,
            Confirm::Expired(hold) => self.late(found, &order_of(&hold, found.sku_id), payment, Ended::Returning).await,
            Confirm::Amount(hold) if sender == Sender::Shop => {
                Err(Refusal::AmountMismatch { expected_minor: hold.total_minor() })
            }
            Confirm::Amount(hold) => {
                let order = order_of(&hold, found.sku_id);
                self.refund(&order, payment, RefundReason::Amount, Fate::Open).await
            }
            Confirm::Gone => self.settled_before(found, payment, sender).await,
        }
    }

    pub(super) fn count_confirm(&self, confirmed: &Result<Confirm, StockError>, payment: &Payment) {
        let done = |confirm: &Confirm| matches!(confirm, Confirm::Settling(by) if is_by(by, payment) == Ok(true));
        self.app.meters.inventory.count(Wish::Confirm, Came::from(confirmed, done), 1);
    }

    /// The order is being settled: by this very payment, or otherwise.
    async fn settling(&self, found: &Found, settlement: Settlement, payment: &Payment) -> Result<Fated, Refusal> {
        let order = order_of(&settlement.hold, found.sku_id);
        match settlement.state {
            OrderState::Confirmed if is_by(&settlement, payment)? => {
                crash::point("pay.begun");
                self.record(found, settlement).await?;
                self.told(Fated::Confirmed { replayed: false })
            }
            OrderState::Confirmed => self.refund(&order, payment, RefundReason::AlreadyPaid, Fate::Open).await,
            OrderState::Cancelled => self.refund(&order, payment, RefundReason::Cancelled, Fate::Open).await,
            OrderState::Expired | OrderState::Reserved => self.late(found, &order, payment, Ended::Returning).await,
        }
    }

    /// Redis has forgotten the order: it was settled, and MySQL knows how, or will in a moment. The order is read before the
    /// payment: if it is confirmed and this payment is not there afterwards, it was another one.
    async fn settled_before(&self, found: &Found, payment: &Payment, sender: Sender) -> Result<Fated, Refusal> {
        let row = self.row(found.order_id).await?;
        if let Some(known) = self.payment_row(&payment.payment_id).await? {
            return self.known_before(found, payment, &known);
        }
        if sender == Sender::Shop && payment.amount_minor != total_minor(&row.order) {
            return Err(Refusal::AmountMismatch { expected_minor: total_minor(&row.order) });
        }
        match row.state {
            // The projection has not come to the settlement yet.
            OrderState::Reserved => Err(Refusal::OrderPending),
            OrderState::Confirmed => self.refund(&row.order, payment, RefundReason::AlreadyPaid, Fate::Open).await,
            OrderState::Cancelled => self.refund(&row.order, payment, RefundReason::Cancelled, Fate::Open).await,
            OrderState::Expired => self.late(found, &row.order, payment, Ended::Returned).await,
        }
    }

    /// What MySQL knows of this payment.
    fn known_before(&self, found: &Found, payment: &Payment, known: &PaymentRow) -> Result<Fated, Refusal> {
        if known.payment.paid_order != found.order_id {
            return Err(Refusal::PaymentReused { order_id: known.payment.paid_order });
        }
        let amount_minor = known.payment.amount_minor;
        match (known.order_id, known.refund) {
            (Some(order_id), _) if order_id == found.order_id => {
                self.same_amount(payment, amount_minor, Fated::Confirmed { replayed: true })
            }
            (Some(order_id), _) => {
                self.same_amount(payment, amount_minor, Fated::Rebooked { order_id, replayed: true })
            }
            (None, reason) => self.told(Fated::Refund { reason: reason.unwrap_or(RefundReason::Amount) }),
        }
    }
}

/// Whether an order is being confirmed by this payment. The same payment with another amount is a contradiction, not another
/// payment.
pub(super) fn is_by(settlement: &Settlement, payment: &Payment) -> Result<bool, Refusal> {
    match &settlement.payment {
        Some(by) if by.payment_id != payment.payment_id => Ok(false),
        Some(by) if by.amount_minor != payment.amount_minor => {
            Err(Refusal::AmountMismatch { expected_minor: by.amount_minor })
        }
        by => Ok(by.is_some() && settlement.state == OrderState::Confirmed),
    }
}
