//! Whatever comes, at whatever size: it draws, within its area, and does not panic.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{buffer::Buffer, layout::Rect};

use super::fixtures::*;
use crate::{
    live::Told,
    top::{Theme, event::Event, state::State, tape::Playback, view},
};

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn key(dice: &mut Dice) -> KeyEvent {
    let code = match dice.below(14) {
        0 => KeyCode::Enter,
        1 => KeyCode::Esc,
        2 => KeyCode::Tab,
        3 => KeyCode::Backspace,
        4 => KeyCode::PageDown,
        5 => KeyCode::End,
        6 => KeyCode::Left,
        _ => KeyCode::Char("pjkgG?/sr+-=t1234eé漢".chars().nth(usize::try_from(dice.below(20)).unwrap()).unwrap()),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// Documents that no daemon of ours would write.
fn strange(dice: &mut Dice, s: u64) -> crate::live::Sample {
    let mut daemons = Vec::new();
    for node in 0..u16::try_from(dice.below(4)).unwrap() {
        if dice.below(4) == 0 {
            daemons.push(seen(node, Told::Failed("timed out\nafter\u{1b}[31m 1 s".into())));
            continue;
        }
        let mut stats = told(node, dice.below(200), Vec::new());
        if dice.below(5) == 0 {
            stats = flash_core::stats::Stats::default();
        }
        if let Some(api) = &mut stats.api {
            for id in 1..=dice.below(30) + 1 {
                let mut one = sku(id, "漢字の席 👩‍👩‍👧 é\u{301}", 10, 3, 2);
                let huge = dice.below(3) == 0;
                (one.available, one.capacity) =
                    (Some(if huge { u64::MAX } else { 5 }), if huge { u64::MAX } else { 10 });
                if dice.below(6) == 0 {
                    (one.held, one.seen_ms_ago, one.opens_at_ms) = (None, Some(u64::MAX), Some(u64::MAX));
                }
                api.skus.push(one);
            }
            api.outcomes[1].count = if dice.below(5) == 0 { u64::MAX } else { dice.below(1_000_000) };
            api.unacknowledged = u64::MAX / 4;
            api.epoch.lease_age_ms = [None, Some(0), Some(u64::MAX)][usize::try_from(dice.below(3)).unwrap()];
        }
        daemons.push(seen(node, answer(stats)));
    }
    sample(s, daemons)
}

#[test]
fn random_states_at_random_sizes_never_panic() {
    for seed in 0..70 {
        let mut dice = Dice(seed);
        let mut state = match seed % 7 {
            0..=5 => state(STATES[usize::try_from(seed % 7).unwrap()]),
            _ => State::new("a title\u{7} of any kind", 1_000, Theme::Colorblind),
        };
        if dice.below(3) == 0 {
            state.tape = Some(Playback::new(61, OPENS_MS, OPENS_MS + 60_000));
        }
        state.ascii = dice.below(4) == 0;
        state.recording_to = (dice.below(2) == 0).then(|| "a/very/long/path/to/a/recording/of/a/sale.ndjson".into());
        for step in 0..20 {
            match dice.below(4) {
                0 => _ = state.update(Event::Sample(Box::new(strange(&mut dice, 70 + step)))),
                1 => _ = state.update(Event::Tick(OPENS_MS + dice.below(1_000_000))),
                _ => _ = state.update(Event::Key(key(&mut dice))),
            }
            let (width, height) = (1 + dice.below(250), 1 + dice.below(80));
            draw(&state, u16::try_from(width).unwrap(), u16::try_from(height).unwrap());
        }
    }
}

#[test]
fn every_small_size_is_drawn() {
    for name in STATES {
        let state = state(name);
        for width in 1..=45 {
            for height in 1..=14 {
                draw(&state, width, height);
            }
        }
    }
}

/// Draws into the middle of a larger buffer, of which the rest must stay untouched.
fn draw(state: &State, width: u16, height: u16) {
    let area = Rect::new(3, 2, width, height);
    let whole = Rect::new(0, 0, width + 6, height + 4);
    let mut buffer = Buffer::empty(whole);
    view::view(state, area, &mut buffer);
    for position in whole.positions() {
        if !area.contains(position) {
            assert_eq!(buffer[position].symbol(), " ", "{position} is outside of {area}");
        }
    }
}
