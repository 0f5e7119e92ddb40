//! `/stats`: one versioned document of everything this process knows. Asks no backend: everything is already in memory.

use crate::app::{App, Shop};
use crate::clock::wall_ms;
use crate::http::{Answer, json};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Version of the `/stats` document.
const STATS_VERSION: u32 = 1;
/// Most SKUs that are listed one by one; the busiest and scarcest come from the API's own list.
const SKUS_LISTED: usize = 200;

/// `/stats`: one versioned document.
pub(super) fn stats(app: &App) -> Answer {
    let outcomes: Map<String, Value> = app
        .meters
        .outcomes
        .counts()
        .into_iter()
        .map(|told| (format!("{}.{}", told.status, told.reason), told.count.into()))
        .collect();
    let document = json!({
        "version": STATS_VERSION,
        "role": app.config.role.as_str(),
        "build": env!("CARGO_PKG_VERSION"),
        "atMs": wall_ms(),
        "uptimeMs": u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "ready": app.unready().is_empty(),
        "connections": app.meters.connections.load(std::sync::atomic::Ordering::Relaxed),
        "outcomes": outcomes,
        "selling": app.shop.as_ref().map(selling),
        "swept": app.config.role.works().then(|| app.meters.swept_so_far().collect::<std::collections::BTreeMap<_, _>>()),
        "recovery": app.config.role.works().then(|| app.recovery.view()),
        "audit": app.config.role.works().then(|| app.audit.view()),
        "projector": app.projector.as_ref().map(crate::projector::Handle::snapshot),
    });
    json(Bytes::from(document.to_string()))
}

fn selling(shop: &Shop) -> Value {
    let skus: Vec<Value> = shop
        .catalog
        .all()
        .iter()
        .take(SKUS_LISTED)
        .map(|offer| {
            let seen = offer.lane.seen();
            json!({
                "skuId": offer.sku.sku_id,
                "name": offer.sku.name,
                "capacity": offer.sku.capacity,
                "available": seen.map(|c| c.available),
                "held": seen.map(|c| c.held),
                "sold": seen.map(|c| c.sold),
                "closing": seen.map(|c| c.closing),
                "laneDepth": offer.lane.depth(),
            })
        })
        .collect();
    let lease = &shop.deciders.lease;
    json!({
        "node": shop.ids.node(),
        "inFlight": shop.admission.in_flight(),
        "unacknowledgedEvents": shop.deciders.recorder.unanswered(),
        "epoch": { "latest": lease.latest(), "open": lease.is_open(), "leaseAgeMs": lease.age_ms() },
        "stops": shop.deciders.selling.view(),
        "redis": shop.deciders.gate.connected().err(),
        "skuCount": shop.catalog.all().len(),
        "skus": skus,
    })
}
