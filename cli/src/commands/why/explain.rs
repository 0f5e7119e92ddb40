//! The verdict about one order: what its buyer was told, where it stands, why, and what to do next. Pure.
//!
//! Rules it goes by: an event in the log that is not void was told, or will be to whoever asks again; an event behind a
//! newer fence was told to nobody; a hold without an event was answered "unknown" at most.

use flash_core::{limits::KAFKA_MESSAGE_TIMEOUT_MS, order::OrderState, stock::Hold};
use flashd::dead_letters::LetterStatus;

use super::{
    contradict::contradictions,
    facts::{Facts, LetterFacts},
    recorded::by_row,
    story::{Kind, Story, TOLD_YES, letters, replay, span, story, units, units_verb},
};
use crate::plain::{harmless, utc};

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
