//! MySQL is exactly what the log says: orders, payments, ledger.

use super::{Findings, Kind};
use crate::log::State;
use crate::{Log, View};
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(log: &Log, view: &View, findings: &mut Findings) {
    for (partition, end) in &log.ends {
        let applied = view.applied.get(partition).copied().unwrap_or(0);
        if applied != *end {
            findings.add(Kind::Stuck, None, format!("partition {partition} is applied up to {applied} of {end}"));
        }
    }
    orders(log, view, findings);
    payments(log, view, findings);
    ledger(view, findings);
}

fn orders(log: &Log, view: &View, findings: &mut Findings) {
    let mut by_key: HashMap<(u64, &str), u64> = HashMap::new();
    for (order_id, order) in &log.orders {
        let known = *by_key.entry((order.terms.user_id, &order.terms.key)).or_insert(*order_id);
        if known != *order_id {
            findings.add(Kind::Duplicate, *order_id, format!("orders {known} and {order_id} have one user and key"));
        }
        match view.orders.get(order_id) {
            None => findings.add(Kind::Divergence, *order_id, format!("in the log, not in MySQL: {order:?}")),
            Some(row) if (row.state, &row.terms) != (order.state, &order.terms) => {
                findings.add(Kind::Divergence, *order_id, format!("log {order:?}, MySQL {row:?}"));
            }
            Some(_) => {}
        }
    }
    for order_id in view.orders.keys().filter(|order_id| !log.orders.contains_key(order_id)) {
        findings.add(Kind::Divergence, *order_id, "in MySQL, but the log does not count it".to_owned());
    }
}

/// Every confirmed order has its one payment, every payment its one fate, and no money is missing.
fn payments(log: &Log, view: &View, findings: &mut Findings) {
    let mut expected: BTreeMap<&str, (&'static str, Option<u64>)> = BTreeMap::new();
    for (payment_id, refund) in &log.refunds {
        expected.insert(payment_id, ("REFUND_PENDING", None));
        let row = view.payments.get(payment_id);
        if row.is_some_and(|row| (row.amount_minor, row.paid_order) != (refund.amount_minor, refund.paid_order)) {
            findings.add(Kind::Money, refund.paid_order, format!("log {refund:?}, MySQL {row:?}"));
        }
    }
    for (order_id, order) in &log.orders {
        let Some(paid) = order.paid.as_ref().filter(|_| order.state == State::Confirmed) else { continue };
        if let Some(other) = expected.insert(&paid.payment_id, ("CAPTURED", Some(*order_id))) {
            findings.add(Kind::Money, *order_id, format!("payment {} also is {other:?}", paid.payment_id));
        }
        let price = u64::from(order.terms.quantity) * order.terms.unit_price_minor;
        if paid.amount_minor != price {
            findings.add(Kind::Money, *order_id, format!("paid {} for {price}", paid.amount_minor));
        }
    }
    for (payment_id, fate) in &expected {
        let row = view.payments.get(*payment_id).map(|row| (row.status.as_str(), row.order_id));
        if row != Some(*fate) {
            findings.add(Kind::Money, fate.1, format!("payment {payment_id}: log {fate:?}, MySQL {row:?}"));
        }
    }
    for payment_id in view.payments.keys().filter(|id| !expected.contains_key(id.as_str())) {
        findings.add(Kind::Money, None, format!("payment {payment_id} is in MySQL, but not in the log"));
    }
}

/// One reservation per order, one end per ended order, and deltas that add up to what the order occupies.
fn ledger(view: &View, findings: &mut Findings) {
    let mut by_order: BTreeMap<u64, Vec<(&str, i64)>> = BTreeMap::new();
    for row in &view.ledger {
        by_order.entry(row.order_id).or_default().push((&row.reason, row.delta));
    }
    for (order_id, order) in &view.orders {
        let units = i64::from(order.terms.quantity);
        let expected: &[(&str, i64)] = match order.state {
            State::Reserved => &[("RESERVED", -units)],
            State::Confirmed => &[("CONFIRMED", 0), ("RESERVED", -units)],
            State::Cancelled => &[("CANCELLED", units), ("RESERVED", -units)],
            State::Expired => &[("EXPIRED", units), ("RESERVED", -units)],
        };
        let mut rows = by_order.remove(order_id).unwrap_or_default();
        rows.sort_unstable();
        if rows != expected {
            findings.add(Kind::Ledger, *order_id, format!("{:?} with ledger rows {rows:?}", order.state));
        }
    }
    for (order_id, rows) in by_order {
        findings.add(Kind::Ledger, order_id, format!("ledger rows without an order: {rows:?}"));
    }
}
