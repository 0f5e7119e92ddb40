//! The selling half of the `/stats` document.

use super::skus;
use crate::app::{App, Shop};
use crate::clock::wall_ms;
use crate::lane::Deciders;
use flash_core::limits::LANE_QUEUE_MAX;
use flash_core::stats::{Api, Connections, EpochView, Lanes};

/// What an API process tells.
pub(super) fn api(app: &App, shop: &Shop, skus_max: usize) -> Api {
    let mut api = Api {
        connections: Connections { max: app.config.http.connections_max as u64, ..Connections::default() },
        in_flight: shop.admission.in_flight() as u64,
        in_flight_max: shop.admission.in_flight_max() as u64,
        lanes: lanes(shop),
        unacknowledged: shop.deciders.recorder.unanswered(),
        epoch: epoch(&shop.deciders),
        stops: shop.deciders.selling.view(),
        sku_count: shop.catalog.offers().len() as u64,
        skus: skus::list(&shop.catalog, skus_max, wall_ms()),
        ..Api::default()
    };
    app.meters.fill_api(&mut api);
    api
}

fn lanes(shop: &Shop) -> Lanes {
    let mut lanes = Lanes { depth_max: LANE_QUEUE_MAX as u64, ..Lanes::default() };
    for offer in shop.catalog.offers().values() {
        let depth = offer.lane.depth() as u64;
        lanes.waiting += depth;
        lanes.deepest = lanes.deepest.max(depth);
    }
    lanes
}

fn epoch(deciders: &Deciders) -> EpochView {
    let lease = &deciders.lease;
    EpochView {
        latest: lease.latest(),
        open: lease.is_open(),
        lease_age_ms: lease.age_ms(),
        lease_max_ms: lease.length_ms(),
        problem: lease.problem(),
    }
}
