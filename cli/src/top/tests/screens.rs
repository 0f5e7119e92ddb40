//! How it looks: the whole screen at five sizes, in six states. Reviewed by eye; they are the product.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixtures::{STATES, state};
use crate::top::{event::Event, text};

const SIZES: [(u16, u16); 5] = [(200, 60), (120, 40), (80, 24), (60, 16), (30, 8)];

/// Pages and what lies over them, by the key that opens it.
const PAGES: [(&str, KeyCode); 6] = [
    ("stock", KeyCode::Char('2')),
    ("latency", KeyCode::Char('3')),
    ("daemons", KeyCode::Char('4')),
    ("events", KeyCode::Char('e')),
    ("help", KeyCode::Char('?')),
    ("detail", KeyCode::Enter),
];

fn in_screens(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("screens");
    settings.bind(check);
}

#[test]
fn pages_look_as_reviewed() {
    in_screens(|| {
        for (name, key) in PAGES {
            let mut state = state("selling");
            _ = state.update(Event::Key(KeyEvent::new(key, KeyModifiers::NONE)));
            for (width, height) in [(120, 40), (80, 24)] {
                insta::assert_snapshot!(format!("page_{name}_{width}x{height}"), text(&state, width, height, false));
            }
        }
    });
}

#[test]
fn screens_look_as_reviewed() {
    in_screens(|| {
        for name in STATES {
            let state = state(name);
            for (width, height) in SIZES {
                insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&state, width, height, false));
            }
        }
    });
}
