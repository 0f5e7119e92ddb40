use flash_loadgen::{Pacing, Snapshot};
use ratatui::{Terminal as Drawing, backend::TestBackend};

use super::{state::State, view};

/// A run of which `seconds` have passed: a spike that empties the stock.
fn after(seconds: u64) -> State {
    let mut state = State::new("canonical at 127.0.0.1:3000".to_owned(), false);
    for second in 0..=seconds {
        let done = 1_000 * second;
        let wins = done.min(4_350);
        let now = Snapshot {
            elapsed_ms: second * 1_000,
            duration_ms: 60_000,
            pacing: Pacing::Open,
            stage: 1,
            stages: 3,
            buyers: 12,
            planned: 60_000,
            due: done,
            started: done.saturating_sub(second * 3),
            served: done.saturating_sub(second * 3),
            lag_max_us: 850,
            stock: (second != 3).then_some(4_350 - wins),
            requests: done,
            wins,
            sold_out: done - wins,
            errors: second / 4,
            win_p99_us: 4_200 + second * 100,
            sold_out_p99_us: 900,
            ..Snapshot::default()
        };
        state.update(&now, "1000 arrivals per second for 50 s".to_owned());
    }
    state
}

fn picture(state: &State, width: u16, height: u16) -> String {
    let mut drawing = Drawing::new(TestBackend::new(width, height)).unwrap();
    drawing.draw(|frame| view::draw(state, frame)).unwrap();
    drawing.backend().to_string()
}

#[test]
fn a_big_terminal() {
    insta::assert_snapshot!(picture(&after(9), 120, 40));
}

#[test]
fn an_ordinary_terminal() {
    insta::assert_snapshot!(picture(&after(9), 80, 24));
}

#[test]
fn a_small_terminal() {
    insta::assert_snapshot!(picture(&after(9), 40, 10));
}

#[test]
fn ending_early_is_said() {
    let mut state = after(5);
    state.stopping = true;
    assert!(picture(&state, 80, 24).contains("ENDING EARLY"));
    assert!(picture(&state, 40, 10).contains("ENDING"));
}

#[test]
fn too_small_says_so() {
    assert!(picture(&after(1), 39, 9).contains("needs 40×10"));
}

#[test]
fn no_size_and_no_number_panics() {
    let mut endless = after(3);
    let most =
        Snapshot { elapsed_ms: u64::MAX, wins: u64::MAX, stock: Some(u64::MAX), due: u64::MAX, ..Snapshot::default() };
    endless.update(&most, "x".repeat(500));
    for state in [State::new(String::new(), true), after(500), endless] {
        for (width, height) in [(1, 1), (40, 10), (41, 11), (76, 22), (77, 23), (80, 24), (200, 60), (300, 5)] {
            picture(&state, width, height);
        }
    }
}

#[test]
fn a_second_that_took_longer_is_a_rate_all_the_same() {
    let mut state = State::new(String::new(), false);
    let at = |elapsed_ms, wins| Snapshot { elapsed_ms, wins, ..Snapshot::default() };
    state.update(&at(400, 40), String::new());
    assert!(state.seconds.is_empty());
    state.update(&at(2_000, 400), String::new());
    assert_eq!(state.latest().wins, 200);
}
