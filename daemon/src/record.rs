//! Turning a hold into its event, and the event's fate into a verdict.

use crate::clock::boot_ms;
use crate::crash;
use crate::lane::{Deciders, Verdict};
use flash_core::event::{Body, Event, EventError};
use flash_core::ids::{Epoch, SkuId};
use flash_core::limits::RECORD_WITHIN_MS;
use flash_core::outcome::Refusal;
use flash_core::settlement::order_of;
use flash_core::stock::Hold;
use flash_stores::kafka::producer::Delivery;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A hold that waits to be recorded, and the request that waits for it.
#[derive(Debug)]
pub(crate) struct Win {
    pub(crate) hold: Hold,
    /// Whether the key already had this answer. A replayed hold is recorded again: its first event may never have
    /// reached the log, and if it did, the second changes nothing.
    pub(crate) replayed: bool,
    pub(crate) buyer: oneshot::Sender<Verdict>,
}

impl Win {
    /// The client may be gone; the verdict is kept under its key.
    fn tell(self, refusal: Refusal) {
        let _ = self.buyer.send(Verdict::Refused(refusal));
    }

    fn unknown(&self) -> Refusal {
        Refusal::OutcomeUnknown { idempotency_key: self.hold.idempotency_key.clone() }
    }
}

/// Records the wins of one batch: their keys' claims are made to last, then the events of those whose claim does are handed to
/// Kafka – unless the batch began (boot clock) so long ago that this process must have been frozen. So an audit knows when an
/// event that has not come will not come any more.
pub(crate) async fn record_all(deciders: Arc<Deciders>, sku_id: SkuId, epoch: Epoch, wins: Vec<Win>, began_ms: u64) {
    let holds: Vec<&Hold> = wins.iter().map(|win| &win.hold).collect();
    let kept = deciders.gate.keep_claims(sku_id, &holds).await;
    if boot_ms().saturating_sub(began_ms) > RECORD_WITHIN_MS {
        tracing::warn!(sku = %sku_id, wins = wins.len(), "decided too long ago to be recorded; outcomes are unknown");
        for win in wins {
            let unknown = win.unknown();
            win.tell(unknown);
        }
        return;
    }
    let (kept, lost): (Vec<_>, Vec<_>) = wins.into_iter().zip(kept).partition(|(_, kept)| kept.is_ok());
    if let Some((_, Err(error))) = lost.first() {
        tracing::warn!(sku = %sku_id, wins = lost.len(), %error, "claims could not be kept; outcomes are unknown");
    }
    for (win, _) in lost {
        let unknown = win.unknown();
        win.tell(unknown);
    }
    if kept.is_empty() {
        return;
    }
    crash::point("purchase.kept");
    for (win, _) in kept {
        record(&deciders, sku_id, epoch, win);
    }
    crash::point("purchase.queued");
}

fn record(deciders: &Deciders, sku_id: SkuId, epoch: Epoch, win: Win) {
    let unknown = win.unknown();
    let payload = match encode(sku_id, epoch, &win.hold) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::error!(%error, order = %win.hold.order_id, "an event could not be written");
            return win.tell(unknown);
        }
    };
    let order_id = win.hold.order_id;
    // Not the deciders: they own the producer, which owns this closure until the event is answered.
    let meters = Arc::clone(&deciders.meters);
    let told = move |delivery| match delivery {
        Delivery::Acknowledged { .. } => {
            crash::point("purchase.acknowledged");
            meters.logged();
            let Win { hold, replayed, buyer } = win;
            let _ = buyer.send(Verdict::Recorded { receipt: hold.receipt(), epoch, replayed });
        }
        // The hold stays. A retry with the key records it again, or it expires: nothing is given back on a guess.
        Delivery::NeverSent | Delivery::Unknown => win.tell(unknown),
    };
    deciders.recorder.record(order_id, &payload, Box::new(told));
}

fn encode(sku_id: SkuId, epoch: Epoch, hold: &Hold) -> Result<Vec<u8>, EventError> {
    Event { epoch, at_ms: hold.reserved_at_ms, body: Body::reserved(order_of(hold, sku_id)) }.encode()
}
