//! Turning a hold into its event, and the event's fate into a verdict.

use crate::lane::Verdict;
use flash_core::event::{Body, Event, EventError, Order};
use flash_core::ids::{Epoch, SkuId};
use flash_core::order::OrderState;
use flash_core::outcome::Refusal;
use flash_core::stock::Hold;
use flash_stores::kafka::producer::{Delivery, Recorder};
use tokio::sync::oneshot;

/// Records a hold and tells the buyer's request what became of it. A replayed hold is recorded again: its first event may
/// never have reached the log, and if it did, the second changes nothing.
pub(crate) fn record(
    recorder: &Recorder,
    sku_id: SkuId,
    epoch: Epoch,
    hold: Hold,
    replayed: bool,
    buyer: oneshot::Sender<Verdict>,
) {
    let unknown = Refusal::OutcomeUnknown { idempotency_key: hold.idempotency_key.clone() };
    let (key, payload) = match encode(sku_id, epoch, &hold) {
        Ok(payload) => (hold.order_id.to_string(), payload),
        Err(error) => {
            tracing::error!(%error, order = %hold.order_id, "an event could not be written");
            let _ = buyer.send(Verdict::Refused(unknown));
            return;
        }
    };
    let told = move |delivery| {
        let verdict = match delivery {
            Delivery::Acknowledged { .. } => Verdict::Recorded { hold, epoch, replayed },
            // The hold stays. A retry with the key records it again, or it expires: nothing is given back on a guess.
            Delivery::NeverSent | Delivery::Unknown => Verdict::Refused(unknown),
        };
        // The client may be gone; the verdict is kept under its key.
        let _ = buyer.send(verdict);
    };
    recorder.record(&key, &payload, Box::new(told));
}

fn encode(sku_id: SkuId, epoch: Epoch, hold: &Hold) -> Result<Vec<u8>, EventError> {
    let order = Order {
        order_id: hold.order_id,
        reservation_id: hold.reservation_id,
        user_id: hold.user_id,
        sku_id,
        quantity: hold.quantity,
        unit_price_minor: hold.unit_price_minor,
        seq: hold.seq,
        idempotency_key: hold.idempotency_key.clone(),
        reserved_at_ms: hold.reserved_at_ms,
        expires_at_ms: hold.expires_at_ms,
    };
    Event { epoch, at_ms: hold.reserved_at_ms, body: Body::Order { state: OrderState::Reserved, order } }.encode()
}
