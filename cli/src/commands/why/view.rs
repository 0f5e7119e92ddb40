//! How a story is told, to people and to programs.

use serde_json::{Map, Value, json};

use super::{facts::Facts, story::Story, timeline::Step};
use crate::{
    plain::harmless,
    report::Failure,
    table::{self, Align},
    terminal::Terminal,
};

/// Version of the JSON answer.
pub(super) const VERSION: u32 = 1;

/// Everything about one order, ready to be told.
pub(super) struct Told {
    pub(super) facts: Facts,
    pub(super) steps: Vec<Step>,
    pub(super) story: Story,
    pub(super) notes: Vec<String>,
}

impl Told {
    /// For people.
    pub(super) fn text(&self, terminal: &Terminal) -> Result<(), Failure> {
        terminal.answer(&format!("{} · {}", self.headline(), self.story.kind.as_str()))?;
        for note in &self.notes {
            terminal.answer(note)?;
        }
        terminal.answer("")?;
        let headings = [("TIME", Align::Left), ("WHERE", Align::Left), ("WHAT", Align::Left), ("DETAILS", Align::Left)];
        let rows: Vec<Vec<String>> = self.steps.iter().map(row).collect();
        for line in table::lines(&headings, &rows) {
            terminal.answer(&line)?;
        }
        terminal.answer("")?;
        terminal.answer(&self.story.told)?;
        terminal.answer(&self.story.stands)?;
        for found in &self.story.contradictions {
            terminal.answer("")?;
            terminal.answer(&format!("contradiction {}: {}.", found.name, found.what))?;
            terminal.answer(&format!("  next: {}", found.next))?;
        }
        for (part, reason) in self.facts.not_asked() {
            terminal.answer(&format!("not asked: {part}: {}", harmless(reason)))?;
        }
        for gap in self.gaps() {
            terminal.answer(&gap)?;
        }
        self.story.next.iter().try_for_each(|next| terminal.answer(&format!("next: {next}")))
    }

    /// `order N · SKU 1 · user 7 · 2 units`.
    fn headline(&self) -> String {
        let order = self.facts.row().map(|row| (row.order.user_id, row.order.quantity));
        let held = || self.facts.held().map(|hold| (hold.user_id, hold.quantity));
        let logged = || {
            let events = self.facts.valid_events();
            events.first().and_then(|(_, event)| event.body.order()).map(|order| (order.user_id, order.quantity))
        };
        let mut parts = vec![format!("order {}", self.facts.order_id)];
        parts.extend(self.facts.sku_id().map(|sku_id| format!("SKU {sku_id}")));
        if let Some((user_id, quantity)) = order.or_else(held).or_else(logged) {
            parts.push(format!("user {user_id}"));
            parts.push(format!("{quantity} unit{}", if quantity == 1 { "" } else { "s" }));
        }
        parts.join(" · ")
    }

    /// What was asked and could not be seen whole.
    fn gaps(&self) -> Vec<String> {
        let Ok(log) = &self.facts.log else { return Vec::new() };
        let mut gaps = Vec::new();
        if !log.complete {
            gaps.push("the log was too long to be read to its end".to_owned());
        }
        let old = log.gone.iter().filter(|offset| **offset < log.bounds.0);
        gaps.extend(old.map(|offset| format!("the log no longer keeps {}/{offset}", log.partition)));
        gaps
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let story = &self.story;
        let contradictions = story.contradictions.iter();
        let contradictions =
            contradictions.map(|found| json!({ "name": found.name, "what": found.what, "next": found.next }));
        let not_asked = self.facts.not_asked().into_iter();
        let row = self.facts.row();
        json!({
            "version": VERSION,
            "orderId": self.facts.order_id,
            "skuId": self.facts.sku_id(),
            "userId": row.map(|row| row.order.user_id).or(self.facts.held().map(|hold| hold.user_id)),
            "at": self.facts.now_ms,
            "notes": self.notes,
            "timeline": self.steps.iter().map(step_json).collect::<Vec<_>>(),
            "verdict": { "kind": story.kind.as_str(), "told": story.told, "stands": story.stands, "next": story.next },
            "buyerUnits": self.facts.gate.as_ref().ok().and_then(|gate| gate.buyer_units),
            "contradictions": contradictions.collect::<Vec<_>>(),
            "gaps": self.gaps(),
            "notAsked": not_asked.map(|(part, reason)| json!({ "part": part, "reason": reason })).collect::<Vec<_>>(),
        })
    }
}

fn row(step: &Step) -> Vec<String> {
    let details: Vec<String> = step.details.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let time = flash_core::sale::format_time(step.at_ms);
    vec![time, step.place.to_owned(), step.what.clone(), details.join(" · ")]
}

fn step_json(step: &Step) -> Value {
    let details: Map<String, Value> =
        step.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    json!({ "at": step.at_ms, "where": step.place, "what": step.what, "details": details })
}
