//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixtures::*;
use crate::{
    exit::Exit,
    top::{
        event::{Event, Wish},
        list::Sort,
        state::{Overlay, Page, State},
        tape::Playback,
        text,
    },
};

fn press(state: &mut State, code: KeyCode) -> Wish {
    state.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(state: &mut State, keys: &str) {
    keys.chars().for_each(|key| _ = press(state, KeyCode::Char(key)));
}

fn ctrl(state: &mut State, key: char) -> Wish {
    state.update(Event::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL)))
}

fn names(state: &State) -> Vec<String> {
    let rows = state.shown().stock.rows();
    state.listed.iter().map(|index| rows[*index as usize].told.name.clone()).collect()
}

#[test]
fn orders_are_as_they_are_called_and_what_is_not_known_goes_last() {
    let mut state = state("selling");
    assert_eq!(names(&state)[0], "Standing");
    type_in(&mut state, "s");
    assert_eq!((state.sort, names(&state)[..3].join(",")), (Sort::Left, "Front row,Box seats,Standing".into()));
    type_in(&mut state, "s");
    assert_eq!(names(&state)[..3].join(","), "Standing,Lower tier,Upper tier");
    type_in(&mut state, "s");
    assert_eq!((state.sort, names(&state)[..3].join(",")), (Sort::SellsOut, "Standing,Lower tier,Upper tier".into()));
    type_in(&mut state, "r");
    assert_eq!(names(&state)[..3].join(","), "Upper tier,Lower tier,Standing");
    type_in(&mut state, "ss");
    assert_eq!((state.sort, names(&state)[0].as_str()), (Sort::Id, "Standing"));
}

#[test]
fn a_filter_finds_names_ids_and_states_and_esc_undoes_it() {
    let mut state = state("selling");
    type_in(&mut state, "/TIER");
    assert!(state.typing);
    assert_eq!(names(&state), ["Lower tier", "Upper tier"]);
    _ = press(&mut state, KeyCode::Enter);
    assert!(!state.typing && text(&state, 120, 40, false).contains("2 of 6 SKUs"));
    _ = press(&mut state, KeyCode::Esc);
    assert_eq!(names(&state).len(), 6);
    for (filter, found) in [("held out", 1), ("105", 1), ("nowhere", 0)] {
        type_in(&mut state, "/");
        type_in(&mut state, filter);
        assert_eq!(names(&state).len(), found, "{filter}");
        _ = press(&mut state, KeyCode::Esc);
    }
    // While it is typed, letters are letters.
    type_in(&mut state, "/qQ");
    assert_eq!((state.filter.as_str(), state.typing), ("qQ", true));
    assert_eq!(ctrl(&mut state, 'c'), Wish::Quit(Exit::Interrupted));
}

#[test]
fn the_cursor_stays_on_its_sku_while_the_list_moves() {
    let mut state = state("selling");
    type_in(&mut state, "jj");
    assert_eq!(state.selected_row().unwrap().told.name, "Upper tier");
    // The SKU above it leaves the catalogue.
    let mut fewer = skus(61);
    fewer.remove(0);
    let next = sample(61, vec![seen(1, answer(told(1, 61, fewer.clone()))), seen(2, answer(told(2, 61, fewer)))]);
    _ = state.update(Event::Sample(Box::new(next)));
    assert_eq!(state.selected_row().unwrap().told.name, "Upper tier");
    _ = press(&mut state, KeyCode::Enter);
    assert!(text(&state, 120, 40, false).contains("SKU 103"));
    type_in(&mut state, "Gg");
    assert_eq!((state.selected, state.overlay.is_some()), (0, true));
    type_in(&mut state, "q");
    assert_eq!(state.overlay, None);
}

#[test]
fn a_held_picture_stands_still_and_nothing_is_lost() {
    let mut state = state("selling");
    let before = text(&state, 120, 40, false);
    type_in(&mut state, "p");
    let next = |s| sample(s, vec![seen(1, answer(told(1, s, skus(s)))), seen(2, answer(told(2, s, skus(s))))]);
    (61..=70).for_each(|s| _ = state.update(Event::Sample(Box::new(next(s)))));
    let held = text(&state, 120, 40, false);
    assert!(held.contains("FROZEN 10 s"), "{held}");
    let below = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(below(&held), below(&before));
    type_in(&mut state, "p");
    let after = text(&state, 120, 40, false);
    assert!(after.contains("6,960") && !after.contains("FROZEN"), "{after}");
    assert!(!state.shown().history.points().any(|point| point.span_ms > 1_000), "no hole where it was held");
}

#[test]
fn what_the_picture_is_stands_there_at_every_width() {
    let mut state = state("recovering");
    state.recording_to = Some("a/very/long/path/to/a/recording/of/a/sale.ndjson".into());
    let head = |state: &State, width| text(state, width, 24, false).lines().next().unwrap().to_owned();
    for width in [40, 60, 80, 120] {
        assert!(head(&state, width).contains("● REC"), "{}", head(&state, width));
    }
    _ = state.update(Event::RecordingEnded("FAILED: No space left on device (os error 28)".into()));
    type_in(&mut state, "p");
    for width in [40, 60, 80, 120] {
        let head = head(&state, width);
        assert!(head.contains("RECOVERING") && head.contains("✖ REC FAILED") && head.contains("FROZEN"), "{head}");
        assert!(!head.contains("● REC"), "{head}");
    }
    assert!(head(&state, 120).contains("✖ REC FAILED: No space left on device"), "{}", head(&state, 120));
}

#[test]
fn zoom_changes_the_window_within_bounds() {
    let mut state = state("selling");
    let mut seen = vec![state.zoom_ms()];
    for key in "+++---=".chars() {
        type_in(&mut state, &key.to_string());
        seen.push(state.zoom_ms() / 1_000);
    }
    assert_eq!(seen[1..], [30, 30, 30, 120, 600, 3_600, 120]);
    type_in(&mut state, "+");
    assert_eq!(state.window.span_ms, 30_000);
}

#[test]
fn pages_turn_and_q_closes_before_it_quits() {
    let mut state = state("selling");
    for (key, page) in
        [('2', Page::Stock), ('3', Page::Latency), ('4', Page::Daemons), ('e', Page::Events), ('1', Page::Overview)]
    {
        type_in(&mut state, &key.to_string());
        assert_eq!(state.page, page);
        assert!(text(&state, 100, 30, false).contains(page.name()));
    }
    for _ in 0..5 {
        _ = press(&mut state, KeyCode::Tab);
    }
    assert_eq!(state.page, Page::Overview);
    type_in(&mut state, "?");
    assert_eq!(state.overlay, Some(Overlay::Help));
    assert_eq!(press(&mut state, KeyCode::Char('q')), Wish::Nothing);
    assert_eq!(state.overlay, None);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Wish::Quit(Exit::Ok));
    type_in(&mut state, "?");
    assert_eq!(press(&mut state, KeyCode::Char('Q')), Wish::Quit(Exit::Ok));
    assert_eq!((ctrl(&mut state, 'c'), ctrl(&mut state, 'z')), (Wish::Quit(Exit::Interrupted), Wish::Suspend));
}

#[test]
fn help_and_footer_are_the_table() {
    let mut state = state("selling");
    assert!(text(&state, 120, 40, false).lines().last().unwrap().contains("q quit"));
    type_in(&mut state, "?");
    for (width, height) in [(120, 40), (80, 24), (60, 16)] {
        let mut shown = String::new();
        _ = press(&mut state, KeyCode::Char('g'));
        for _ in 0..crate::top::keys::BINDINGS.len() {
            shown += &text(&state, width, height, false);
            type_in(&mut state, "j");
        }
        for binding in crate::top::keys::bindings(false) {
            let words: String = binding.help.chars().take(30).collect();
            assert!(shown.contains(binding.spelled) && shown.contains(&words), "{width}x{height}: {words}");
        }
    }
}

#[test]
fn a_recording_is_wound_and_played() {
    let samples = minute();
    let mut state = state("empty");
    state.tape = Some(Playback::new(samples.len(), samples[0].at_ms, samples[60].at_ms));
    _ = state.update(Event::Wound { index: 30, samples: samples[..=30].to_vec() });
    let shown = text(&state, 120, 40, false);
    assert!(shown.contains("31 of 61") && shown.contains("20:00:30 UTC") && shown.contains("SELLING"), "{shown}");
    assert_eq!(press(&mut state, KeyCode::Left), Wish::Wind(29));
    assert_eq!(
        (press(&mut state, KeyCode::PageDown), press(&mut state, KeyCode::End)),
        (Wish::Wind(33), Wish::Wind(60))
    );
    // Back in time there is no future: what was seen later is not in the picture.
    _ = state.update(Event::Wound { index: 2, samples: samples[..=2].to_vec() });
    assert!(!text(&state, 120, 40, false).contains("20:00:44"));
    type_in(&mut state, "p");
    assert!(state.tape.as_ref().unwrap().playing, "stepping had stopped it");
}

#[test]
fn colours_change_nothing_that_is_read() {
    let mut state = state("recovering");
    let plain = text(&state, 120, 40, false);
    for _ in 0..4 {
        type_in(&mut state, "t");
        assert_eq!(text(&state, 120, 40, false), plain, "{}", state.theme.name());
    }
    assert!(!text(&state, 120, 40, true).contains("38;5;"), "mono has no colours");
    type_in(&mut state, "t");
    assert!(text(&state, 120, 40, true).contains("38;5;"));
    state.ascii = true;
    assert!(text(&state, 120, 40, false).is_ascii());
}

#[test]
fn a_sale_that_has_stopped_does_not_look_as_if_it_went_on() {
    let selling = text(&state("selling"), 120, 40, false);
    assert!(selling.contains("215/s leaving") && selling.contains("▸● Standing"), "{selling}");
    for name in ["recovering", "stale"] {
        let state = state(name);
        for (width, height) in [(120, 40), (80, 24), (40, 10)] {
            let shown = text(&state, width, height, false);
            assert!(!shown.contains("/s leaving") && shown.contains("▸◌ "), "{shown}");
            assert!(shown.contains("✖ n1"), "what is wrong goes before how fast it went: {shown}");
            assert!(!shown.contains("of 24,77\n"), "half a number is another number: {shown}");
        }
    }
}
