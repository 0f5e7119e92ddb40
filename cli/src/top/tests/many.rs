//! Ten thousand SKUs: every one is counted, and every one can be reached.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixtures::*;
use crate::{
    live::Sample,
    top::{Theme, event::Event, state::State, text},
};

/// One row each, of which the last stands at the end whatever is before it.
fn large(s: u64) -> Sample {
    let skus = (1..=10_000).map(|id| sku(id, &format!("Row {id}"), 1_000 + id, s * (id % 7), 5)).collect();
    sample(s, vec![seen(1, answer(told(1, s, skus)))])
}

fn press(key: char) -> Event {
    Event::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE))
}

#[test]
fn ten_thousand_skus_are_counted_and_the_last_can_be_reached() {
    let mut state = State::new("many", 1_000, Theme::Dark);
    _ = state.update(Event::Resized(200, 60));
    for s in 0..3 {
        _ = state.update(Event::Sample(Box::new(large(s))));
    }
    let screen = text(&state, 200, 60, false);
    assert!(screen.contains("10,000 SKUs") && screen.contains("50,000 held"), "{screen}");
    _ = state.update(press('G'));
    let screen = text(&state, 200, 60, false);
    assert!(screen.contains("Row 10000"), "{screen}");
    _ = state.update(press('g'));
    let screen = text(&state, 200, 60, false);
    assert!(screen.contains("Row 1 ") && !screen.contains("Row 10000"), "{screen}");
}
