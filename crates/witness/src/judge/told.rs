//! Every word that was said to a buyer is true in the log and in MySQL.

use super::{Findings, Kind};
use crate::log::{State, Terms};
use crate::{Log, Settled, SettledTold, Told, ToldList, View};
use std::collections::HashMap;

pub(super) fn check(list: &ToldList, log: &Log, view: &View, findings: &mut Findings) {
    let mut by_key: HashMap<(u64, &str), &Told> = HashMap::new();
    let mut by_order: HashMap<u64, &Told> = HashMap::new();
    for told in &list.told {
        let first = by_key.entry((told.user_id, &told.key)).or_insert(told);
        if !same(first, told) {
            findings.add(Kind::Key, told.order_id, format!("one key, two answers: {first:?} and {told:?}"));
        }
        let first = by_order.entry(told.order_id).or_insert(told);
        if !same(first, told) {
            findings.add(Kind::Duplicate, told.order_id, format!("one order, two purchases: {first:?} and {told:?}"));
        }
    }
    for told in by_order.values() {
        win(told, log, view, findings);
    }
    for told in &list.settled {
        settlement(told, log, view, findings);
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
fn win(told: &Told, log: &Log, view: &View, findings: &mut Findings) {
    let order_id = told.order_id;
    match log.orders.get(&order_id) {
        Some(order) => fields(told, &order.terms, "the log", findings),
        None if log.voided.contains_key(&order_id) => {
            findings.add(Kind::Lost, order_id, format!("told, but void in the log: {told:?}"));
        }
        None => findings.add(Kind::Lost, order_id, format!("told, but not in the log: {told:?}")),
    }
    match view.orders.get(&order_id) {
        Some(order) => fields(told, &order.terms, "MySQL", findings),
        None => findings.add(Kind::Lost, order_id, format!("told, but not in MySQL: {told:?}")),
    }
}

fn fields(told: &Told, terms: &Terms, place: &str, findings: &mut Findings) {
    let stored = (terms.reservation_id, terms.user_id, terms.sku_id, terms.quantity, &terms.key, terms.expires_at_ms);
    let said = (told.reservation_id, told.user_id, told.sku_id, told.quantity, &told.key, told.expires_at_ms);
    if stored != said {
        findings.add(Kind::Lost, told.order_id, format!("told {told:?}, but in {place} it is {terms:?}"));
    }
}

fn settlement(told: &SettledTold, log: &Log, view: &View, findings: &mut Findings) {
    let in_log = |order: u64| log.orders.get(&order).map(|order| order.state);
    let in_view = |order: u64| view.orders.get(&order).map(|order| order.state);
    match &told.settled {
        Settled::Confirmed { order_id } => {
            if (in_log(*order_id), in_view(*order_id)) != (Some(State::Confirmed), Some(State::Confirmed)) {
                let (log, view) = (in_log(*order_id), in_view(*order_id));
                findings.add(Kind::Lost, *order_id, format!("told paid, but log {log:?}, MySQL {view:?}: {told:?}"));
            }
            let payment = told.payment_id.as_ref().and_then(|id| view.payments.get(id));
            let fits = payment.is_some_and(|payment| {
                payment.status == "CAPTURED"
                    && (payment.order_id, payment.paid_order) == (Some(*order_id), told.order_id)
            });
            if !fits {
                findings.add(Kind::Money, *order_id, format!("told paid, but the payment is {payment:?}: {told:?}"));
            }
        }
        Settled::Refund => {
            let payment = told.payment_id.as_ref().and_then(|id| view.payments.get(id));
            if payment.is_none_or(|payment| payment.status != "REFUND_PENDING") {
                let text = format!("told that money comes back, but the payment is {payment:?}: {told:?}");
                findings.add(Kind::Money, told.order_id, text);
            }
        }
        Settled::Cancelled => {
            let (log, view) = (in_log(told.order_id), in_view(told.order_id));
            if (log, view) != (Some(State::Cancelled), Some(State::Cancelled)) {
                let text = format!("told cancelled, but log {log:?}, MySQL {view:?}: {told:?}");
                findings.add(Kind::Lost, told.order_id, text);
            }
        }
    }
}
