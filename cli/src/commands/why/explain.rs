//! The verdict about one order: what its buyer was told, where it stands, why, and what to do next. Pure.
//!
//! Rules it goes by: an event in the log that is not void was told, or will be to whoever asks again; an event behind a
//! newer fence was told to nobody; a hold without an event was answered "unknown" at most.

use flash_core::{
    limits::{KAFKA_MESSAGE_TIMEOUT_MS, SETTLE_TAKEOVER_MS},
    order::OrderState,
    sale::format_price,
    stock::Hold,
};
use flash_stores::mysql::{orders::OrderRow, projection::PaymentRow};
use flashd::dead_letters::LetterStatus;

use super::{
    contradict::{Contradiction, contradictions},
    facts::{Facts, LetterFacts},
};
use crate::plain::{harmless, utc};

/// Where an order stands, in one word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Held for its buyer, and recorded.
    Reserved,
    /// Paid for.
    Sold,
    Cancelled,
    Expired,
    /// Its only events stand behind a newer fence.
    Void,
    /// Held in Redis, and the log does not know (yet).
    Unrecorded,
    /// Recorded, and MySQL could not take it.
    Parked,
    /// Recorded, and MySQL neither has it nor waits for it.
    Missing,
    /// Nothing that was asked knows the order.
    Unknown,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Kind::Reserved => "reserved",
            Kind::Sold => "sold",
            Kind::Cancelled => "cancelled",
            Kind::Expired => "expired",
            Kind::Void => "void",
            Kind::Unrecorded => "unrecorded",
            Kind::Parked => "parked",
            Kind::Missing => "missing",
            Kind::Unknown => "unknown",
        }
    }

    const fn of(state: OrderState) -> Self {
        match state {
            OrderState::Reserved => Kind::Reserved,
            OrderState::Confirmed => Kind::Sold,
            OrderState::Cancelled => Kind::Cancelled,
            OrderState::Expired => Kind::Expired,
        }
    }
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Story {
    pub(super) kind: Kind,
    /// What the buyer was told, or can have been.
    pub(super) told: String,
    /// Where the order stands, and why.
    pub(super) stands: String,
    /// Commands that come next.
    pub(super) next: Vec<String>,
    pub(super) contradictions: Vec<Contradiction>,
}

/// Beyond the end of a hold, how long it may take a sweeper to begin and finish, in milliseconds (promise P3).
pub(super) const SWEPT_WITHIN_MS: u64 = 30_000;
const _: () = assert!(SWEPT_WITHIN_MS > 2 * SETTLE_TAKEOVER_MS, "a takeover fits in");

const TOLD_YES: &str = "The buyer was told yes (200). If the answer got lost on its way, asking again with the same key gets the same yes.";

/// Judges the facts.
pub(super) fn explain(facts: &Facts) -> Story {
    let mut story = match (facts.row(), facts.state_by_log()) {
        (Some(row), by_log) => by_row(facts, row, by_log),
        (None, Some(state)) => by_log(facts, state),
        (None, None) => elsewhere(facts),
    };
    story.contradictions = contradictions(facts);
    story
}

fn story(kind: Kind, told: impl Into<String>, stands: impl Into<String>) -> Story {
    Story { kind, told: told.into(), stands: stands.into(), next: Vec::new(), contradictions: Vec::new() }
}

/// MySQL has the order. The log may be further.
fn by_row(facts: &Facts, row: &OrderRow, by_log: Option<OrderState>) -> Story {
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

/// "2 units are", "1 unit is".
fn units_verb(units: &str) -> String {
    format!("{units} {}", if units.starts_with("1 ") { "is" } else { "are" })
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
            use flash_core::payment::RefundReason;
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

/// The log has events that count, and MySQL has no row (or was not asked).
fn by_log(facts: &Facts, state: OrderState) -> Story {
    let told = if state == OrderState::Reserved || state == OrderState::Confirmed {
        TOLD_YES
    } else {
        "The buyer can have been told yes (200) before."
    };
    if let Some(letter) = letters(facts).next() {
        return parked(letter, told);
    }
    let offset = facts.valid_events().first().map_or(0, |(offset, _)| *offset);
    let partition = facts.log.as_ref().map_or(0, |log| log.partition);
    let Ok(view) = &facts.view else {
        return story(
            Kind::of(state),
            told,
            format!("The log says {state} (order-events {partition}/{offset}); MySQL was not asked."),
        );
    };
    let position = view.position.map_or(0, |position| position.next_offset);
    if offset >= position {
        let behind = offset - position + 1;
        let behind = if behind == 1 { "one event".to_owned() } else { format!("{behind} events") };
        let text = format!(
            "It is {state} in the log and not yet in MySQL: the projector is {behind} away from {partition}/{offset}."
        );
        return story(Kind::of(state), told, text);
    }
    let text = format!(
        "It is {state} in the log at {partition}/{offset}, the projector has passed that place, and MySQL has no such order."
    );
    story(Kind::Missing, told, text)
}

/// Neither MySQL nor a readable, valid event knows it.
fn elsewhere(facts: &Facts) -> Story {
    if let Some(letter) = letters(facts).next() {
        return parked(letter, "The event is in the log, so the buyer can have been told yes (200).");
    }
    if let Some(hold) = facts.held() {
        return unrecorded(facts, hold);
    }
    if let Some((offset, epoch, fence)) = facts.void_events().first().copied() {
        let partition = facts.log.as_ref().map_or_else(|_| String::new(), |log| format!("{}/", log.partition));
        let text = format!(
            "It does not count: its event at {partition}{offset} was decided under epoch {epoch} and stands behind fence {fence} – Redis was rebuilt without it, and no unit is held for it."
        );
        let told = "Nobody was told yes: by the time the fence was written no daemon had a lease of that epoch any more. The buyer was told \"unknown\" (503) at most, and can ask again with the same key.";
        return story(Kind::Void, told, text);
    }
    if let Some(answer) =
        facts.gate.as_ref().ok().and_then(|gate| gate.answer.as_ref()).filter(|a| a.order_id == facts.order_id)
    {
        let how = match answer.settled {
            Some('C') => "paid for",
            Some('K') => "cancelled",
            Some('X') => "expired",
            _ => "held",
        };
        return story(
            Kind::Missing,
            "The buyer's key still answers with this order.",
            format!("Redis remembers only its key, as {how}; nothing else that was asked knows the order."),
        );
    }
    let text = "Nothing that was asked knows this id. Ids are drawn before a purchase is decided, so the id of a refused purchase is known nowhere.";
    story(Kind::Unknown, "As far as is known, nobody was told anything about it.", text)
}

/// A hold without an event.
fn unrecorded(facts: &Facts, hold: &Hold) -> Story {
    let told = "The buyer was not told yes: without an event in the log the answer is \"unknown\" (503 OUTCOME_UNKNOWN) at most.";
    let units = units_verb(&units(hold.quantity));
    if facts.log.is_err() {
        return story(
            Kind::Unrecorded,
            "The log was not asked, so what the buyer was told is not known.",
            format!("{units} held in Redis until {}.", utc(hold.expires_at_ms)),
        );
    }
    if facts.epochs.is_ok() && !facts.gate_counts() {
        let text = format!(
            "{units} held in a Redis that does not carry the open epoch, and the log knows nothing of it: the rebuild drops the hold."
        );
        return story(Kind::Unrecorded, told, text);
    }
    let age = facts.now_ms.saturating_sub(hold.reserved_at_ms);
    let cause = if age <= KAFKA_MESSAGE_TIMEOUT_MS {
        "its event is still on its way, or the daemon died between decision and record, or Kafka refused it"
    } else {
        "the daemon died between decision and record, or Kafka refused it"
    };
    let ends = if hold.expires_at_ms > facts.now_ms {
        format!(
            "Asking again with key {} records it; otherwise it expires at {} and {} back on sale.",
            harmless(&hold.idempotency_key),
            utc(hold.expires_at_ms),
            if hold.quantity == 1 { "the unit is" } else { "the units are" }
        )
    } else {
        format!(
            "It expired {} ago; a sweeper records that and puts the units back on sale.",
            span(facts.now_ms - hold.expires_at_ms)
        )
    };
    story(Kind::Unrecorded, told, format!("{units} held in Redis but no event is in the log: {cause}. {ends}"))
}

fn parked(letter: &LetterFacts, told: &str) -> Story {
    let error = harmless(&letter.error);
    match letter.status {
        LetterStatus::Dropped => {
            let (who, why) =
                letter.action.as_ref().map_or(("somebody", ""), |(_, who, why)| (who.as_str(), why.as_str()));
            let text = format!(
                "Its event could not be applied ({error}) and was given up by {}: {}. MySQL does not have the order.",
                harmless(who),
                harmless(why)
            );
            story(Kind::Parked, told, text)
        }
        LetterStatus::Replayed => story(
            Kind::Parked,
            told,
            format!("Its event was replayed from the dead letters ({error}), and MySQL does not have the order."),
        ),
        LetterStatus::Waiting => {
            let mut story = story(
                Kind::Parked,
                told,
                format!("Its event could not be applied to MySQL ({error}) and waits in the dead letters."),
            );
            story.next =
                vec![format!("flashctl dlq show {}/{}", letter.origin.partition, letter.origin.offset), replay(letter)];
            story
        }
    }
}

fn letters(facts: &Facts) -> impl Iterator<Item = &LetterFacts> {
    facts.letters.iter().flatten()
}

/// A letter that somebody still has to look at.
fn waiting(facts: &Facts) -> Option<&LetterFacts> {
    letters(facts).find(|letter| letter.status == LetterStatus::Waiting)
}

fn replay(letter: &LetterFacts) -> String {
    format!("flashctl dlq replay {}/{} --why 'the cause is repaired'", letter.origin.partition, letter.origin.offset)
}

/// `1 unit`, `2 units`.
fn units(quantity: u32) -> String {
    if quantity == 1 { "1 unit".to_owned() } else { format!("{quantity} units") }
}

/// `5m00s`, `12s`.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}
