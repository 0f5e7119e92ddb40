//! An order that MySQL has: what its buyer was told, where it stands, and what its payments did. Pure.

use flash_core::{order::OrderState, payment::RefundReason, sale::format_price};
use flash_stores::mysql::{orders::OrderRow, projection::PaymentRow};

use super::{
    facts::Facts,
    story::{Kind, Story, TOLD_YES, replay, span, story, units, units_verb, waiting},
};
use crate::plain::{harmless, utc};

/// MySQL has the order. The log may be further.
pub(super) fn by_row(facts: &Facts, row: &OrderRow, by_log: Option<OrderState>) -> Story {
    let ahead = by_log.filter(|state| row.state == OrderState::Reserved && *state != OrderState::Reserved);
    let state = ahead.unwrap_or(row.state);
    let mut told = match state {
        OrderState::Reserved | OrderState::Confirmed => TOLD_YES.to_owned(),
        OrderState::Cancelled => "The buyer was told yes (200) and gave the order back; asking with its key now gets \"cancelled\".".to_owned(),
        OrderState::Expired => "The buyer was told yes (200), or \"unknown\" if the log never got the reservation itself; asking with its key now gets \"expired\".".to_owned(),
    };
    if facts
        .view
        .as_ref()
        .is_ok_and(|view| view.ledger.iter().any(|row| row.reason == OrderState::Reserved && row.seq == 0))
    {
        told.push_str(" The log knows the order only by its later event: the reservation itself was never acknowledged, so nobody was told 200 for it at the time.");
    }
    let mut stands = standing(facts, row, state);
    if ahead.is_some() {
        stands.push_str(" MySQL still says RESERVED: the projector has not come to that event yet.");
    }
    let mut story = story(Kind::of(state), told, stands);
    let payments = facts.view.iter().flat_map(|view| &view.payments);
    let (sentences, next): (Vec<_>, Vec<_>) = payments.map(|payment| money(facts, row, payment)).unzip();
    sentences.iter().for_each(|sentence| push(&mut story.stands, sentence));
    story.next = next.into_iter().flatten().collect();
    if let Some(letter) = waiting(facts) {
        push(
            &mut story.stands,
            &format!(
                "Another event of it could not be applied and waits in the dead letters: {}.",
                harmless(&letter.error)
            ),
        );
        story.next.push(replay(letter));
    }
    story
}

fn push(text: &mut String, sentence: &str) {
    if !sentence.is_empty() {
        text.push(' ');
        text.push_str(sentence);
    }
}

fn standing(facts: &Facts, row: &OrderRow, state: OrderState) -> String {
    let order = &row.order;
    let units = units(order.quantity);
    match state {
        OrderState::Reserved => live(facts, &units, order.expires_at_ms),
        OrderState::Confirmed => format!(
            "It is sold: {units} of SKU {} for user {}, confirmed {}.",
            order.sku_id,
            order.user_id,
            utc(row.updated_at_ms)
        ),
        OrderState::Cancelled => {
            let after = row.updated_at_ms.saturating_sub(order.reserved_at_ms);
            format!("Its buyer cancelled it after {}; {}.", span(after), back(facts, &units))
        }
        OrderState::Expired => {
            let after = order.expires_at_ms.saturating_sub(order.reserved_at_ms);
            format!("It expired unpaid after {}; {}.", span(after), back(facts, &units))
        }
    }
}

fn live(facts: &Facts, units: &str, expires_at_ms: u64) -> String {
    if let Some(closing) = facts.gate.as_ref().ok().and_then(|gate| gate.trace.closing.as_ref()) {
        return format!(
            "It is being settled as {}: Redis has begun, and the event is on its way to the log.",
            closing.state
        );
    }
    if expires_at_ms > facts.now_ms {
        let left = span(expires_at_ms - facts.now_ms);
        return format!(
            "{} held for the buyer until {} ({left} from now), unless paid or cancelled before.",
            units_verb(units),
            utc(expires_at_ms)
        );
    }
    let late = span(facts.now_ms - expires_at_ms);
    format!("Its hold ended {late} ago and was not paid; a sweeper takes it back, within 30 s even after a crash.")
}

fn back(facts: &Facts, units: &str) -> String {
    let closing = facts.gate.as_ref().ok().and_then(|gate| gate.trace.closing.as_ref());
    match closing {
        Some(_) => format!("{} on the way back on sale: the log knows, Redis has not finished yet", units_verb(units)),
        None => format!("{} back on sale", units_verb(units)),
    }
}

/// What became of one payment, and what to do about it.
fn money(facts: &Facts, row: &OrderRow, payment: &PaymentRow) -> (String, Option<String>) {
    let id = &payment.payment.payment_id;
    let currency = facts.view.as_ref().ok().and_then(|view| view.currency.clone()).unwrap_or_default();
    let amount = format!("{} {currency}", format_price(payment.payment.amount_minor));
    let amount = amount.trim();
    let (this, paid) = (row.order.order_id, payment.payment.paid_order);
    match (payment.refund, payment.order_id) {
        (Some(reason), _) => {
            let why = match reason {
                RefundReason::Expired => "it came after the hold had expired and nothing was free to be reserved again",
                RefundReason::Cancelled => "the order had been cancelled",
                RefundReason::AlreadyPaid => "another payment had confirmed the order",
                RefundReason::Amount => "it was not the price",
            };
            let told = format!("Payment {id} of {amount} is to be given back: {why}.");
            (told, Some(format!("flashctl payments --refund-pending --order {paid}")))
        }
        (None, Some(confirmed)) if confirmed == this && paid == this => (format!("Paid by {id} with {amount}."), None),
        (None, Some(confirmed)) if confirmed == this => {
            let told = format!(
                "The buyer paid late for order {paid}, which had expired; units were reserved again as this order and paid by {id} with {amount}."
            );
            (told, Some(format!("flashctl why {paid}")))
        }
        (None, Some(confirmed)) => {
            let told = format!(
                "Payment {id} of {amount} came late; units were reserved again as order {confirmed}, which it paid."
            );
            (told, Some(format!("flashctl why {confirmed}")))
        }
        (None, None) => (format!("Payment {id} of {amount} is captured and confirmed nothing."), None),
    }
}
