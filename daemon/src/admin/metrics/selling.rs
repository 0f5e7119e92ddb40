//! The metrics of a process that sells.

use crate::app::{App, Shop};
use crate::catalog::Offer;
use crate::meters::definitions as is;
use crate::meters::text::{Page, seconds};
use crate::meters::{OTHER, PAYMENTS};
use flash_core::limits::LANE_QUEUE_MAX;
use flash_core::stats::{Api, Latency};
use flash_core::stock::Counters;
use std::sync::Arc;

pub(super) fn write(app: &App, shop: &Shop, page: &mut Page) {
    let mut api = Api::default();
    app.meters.fill_api(&mut api);
    requests(app, &api, page);
    purchases(shop, &api, page);
    let offers = app.catalog.all();
    lanes(&offers, &api, page);
    orders(app, &api, page);
    skus(app, &offers, page);
    epoch(app, shop, page);
}

fn requests(app: &App, api: &Api, page: &mut Page) {
    let mut requests = page.family(&is::HTTP_DURATION);
    for (labels, histogram) in app.meters.http.read() {
        requests.histogram(&labels, &histogram);
    }
    page.number(&is::CONNECTIONS, api.connections.open);
    page.number(&is::CONNECTIONS_MAX, app.config.http.connections_max);
    page.number(&is::CONNECTIONS_ACCEPTED, api.connections.accepted);
    page.number(&is::CONNECTIONS_REFUSED, api.connections.refused);
}

fn purchases(shop: &Shop, api: &Api, page: &mut Page) {
    let mut attempts = page.family(&is::PURCHASE_ATTEMPTS);
    for outcome in &api.outcomes {
        attempts.sample(&[&outcome.status, &outcome.reason], outcome.count);
    }
    let mut took = page.family(&is::PURCHASE_DURATION);
    let Latency { won, sold_out, refused, failed } = &api.latency;
    for (outcome, histogram) in [("won", won), ("sold_out", sold_out), ("refused", refused), ("failed", failed)] {
        took.histogram(&[outcome], histogram);
    }
    page.number(&is::IN_FLIGHT, shop.admission.in_flight());
    page.number(&is::IN_FLIGHT_MAX, shop.admission.in_flight_max());
}

fn lanes(offers: &[Arc<Offer>], api: &Api, page: &mut Page) {
    let depths: Vec<usize> = offers.iter().map(|offer| offer.lane.depth()).collect();
    page.number(&is::LANE_WAITING, depths.iter().sum::<usize>());
    page.number(&is::LANE_DEEPEST, depths.iter().max().copied().unwrap_or(0));
    page.number(&is::LANE_DEPTH_MAX, LANE_QUEUE_MAX);
    page.number(&is::LANE_BATCHES, api.lanes.batches);
    page.number(&is::LANE_PURCHASES, api.lanes.purchases);
    page.number(&is::FENCED, api.lanes.fenced);
}

fn orders(app: &App, api: &Api, page: &mut Page) {
    let mut operations = page.family(&is::INVENTORY_OPERATIONS);
    for (labels, count) in app.meters.inventory() {
        operations.sample(&labels, count);
    }
    page.number(&is::RESERVED, api.reserved);
    page.number(&is::LOGGED, api.logged);
    let mut payments = page.family(&is::PAYMENTS);
    let settling = &api.settling;
    for (fate, count) in PAYMENTS.into_iter().zip([settling.confirmed, settling.rebooked, settling.refund_pending]) {
        payments.sample(&[fate], count);
    }
    page.number(&is::CANCELLED, settling.cancelled);
    page.number(&is::SETTLE_REFUSED, settling.refused);
}

/// Units of some SKUs together, in the order of `flash_stock_units{state}`; `None` if none of them was ever seen.
fn units<'a>(offers: impl IntoIterator<Item = &'a Arc<Offer>>) -> Option<[(&'static str, u64); 4]> {
    let seen = offers.into_iter().filter_map(|offer| offer.lane.seen());
    let states = |c: Counters| [c.available, c.held, c.sold, c.closing].map(u64::from);
    let units = seen.map(states).reduce(|all, one| std::array::from_fn(|at| all[at] + one[at]));
    units.map(|[available, held, sold, closing]| {
        [("available", available), ("held", held), ("sold", sold), ("closing", closing)]
    })
}

fn skus(app: &App, offers: &[Arc<Offer>], page: &mut Page) {
    page.number(&is::SKUS, offers.len());
    let told = app.meters.skus.tell(offers);
    let named: Vec<_> =
        told.named.iter().map(|(offer, counts)| (offer.sku.sku_id.to_string(), *offer, counts)).collect();
    let mut stock: Vec<_> =
        named.iter().filter_map(|(sku_id, offer, _)| Some((sku_id.as_str(), units([*offer])?))).collect();
    stock.extend(units(told.rest.iter().copied()).map(|units| (OTHER, units)));
    let mut held = page.family(&is::ACTIVE_RESERVATIONS);
    for (sku_id, [_, (_, units), ..]) in &stock {
        held.sample(&[sku_id], units);
    }
    let mut states = page.family(&is::STOCK);
    for (sku_id, units) in &stock {
        units.iter().for_each(|(state, units)| states.sample(&[sku_id, state], units));
    }
    let counts = named.iter().map(|(sku_id, _, counts)| (sku_id.as_str(), *counts));
    let counts: Vec<_> = counts.chain([(OTHER, &told.other)]).collect();
    let mut family = page.family(&is::SKU_ATTEMPTS);
    counts.iter().for_each(|(sku_id, counts)| family.sample(&[sku_id], counts.attempts));
    let mut family = page.family(&is::SKU_WINS);
    counts.iter().for_each(|(sku_id, counts)| family.sample(&[sku_id], counts.wins));
    let mut family = page.family(&is::SKU_SOLD_OUT);
    counts.iter().for_each(|(sku_id, counts)| family.sample(&[sku_id], counts.sold_out));
}

fn epoch(app: &App, shop: &Shop, page: &mut Page) {
    let lease = &shop.deciders.lease;
    page.number(&is::EPOCH, lease.latest().0);
    page.number(&is::EPOCH_OPEN, u8::from(lease.is_open()));
    page.optional(&is::LEASE_AGE, lease.age_ms().map(seconds));
    page.number(&is::LEASE_MAX, app.config.epoch_lease.as_secs_f64());
    let stops = shop.deciders.selling.view();
    page.number(&is::STOPS, stops.stops);
    page.number(&is::STOPPED_TOTAL, seconds(stops.total_ms));
    page.number(&is::STOPPED, seconds(stops.stopped_for_ms.unwrap_or(0)));
    page.number(&is::STOPPED_SKUS, stops.stopped_skus);
}
