//! The verdict about one order, and the words that every verdict uses.

use flash_core::order::OrderState;
use flashd::dead_letters::LetterStatus;

use super::{
    contradict::Contradiction,
    facts::{Facts, LetterFacts},
};

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

    pub(super) const fn of(state: OrderState) -> Self {
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

pub(super) const TOLD_YES: &str = "The buyer was told yes (200). If the answer got lost on its way, asking again with the same key gets the same yes.";

pub(super) fn story(kind: Kind, told: impl Into<String>, stands: impl Into<String>) -> Story {
    Story { kind, told: told.into(), stands: stands.into(), next: Vec::new(), contradictions: Vec::new() }
}

/// "2 units are", "1 unit is".
pub(super) fn units_verb(units: &str) -> String {
    format!("{units} {}", if units.starts_with("1 ") { "is" } else { "are" })
}

pub(super) fn letters(facts: &Facts) -> impl Iterator<Item = &LetterFacts> {
    facts.letters.iter().flatten()
}

/// A letter that somebody still has to look at.
pub(super) fn waiting(facts: &Facts) -> Option<&LetterFacts> {
    letters(facts).find(|letter| letter.status == LetterStatus::Waiting)
}

pub(super) fn replay(letter: &LetterFacts) -> String {
    format!("flashctl dlq replay {}/{} --why 'the cause is repaired'", letter.origin.partition, letter.origin.offset)
}

/// `1 unit`, `2 units`.
pub(super) fn units(quantity: u32) -> String {
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
