//! Recording settlements, and finishing them once the log has them.

use crate::crash;
use crate::lane::Deciders;
use flash_core::event::Event;
use flash_core::ids::OrderId;
use flash_core::payment::PaymentId;
use flash_core::settlement::Settlement;
use flash_stores::kafka::producer::{Delivery, Recorder};
use flash_stores::redis::{Fate, Fence, Gate, SkuKeys, StockError};
use tokio::sync::oneshot;

/// Hands events to the log, in order, and waits for the fate of each: whether it was acknowledged. No answer is "no".
pub(crate) async fn publish(recorder: &Recorder, events: impl Iterator<Item = (OrderId, Event)>) -> Vec<bool> {
    let handed: Vec<_> = events.map(|(order_id, event)| hand_over(recorder, order_id, &event)).collect();
    crash::point("settle.queued");
    let mut acknowledged = Vec::with_capacity(handed.len());
    for fate in handed {
        acknowledged.push(matches!(fate.await, Ok(Delivery::Acknowledged { .. })));
    }
    acknowledged
}

fn hand_over(recorder: &Recorder, order_id: OrderId, event: &Event) -> oneshot::Receiver<Delivery> {
    let (tell, told) = oneshot::channel();
    match event.encode() {
        Ok(payload) => {
            let tell = move |delivery| {
                let _ = tell.send(delivery);
            };
            recorder.record(order_id, &payload, Box::new(tell));
        }
        // Dropping the sender says it: not acknowledged.
        Err(error) => tracing::error!(%error, order = %order_id, "an event could not be written"),
    }
    told
}

/// Finishes settlements that the log has: returns Redis' clock at the end, in milliseconds since 1970. The fate of a payment
/// is written first: whoever finds the order gone must be able to find out that this payment was it.
///
/// Only while the lease covers the epoch, as if it were told to a buyer: then no newer fence can stand before the events, and
/// they count. Else the units of an order whose end is void would be sold again, by a Redis that nobody else reaches, before
/// another partition is fenced. `None`: the lease did not cover it; a sweeper takes over what is left, if anything is.
///
/// # Errors
/// [`StockError`]; a sweeper takes over what is left.
pub(crate) async fn finish(
    deciders: &Deciders,
    keys: &SkuKeys,
    fence: &Fence,
    settled: &[&Settlement],
) -> Result<Option<u64>, StockError> {
    if !deciders.lease.covers(fence.epoch) {
        return Ok(None);
    }
    finish_covered(&deciders.gate, keys, fence, settled).await.map(Some)
}

/// [`finish`] for a caller that has no lease to ask and has looked at the epochs itself: begun after the log had acknowledged the
/// events, and less than D ago, a complete look showed the epoch open.
///
/// # Errors
/// [`StockError`]; a sweeper takes over what is left.
pub(crate) async fn finish_covered(
    gate: &Gate,
    keys: &SkuKeys,
    fence: &Fence,
    settled: &[&Settlement],
) -> Result<u64, StockError> {
    crash::point("settle.recorded");
    let fates: Vec<_> = settled.iter().filter_map(|settlement| fate(settlement)).collect();
    gate.write_fates(fence.epoch, &fates).await?;
    crash::point("settle.remembered");
    let (now_ms, _) = gate.finish(keys, fence, settled).await?;
    crash::point("settle.finished");
    Ok(now_ms)
}

fn fate(settlement: &Settlement) -> Option<(&PaymentId, OrderId, Fate)> {
    let payment = settlement.payment.as_ref()?;
    let order_id = settlement.hold.order_id;
    let amount_minor = payment.amount_minor;
    let direct = payment.paid_order == order_id;
    let fate = if direct { Fate::Confirmed(amount_minor) } else { Fate::Rebooked(order_id, amount_minor) };
    Some((&payment.payment_id, payment.paid_order, fate))
}
