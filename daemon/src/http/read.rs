//! Looking: SKUs and health. None of it touches stock.

use super::{Answer, json, problem};
use crate::app::{App, Shop};
use crate::catalog::Offer;
use crate::clock::wall_ms;
use bytes::Bytes;
use flash_core::ids::SkuId;
use flash_core::outcome::Refusal;
use flash_core::sale::format_price;
use flash_core::stock::Counters;
use flash_stores::redis::SkuKeys;
use serde_json::{Value, json};

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
        "closing": counters.map(|c| c.closing),
    })
}
