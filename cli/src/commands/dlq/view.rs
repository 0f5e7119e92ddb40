//! How a letter is told.

use flash_core::event::Event;
use flashd::dead_letters::{Letter, LetterStatus};
use serde_json::{Value, json};

use crate::plain::{harmless, shortened, utc};

/// Version of the JSON answers of `dlq`.
pub(super) const VERSION: u32 = 1;
/// Most characters of an error in a table.
const ERROR_CHARS: usize = 80;

/// The word for a status.
pub(super) fn word(status: LetterStatus) -> String {
    status.as_str().to_ascii_lowercase()
}

/// What the event is about, if it can be read now.
pub(super) fn about(letter: &Letter) -> String {
    let of_event = |event: &Event| match event.body.order() {
        Some(order) => format!("{} of order {}", event.body.type_name(), order.order_id),
        None => event.body.type_name().to_owned(),
    };
    letter.event().as_ref().map_or_else(|_| "unreadable".to_owned(), of_event)
}

/// What went wrong last.
pub(super) fn error(letter: &Letter) -> &str {
    let last = letter.standing.as_ref().map(|standing| standing.last_error.as_str());
    last.filter(|error| !error.is_empty()).unwrap_or(&letter.parked.error)
}

/// The cells of a table.
pub(super) fn row(letter: &Letter) -> [String; 6] {
    [
        harmless(&letter.origin().to_string()),
        word(letter.status()),
        letter.attempts().to_string(),
        utc(letter.parked.parked_at_ms),
        about(letter),
        shortened(&harmless(error(letter)), ERROR_CHARS),
    ]
}

/// One letter for programs, without its payload.
pub(super) fn json(letter: &Letter) -> Value {
    let parked = &letter.parked;
    let standing = letter.standing.as_ref();
    let event = letter.event().ok();
    json!({
        "origin": letter.origin().to_string(),
        "topic": parked.topic,
        "partition": parked.partition,
        "offset": parked.offset,
        "status": word(letter.status()),
        "replays": letter.attempts(),
        "copies": letter.copies,
        "parkedAt": parked.parked_at_ms,
        "recordAt": parked.timestamp_ms,
        "fenceEpoch": parked.fence_epoch,
        "error": parked.error,
        "event": event.as_ref().map(|event| event.body.type_name()),
        "orderId": event.as_ref().and_then(|event| event.body.order()).map(|order| order.order_id),
        "lastError": standing.map(|standing| &standing.last_error),
        "who": standing.map(|standing| &standing.who),
        "why": standing.map(|standing| &standing.why),
        "updatedAt": standing.map(|standing| standing.updated_at_ms),
    })
}
