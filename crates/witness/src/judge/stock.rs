//! Units: never more given away than exist, never more to one buyer than the cap, none left behind.
//!
//! Instants: an order occupies its units from its decision to its end, both by Redis' clock, as the log tells them. What was
//! told occupies them from the moment the answer had arrived to the earliest moment at which they can have been given back:
//! the first wish to cancel, or the end of the hold. So neither sum can be too high by a difference of clocks or by delay.
//! Where an operator has changed capacity or cap, instants are held to the most that there ever was, the end to what is.

use super::{Findings, Kind, Terms, Testimonies};
use crate::gate::Stock;
use crate::log::{State, Terms as Order};
use crate::view::ViewSku;
use crate::{Log, ToldList, View};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// From when to when (`None`: for ever) how many units are taken, and by which order.
struct Span {
    from: u64,
    to: Option<u64>,
    units: u32,
    order_id: u64,
}

pub(super) fn check(all: Testimonies<'_>, terms: &Terms, findings: &mut Findings) {
    let (log, view) = (all.log, all.view);
    let told = told_spans(all.told, log);
    let mut decided: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    let mut of_user: BTreeMap<(u64, u64), Vec<Span>> = BTreeMap::new();
    for (order_id, order) in &log.orders {
        if !terms.knows(order.terms.sku_id, order.terms.reserved_at_ms) {
            continue;
        }
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
        match all.gate.map(|gate| gate.stocks.get(sku_id)) {
            Some(Some(stock)) => {
                in_itself(*sku_id, stock, findings);
                // A stock that moves may be ahead of MySQL, and one that is compared with a MySQL behind the log is.
                if !terms.moving.contains(sku_id) && terms.is_level(view) {
                    in_redis(*sku_id, sku, stock, all.applied, terms, findings);
                }
            }
            Some(None) => findings.add(Kind::Stuck, None, format!("SKU {sku_id} is not in Redis")),
            None => {}
        }
    }
    for ((user_id, sku_id), spans) in &of_user {
        let cap = view.skus.get(sku_id).map_or(0, |sku| sku.per_user_once);
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
    if most > u64::from(sku.capacity_once) {
        findings.add(Kind::Oversold, order, format!("{what}: {most} units of {} at {at}", sku.capacity_once));
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

fn in_the_end(sku_id: u64, sku: &ViewSku, log: &Log, view: &View, terms: &Terms, findings: &mut Findings) {
    let capacity = u64::from(sku.capacity);
    let in_log = log.orders.values().map(|order| (&order.terms, order.state));
    let in_view = || view.orders.values().map(|order| (&order.terms, order.state));
    let in_log = taken(in_log, |order| order.sku_id == sku_id && terms.knows(sku_id, order.reserved_at_ms));
    let known_in_view = taken(in_view(), |order| order.sku_id == sku_id && terms.knows(sku_id, order.reserved_at_ms));
    let places = [("the log", Some(in_log)), ("MySQL", terms.is_level(view).then_some(known_in_view))];
    for (place, units) in places.into_iter().filter_map(|(place, units)| Some((place, units?))) {
        if units > capacity {
            findings.add(Kind::Oversold, None, format!("SKU {sku_id}: {units} units of {capacity} in {place}"));
        }
        if terms.sold_out && units < capacity {
            let text = format!("SKU {sku_id} was sold out in the end, but {place} has {units} units of {capacity}");
            findings.add(Kind::Stuck, None, text);
        }
    }
    let in_view = taken(in_view(), |order| order.sku_id == sku_id);
    let delta: i64 = view.ledger.iter().filter(|row| row.sku_id == sku_id).map(|row| row.delta).sum();
    if delta.unsigned_abs() != in_view || delta > 0 {
        let text = format!("SKU {sku_id}: the ledger sums up to {delta}, the orders to {in_view}");
        findings.add(Kind::Ledger, None, text);
    }
}

/// Units in orders that occupy them.
fn taken<'a>(orders: impl Iterator<Item = (&'a Order, State)>, counts: impl Fn(&Order) -> bool) -> u64 {
    orders.filter(|(order, state)| state.occupies() && counts(order)).map(|(order, _)| u64::from(order.quantity)).sum()
}

/// Redis adds up. It was read in one step, so it must do so at any instant.
fn in_itself(sku_id: u64, stock: &Stock, findings: &mut Findings) {
    let mut stuck = |text: String| findings.add(Kind::Stuck, None, format!("SKU {sku_id}: {text}"));
    let Stock { capacity, available, held, sold, closing, .. } = stock;
    if !stock.is_open() {
        stuck(format!("not on sale, its epoch in Redis is {:?}", stock.epoch));
        return;
    }
    let all = available + held + sold + closing;
    if all != *capacity {
        let counts = format!("{available} on sale + {held} held + {sold} sold + {closing} on their way back");
        stuck(format!("of {capacity} units Redis has {counts} = {all}"));
    }
    let in_holds: i64 = stock.holds.values().map(|hold| i64::from(hold.units)).sum();
    if *held != in_holds {
        stuck(format!("Redis counts {held} units as held, its holds have {in_holds}"));
    }
    if let Some(first) = stock.misended.first() {
        let count = stock.misended.len();
        stuck(format!(
            "{count} holds will not end when they say, or have an end and are none; the first is of order {first}"
        ));
    }
}

/// Redis counts what the log counts as far as MySQL has applied it, and nothing is on its way. The log and not MySQL: where the
/// two differ is told order by order, and says nothing about Redis.
fn in_redis(sku_id: u64, sku: &ViewSku, stock: &Stock, log: &Log, terms: &Terms, findings: &mut Findings) {
    let mut stuck = |order_id: Option<u64>, text: String| {
        findings.add(Kind::Stuck, order_id, format!("SKU {sku_id}: {text}"));
    };
    if !stock.is_open() {
        return;
    }
    if stock.capacity != i64::from(sku.capacity) {
        stuck(None, format!("Redis has {} units in all, MySQL {}", stock.capacity, sku.capacity));
    }
    for order_id in stock.settling.keys() {
        stuck(Some(*order_id), format!("order {order_id} is still on its way back, or to be paid"));
    }
    let of_sku = || log.orders.iter().filter(|(_, order)| order.terms.sku_id == sku_id);
    let units = |state: State| -> i64 {
        of_sku().filter(|(_, order)| order.state == state).map(|(_, order)| i64::from(order.terms.quantity)).sum()
    };
    // What is held is compared order by order below; what is being paid is sold in Redis before the log knows.
    if stock.settling.is_empty() && stock.sold != units(State::Confirmed) {
        stuck(None, format!("Redis counts {} units as sold, the log {}", stock.sold, units(State::Confirmed)));
    }
    let reserved: BTreeMap<u64, u32> = of_sku()
        .filter(|(_, order)| order.state == State::Reserved)
        .map(|(id, order)| (*id, order.terms.quantity))
        .collect();
    let mut on_hold_alone: BTreeMap<u64, u32> = BTreeMap::new();
    for (order_id, hold) in stock.holds.iter().filter(|(id, _)| !reserved.contains_key(id)) {
        *on_hold_alone.entry(hold.user_id).or_default() += hold.units;
        if !terms.doubtful.contains(&hold.key) {
            stuck(Some(*order_id), format!("order {order_id} is a hold in Redis, but not reserved in the log"));
        }
    }
    for order_id in reserved.keys().filter(|id| !stock.holds.contains_key(id)) {
        stuck(Some(*order_id), format!("order {order_id} is reserved in the log, but has no hold in Redis"));
    }
    let mut of_user: BTreeMap<u64, u32> = BTreeMap::new();
    for (_, order) in of_sku().filter(|(_, order)| order.state.occupies()) {
        *of_user.entry(order.terms.user_id).or_default() += order.terms.quantity;
    }
    for (user, units) in on_hold_alone {
        *of_user.entry(user).or_default() += units;
    }
    let users: BTreeSet<u64> = of_user.keys().chain(stock.buyers.keys()).copied().collect();
    for user in users {
        let [orders, counted] = [&of_user, &stock.buyers].map(|units| units.get(&user).copied().unwrap_or(0));
        if orders != counted {
            let text = format!("SKU {sku_id}: user {user} has {orders} units by orders, {counted} by Redis' count");
            findings.of_user(Kind::Stuck, user, text);
        }
    }
}
