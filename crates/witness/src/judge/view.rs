//! MySQL is exactly what the log says: orders, payments, ledger.

use super::{Findings, Kind, Terms, Testimonies};
use crate::log::{LogOrder, Payment, State};
use crate::view::{ViewOrder, ViewPayment};
use crate::{Log, View};
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(all: Testimonies<'_>, terms: &Terms, findings: &mut Findings) {
    let (log, view) = (all.log, all.view);
    for (partition, applied) in &view.applied {
        let end = log.ends.get(partition).copied().unwrap_or(0);
        if *applied > end {
            let text = format!("MySQL has applied partition {partition} up to {applied}, but the log ends at {end}");
            findings.add(Kind::Divergence, None, text);
        }
    }
    for (partition, due) in &terms.due {
        let applied = view.applied.get(partition).copied().unwrap_or(0);
        if applied < *due {
            let text = format!(
                "MySQL has applied partition {partition} of the log up to {applied} of {due} and got no further"
            );
            findings.add(Kind::Stuck, None, text);
        }
    }
    for order_id in two_for_one_key(log) {
        let text = format!("orders {} and {} have one user and key", order_id.0, order_id.1);
        findings.add(Kind::Duplicate, order_id.1, text);
    }
    orders(all.applied, view, findings);
    payments(all.applied, view, findings);
    ledger(view, findings);
}

/// Orders of one user and key: the first, and each other.
fn two_for_one_key(log: &Log) -> Vec<(u64, u64)> {
    let mut by_key: HashMap<(u64, &str), u64> = HashMap::new();
    let orders = log.orders.iter().map(|(order_id, order)| {
        (*by_key.entry((order.terms.user_id, &order.terms.key)).or_insert(*order_id), *order_id)
    });
    orders.filter(|(first, order_id)| first != order_id).collect()
}

fn orders(log: &Log, view: &View, findings: &mut Findings) {
    for (order_id, order) in &log.orders {
        match view.orders.get(order_id) {
            None => findings.add(
                Kind::Divergence,
                *order_id,
                format!("order {order_id} is in the log, not in MySQL: {}", order.terms),
            ),
            Some(row) if (row.state, &row.terms) != (order.state, &order.terms) => {
                findings.add(Kind::Divergence, *order_id, differently(*order_id, order, row));
            }
            Some(_) => {}
        }
    }
    for order_id in view.orders.keys().filter(|order_id| !log.orders.contains_key(order_id)) {
        findings.add(
            Kind::Divergence,
            *order_id,
            format!("order {order_id} is in MySQL, but the log does not count it"),
        );
    }
}

fn differently(order_id: u64, order: &LogOrder, row: &ViewOrder) -> String {
    let (log, view) = (order.state, row.state);
    if order.terms == row.terms {
        return format!("order {order_id} is {log} in the log and {view} in MySQL");
    }
    format!("order {order_id} is {log} in the log, {}; {view} in MySQL, {}", order.terms, row.terms)
}

/// What the log says of a payment.
struct Fate<'a> {
    status: &'static str,
    /// The order it confirmed.
    order_id: Option<u64>,
    paid: &'a Payment,
}

/// Every confirmed order has its one payment, every payment its one fate, and no money is missing.
fn payments(log: &Log, view: &View, findings: &mut Findings) {
    let mut fates: BTreeMap<&str, Fate<'_>> = BTreeMap::new();
    for (payment_id, paid) in &log.refunds {
        fates.insert(payment_id, Fate { status: "REFUND_PENDING", order_id: None, paid });
    }
    for (order_id, order) in &log.orders {
        let Some(paid) = order.paid.as_ref().filter(|_| order.state == State::Confirmed) else { continue };
        let fate = Fate { status: "CAPTURED", order_id: Some(*order_id), paid };
        if let Some(other) = fates.insert(&paid.payment_id, fate) {
            let text = format!("payment {} has two fates, {} and CAPTURED", paid.payment_id, other.status);
            findings.add(Kind::Money, *order_id, text);
        }
        let price = u64::from(order.terms.quantity) * order.terms.unit_price_minor;
        if paid.amount_minor != price {
            let text = format!("order {order_id} costs {price}, and {} was paid", paid.amount_minor);
            findings.add(Kind::Money, *order_id, text);
        }
    }
    for (payment_id, fate) in &fates {
        if let Some(text) = contradiction(payment_id, fate, view.payments.get(*payment_id), log) {
            // A refund has no order of its own: it is the buyer's who paid for one.
            findings.add(Kind::Money, fate.order_id.unwrap_or(fate.paid.paid_order), text);
        }
    }
    for (payment_id, row) in view.payments.iter().filter(|(id, _)| !fates.contains_key(id.as_str())) {
        findings.add(Kind::Money, row.paid_order, format!("payment {payment_id} is in MySQL, but not in the log"));
    }
}

/// What MySQL has of a payment that the log says otherwise.
fn contradiction(payment_id: &str, fate: &Fate<'_>, row: Option<&ViewPayment>, log: &Log) -> Option<String> {
    let word = |status: &str, order: Option<u64>| {
        order.map_or_else(|| status.to_owned(), |order| format!("{status} for order {order}"))
    };
    let (in_log, paid) = (word(fate.status, fate.order_id), fate.paid);
    let Some(row) = row else { return Some(format!("payment {payment_id} is {in_log} in the log, nothing in MySQL")) };
    if (row.status.as_str(), row.order_id) != (fate.status, fate.order_id) {
        let in_view = word(&row.status, row.order_id);
        return Some(format!("payment {payment_id} is {in_log} in the log, {in_view} in MySQL"));
    }
    if (row.amount_minor, row.paid_order) != (paid.amount_minor, paid.paid_order) {
        return Some(format!("the log has {paid}; MySQL has it with another amount or order"));
    }
    let buyer = log.orders.get(&paid.paid_order).map_or(row.user_id, |order| order.terms.user_id);
    (row.user_id != buyer).then(|| format!("{paid} is of user {buyer}; MySQL has it of user {}", row.user_id))
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
            findings.add(
                Kind::Ledger,
                *order_id,
                format!("order {order_id} is {}, its ledger rows are {}", order.state, in_words(&rows)),
            );
        }
    }
    for (order_id, rows) in by_order {
        let text = format!("there is no order {order_id}, but ledger rows of it: {}", in_words(&rows));
        findings.add(Kind::Ledger, order_id, text);
    }
}

fn in_words(rows: &[(&str, i64)]) -> String {
    let rows: Vec<String> = rows.iter().map(|(reason, delta)| format!("{reason} {delta:+}")).collect();
    if rows.is_empty() { "none".to_owned() } else { rows.join(", ") }
}
