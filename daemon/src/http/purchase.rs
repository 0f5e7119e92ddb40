//! `POST /api/v1/flash/purchase`: parse → admit → queue → answer.

use super::request_id::RequestId;
use super::{Answer, REPLAYED, body, json, problem};
use crate::app::{App, Shop};
use crate::clock::boot_ms;
use crate::crash;
use crate::lane::Verdict;
use flash_core::limits::RECORD_WITHIN_MS;
use flash_core::outcome::Refusal;
use flash_core::purchase::Purchase;
use flash_core::stock::{Ask, Receipt};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request};
use std::time::{Duration, Instant};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a purchase came to.
enum Told {
    Yes {
        receipt: Receipt,
        replayed: bool,
    },
    /// Answered by the latch, with a prebuilt body.
    Latched(flash_core::outcome::SoldOut, bytes::Bytes),
}

/// Handles one purchase and counts it.
pub(super) async fn handle(
    app: &App,
    shop: &Shop,
    (request, id): (Request<Incoming>, &RequestId),
    started: Instant,
) -> (Answer, Duration) {
    let told = purchase(app, shop, request).await;
    let took = started.elapsed();
    let answer = match told {
        Ok(Told::Yes { receipt, replayed }) => {
            app.meters.won(replayed, took);
            won(&receipt, replayed, took.as_millis())
        }
        Ok(Told::Latched(sold_out, body)) => {
            app.meters.refused(&Refusal::SoldOut(sold_out), took);
            problem::sold_out(sold_out, body)
        }
        Err(refusal) => {
            app.meters.refused(&refusal, took);
            if matches!(refusal, Refusal::OutcomeUnknown { .. }) {
                // What caused it is told once per batch; this is for whoever looks for one buyer.
                tracing::debug!(request = %id, "a purchase's outcome is unknown");
            }
            problem::answer(&refusal)
        }
    };
    (answer, took)
}

async fn purchase(app: &App, shop: &Shop, request: Request<Incoming>) -> Result<Told, Refusal> {
    let (headers, body) = body::read_json(request).await?;
    let purchase =
        Purchase::parse(&body, header_key(&headers)?).map_err(|error| Refusal::Validation(error.to_string()))?;
    let offer = shop.catalog.get(purchase.sku_id).ok_or(if shop.catalog.is_loaded() {
        Refusal::SkuNotFound
    } else {
        Refusal::StockRecovering
    })?;
    offer.lane.meters().asked();
    let admitted = shop.admission.admit(purchase.idempotency_key.is_some()).inspect_err(|refusal| {
        if matches!(refusal, Refusal::StockRecovering) {
            shop.deciders.selling.nothing_is_decided();
        }
    })?;
    if let Some((sold_out, body)) = offer.lane.latch().answer(purchase.user_id) {
        if admitted.replay_only {
            return Err(Refusal::SalePaused);
        }
        offer.lane.meters().latched_out();
        return Ok(Told::Latched(sold_out, body));
    }
    let twin = purchase.idempotency_key.as_deref().map(|key| shop.twins.enter(purchase.user_id, key));
    if matches!(twin, Some(None)) {
        return Err(Refusal::InProgress);
    }
    let Some((order_id, reservation_id)) = shop.ids.next() else {
        shop.deciders.selling.nothing_is_decided();
        return Err(Refusal::StockRecovering);
    };
    let Purchase { user_id, quantity, idempotency_key, .. } = purchase;
    // Everybody has a key, so that everybody can ask again after an unknown outcome.
    let idempotency_key = idempotency_key.unwrap_or_else(|| format!("auto-{order_id}"));
    let unknown = Refusal::OutcomeUnknown { idempotency_key: idempotency_key.clone() };
    crash::point("purchase.admitted");
    let began_ms = boot_ms();
    let replay_only = admitted.replay_only;
    let ask = Ask { user_id, quantity, order_id, reservation_id, idempotency_key, replay_only };
    let verdict = offer.lane.enqueue(ask)?;
    // If the client goes away here the purchase is still decided, and its verdict waits under the key.
    match tokio::time::timeout(app.config.http.answer_timeout, verdict).await {
        // The second condition is for a machine that was suspended after its event was handed over: the time-out does not count
        // that time, and an audit may have given the hold back by now.
        Ok(Ok(Verdict::Recorded { receipt, epoch, replayed }))
            if shop.deciders.lease.covers(epoch) && boot_ms().saturating_sub(began_ms) < RECORD_WITHIN_MS =>
        {
            crash::point("purchase.answered");
            Ok(Told::Yes { receipt, replayed })
        }
        Ok(Ok(Verdict::Refused(refusal))) => Err(refusal),
        // Too late, a lane that died, or a lease that ran out: none of them is a "no".
        Ok(Ok(Verdict::Recorded { .. }) | Err(_)) | Err(_) => Err(unknown),
    }
}

fn header_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let bad = |text: &str| Refusal::Validation(format!("Idempotency-Key: {text}"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| bad("must be visible ASCII")),
        (Some(_), Some(_)) => Err(bad("was sent more than once")),
    }
}

fn won(receipt: &Receipt, replayed: bool, took_ms: u128) -> Answer {
    let mut answer = json(won_body(receipt, took_ms).into());
    if replayed {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// What a winner is told.
pub(crate) fn won_body(receipt: &Receipt, took_ms: u128) -> String {
    format!(
        "{{\"success\":true,\"reservationId\":\"{}\",\"orderId\":\"{}\",\"expiresAt\":{},\
         \"message\":\"Reservation confirmed. Complete payment within {}.\",\"processingTimeMs\":{took_ms}}}",
        receipt.reservation_id,
        receipt.order_id,
        receipt.expires_at_ms,
        in_words(receipt.expires_at_ms.saturating_sub(receipt.reserved_at_ms)),
    )
}

/// A hold time for people: whole minutes where it is, seconds otherwise.
fn in_words(hold_ms: u64) -> String {
    let (number, unit) =
        if hold_ms.is_multiple_of(60_000) { (hold_ms / 60_000, "minute") } else { (hold_ms / 1000, "second") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}
