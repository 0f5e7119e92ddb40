//! How it looks: the whole screen at five sizes, in six states. Reviewed by eye; they are the product.

use super::fixtures::{STATES, state};
use crate::top::text;

const SIZES: [(u16, u16); 5] = [(200, 60), (120, 40), (80, 24), (60, 16), (30, 8)];

#[test]
fn screens_look_as_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("screens");
    settings.bind(|| {
        for name in STATES {
            let state = state(name);
            for (width, height) in SIZES {
                insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&state, width, height, false));
            }
        }
    });
}
