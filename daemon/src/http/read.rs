//! Looking: SKUs, orders, health. None of it touches stock.

use super::{Answer, json, problem};
use crate::app::{App, Shop};
use crate::catalog::Offer;
use crate::clock::wall_ms;
use bytes::Bytes;
use flash_core::ids::{OrderId, SkuId};
use flash_core::outcome::Refusal;
use flash_core::sale::format_price;
use flash_core::snowflake::issued_at_ms;
use flash_core::stock::Counters;
use flash_stores::mysql::{offsets, orders};
use flash_stores::redis::SkuKeys;
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use std::time::Duration;

/// Beyond the producer's patience, how far clocks of different machines may differ before a young order could be called
/// missing, in milliseconds.
const CLOCK_MARGIN_MS: u64 = 10_000;
/// An id from further in the future than this was not issued by any daemon whose clock can be trusted, in milliseconds.
const FUTURE_MARGIN_MS: u64 = 15 * 60 * 1000;
/// How long a look at MySQL may take.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /health`: the seed's shape.
pub(super) fn health(app: &App) -> Answer {
    let uptime_s = app.started.elapsed().as_secs_f64();
    json(Bytes::from(json!({ "status": "ok", "timestamp": wall_ms(), "uptime": uptime_s }).to_string()))
}

/// `GET /api/v1/flash/skus`.
pub(super) fn skus(shop: &Shop) -> Answer {
    let skus: Vec<Value> = shop.catalog.all().iter().map(|offer| describe(offer, offer.lane.seen())).collect();
    json(Bytes::from(json!({ "skus": skus }).to_string()))
}

/// `GET /api/v1/flash/skus/{skuId}`: with the counters as Redis has them now.
pub(super) async fn sku(shop: &Shop, id: &str) -> Answer {
    let offer = SkuId::parse(id).ok().and_then(|sku_id| shop.catalog.get(sku_id));
    let Some(offer) = offer else { return problem::answer(&Refusal::SkuNotFound) };
    let keys = SkuKeys::new(shop.deciders.gate.namespace(), offer.sku.sku_id);
    let now = shop.deciders.gate.snapshot(&keys).await.ok().flatten().map(|snapshot| snapshot.counters);
    json(Bytes::from(describe(&offer, now.or_else(|| offer.lane.seen())).to_string()))
}

/// Counters are null while Redis has not told any: unknown is not zero.
fn describe(offer: &Offer, counters: Option<Counters>) -> Value {
    let sku = &offer.sku;
    json!({
        "skuId": sku.sku_id,
        "name": sku.name,
        "price": format_price(sku.price_minor),
        "priceMinor": sku.price_minor,
        "currency": sku.currency,
        "capacity": sku.capacity,
        "perUser": sku.per_user,
        "holdMs": sku.hold_ms,
        "opensAt": sku.opens_at_ms,
        "closesAt": sku.closes_at_ms,
        "paused": sku.paused,
        "available": counters.map(|c| c.available),
        "held": counters.map(|c| c.held),
        "sold": counters.map(|c| c.sold),
    })
}

/// `GET /api/v1/flash/orders/{orderId}`.
pub(super) async fn order(app: &App, shop: &Shop, id: &str) -> Answer {
    let Ok(order_id) = OrderId::parse(id) else { return problem::answer(&Refusal::OrderNotFound) };
    match tokio::time::timeout(VIEW_TIMEOUT, look_up(app, shop, order_id)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => problem::answer(&Refusal::ViewUnavailable),
    }
}

async fn look_up(app: &App, shop: &Shop, order_id: OrderId) -> Result<Answer, flash_stores::mysql::MySqlError> {
    // The position first: an order that is missing from a view read *after* it and older than it does not exist.
    let partitions = usize::try_from(shop.deciders.recorder.partitions().max(1)).unwrap_or(usize::MAX);
    let applied_ms = offsets::applied_ms(&app.db, &app.config.kafka.topic_events(), partitions).await?;
    if let Some(row) = orders::get(&app.db, order_id).await? {
        let order = row.order;
        let body = json!({
            "orderId": order.order_id,
            "reservationId": order.reservation_id,
            "userId": order.user_id,
            "skuId": order.sku_id,
            "state": row.state.as_str(),
            "quantity": order.quantity,
            "unitPrice": format_price(order.unit_price_minor),
            "total": format_price(order.unit_price_minor * u64::from(order.quantity)),
            "reservedAt": order.reserved_at_ms,
            "expiresAt": order.expires_at_ms,
        });
        return Ok(json(Bytes::from(body.to_string())));
    }
    Ok(if may_still_come(app, order_id, applied_ms) {
        pending(order_id)
    } else {
        problem::answer(&Refusal::OrderNotFound)
    })
}

/// Whether an order that is not in MySQL may still be on its way: it is younger than what the projector has applied, give
/// or take the time its event may need and the difference of clocks.
fn may_still_come(app: &App, order_id: OrderId, applied_ms: Option<u64>) -> bool {
    let issued_ms = issued_at_ms(order_id.get());
    let message_timeout_ms = u64::try_from(app.config.recorder.message_timeout.as_millis()).unwrap_or(u64::MAX);
    let settled_ms = issued_ms.saturating_add(message_timeout_ms).saturating_add(CLOCK_MARGIN_MS);
    issued_ms <= wall_ms() + FUTURE_MARGIN_MS && applied_ms.is_none_or(|applied_ms| applied_ms < settled_ms)
}

fn pending(order_id: OrderId) -> Answer {
    let body = json!({ "orderId": order_id, "state": "PENDING", "message": "The order is being written down." });
    let mut answer = json(Bytes::from(body.to_string()));
    *answer.status_mut() = StatusCode::ACCEPTED;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1u32));
    answer
}
