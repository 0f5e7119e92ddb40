//! Every word that was said to a buyer is true in the log and in MySQL.

use super::{Findings, Kind, Testimonies};
use crate::log::{State, Terms};
use crate::view::ViewPayment;
use crate::{Settled, SettledTold, Told};
use std::collections::HashMap;

pub(super) fn check(all: Testimonies<'_>, findings: &mut Findings) {
    let list = all.told;
    let mut by_key: HashMap<(u64, &str), &Told> = HashMap::new();
    let mut by_order: HashMap<u64, &Told> = HashMap::new();
    for told in &list.told {
        let first = by_key.entry((told.user_id, &told.key)).or_insert(told);
        if !same(first, told) {
            findings.add(Kind::Key, told.order_id, format!("one key, two answers: {first} and {told}"));
        }
        let first = by_order.entry(told.order_id).or_insert(told);
        if !same(first, told) {
            findings.add(Kind::Duplicate, told.order_id, format!("one order, two purchases: {first} and {told}"));
        }
    }
    for told in by_order.values() {
        win(told, all, findings);
    }
    for told in &list.settled {
        settlement(told, all, findings);
    }
    for (order_id, at_ms) in &list.denied {
        findings.add(Kind::Lost, *order_id, format!("told, and not found at {at_ms} when it was to be settled"));
    }
}

/// Whether two answers say the same; their times differ.
fn same(a: &Told, b: &Told) -> bool {
    let said = |told: &Told| (told.order_id, told.reservation_id, told.expires_at_ms);
    let asked = |told: &Told| (told.user_id, told.sku_id, told.quantity);
    said(a) == said(b) && asked(a) == asked(b) && a.key == b.key
}

/// A 200 is exactly one order that counts.
fn win(told: &Told, all: Testimonies<'_>, findings: &mut Findings) {
    let order_id = told.order_id;
    match all.log.orders.get(&order_id) {
        Some(order) => fields(told, &order.terms, "the log", findings),
        None if all.log.voided.contains_key(&order_id) => {
            findings.add(Kind::Lost, order_id, format!("told, but void in the log: {told}"));
        }
        None => findings.add(Kind::Lost, order_id, format!("told, but not in the log: {told}")),
    }
    match all.view.orders.get(&order_id) {
        Some(order) => fields(told, &order.terms, "MySQL", findings),
        // The projection has not come to it. That it stands still is told of its partition.
        None if all.is_ahead(order_id) => {}
        None => findings.add(Kind::Lost, order_id, format!("told, but not in MySQL: {told}")),
    }
}

fn fields(told: &Told, terms: &Terms, place: &str, findings: &mut Findings) {
    let stored = (terms.reservation_id, terms.user_id, terms.sku_id, terms.quantity, &terms.key, terms.expires_at_ms);
    let said = (told.reservation_id, told.user_id, told.sku_id, told.quantity, &told.key, told.expires_at_ms);
    if stored != said {
        findings.add(Kind::Lost, told.order_id, format!("told {told}, but in {place} it is {terms}"));
    }
}

fn settlement(told: &SettledTold, all: Testimonies<'_>, findings: &mut Findings) {
    let payment = told.payment_id.as_ref().and_then(|id| all.view.payments.get(id));
    match &told.settled {
        Settled::Confirmed { order_id } => {
            ends_as(State::Confirmed, *order_id, "paid", all, findings);
            let fits = payment.is_some_and(|payment| {
                payment.status == "CAPTURED"
                    && (payment.order_id, payment.paid_order) == (Some(*order_id), told.order_id)
            });
            if !fits && !all.is_ahead(*order_id) {
                let text = format!("order {order_id} was told paid, but {}", in_words(payment));
                findings.add(Kind::Money, *order_id, text);
            }
        }
        Settled::Refund => {
            let known = |refunds: &std::collections::BTreeMap<String, _>| {
                told.payment_id.as_ref().is_some_and(|id| refunds.contains_key(id))
            };
            let is_ahead = known(&all.log.refunds) && !known(&all.applied.refunds);
            if payment.is_none_or(|payment| payment.status != "REFUND_PENDING") && !is_ahead {
                let order_id = told.order_id;
                let text = format!("order {order_id}: told that money comes back, but {}", in_words(payment));
                findings.add(Kind::Money, order_id, text);
            }
        }
        Settled::Cancelled => ends_as(State::Cancelled, told.order_id, "cancelled", all, findings),
    }
}

/// The end that was told is what the log says, and MySQL if it has come to it.
fn ends_as(state: State, order_id: u64, told: &str, all: Testimonies<'_>, findings: &mut Findings) {
    let in_log = all.log.orders.get(&order_id).map(|order| order.state);
    let in_view = all.view.orders.get(&order_id).map(|order| order.state);
    if in_log != Some(state) || (in_view != Some(state) && !all.is_ahead(order_id)) {
        let word = |state: Option<State>| state.map_or_else(|| "nothing".to_owned(), |state| state.to_string());
        let text = format!("order {order_id} was told {told}, the log says {}, MySQL {}", word(in_log), word(in_view));
        findings.add(Kind::Lost, order_id, text);
    }
}

fn in_words(payment: Option<&ViewPayment>) -> String {
    let Some(ViewPayment { paid_order, order_id, amount_minor, status, .. }) = payment else {
        return "MySQL has no payment".to_owned();
    };
    let order = order_id.map_or_else(|| "no order".to_owned(), |order| format!("order {order}"));
    format!("MySQL has a payment of {amount_minor} for order {paid_order}, {status}, which confirmed {order}")
}
