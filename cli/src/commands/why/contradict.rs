//! Where two stores contradict each other about one order. Pure.
//!
//! Parts are asked one after the other, so what is found here may be a move that was seen half-way: whoever asks looks
//! again before believing it. A part that was not asked contradicts nobody.

use flash_core::{
    limits::{IDEMPOTENCY_TTL_MS, KAFKA_MESSAGE_TIMEOUT_MS, SETTLE_TAKEOVER_MS},
    order::OrderState,
};
use flash_stores::{mysql::orders::OrderRow, redis::Fate};
use flashd::dead_letters::LetterStatus;

use super::facts::{Facts, ViewFacts};
use crate::plain::utc;

/// Beyond the end of a hold, how long it may take a sweeper to begin and finish, in milliseconds (promise P3).
const SWEPT_WITHIN_MS: u64 = 30_000;
const _: () = assert!(SWEPT_WITHIN_MS > 2 * SETTLE_TAKEOVER_MS, "a takeover fits in");

/// Two stores that cannot both be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// A name for programs; those that reconcile has too are called the same.
    pub(super) name: &'static str,
    /// In words.
    pub(super) what: String,
    /// The command that comes next.
    pub(super) next: String,
}

/// All of them.
pub(super) fn contradictions(facts: &Facts) -> Vec<Contradiction> {
    let mut found = Vec::new();
    gate_and_row(facts, &mut found);
    gate_and_log(facts, &mut found);
    key(facts, &mut found);
    if let Ok(view) = &facts.view {
        log_and_view(facts, view, &mut found);
        money(facts, view, &mut found);
    }
    found
}

fn reconcile(facts: &Facts) -> String {
    facts
        .sku_id()
        .map_or_else(|| "flashctl reconcile".to_owned(), |sku_id| format!("flashctl reconcile --sku {sku_id}"))
}

/// The hold in Redis against the order in MySQL. Redis counts only under the open epoch, and MySQL only as far as the log
/// is projected.
fn gate_and_row(facts: &Facts, found: &mut Vec<Contradiction>) {
    let (Ok(gate), Some(row)) = (&facts.gate, facts.row()) else { return };
    if !facts.gate_counts() {
        return;
    }
    let (hold, closing) = (gate.trace.hold.as_ref(), gate.trace.closing.as_ref());
    let mut push = |name, what: String| found.push(Contradiction { name, what, next: reconcile(facts) });
    let ended_ms = facts.now_ms.saturating_sub(row.order.expires_at_ms);
    match row.state {
        OrderState::Reserved if hold.is_none() && closing.is_none() => {
            let further = facts.state_by_log().is_some_and(|state| state != OrderState::Reserved);
            if facts.log.is_ok() && !further {
                push(
                    "MISSING_HOLD",
                    "MySQL and the log say RESERVED, and Redis holds nothing for it: the units may be sold twice"
                        .to_owned(),
                );
            }
        }
        OrderState::Reserved if closing.is_none() && ended_ms > SWEPT_WITHIN_MS => {
            let ended = utc(row.order.expires_at_ms);
            push(
                "EXPIRED_NOT_RELEASED",
                format!("the hold ended at {ended} and no sweeper has taken it back: is a worker running?"),
            );
        }
        OrderState::Reserved => {}
        state if hold.is_some() => {
            push("COUNTER_DRIFT", format!("MySQL says {state}, which is final, and Redis still holds units for it"));
        }
        state => {
            if let Some(closing) = closing.filter(|closing| closing.state != state) {
                push("COUNTER_DRIFT", format!("MySQL says {state}, and Redis is settling it as {}", closing.state));
            }
        }
    }
}

/// A hold whose event should have come by now.
fn gate_and_log(facts: &Facts, found: &mut Vec<Contradiction>) {
    let (Some(hold), Ok(log)) = (facts.held(), &facts.log) else { return };
    let silent = facts.row().is_none() && facts.valid_events().is_empty() && log.complete;
    let age_ms = facts.now_ms.saturating_sub(hold.reserved_at_ms);
    let parked = facts.letters.as_ref().is_ok_and(|letters| !letters.is_empty());
    if silent && facts.view.is_ok() && !parked && facts.gate_counts() && age_ms > KAFKA_MESSAGE_TIMEOUT_MS {
        let what =
            format!("Redis has held units for it since {}, and the log has no event of it", utc(hold.reserved_at_ms));
        found.push(Contradiction { name: "ORPHAN_HOLD", what, next: format!("{} --fix", reconcile(facts)) });
    }
}

/// One key, one answer (promise P4).
fn key(facts: &Facts, found: &mut Vec<Contradiction>) {
    let Ok(gate) = &facts.gate else { return };
    let Some(answer) = gate.answer.as_ref().filter(|answer| Some(answer.epoch) == facts.open_epoch()) else { return };
    // After a day the key is free for another purchase.
    let young = |row: &OrderRow| facts.now_ms < row.order.reserved_at_ms.saturating_add(IDEMPOTENCY_TTL_MS);
    if answer.order_id != facts.order_id && facts.row().is_some_and(young) {
        let what = format!("the order's idempotency key answers with another order, {}", answer.order_id);
        found.push(Contradiction { name: "KEY_OF_ANOTHER", what, next: format!("flashctl why {}", answer.order_id) });
    }
}

fn log_and_view(facts: &Facts, view: &ViewFacts, found: &mut Vec<Contradiction>) {
    let Ok(log) = &facts.log else { return };
    let letters = facts.letters.as_deref().unwrap_or_default();
    let passed = |offset: u64| view.position.is_some_and(|position| offset < position.next_offset);
    for (offset, event) in facts.valid_events() {
        let at = format!("{}/{offset}", log.partition);
        let parked =
            letters.iter().any(|letter| letter.origin.partition == log.partition && letter.origin.offset == offset);
        if view.order.is_none() && passed(offset) && !parked && facts.letters.is_ok() {
            let what = format!(
                "the log has {} at {at}, the projector has passed it, and MySQL has no such order",
                event.body.type_name()
            );
            found.push(Contradiction { name: "MISSING_ORDER", what, next: reconcile(facts) });
            return;
        }
        let same = |row: &flash_core::event::Order, other: &flash_core::event::Order| {
            (row.user_id, row.sku_id, row.quantity) == (other.user_id, other.sku_id, other.quantity)
        };
        if let (Some(row), Some(order)) = (&view.order, event.body.order())
            && !same(&row.order, order)
        {
            let what = format!("the event at {at} is of another buyer, SKU or quantity than MySQL's row");
            found.push(Contradiction {
                name: "ROW_DIFFERS",
                what,
                next: format!("flashctl why {} --scan -o json", facts.order_id),
            });
        }
    }
    for offset in log.gone.iter().filter(|offset| **offset >= log.bounds.0) {
        let what = format!(
            "MySQL names {}/{offset} as the order's event, and the log has another record there or none",
            log.partition
        );
        found.push(Contradiction { name: "LOG_DIFFERS", what, next: "flashctl doctor".to_owned() });
    }
    if view.order.is_some() && view.ledger.is_empty() {
        let what = "MySQL has the order and no ledger row of it".to_owned();
        found.push(Contradiction { name: "LEDGER_MISSING", what, next: reconcile(facts) });
    }
    for letter in letters.iter().filter(|letter| letter.status == LetterStatus::Replayed && view.order.is_none()) {
        let void = view.voided.iter().any(|row| row.offset == letter.origin.offset);
        if !void {
            let what = format!("the dead letter {} was replayed, and MySQL has no such order", letter.origin);
            found.push(Contradiction { name: "MISSING_ORDER", what, next: reconcile(facts) });
        }
    }
}

fn money(facts: &Facts, view: &ViewFacts, found: &mut Vec<Contradiction>) {
    register(facts, view, found);
    let Some(row) = &view.order else { return };
    let confirms = |payment: &&flash_stores::mysql::projection::PaymentRow| {
        payment.refund.is_none() && payment.order_id == Some(facts.order_id)
    };
    let next = || format!("flashctl payments --order {}", facts.order_id);
    match (row.state, view.payments.iter().find(confirms)) {
        (OrderState::Confirmed, None) => {
            let what = "MySQL says CONFIRMED, and no payment confirmed it".to_owned();
            found.push(Contradiction { name: "CONFIRMED_UNPAID", what, next: next() });
        }
        (state, Some(payment)) if state != OrderState::Confirmed => {
            let what = format!("payment {} confirmed it, and MySQL says {state}", payment.payment.payment_id);
            found.push(Contradiction { name: "PAID_NOT_CONFIRMED", what, next: next() });
        }
        _ => {}
    }
}

/// The register decides once, and MySQL records what was decided.
fn register(facts: &Facts, view: &ViewFacts, found: &mut Vec<Contradiction>) {
    let fates = facts.gate.iter().flat_map(|gate| &gate.fates);
    for (id, kept) in fates.filter(|(_, kept)| Some(kept.epoch) == facts.open_epoch()) {
        let gives_back = matches!(kept.fate, Fate::Refunding(_) | Fate::Refunded(_));
        let Some(row) = view.payments.iter().find(|row| row.payment.payment_id == *id) else { continue };
        if kept.fate != Fate::Open && gives_back != row.refund.is_some() {
            let (redis, mysql) =
                if gives_back { ("to be given back", "captured") } else { ("captured", "to be given back") };
            let what = format!("payment {id} is {redis} in Redis and {mysql} in MySQL");
            let next = format!("flashctl payments --order {}", row.payment.paid_order);
            found.push(Contradiction { name: "PAYMENT_DIFFERS", what, next });
        }
    }
}
