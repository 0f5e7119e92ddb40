//! What happened to one order, in order of time, each step with the part that knows it. Pure.

use flash_core::{
    epoch::EpochState,
    event::{Body, Event},
    sale::format_price,
    snowflake::issued_at_ms,
};
use flashd::dead_letters::LetterStatus;

use super::facts::{Facts, LetterFacts, LogEntry};
use crate::plain::{harmless, utc};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// In milliseconds since 1970, by the clock of whoever wrote it down.
    pub(super) at_ms: u64,
    /// The part that knows.
    pub(super) place: &'static str,
    pub(super) what: String,
    /// Where exactly, under which epoch, …
    pub(super) details: Vec<(&'static str, String)>,
}

/// Most epoch records told of one order's life.
const EPOCHS_MAX: usize = 20;

/// All steps, oldest first.
pub(super) fn timeline(facts: &Facts) -> Vec<Step> {
    let mut steps = vec![drawn(facts)];
    steps.extend(held(facts));
    steps.extend(facts.log.iter().flat_map(|log| &log.entries).filter_map(|entry| logged(facts, entry)));
    steps.extend(projected(facts));
    steps.extend(closing(facts));
    steps.extend(payments(facts));
    steps.extend(facts.letters.iter().flatten().flat_map(letter));
    steps.extend(ending(facts));
    steps.sort_by_key(|step| step.at_ms);
    let span = (steps.first().map_or(0, |step| step.at_ms), steps.last().map_or(0, |step| step.at_ms));
    steps.extend(epochs(facts, span));
    steps.sort_by_key(|step| step.at_ms);
    steps
}

fn step(at_ms: u64, place: &'static str, what: impl Into<String>, details: Vec<(&'static str, String)>) -> Step {
    Step { at_ms, place, what: what.into(), details }
}

fn drawn(facts: &Facts) -> Step {
    let id = facts.order_id.get();
    let node = (id >> 12) & (u64::from(flash_core::limits::NODE_IDS) - 1);
    step(issued_at_ms(id), "flashd", "order id drawn", vec![("node", node.to_string())])
}

fn held(facts: &Facts) -> Option<Step> {
    let hold = facts.held()?;
    let details = vec![
        ("user", hold.user_id.to_string()),
        ("units", hold.quantity.to_string()),
        ("reservation", hold.reservation_id.to_string()),
        ("seq", hold.seq.to_string()),
        ("key", harmless(&hold.idempotency_key)),
        ("until", utc(hold.expires_at_ms)),
    ];
    Some(step(hold.reserved_at_ms, "Redis", "units held", details))
}

/// A fence is told as the reason of what it voids, not as a step.
fn logged(facts: &Facts, entry: &LogEntry) -> Option<Step> {
    let partition = facts.log.as_ref().ok()?.partition;
    let at = ("at", format!("{partition}/{}", entry.offset));
    match &entry.event {
        Err(error) => {
            Some(step(entry.timestamp_ms, "log", "a record that is no event", vec![at, ("error", harmless(error))]))
        }
        Ok(Event { body: Body::Fence, .. }) => None,
        Ok(event) => {
            let void = facts.void_behind(entry);
            let what = if void.is_some() {
                format!("{}, void", event.body.type_name())
            } else {
                event.body.type_name().to_owned()
            };
            let mut details = vec![at, ("epoch", event.epoch.to_string())];
            if let Body::Order { seq, .. } = &event.body {
                details.push(("seq", seq.to_string()));
            }
            details.extend(void.map(|fence| ("behind fence", fence.to_string())));
            Some(step(event.at_ms, "log", what, details))
        }
    }
}

fn projected(facts: &Facts) -> Vec<Step> {
    let Ok(view) = &facts.view else { return Vec::new() };
    let mut steps = Vec::new();
    for row in &view.ledger {
        let mut details =
            vec![("available", format!("{:+}", row.delta)), ("from", format!("{}/{}", row.partition, row.offset))];
        if row.seq == 0 {
            details.push(("note", "the log knows the order only by a later event".to_owned()));
        } else {
            details.push(("seq", row.seq.to_string()));
        }
        steps.push(step(row.at_ms, "MySQL", format!("{} in the ledger", row.reason), details));
    }
    for row in &view.voided {
        let details = vec![
            ("from", format!("{}/{}", row.partition, row.offset)),
            ("epoch", row.epoch.to_string()),
            ("behind fence", row.fence_epoch.to_string()),
        ];
        steps.push(step(row.at_ms, "MySQL", format!("{} recorded as void", harmless(&row.event_type)), details));
    }
    steps
}

fn closing(facts: &Facts) -> Option<Step> {
    let closing = facts.gate.as_ref().ok()?.trace.closing.as_ref()?;
    let details = vec![("token", closing.token.clone()), ("seq", closing.seq.to_string())];
    Some(step(closing.at_ms, "Redis", format!("{} begun, not finished", closing.state), details))
}

fn payments(facts: &Facts) -> Vec<Step> {
    let Ok(view) = &facts.view else { return Vec::new() };
    let currency = view.currency.as_deref().unwrap_or("");
    let told = |row: &flash_stores::mysql::projection::PaymentRow| {
        let amount = format!("{} {currency}", format_price(row.payment.amount_minor));
        let mut details =
            vec![("amount", amount.trim().to_owned()), ("paid order", row.payment.paid_order.to_string())];
        details.extend(row.order_id.map(|order| ("confirmed", order.to_string())));
        let what = match row.refund {
            Some(reason) => format!("payment {} to be given back: {}", row.payment.payment_id, reason.as_str()),
            None => format!("payment {} captured", row.payment.payment_id),
        };
        step(row.at_ms, "payments", what, details)
    };
    view.payments.iter().map(told).collect()
}

fn letter(letter: &LetterFacts) -> Vec<Step> {
    let at = ("origin", letter.origin.to_string());
    let mut steps =
        vec![step(letter.parked_at_ms, "dead letters", "parked", vec![at.clone(), ("error", harmless(&letter.error))])];
    if let Some((at_ms, who, why)) = &letter.action {
        let what = match letter.status {
            LetterStatus::Waiting => "replayed in vain",
            LetterStatus::Replayed => "replayed",
            LetterStatus::Dropped => "given up",
        };
        steps.push(step(*at_ms, "dead letters", what, vec![at, ("who", harmless(who)), ("why", harmless(why))]));
    }
    steps
}

/// The end of a live hold, which may lie ahead.
fn ending(facts: &Facts) -> Option<Step> {
    let hold = facts.gate.as_ref().ok()?.trace.hold.as_ref()?;
    let what =
        if hold.expires_at_ms > facts.now_ms { "hold ends unless paid" } else { "hold ended; waits for the sweeper" };
    Some(step(hold.expires_at_ms, "Redis", what, Vec::new()))
}

/// Epochs that were announced or opened within the order's life.
fn epochs(facts: &Facts, (from, to): (u64, u64)) -> Vec<Step> {
    let until = if facts.held().is_some() { to.max(facts.now_ms) } else { to };
    let within = facts.epochs.iter().flatten().filter(|record| (from..=until).contains(&record.at_ms));
    let told = within.map(|record| {
        let what = match record.state {
            EpochState::Rebuilding => format!("rebuild under epoch {} begun", record.epoch),
            EpochState::Open => format!("epoch {} opened", record.epoch),
        };
        step(record.at_ms, "stock-epochs", what, Vec::new())
    });
    told.take(EPOCHS_MAX).collect()
}
