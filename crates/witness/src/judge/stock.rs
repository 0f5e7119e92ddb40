//! Units: never more given away than exist, never more to one buyer than the cap, none left behind.
//!
//! Instants: an order occupies its units from its decision to its end, both by Redis' clock, as the log tells them. What was
//! told occupies them from the moment the answer had arrived to the earliest moment at which they can have been given back:
//! the first wish to cancel, or the end of the hold. So neither sum can be too high by a difference of clocks or by delay.

use super::{Findings, Kind, Terms};
use crate::gate::Stock;
use crate::log::State;
use crate::view::ViewSku;
use crate::{Gate, Log, ToldList, View};
use std::collections::{BTreeMap, HashMap, HashSet};

/// From when to when (`None`: for ever) how many units are taken, and by which order.
struct Span {
    from: u64,
    to: Option<u64>,
    units: u32,
    order_id: u64,
}

pub(super) fn check(list: &ToldList, log: &Log, view: &View, gate: &Gate, terms: Terms, findings: &mut Findings) {
    let told = told_spans(list, log);
    let mut decided: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    let mut of_user: BTreeMap<(u64, u64), Vec<Span>> = BTreeMap::new();
    for (order_id, order) in &log.orders {
        let span = || Span {
            from: order.terms.reserved_at_ms,
            to: order.ended_ms,
            units: order.terms.quantity,
            order_id: *order_id,
        };
        decided.entry(order.terms.sku_id).or_default().push(span());
        of_user.entry((order.terms.user_id, order.terms.sku_id)).or_default().push(span());
    }
    for (sku_id, sku) in &view.skus {
        let told = told.get(sku_id).map(Vec::as_slice).unwrap_or_default();
        at_every_instant(told, sku, &format!("SKU {sku_id}, as told"), findings);
        let decided = decided.get(sku_id).map(Vec::as_slice).unwrap_or_default();
        at_every_instant(decided, sku, &format!("SKU {sku_id}, in the log"), findings);
        in_the_end(*sku_id, sku, log, view, terms, findings);
        match gate.stocks.get(sku_id) {
            Some(stock) => in_redis(*sku_id, sku, stock, view, findings),
            None => findings.add(Kind::Stuck, None, format!("SKU {sku_id} is not in Redis")),
        }
    }
    for ((user_id, sku_id), spans) in &of_user {
        let cap = view.skus.get(sku_id).map_or(0, |sku| sku.per_user);
        let (most, at, order) = peak(spans);
        if most > u64::from(cap) {
            let text = format!("user {user_id} had {most} units of SKU {sku_id} at {at}, the cap is {cap}");
            findings.add(Kind::Cap, order, text);
        }
    }
}

fn told_spans(list: &ToldList, log: &Log) -> BTreeMap<u64, Vec<Span>> {
    let mut cancels: HashMap<u64, u64> = HashMap::new();
    for (order_id, at) in &list.cancels_asked {
        let first = cancels.entry(*order_id).or_insert(*at);
        *first = (*first).min(*at);
    }
    let mut seen = HashSet::new();
    let mut spans: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    for told in list.told.iter().filter(|told| seen.insert(told.order_id)) {
        let end = match log.orders.get(&told.order_id).map(|order| order.state) {
            Some(State::Reserved | State::Confirmed) => None,
            Some(State::Cancelled) => Some(cancels.get(&told.order_id).copied().unwrap_or(told.expires_at_ms)),
            Some(State::Expired) | None => Some(told.expires_at_ms),
        };
        // A repeated answer may come after the end.
        if end.is_none_or(|end| end > told.at_ms) {
            let span = Span { from: told.at_ms, to: end, units: told.quantity, order_id: told.order_id };
            spans.entry(told.sku_id).or_default().push(span);
        }
    }
    spans
}

fn at_every_instant(spans: &[Span], sku: &ViewSku, what: &str, findings: &mut Findings) {
    let (most, at, order) = peak(spans);
    if most > u64::from(sku.capacity) {
        findings.add(Kind::Oversold, order, format!("{what}: {most} units of {} at {at}", sku.capacity));
    }
}

/// The most units at one instant, the instant, and the order that brought them there.
fn peak(spans: &[Span]) -> (u64, u64, Option<u64>) {
    let begins = spans.iter().map(|span| (span.from, true, span));
    let ends = spans.iter().filter_map(|span| Some((span.to?, false, span)));
    let mut steps: Vec<(u64, bool, &Span)> = begins.chain(ends).collect();
    // At the same millisecond units come back before they are given away again.
    steps.sort_by_key(|(at, begins, _)| (*at, *begins));
    let (mut units, mut most) = (0_i64, (0, 0, None));
    for (at, begins, span) in steps {
        units += if begins { i64::from(span.units) } else { -i64::from(span.units) };
        if units > most.0 {
            most = (units, at, Some(span.order_id));
        }
    }
    (most.0.unsigned_abs(), most.1, most.2)
}

fn in_the_end(sku_id: u64, sku: &ViewSku, log: &Log, view: &View, terms: Terms, findings: &mut Findings) {
    let capacity = u64::from(sku.capacity);
    let in_log = log.orders.values().filter(|order| order.terms.sku_id == sku_id && order.state.occupies());
    let in_log: u64 = in_log.map(|order| u64::from(order.terms.quantity)).sum();
    let in_view = view.orders.values().filter(|order| order.terms.sku_id == sku_id && order.state.occupies());
    let in_view: u64 = in_view.map(|order| u64::from(order.terms.quantity)).sum();
    for (place, units) in [("the log", in_log), ("MySQL", in_view)] {
        if units > capacity {
            findings.add(Kind::Oversold, None, format!("SKU {sku_id}: {units} units of {capacity} in {place}"));
        }
        if terms.sold_out && units < capacity {
            let text = format!("SKU {sku_id} was sold out in the end, but {place} has {units} units of {capacity}");
            findings.add(Kind::Stuck, None, text);
        }
    }
    let delta: i64 = view.ledger.iter().filter(|row| row.sku_id == sku_id).map(|row| row.delta).sum();
    if delta.unsigned_abs() != in_view || delta > 0 {
        let text = format!("SKU {sku_id}: the ledger sums up to {delta}, the orders to {in_view}");
        findings.add(Kind::Ledger, None, text);
    }
}

/// Redis counts what MySQL counts, and nothing is on its way.
fn in_redis(sku_id: u64, sku: &ViewSku, stock: &Stock, view: &View, findings: &mut Findings) {
    let mut stuck = |order_id: Option<u64>, text: String| {
        findings.add(Kind::Stuck, order_id, format!("SKU {sku_id}: {text}"));
    };
    if !stock.is_open() {
        stuck(None, format!("not on sale, Redis says {:?}", stock.epoch));
        return;
    }
    let all = stock.available + stock.held + stock.sold + stock.closing;
    if all != i64::from(sku.capacity) || stock.capacity != all {
        stuck(None, format!("capacity {}, but {stock:?}", sku.capacity));
    }
    if stock.closing != 0 || !stock.settling.is_empty() {
        stuck(stock.settling.first().copied(), format!("{} units are still on their way back", stock.closing));
    }
    let of_sku = || view.orders.iter().filter(|(_, order)| order.terms.sku_id == sku_id);
    let units = |state: State| -> i64 {
        of_sku().filter(|(_, order)| order.state == state).map(|(_, order)| i64::from(order.terms.quantity)).sum()
    };
    if (stock.held, stock.sold) != (units(State::Reserved), units(State::Confirmed)) {
        let (held, sold) = (units(State::Reserved), units(State::Confirmed));
        stuck(None, format!("Redis {} held, {} sold; MySQL {held} and {sold}", stock.held, stock.sold));
    }
    let reserved: BTreeMap<u64, u32> = of_sku()
        .filter(|(_, order)| order.state == State::Reserved)
        .map(|(id, order)| (*id, order.terms.quantity))
        .collect();
    for order_id in stock.holds.keys().filter(|id| !reserved.contains_key(id)) {
        stuck(Some(*order_id), "a hold without a reserved order".to_owned());
    }
    for order_id in reserved.keys().filter(|id| !stock.holds.contains_key(id)) {
        stuck(Some(*order_id), "a reserved order without a hold".to_owned());
    }
    let mut of_user: BTreeMap<u64, u32> = BTreeMap::new();
    for (_, order) in of_sku().filter(|(_, order)| order.state.occupies()) {
        *of_user.entry(order.terms.user_id).or_default() += order.terms.quantity;
    }
    if of_user != stock.buyers {
        let differs = |user: &&u64| of_user.get(user) != stock.buyers.get(user);
        let users: Vec<&u64> = of_user.keys().chain(stock.buyers.keys()).filter(differs).take(5).collect();
        stuck(None, format!("buyers are counted differently in Redis and MySQL: {users:?}"));
    }
}
