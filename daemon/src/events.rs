//! What happened lately, for people: a bounded list of numbered happenings.
//!
//! Written where something changes for everybody – an epoch, a rebuild, a readiness latch –, never where a buyer is answered.
//! The oldest are forgotten; the numbers show it.

use crate::clock::wall_ms;
use flash_core::ids::SkuId;
use flash_core::stats::{Happening, HappeningKind, Severity};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept.
pub(crate) const KEPT_MAX: usize = 256;
/// Longest text, in characters: reasons of servers can be long, and one line is read.
const TEXT_MAX: usize = 300;

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Happening>,
    last: u64,
}

impl Events {
    /// Something happened that concerns no SKU in particular.
    pub(crate) fn note(&self, kind: HappeningKind, severity: Severity, text: impl AsRef<str>) {
        self.add(kind, severity, None, text.as_ref());
    }

    /// Something happened to a SKU.
    pub(crate) fn note_sku(&self, sku_id: SkuId, kind: HappeningKind, severity: Severity, text: impl AsRef<str>) {
        self.add(kind, severity, Some(sku_id), text.as_ref());
    }

    fn add(&self, kind: HappeningKind, severity: Severity, sku_id: Option<SkuId>, text: &str) {
        let text = one_line(text);
        let mut ring = self.ring();
        ring.last += 1;
        let happening = Happening { number: ring.last, at_ms: wall_ms(), kind, severity, sku_id, text };
        if ring.kept.len() == KEPT_MAX {
            ring.kept.pop_front();
        }
        ring.kept.push_back(happening);
    }

    /// All that are kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Happening> {
        self.ring().kept.iter().cloned().collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text without line breaks and other control characters: it ends up on somebody's terminal.
fn one_line(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = chars.by_ref().take(TEXT_MAX).collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_numbers_go_on() {
        let events = Events::default();
        for n in 0..KEPT_MAX + 3 {
            events.note(HappeningKind::Operator, Severity::Info, n.to_string());
        }
        let all = events.all();
        assert_eq!(all.len(), KEPT_MAX);
        assert_eq!((all[0].number, all[0].text.as_str()), (4, "3"));
        assert!(all.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
    }

    #[test]
    fn texts_are_one_short_line() {
        let events = Events::default();
        events.note_sku(SkuId::new(1), HappeningKind::Sku, Severity::Info, format!("a\n\x1b[31m{}", "x".repeat(500)));
        let text = &events.all()[0].text;
        assert!(text.starts_with("a  [31m") && text.ends_with('…') && text.chars().count() == TEXT_MAX + 1, "{text}");
    }
}
